// What the addon exports: a table of contents and nothing else.
#include <napi.h>

#include "binding/amrwb.h"
#include "binding/clock.h"
#include "binding/dsp.h"
#include "binding/engine.h"
#include "binding/gather.h"
#include "binding/hearing.h"
#include "binding/imports.h"
#include "binding/kernels.h"
#include "binding/layout.h"
#include "binding/load.h"
#include "binding/mixing.h"
#include "binding/rooms.h"
#include "binding/supervision.h"
#include "binding/upstream.h"

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  sidetone::binding::exportLayout(env, exports);
  sidetone::binding::exportEngine(env, exports);
  sidetone::binding::exportClock(env, exports);
  sidetone::binding::exportGather(env, exports);
  sidetone::binding::exportKernels(env, exports);
  sidetone::binding::exportDsp(env, exports);
  sidetone::binding::exportHearing(env, exports);
  sidetone::binding::exportImports(env, exports);
  sidetone::binding::exportMixing(env, exports);
  sidetone::binding::exportAmrWb(env, exports);
  sidetone::binding::exportLoad(env, exports);
  sidetone::binding::exportRooms(env, exports);
  sidetone::binding::exportSupervision(env, exports);
  sidetone::binding::exportUpstream(env, exports);
  return exports;
}

NODE_API_MODULE(NODE_GYP_MODULE_NAME, Init)
