#pragma once
#include <array>
#include <cstring>
#include <memory>
#include <string_view>

namespace sidetone {

/** A stream's id, kept where the stream is: Telnyx's are UUIDs of 36 characters. Longer ones have memory of
 * their own. */
class StreamId {
 public:
  explicit StreamId(std::string_view id) : length_(id.size()) {
    if (id.size() > kInline) longer_ = std::make_unique<char[]>(id.size());
    std::memcpy(longer_ ? longer_.get() : inline_.data(), id.data(), id.size());
  }

  bool operator==(std::string_view id) const {
    return id.size() == length_ &&
           std::memcmp(longer_ ? longer_.get() : inline_.data(), id.data(), length_) == 0;
  }

 private:
  static constexpr size_t kInline = 40;
  size_t length_;
  std::unique_ptr<char[]> longer_;
  std::array<char, kInline> inline_;
};

}  // namespace sidetone
