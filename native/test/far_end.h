#pragma once
#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

namespace sidetone {

/** Plays what it gets in real time, keeps when each sample was heard, and drops the rest at a clear. */
struct FarEnd {
  double samplesPerMs = 8;
  double endMs = 0;
  double gapMs = 0;  // of silence behind the first sample
  std::vector<int16_t> heard;
  std::deque<std::pair<double, std::vector<int16_t>>> queue;

  void hear(std::vector<int16_t> pcm, double nowMs) {
    if (endMs > 0 && nowMs > endMs) gapMs += nowMs - endMs;
    endMs = std::max(endMs, nowMs);
    queue.emplace_back(endMs, std::move(pcm));
    endMs += static_cast<double>(queue.back().second.size()) / samplesPerMs;
  }
  void play(double nowMs) {
    while (!queue.empty() && queue.front().first < nowMs) {
      auto& [startMs, pcm] = queue.front();
      const auto samples = std::min(pcm.size(), static_cast<size_t>((nowMs - startMs) * samplesPerMs + 0.5));
      heard.insert(heard.end(), pcm.begin(), pcm.begin() + static_cast<long>(samples));
      if (samples < pcm.size()) {
        pcm.erase(pcm.begin(), pcm.begin() + static_cast<long>(samples));
        startMs += static_cast<double>(samples) / samplesPerMs;
        return;
      }
      queue.pop_front();
    }
  }
  void clear(double nowMs) {
    play(nowMs);
    queue.clear();
    endMs = nowMs;
  }
};

}  // namespace sidetone
