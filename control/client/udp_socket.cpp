// SPDX-License-Identifier: BSD-3-Clause
#include "udp_socket.h"

#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>

namespace ssn::client {
namespace {

using dataplane::IpEndpoint;
using dataplane::IpFamily;

constexpr const char* what = "cannot exchange packets with the SSA";
// As much as the kernel lets us have: bursts come while this process waits for a core.
constexpr int buffer_bytes = 4 << 20;
// Of one datagram that the kernel takes apart; it takes 64 packets at most, as many as a burst has.
constexpr std::size_t segmented_bytes_max = 65'000;
// That it gives together.
constexpr std::size_t together_bytes_max = 65'536;
// So many single packets in a row, and they are cheaper to receive as such.
constexpr unsigned single_max = 256;

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Address address_of(const IpEndpoint& endpoint) {
  Address out;
  if (endpoint.address.family == IpFamily::v4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    std::memcpy(&in.sin_addr, endpoint.address.bytes.data(), 4);
    std::memcpy(&out.storage, &in, sizeof in);
    out.length = sizeof in;
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(endpoint.port);
    std::memcpy(&in.sin6_addr, endpoint.address.bytes.data(), 16);
    std::memcpy(&out.storage, &in, sizeof in);
    out.length = sizeof in;
  }
  return out;
}

IpEndpoint endpoint_of(const Address& address) {
  IpEndpoint out;
  if (address.storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &address.storage, sizeof in);
    out.port = ntohs(in.sin_port);
    std::memcpy(out.address.bytes.data(), &in.sin_addr, 4);
  } else {
    sockaddr_in6 in{};
    std::memcpy(&in, &address.storage, sizeof in);
    out.address.family = IpFamily::v6;
    out.port = ntohs(in.sin6_port);
    std::memcpy(out.address.bytes.data(), &in.sin6_addr, 16);
  }
  return out;
}

Result<IpEndpoint> local_of(int fd) {
  Address local;
  local.length = sizeof local.storage;
  if (::getsockname(fd, local.get(), &local.length) != 0) {
    return system_error(errno, what, "getsockname");
  }
  return endpoint_of(local);
}

Result<hw::FileDescriptor> open_socket(const IpEndpoint& peer) {
  const int family = peer.address.family == IpFamily::v4 ? AF_INET : AF_INET6;
  hw::FileDescriptor fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.is_open()) {
    return system_error(errno, what, "socket");
  }
  return fd;
}

Error unreachable(int number, const IpEndpoint& peer) {
  Error error = system_error(number, what, format(peer));
  error.code = Exit::temporary;
  error.fix = "see that this machine has a route to the data address of the SSA";
  return error;
}

// Of the network, and gone again with the next packet: an ICMP message, a full queue, a route in the making,
// a filter.
bool passes(int number) noexcept {
  return number == ECONNREFUSED || number == EHOSTUNREACH || number == ENETUNREACH || number == ENETDOWN ||
         number == EHOSTDOWN || number == ENOBUFS || number == ENOMEM || number == EPERM;
}

}  // namespace

Result<UdpSocket> UdpSocket::make(const IpEndpoint& peer) {
  // Which address is ours the kernel says once a socket is connected.
  Result<hw::FileDescriptor> probe = open_socket(peer);
  if (!probe.ok()) {
    return probe.error();
  }
  Address to = address_of(peer);
  if (::connect(probe.value().get(), to.get(), to.length) != 0) {
    return unreachable(errno, peer);
  }
  Result<IpEndpoint> local = local_of(probe.value().get());
  Result<hw::FileDescriptor> fd = open_socket(peer);
  if (!local.ok() || !fd.ok()) {
    return local.ok() ? fd.error() : local.error();
  }
  local.value().port = 0;
  Address from = address_of(local.value());
  if (::bind(fd.value().get(), from.get(), from.length) != 0) {
    return system_error(errno, what, format(local.value().address));
  }
  for (const int option : {SO_RCVBUF, SO_SNDBUF}) {
    ::setsockopt(fd.value().get(), SOL_SOCKET, option, &buffer_bytes, sizeof buffer_bytes);
  }
  const int never_fragment = IP_PMTUDISC_DO;
  const bool v4 = peer.address.family == IpFamily::v4;
  ::setsockopt(fd.value().get(), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER,
               &never_fragment, sizeof never_fragment);
  UdpSocket out;
  out.fd_ = std::move(fd.value());
  out.receive_together();
  if (Outcome connected = out.connect(peer); !connected.ok()) {
    return connected.error();
  }
  return out;
}

