#pragma once
#include <string>

namespace sidetone {

/**
 * Sends one message to the service manager, as sd_notify(3) does: a datagram to the socket whose address is
 * in NOTIFY_SOCKET, a path or an abstract name that begins with '@'. Never waits. Returns 0 or an errno.
 */
int notify(const std::string& address, const std::string& message);

}  // namespace sidetone
