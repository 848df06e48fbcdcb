#include "pacer/gather_plan.h"

#include <doctest/doctest.h>

using namespace sidetone;

namespace {
constexpr double kNever = -1e9;
constexpr int kNoTimer = -1;

/** A loop that is woken `everyMs` by a message, for `forMs`; how often it polls. */
struct Loop {
  GatherPlan plan{10};
  double nowMs = 1000;
  double messages = 0;
  double nextMs = 1000;

  int polls(double everyMs, double forMs, double answeredMs = kNever, int timerMs = kNoTimer) {
    const double untilMs = nowMs + forMs;
    nextMs = nowMs + everyMs;
    int count = 0;
    while (nowMs < untilMs) {
      const double left = plan.leftMs(nowMs, messages, answeredMs);
      const double sleep = left > 0 ? plan.sleepMs(left, timerMs) : 0;
      if (sleep > 0) {
        nowMs += sleep;
        plan.slept(nowMs);
      }
      // The poll: it blocks until there is a message, and then takes all there are.
      if (nextMs > nowMs) nowMs = nextMs;
      for (; nextMs <= nowMs; nextMs += everyMs) messages++;
      count++;
    }
    return count;
  }
};
}  // namespace

TEST_CASE("gathering: many messages are read together, once in the wait") {
  Loop loop;
  loop.polls(0.1, 100);  // until the first windows have told how many there are
  const int gathered = loop.polls(0.1, 1000);
  CHECK(gathered >= 99);
  CHECK(gathered <= 101);
}

TEST_CASE("gathering: where a frame was answered as it came, every message is read at once, for a second") {
  Loop loop;
  loop.polls(0.1, 100);
  const double answeredMs = loop.nowMs;
  CHECK(loop.polls(0.1, 900, answeredMs) >= 8999);
  loop.polls(0.1, 100, answeredMs);
  CHECK(loop.polls(0.1, 1000, answeredMs) <= 101);
}

TEST_CASE("gathering: few messages are not waited for, none at all even less") {
  Loop loop;
  loop.polls(20, 200);
  CHECK(loop.polls(20, 1000) == 50);
  GatherPlan idle(10);
  CHECK(idle.leftMs(1000, 0, kNever) == 0);
  CHECK(idle.leftMs(1060, 0, kNever) == 0);
}

TEST_CASE("gathering: nothing waits for a timer that is due earlier") {
  GatherPlan plan(1000);
  plan.leftMs(1000, 0, kNever);
  const double left = plan.leftMs(1100, 1000, kNever);
  CHECK(left == 900);
  CHECK(plan.sleepMs(left, 5) == 5);
  CHECK(plan.sleepMs(left, 0) == 0);
  CHECK(plan.sleepMs(left, 901) == 900);
  CHECK(plan.sleepMs(left, kNoTimer) == 900);
  // What came in the sleep is polled, and the whole wait begins anew.
  plan.slept(1105);
  CHECK(plan.leftMs(1105, 1001, kNever) == 1000);
  CHECK(plan.leftMs(2106, 1002, kNever) == 0);
}

TEST_CASE("gathering: a timer that wakes the loop anyway is slept to even where messages are few") {
  GatherPlan plan(10);
  plan.leftMs(1000, 0, kNever);
  plan.leftMs(1100, 1, kNever);
  const double left = plan.leftMs(1101, 1, kNever);
  CHECK(left == 9);
  CHECK(plan.sleepMs(left, 4) == 4);
  CHECK(plan.sleepMs(left, 20) == 0);
}