Outcome UdpSocket::connect(const IpEndpoint& peer) {
  if (local_.port != 0 && local_.address.family != peer.address.family) {
    return Error{Exit::integrity, what, "the SSA's worker has an address of another family", format(peer),
                 "report this to whoever runs the SSA"};
  }
  Address to = address_of(peer);
  if (::connect(fd_.get(), to.get(), to.length) != 0) {
    return unreachable(errno, peer);
  }
  const Result<IpEndpoint> local = local_of(fd_.get());
  if (!local.ok()) {
    return local.error();
  }
  local_ = local.value();
  return done;
}

// Messages of one packet each, or of several that the kernel takes apart again: all of one length, but for
// the last one, which may be shorter.
struct UdpSocket::Burst {
  struct Control {
    alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(std::uint16_t))];
  };
  std::array<mmsghdr, max_burst> messages;
  std::array<Control, max_burst> controls;
  std::size_t count = 0;

  Burst(std::span<const iovec> packets, bool together) noexcept {
    for (std::size_t at = 0; at < packets.size();) {
      std::size_t taken = 1;
      std::size_t bytes = packets[at].iov_len;
      while (together && at + taken < packets.size() &&
             packets[at + taken - 1].iov_len == packets[at].iov_len &&
             packets[at + taken].iov_len <= packets[at].iov_len &&
             bytes + packets[at + taken].iov_len <= segmented_bytes_max) {
        bytes += packets[at + taken++].iov_len;
      }
      add(packets.subspan(at, taken));
      at += taken;
    }
  }

 private:
  void add(std::span<const iovec> packets) noexcept {
    mmsghdr& message = messages[count];
    message = {};
    message.msg_hdr.msg_iov = const_cast<iovec*>(packets.data());  // which sendmmsg() only reads
    message.msg_hdr.msg_iovlen = packets.size();
    if (packets.size() > 1) {
      message.msg_hdr.msg_control = controls[count].bytes;
      message.msg_hdr.msg_controllen = sizeof controls[count].bytes;
      cmsghdr* const control = CMSG_FIRSTHDR(&message.msg_hdr);
      const auto length = static_cast<std::uint16_t>(packets[0].iov_len);
      control->cmsg_level = SOL_UDP;
      control->cmsg_type = UDP_SEGMENT;
      control->cmsg_len = CMSG_LEN(sizeof length);
      std::memcpy(CMSG_DATA(control), &length, sizeof length);
    }
    ++count;
  }
};

Result<std::size_t> UdpSocket::send(std::span<const iovec> packets) noexcept {
  assert(packets.size() <= max_burst);
  std::size_t sent = 0;
  while (sent < packets.size()) {
    Burst burst(packets.subspan(sent), segmentation_);
    const int taken = ::sendmmsg(fd_.get(), burst.messages.data(), static_cast<unsigned>(burst.count), 0);
    const int number = taken > 0 ? 0 : errno;
    const std::size_t first = burst.messages[0].msg_hdr.msg_iovlen;  // packets of the one that failed
    for (int i = 0; i < taken; ++i) {
      sent += burst.messages[static_cast<std::size_t>(i)].msg_hdr.msg_iovlen;
    }
    if (number == 0 || number == EINTR) {
      continue;
    }
    if (number == EAGAIN || number == EWOULDBLOCK) {
      break;
    }
    if (first > 1 && (number == EIO || number == EINVAL || number == EMSGSIZE || number == EOPNOTSUPP)) {
      segmentation_ = false;  // the device cannot, or a packet alone is too long: then that is said below
    } else if (passes(number)) {
      sent += first;  // lost, as others are on their way
    } else if (number == EMSGSIZE) {
      return Error{Exit::failed, what,
                   fmt::format("packets of {} bytes are too long for the path to it", packets[sent].iov_len),
                   "", "write objects with a smaller cell size, or raise the MTU of the path"};
    } else {
      return system_error(number, what, "sendmmsg");
    }
  }
  return sent;
}

void UdpSocket::receive_together() noexcept {
  const int wanted = 1;
  if (::setsockopt(fd_.get(), SOL_UDP, UDP_GRO, &wanted, sizeof wanted) == 0) {
    rest_.bytes = std::make_unique<std::uint8_t[]>(together_bytes_max);
    together_ = true;
  }
}

