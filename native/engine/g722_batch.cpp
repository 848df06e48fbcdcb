#include "engine/g722_batch.h"

#include "wire/envelope.h"

namespace sidetone {

void G722Batch::reserve() {
  if (!pcm_.empty()) return;
  pcm_.resize(kSlots * samplesMax_);
  payload_.resize(kSlots * samplesMax_ / 2);
}

void G722Batch::add(G722Encoder* encoder, bool& waits, size_t slot, size_t samples) {
  jobs_[jobCount_++] = {encoder, &waits, slot, samples};
  waits = true;
}

void G722Batch::encode(uint8_t* slab, size_t slotBytes) {
  std::array<G722Encoder*, kSlots> encoders;
  std::array<const int16_t*, kSlots> pcm;
  std::array<uint8_t*, kSlots> payload;
  // Messages of one length go together; there are few lengths, mostly the chunk's.
  for (size_t first = 0; first < jobCount_; first++) {
    if (!*jobs_[first].waits) continue;
    const size_t samples = jobs_[first].samples;
    size_t count = 0;
    for (size_t i = first; i < jobCount_; i++) {
      const Job& job = jobs_[i];
      if (job.samples != samples) continue;
      encoders[count] = job.encoder;
      pcm[count] = &pcm_[job.slot * samplesMax_];
      payload[count++] = &payload_[job.slot * samplesMax_ / 2];
      *job.waits = false;
    }
    g722EncodeBatch(encoders.data(), pcm.data(), samples, payload.data(), count);
  }
  for (size_t i = 0; i < jobCount_; i++) {
    const Job& job = jobs_[i];
    writeMedia(&payload_[job.slot * samplesMax_ / 2], job.samples / 2,
               reinterpret_cast<char*>(slab + job.slot * slotBytes));
  }
  jobCount_ = 0;
}

}  // namespace sidetone
