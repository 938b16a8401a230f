// SPDX-License-Identifier: BSD-3-Clause
#include "udp_socket.h"

#include <fmt/core.h>
#include <netinet/in.h>
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

// Of the network, and gone again with the next packet: an ICMP message, a full queue, a route in the making.
bool passes(int number) noexcept {
  return number == ECONNREFUSED || number == EHOSTUNREACH || number == ENETUNREACH || number == ENETDOWN ||
         number == EHOSTDOWN || number == ENOBUFS || number == ENOMEM;
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

Result<std::size_t> UdpSocket::send(std::span<const iovec> packets) noexcept {
  assert(packets.size() <= max_burst);
  std::array<mmsghdr, max_burst> messages;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    messages[i] = {};
    messages[i].msg_hdr.msg_iov = const_cast<iovec*>(&packets[i]);
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  std::size_t sent = 0;
  while (sent < packets.size()) {
    const int taken =
        ::sendmmsg(fd_.get(), messages.data() + sent, static_cast<unsigned>(packets.size() - sent), 0);
    if (taken > 0) {
      sent += static_cast<std::size_t>(taken);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      break;
    } else if (passes(errno)) {
      ++sent;  // lost, as others are on their way
    } else if (errno == EMSGSIZE) {
      return Error{Exit::failed, what,
                   fmt::format("packets of {} bytes are too long for the path to it", packets[sent].iov_len),
                   "", "write objects with a smaller cell size, or raise the MTU of the path"};
    } else if (errno != EINTR) {
      return system_error(errno, what, "sendmmsg");
    }
  }
  return sent;
}

Result<std::size_t> UdpSocket::receive(std::span<iovec> room) noexcept {
  assert(room.size() <= max_burst);
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
