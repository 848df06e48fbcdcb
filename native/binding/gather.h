#pragma once
#include <napi.h>

namespace sidetone::binding {

void exportGather(Napi::Env env, Napi::Object exports);

}  // namespace sidetone::binding
