#include "notify/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace sidetone {

int notify(const std::string& address, const std::string& message) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (address.size() < 2 || (address[0] != '/' && address[0] != '@')) return EINVAL;
  if (address.size() >= sizeof to.sun_path) return ENAMETOOLONG;
  std::memcpy(to.sun_path, address.data(), address.size());
  // The kernel's mark of an abstract name.
  if (address[0] == '@') to.sun_path[0] = '\0';
  const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return errno;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
  const auto sent = sendto(descriptor, message.data(), message.size(), MSG_NOSIGNAL,
                           reinterpret_cast<const sockaddr*>(&to), length);
  const int error = sent < 0 ? errno : 0;
  close(descriptor);
  return error;
}

}  // namespace sidetone
