#include "notify/notify.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>

using sidetone::notify;

namespace {

/** A service manager: a datagram socket under an abstract name that the kernel picks. */
class Manager {
 public:
  Manager() {
    sockaddr_un any{};
    any.sun_family = AF_UNIX;
    REQUIRE(bind(descriptor_, reinterpret_cast<sockaddr*>(&any), sizeof any.sun_family) == 0);
    socklen_t length = sizeof any;
    REQUIRE(getsockname(descriptor_, reinterpret_cast<sockaddr*>(&any), &length) == 0);
    const auto bytes = length - offsetof(sockaddr_un, sun_path);
    address_ = "@" + std::string(any.sun_path + 1, bytes - 1);
  }
  ~Manager() { close(descriptor_); }

  const std::string& address() const { return address_; }

  std::string received() const {
    std::array<char, 256> text{};
    const auto bytes = recv(descriptor_, text.data(), text.size(), MSG_DONTWAIT);
    return bytes < 0 ? "" : std::string(text.data(), static_cast<size_t>(bytes));
  }

 private:
  int descriptor_ = socket(AF_UNIX, SOCK_DGRAM, 0);
  std::string address_;
};

}  // namespace

TEST_CASE("notify: each message is one datagram") {
  Manager manager;
  CHECK(notify(manager.address(), "READY=1\nSTATUS=listens") == 0);
  CHECK(notify(manager.address(), "WATCHDOG=1") == 0);
  CHECK(manager.received() == "READY=1\nSTATUS=listens");
  CHECK(manager.received() == "WATCHDOG=1");
  CHECK(manager.received().empty());
}

TEST_CASE("notify: a manager that does not read makes nobody wait") {
  Manager manager;
  int error = 0;
  for (int i = 0; i < 100'000 && error == 0; ++i) error = notify(manager.address(), "WATCHDOG=1");
  CHECK(error == EAGAIN);
}

TEST_CASE("notify: an address that is none, or nobody's") {
  CHECK(notify("", "READY=1") == EINVAL);
  CHECK(notify("run/notify", "READY=1") == EINVAL);
  CHECK(notify("/nowhere/at/all", "READY=1") == ENOENT);
  CHECK(notify("@" + std::string(200, 'a'), "READY=1") == ENAMETOOLONG);
}
