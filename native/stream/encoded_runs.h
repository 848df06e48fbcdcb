#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

namespace sidetone {

/** Which positions of a queue of PCM hold bytes that are encoded already. Empty for nearly all streams. */
class EncodedRuns {
 public:
  bool empty() const { return runs_.empty(); }

  /** What is accepted from `from` up to `to` is encoded. Parts before `heard` are forgotten. */
  void add(double from, double to, double heard) {
    runs_.erase(runs_.begin(),
                std::find_if(runs_.begin(), runs_.end(), [&](const Run& run) { return run.to > heard; }));
    if (!runs_.empty() && runs_.back().to == from)
      runs_.back().to = to;
    else
      runs_.push_back({from, to});
  }

  /** Whether what stands at `position` is encoded; `end` is where that changes, if it does before `end`. */
  bool at(double position, double& end) const {
    for (const Run& run : runs_) {
      if (run.to <= position) continue;
      const bool isInside = run.from <= position;
      end = std::min(end, isInside ? run.to : run.from);
      return isInside;
    }
    return false;
  }

  /** Where a byte begins: `position`, or the one behind it in the middle of a byte of two samples. */
  double aligned(double position) const {
    for (const Run& run : runs_) {
      if (run.from <= position && position < run.to && std::fmod(position - run.from, 2) != 0)
        return position + 1;
    }
    return position;
  }

  /** Whether anything behind `position` is encoded. */
  bool behind(double position) const { return !runs_.empty() && runs_.back().to > position; }

  /** The positions from `from` up to `to` are no more: those behind them move up. */
  void remove(double from, double to) {
    const auto moved = [&](double position) {
      return position >= to ? position - (to - from) : std::min(position, from);
    };
    for (Run& run : runs_) run = {moved(run.from), moved(run.to)};
    runs_.erase(std::remove_if(runs_.begin(), runs_.end(), [](const Run& run) { return run.from >= run.to; }),
                runs_.end());
  }

  void clear() { runs_.clear(); }

 private:
  struct Run {
    double from;
    double to;
  };
  std::vector<Run> runs_;
};

}  // namespace sidetone
