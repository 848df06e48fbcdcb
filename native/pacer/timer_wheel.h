#pragma once
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace sidetone {

/** A place in a timer wheel. Its owner must cancel it before dying. */
struct TimerNode {
  TimerNode* previous = nullptr;
  TimerNode* next = nullptr;
  double dueMs = 0;
  bool scheduled() const { return previous != nullptr; }
};

/**
 * Absolute deadlines for thousands of streams: scheduling and cancelling cost the same however many there
 * are, and a tick touches only what is due. Slots are 1 ms wide; a deadline more than kSlots ms away stays in
 * its slot and is passed over until its round comes.
 */
class TimerWheel {
 public:
  TimerWheel() {
    for (auto& slot : slots_) slot.previous = slot.next = &slot;
  }
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  void schedule(TimerNode& node, double dueMs) {
    cancel(node);
    node.dueMs = dueMs;
    // A deadline in the past goes to the slot that the next collect() looks at first.
    const int64_t ms = static_cast<int64_t>(std::floor(dueMs));
    TimerNode& slot = slots_[index(ms < cursorMs_ ? cursorMs_ : ms)];
    node.previous = slot.previous;
    node.next = &slot;
    slot.previous->next = &node;
    slot.previous = &node;
    count_++;
  }

  void cancel(TimerNode& node) {
    if (!node.scheduled()) return;
    node.previous->next = node.next;
    node.next->previous = node.previous;
    node.previous = node.next = nullptr;
    count_--;
  }

  /**
   * Takes out the first node whose deadline is at or before `nowMs`, or returns nullptr. Call until nullptr.
   * What a caller schedules for now or earlier between two calls is found by the later ones.
   */
  TimerNode* collect(double nowMs) {
    const int64_t now = static_cast<int64_t>(std::floor(nowMs));
    if (count_ == 0) {
      cursorMs_ = now;
      return nullptr;
    }
    // After a long stall one round over the slots sees everything.
    if (now - cursorMs_ >= static_cast<int64_t>(kSlots)) cursorMs_ = now - static_cast<int64_t>(kSlots) + 1;
    for (;;) {
      TimerNode& slot = slots_[index(cursorMs_)];
      for (TimerNode* node = slot.next; node != &slot; node = node->next) {
        if (node->dueMs <= nowMs) {
          cancel(*node);
          return node;
        }
      }
      if (cursorMs_ >= now) return nullptr;
      cursorMs_++;
    }
  }

  /** What the next collect() looks at first, if anything waits there: its owner may want to fetch it. */
  const TimerNode* ahead() const {
    const TimerNode& slot = slots_[index(cursorMs_)];
    return slot.next == &slot ? nullptr : slot.next;
  }

  size_t scheduled() const { return count_; }

 private:
  static constexpr size_t kSlots = 1024;
  static size_t index(int64_t ms) { return static_cast<size_t>(ms) & (kSlots - 1); }

  std::array<TimerNode, kSlots> slots_;
  int64_t cursorMs_ = 0;
  size_t count_ = 0;
};

}  // namespace sidetone
