#pragma once
#include <napi.h>
#include <node_api.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace sidetone::binding {

/**
 * The arguments of one call on the media path. Such calls come from src/native alone, which has checked them,
 * thousands of times a second. An argument that is wrong all the same reads as null or 0, never as foreign
 * memory.
 */
template <size_t N>
class FastArguments {
 public:
  FastArguments(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = N;
    napi_get_cb_info(env, info, &count, values_.data(), nullptr, &data_);
  }
  template <typename T>
  T* self() const {
    return static_cast<T*>(data_);
  }
  int32_t integer(size_t i) const {
    int32_t value = 0;
    napi_get_value_int32(env_, values_[i], &value);
    return value;
  }
  double number(size_t i) const {
    double value = 0;
    napi_get_value_double(env_, values_[i], &value);
    return value;
  }
  bool boolean(size_t i) const {
    bool value = false;
    napi_get_value_bool(env_, values_[i], &value);
    return value;
  }
  struct Bytes {
    uint8_t* data = nullptr;
    size_t count = 0;
  };
  Bytes arrayBuffer(size_t i) const {
    void* data = nullptr;
    size_t count = 0;
    if (napi_get_arraybuffer_info(env_, values_[i], &data, &count) != napi_ok) return {};
    return {static_cast<uint8_t*>(data), count};
  }
  struct Samples {
    int16_t* data = nullptr;
    size_t count = 0;
  };
  Samples samples(size_t i) const {
    const Typed typed = typedArray(i);
    if (typed.type != napi_int16_array) return {};
    return {static_cast<int16_t*>(typed.data), typed.count};
  }
  Bytes bytes(size_t i) const {
    const Typed typed = typedArray(i);
    if (typed.type != napi_uint8_array) return {};
    return {static_cast<uint8_t*>(typed.data), typed.count};
  }
  struct Integers {
    int32_t* data = nullptr;
    size_t count = 0;
  };
  Integers integers(size_t i) const {
    const Typed typed = typedArray(i);
    if (typed.type != napi_int32_array) return {};
    return {static_cast<int32_t*>(typed.data), typed.count};
  }
  napi_value result(int32_t value) const {
    napi_value out = nullptr;
    napi_create_int32(env_, value, &out);
    return out;
  }
  napi_value result(double value) const {
    napi_value out = nullptr;
    napi_create_double(env_, value, &out);
    return out;
  }

 private:
  struct Typed {
    napi_typedarray_type type = napi_int8_array;
    void* data = nullptr;
    size_t count = 0;
  };
  Typed typedArray(size_t i) const {
    Typed typed;
    napi_get_typedarray_info(env_, values_[i], &typed.type, &typed.count, &typed.data, nullptr, nullptr);
    return typed;
  }

  napi_env env_;
  std::array<napi_value, N> values_{};
  void* data_ = nullptr;
};

}  // namespace sidetone::binding
