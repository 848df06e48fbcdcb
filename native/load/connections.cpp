#include "load/connections.h"

#if defined(__linux__)

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sidetone::load {
namespace {

constexpr size_t kReadBytes = 256u << 10;

int64_t clockUs(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000;
}

/** Fills `address`; returns its length, 0 when the text is no numeric address. */
socklen_t parseAddress(const std::string& text, uint16_t port, sockaddr_storage& address) {
  std::memset(&address, 0, sizeof address);
  sockaddr_in v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&address, &v4, sizeof v4);
    return sizeof v4;
  }
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&address, &v6, sizeof v6);
    return sizeof v6;
  }
  return 0;
}

}  // namespace

Connections::Connections(const LoadOptions& options, Receiver& receiver, RunCounts& run,
                         std::string& firstError)
    : options_(options), receiver_(receiver), run_(run), firstError_(firstError), readBuffer_(kReadBytes) {
  size_t frameBytesMax = 0;
  for (const auto& frame : options.frames) frameBytesMax = std::max(frameBytesMax, frame.size());
  // A message is an envelope of under 1 KB (or a mark's name as it came) around the base64 of one frame.
  scratch_.resize(kClientHeaderBytesMax + 8192 + options.connectedMessage.size() + frameBytesMax * 2);
  streams_.reserve(options.streams);
  for (uint32_t i = 0; i < options.streams; i++) {
    streams_.push_back(
        std::make_unique<Stream>(int64_t{options.playoutMs} * 1000, int64_t{options.utteranceGapMs} * 1000));
  }
}

Connections::~Connections() {
  closeAll();
  if (epoll_ >= 0) close(epoll_);
}

std::string Connections::prepare() {
  sockaddr_storage address;
  if (parseAddress(options_.address, options_.port, address) == 0) {
    return "address " + options_.address + " is not a numeric IP address";
  }
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t needed = rlim_t{options_.streams} + 64;
  if (limit.rlim_cur < needed) {
    limit.rlim_cur = std::min(needed, limit.rlim_max);
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < needed) {
      return "only " + std::to_string(limit.rlim_cur) + " file descriptors may be open, " +
             std::to_string(needed) + " are needed: raise the limit with ulimit -n";
    }
  }
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  return epoll_ < 0 ? std::string("epoll_create1: ") + std::strerror(errno) : std::string();
}

void Connections::connect(uint32_t index, int64_t nowUs) {
  Stream& stream = *streams_[index];
  active_++;
  opening_++;
  stream.state = Stream::State::Connecting;
  stream.deadlineUs = nowUs + int64_t{options_.connectTimeoutMs} * 1000;

  sockaddr_storage address;
  const socklen_t length = parseAddress(options_.address, options_.port, address);
  stream.fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (stream.fd < 0) return fail(stream, Fault::Connect, std::strerror(errno));
  const int on = 1;
  setsockopt(stream.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(stream.fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT;
  event.data.u32 = index;
  stream.wantsWrite = true;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, stream.fd, &event) < 0 ||
      (::connect(stream.fd, reinterpret_cast<const sockaddr*>(&address), length) < 0 &&
       errno != EINPROGRESS)) {
    fail(stream, Fault::Connect, std::strerror(errno));
  }
}

void Connections::poll(int64_t nowUs) {
  readClockOffset();
  epoll_event events[512];
  // A few rounds at most, so that a flood of messages cannot hold up sending.
  for (int round = 0; round < 8; round++) {
    const int count = epoll_wait(epoll_, events, 512, 0);
    for (int i = 0; i < count; i++) {
      const uint32_t index = events[i].data.u32;
      Stream& stream = *streams_[index];
      if (stream.fd >= 0 && (events[i].events & EPOLLOUT) != 0) onWritable(stream, index);
      if (stream.fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        onReadable(stream, index, nowUs);
      }
    }
    if (count < 512) break;
  }
}

void Connections::readClockOffset() {
  // The kernel stamps in wall-clock time. A reading that was interrupted between the clocks is thrown away.
  for (int attempt = 0; attempt < 4; attempt++) {
    const int64_t beforeUs = clockUs(CLOCK_MONOTONIC);
    const int64_t wallUs = clockUs(CLOCK_REALTIME);
    if (clockUs(CLOCK_MONOTONIC) - beforeUs > 1) continue;
    realtimeOffsetUs_ = wallUs - beforeUs;
    return;
  }
}

void Connections::expire(int64_t nowUs) {
  for (const auto& stream : streams_) {
    const bool opening =
        stream->state == Stream::State::Connecting || stream->state == Stream::State::Upgrading;
    if (opening && nowUs > stream->deadlineUs) {
      fail(*stream, Fault::TimedOut, "no answer to the upgrade in time");
    }
  }
}

