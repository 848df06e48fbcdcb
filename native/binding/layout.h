#pragma once
#include <napi.h>

namespace sidetone::binding {

/**
 * `layout`: numbers that both sides of the addon must agree on, by name: places in shared views, outcomes of
 * calls, encodings. TypeScript reads them from here and keeps none of its own.
 */
void exportLayout(Napi::Env env, Napi::Object exports);

}  // namespace sidetone::binding
