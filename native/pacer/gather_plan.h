#pragma once

namespace sidetone {

/**
 * When an event loop may sleep before it polls, so that it looks at its sockets once in `waitMs` rather than
 * once a message. Ask leftMs() before every poll and, where it is over 0, sleepMs() with the time to the
 * loop's next timer; tell slept() when the sleep is over. Time is passed in, in ms.
 */
class GatherPlan {
 public:
  explicit GatherPlan(double waitMs) : waitMs_(waitMs) {}

  /**
   * What is left of `waitMs` since the loop last polled; 0: nothing may wait. `messages` is how many have
   * come since the beginning, `answeredMs` when a frame was last answered while it was heard.
   */
  double leftMs(double nowMs, double messages, double answeredMs) {
    const double leftMs = waitMs_ - (nowMs - polledMs_);
    polledMs_ = nowMs;
    if (nowMs - windowMs_ >= kWindowMs) {
      messagesAMs_ = (messages - windowMessages_) / (nowMs - windowMs_);
      windowMessages_ = messages;
      windowMs_ = nowMs;
    }
    const bool quiet = messagesAMs_ == 0 || nowMs - answeredMs < kPromptMs;
    return quiet || leftMs < 0 ? 0 : leftMs;
  }

  /** How long to sleep of `leftMs`; 0: not at all. `timerMs`: to the loop's next timer, negative: there is
   * none. */
  double sleepMs(double leftMs, int timerMs) const {
    if (timerMs == 0) return 0;
    if (timerMs > 0 && timerMs <= leftMs) return timerMs;
    return messagesAMs_ * waitMs_ < kMessagesWorthAWait ? 0 : leftMs;
  }

  void slept(double nowMs) { polledMs_ = nowMs; }

 private:
  /** How often messages come is asked over windows of this length. */
  static constexpr double kWindowMs = 50;
  /** Waiting costs a wake-up of its own, so it should save one; unless a timer wakes the loop by then anyway.
   */
  static constexpr double kMessagesWorthAWait = 2;
  /** After a frame was answered as it came, nothing waits for this long. */
  static constexpr double kPromptMs = 1000;

  double waitMs_;
  double polledMs_ = 0;
  double windowMs_ = 0;
  double windowMessages_ = 0;
  double messagesAMs_ = 0;
};

}  // namespace sidetone
