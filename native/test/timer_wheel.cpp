#include "pacer/timer_wheel.h"

#include <doctest/doctest.h>

#include <memory>
#include <random>
#include <vector>

#include "memory/block_queue.h"

using sidetone::BlockPool;
using sidetone::BlockQueue;
using sidetone::TimerNode;
using sidetone::TimerWheel;

TEST_CASE("every deadline is found once, never early, at the first tick after it") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  auto wheel = std::make_unique<TimerWheel>();
  std::vector<TimerNode> nodes(200);
  std::vector<bool> waiting(nodes.size());
  double now = 1e6, before = now;
  for (int tick = 0; tick < 20000; tick++) {
    before = now;
    // Ticks, stalls and, now and then, hours without one.
    now += random() % 1000 == 0 ? 3.6e6 : random() % 100 == 0 ? 500 : static_cast<double>(random() % 40) / 10;
    while (TimerNode* node = wheel->collect(now)) {
      CHECK(node->dueMs <= now);
      CHECK(waiting[static_cast<size_t>(node - nodes.data())]);
      waiting[static_cast<size_t>(node - nodes.data())] = false;
    }
    for (size_t i = 0; i < nodes.size(); i++) {
      if (waiting[i]) CHECK(nodes[i].dueMs > now);
    }
    for (int i = 0; i < 5; i++) {
      const size_t at = random() % nodes.size();
      if (random() % 4 == 0) {
        wheel->cancel(nodes[at]);
        waiting[at] = false;
      } else {
        wheel->schedule(nodes[at], now + static_cast<double>(random() % 30000) / 10 - 100);
        waiting[at] = true;
      }
    }
    (void)before;
  }
  for (auto& node : nodes) wheel->cancel(node);
  CHECK(wheel->scheduled() == 0);
}

TEST_CASE("a queue of blocks is first in, first out, and gives all its blocks back") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  BlockPool pool(1024);
  {
    BlockQueue queue(pool);
    uint8_t in = 0, out = 0;
    for (int i = 0; i < 5000; i++) {
      std::vector<uint8_t> data(random() % 4000);
      if (random() % 2 == 0) {
        for (auto& byte : data) byte = in++;
        if (!queue.append(data.data(), data.size())) in = static_cast<uint8_t>(in - data.size());
      } else {
        data.resize(std::min(data.size(), queue.bytes()));
        queue.read(data.data(), data.size());
        size_t wrong = 0;
        for (const uint8_t byte : data) wrong += byte != out++;
        REQUIRE(wrong == 0);
      }
      if (queue.bytes() == 0) CHECK(pool.blocksInUse() == 0);
    }
  }
  CHECK(pool.blocksInUse() == 0);
}
