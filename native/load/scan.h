#pragma once
#include <cstdint>
#include <string_view>

namespace sidetone::load {

/** What a message from the application is; Bad is text that is not a JSON object with an `event`. */
enum class Event : uint8_t { Media, Mark, Clear, Other, Bad };

struct AppMessage {
  Event event = Event::Bad;
  /** `media.payload` as it stands between its quotes: base64, escapes not undone. */
  std::string_view payload;
  /** `mark.name` as it stands between its quotes, escapes not undone: sent back letter for letter. */
  std::string_view name;
};

/**
 * Finds the event and its payload or name in one message. Any order of keys, any white space, unknown keys
 * and nested values (to a depth of 64) are taken as they come: servers under test are written in many
 * languages. The views point into `json`.
 */
AppMessage scanMessage(std::string_view json);

}  // namespace sidetone::load
