#pragma once
#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace sidetone::bench {

struct Contender {
  std::string name;
  std::function<void()> run;
  double medianNs = 0;
};

/**
 * Median time of one call of each contender, in ns. They take turns, so that a change of the machine's speed
 * meets all alike; each turn repeats its call for about `turnMs`.
 */
inline void compare(std::vector<Contender>& contenders, int turns = 15, double turnMs = 4) {
  using Clock = std::chrono::steady_clock;
  const auto timed = [](const Contender& contender, int calls) {
    const auto start = Clock::now();
    for (int i = 0; i < calls; i++) contender.run();
    return std::chrono::duration<double, std::nano>(Clock::now() - start).count() / calls;
  };
  std::vector<std::vector<double>> times(contenders.size());
  std::vector<int> calls;
  for (const auto& contender : contenders) {
    timed(contender, 10);
    calls.push_back(std::max(1, static_cast<int>(turnMs * 1e6 / timed(contender, 10))));
  }
  for (int turn = 0; turn < turns; turn++) {
    for (size_t i = 0; i < contenders.size(); i++) times[i].push_back(timed(contenders[i], calls[i]));
  }
  for (size_t i = 0; i < contenders.size(); i++) {
    std::nth_element(times[i].begin(), times[i].begin() + turns / 2, times[i].end());
    contenders[i].medianNs = times[i][static_cast<size_t>(turns / 2)];
  }
}

}  // namespace sidetone::bench