void Connections::onWritable(Stream& stream, uint32_t index) {
  if (stream.state == Stream::State::Connecting) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(stream.fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return fail(stream, Fault::Connect, std::strerror(error));
    stream.state = Stream::State::Upgrading;
    const std::string& request = options_.upgradeRequest;
    if (!write(stream, index, reinterpret_cast<const uint8_t*>(request.data()), request.size())) return;
  } else if (!stream.unsent.empty()) {
    const ssize_t sent =
        ::send(stream.fd, stream.unsent.data(), stream.unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) return fail(stream, Fault::Closed, std::strerror(errno));
    if (sent > 0) stream.unsent.erase(stream.unsent.begin(), stream.unsent.begin() + sent);
  }
  if (stream.unsent.empty()) watch(stream, index, false);
}

void Connections::onReadable(Stream& stream, uint32_t index, int64_t nowUs) {
  iovec part{readBuffer_.data(), readBuffer_.size()};
  alignas(cmsghdr) uint8_t control[64];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t received = recvmsg(stream.fd, &header, MSG_DONTWAIT);
  if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (received <= 0) {
    const Fault fault = stream.state == Stream::State::Connecting  ? Fault::Connect
                        : stream.state == Stream::State::Upgrading ? Fault::Upgrade
                                                                   : Fault::Closed;
    return fail(stream, fault, received == 0 ? "the server closed the connection" : std::strerror(errno));
  }

  int64_t arrivedUs = nowUs;
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec stamp;
    std::memcpy(&stamp, CMSG_DATA(item), sizeof stamp);
    arrivedUs = int64_t{stamp.tv_sec} * 1'000'000 + stamp.tv_nsec / 1000 - realtimeOffsetUs_;
  }
  wireBytesReceived_ += static_cast<uint64_t>(received);
  const std::span<const uint8_t> bytes(readBuffer_.data(), static_cast<size_t>(received));
  if (stream.state == Stream::State::Upgrading) return onUpgradeBytes(stream, index, bytes, arrivedUs);
  onFrameBytes(stream, index, bytes, arrivedUs);
}

size_t Connections::sendText(uint32_t index, size_t count) {
  return send(*streams_[index], index, textBuffer(), count, Opcode::Text);
}

size_t Connections::send(Stream& stream, uint32_t index, uint8_t* payload, size_t count, Opcode opcode) {
  if (stream.fd < 0 || stream.unsent.size() + count + kClientHeaderBytesMax > kUnsentBytesMax) return 0;
  const size_t headerBytes = makeClientFrame(payload, count, opcode, nextMask());
  const size_t total = headerBytes + count;
  return write(stream, index, payload - headerBytes, total) ? total : 0;
}

bool Connections::write(Stream& stream, uint32_t index, const uint8_t* bytes, size_t count) {
  size_t sent = 0;
  if (stream.unsent.empty()) {
    const ssize_t result = ::send(stream.fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (result < 0 && errno != EAGAIN) {
      fail(stream, Fault::Closed, std::strerror(errno));
      return false;
    }
    sent = result < 0 ? 0 : static_cast<size_t>(result);
  }
  if (sent < count) {
    stream.unsent.insert(stream.unsent.end(), bytes + sent, bytes + count);
    watch(stream, index, true);
  }
  return true;
}

void Connections::beginClose(uint32_t index) {
  Stream& stream = *streams_[index];
  if (stream.state != Stream::State::Open) return;
  stream.state = Stream::State::Closing;
  uint8_t* const payload = textBuffer();
  payload[0] = 1000 >> 8;
  payload[1] = 1000 & 0xff;
  send(stream, index, payload, 2, Opcode::Close);
}

void Connections::closeAll() {
  for (const auto& stream : streams_) {
    if (stream->fd >= 0) release(*stream);
  }
}

void Connections::fail(Stream& stream, Fault fault, std::string_view why) {
  const bool expected = stream.state == Stream::State::Closing;
  if (!expected) {
    switch (fault) {
      case Fault::Connect:
        run_.connectFailed++;
        break;
      case Fault::Upgrade:
        run_.upgradeRefused++;
        break;
      case Fault::TimedOut:
        run_.timedOut++;
        break;
      case Fault::Closed:
        run_.closedEarly++;
        break;
      case Fault::Protocol:
        run_.protocolErrors++;
        break;
    }
    if (firstError_.empty()) firstError_ = why;
  }
  release(stream);
}

void Connections::release(Stream& stream) {
  if (stream.state == Stream::State::Connecting || stream.state == Stream::State::Upgrading) opening_--;
  stream.state = Stream::State::Closed;
  active_--;
  if (stream.fd >= 0) close(stream.fd);
  stream.fd = -1;
  if (stream.continuing) heldBytes_ -= stream.message.size();
  stream.continuing = false;
  dropPartial(stream);
}

void Connections::watch(Stream& stream, uint32_t index, bool write) {
  if (stream.wantsWrite == write) return;
  stream.wantsWrite = write;
  epoll_event event{};
  event.events = write ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.u32 = index;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, stream.fd, &event);
}

uint32_t Connections::nextMask() {
  mask_ ^= mask_ << 13;
  mask_ ^= mask_ >> 17;
  mask_ ^= mask_ << 5;
  return mask_;
}

}  // namespace sidetone::load

#endif  // __linux__