// One packet, or several that are one behind the other in `room`, and behind that in what is kept for the
// rest.
Result<UdpSocket::Arrival> UdpSocket::take(std::span<const iovec> room) noexcept {
  std::array<iovec, max_burst + 1> parts;
  std::copy(room.begin(), room.end(), parts.begin());
  parts[room.size()] = {rest_.bytes.get(), together_bytes_max};
  for (;;) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = room.size() + 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t came = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT);
    if (came >= 0) {
      Arrival arrival{true, static_cast<std::size_t>(came), 0};
      const cmsghdr* const told = CMSG_FIRSTHDR(&message);
      int segment = 0;
      if (told != nullptr && told->cmsg_level == SOL_UDP && told->cmsg_type == UDP_GRO) {
        std::memcpy(&segment, CMSG_DATA(told), sizeof segment);
      }
      if (segment > 0) {
        arrival.segment = static_cast<std::size_t>(segment);
      }
      return arrival;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return Arrival{};
    }
    if (!passes(errno) && errno != EINTR) {
      return system_error(errno, what, "recvmsg");
    }
  }
}

// Sets the lengths of packets that lie where they belong: those of the length of their room do. Others are
// put together first.
std::size_t UdpSocket::give_out(std::span<iovec> room, const Arrival& came) noexcept {
  if (came.segment == 0) {
    room[0].iov_len = came.bytes <= room[0].iov_len ? came.bytes : 0;
    return 1;
  }
  std::size_t in_room = 0;
  bool fits = true;
  for (std::size_t i = 0; i < room.size() && in_room < came.bytes; ++i) {
    fits = fits && room[i].iov_len == came.segment;
    in_room += std::min(room[i].iov_len, came.bytes - in_room);
  }
  rest_.segment = came.segment;
  rest_.at = 0;
  rest_.end = came.bytes - in_room;
  if (fits) {
    std::size_t count = 0;
    for (std::size_t at = 0; at < in_room; at += came.segment) {
      room[count++].iov_len = std::min(came.segment, in_room - at);
    }
    return count;
  }
  std::memmove(rest_.bytes.get() + in_room, rest_.bytes.get(), rest_.end);
  std::size_t at = 0;
  for (std::size_t i = 0; at < in_room; ++i) {
    const std::size_t some = std::min(room[i].iov_len, in_room - at);
    std::memcpy(rest_.bytes.get() + at, room[i].iov_base, some);
    at += some;
  }
  rest_.end = came.bytes;
  return give_rest(room);
}

std::size_t UdpSocket::give_rest(std::span<iovec> room) noexcept {
  std::size_t count = 0;
  for (; count < room.size() && rest_.at < rest_.end; ++count) {
    const std::size_t bytes = std::min(rest_.segment, rest_.end - rest_.at);
    if (bytes <= room[count].iov_len) {
      std::memcpy(room[count].iov_base, rest_.bytes.get() + rest_.at, bytes);
      room[count].iov_len = bytes;
    } else {
      room[count].iov_len = 0;
    }
    rest_.at += bytes;
  }
  return count;
}

Result<std::size_t> UdpSocket::receive(std::span<iovec> room) noexcept {
  assert(room.size() <= max_burst);
  std::size_t count = give_rest(room);
  while (together_ && count < room.size() && rest_.at == rest_.end) {
    const std::span<iovec> left = room.subspan(count);
    const Result<Arrival> came = take(left);
    if (!came.ok()) {
      return came.error();
    }
    if (!came.value().any) {
      together_ = !ending_;
      return count;
    }
    single_ = came.value().segment == 0 ? single_ + 1 : 0;
    if (single_ == single_max) {
      const int unwanted = 0;
      ending_ = ::setsockopt(fd_.get(), SOL_UDP, UDP_GRO, &unwanted, sizeof unwanted) == 0;
    }
    count += give_out(left, came.value());
  }
  if (together_ || count != 0) {
    return count;
  }
  return receive_single(room);
}

Result<std::size_t> UdpSocket::receive_single(std::span<iovec> room) noexcept {
  std::array<mmsghdr, max_burst> messages;
  for (std::size_t i = 0; i < room.size(); ++i) {
    messages[i] = {};
    messages[i].msg_hdr.msg_iov = &room[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  for (;;) {
    const int came =
        ::recvmmsg(fd_.get(), messages.data(), static_cast<unsigned>(room.size()), MSG_DONTWAIT, nullptr);
    if (came >= 0) {
      for (std::size_t i = 0; i < static_cast<std::size_t>(came); ++i) {
        room[i].iov_len = (messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0 ? 0 : messages[i].msg_len;
      }
      return static_cast<std::size_t>(came);
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return std::size_t{0};
    }
    if (!passes(errno) && errno != EINTR) {
      return system_error(errno, what, "recvmmsg");
    }
  }
}

}  // namespace ssn::client
