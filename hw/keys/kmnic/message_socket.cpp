// SPDX-License-Identifier: BSD-3-Clause
#include "message_socket.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

namespace ssn::kmnic {
namespace {

// Room for more than one: what does not fit, the kernel would drop, and say MSG_CTRUNC.
constexpr std::size_t descriptors_max = 4;

// All descriptors that came with a message, whatever the message is; the first is kept.
hw::FileDescriptor take_descriptor(msghdr& header) noexcept {
  hw::FileDescriptor first;
  for (cmsghdr* entry = CMSG_FIRSTHDR(&header); entry != nullptr; entry = CMSG_NXTHDR(&header, entry)) {
    if (entry->cmsg_level != SOL_SOCKET || entry->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    for (std::size_t at = 0; at + sizeof(int) <= entry->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(entry) + at, sizeof fd);
      hw::FileDescriptor next(fd);
      if (!first.is_open()) {
        first = std::move(next);
      }
    }
  }
  return first;
}

}  // namespace

int send_message(int socket, const Message& message, int fd, int flags) noexcept {
  iovec part{const_cast<Message*>(&message), sizeof message};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* const entry = CMSG_FIRSTHDR(&header);
    entry->cmsg_level = SOL_SOCKET;
    entry->cmsg_type = SCM_RIGHTS;
    entry->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(entry), &fd, sizeof fd);
  }
  ssize_t sent = -1;
  do {
    sent = ::sendmsg(socket, &header, flags | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) {
    return errno;
  }
  return sent == static_cast<ssize_t>(sizeof message) ? 0 : EIO;
}

Received receive_message(int socket, Message& message, int flags) noexcept {
  iovec part{&message, sizeof message};
  alignas(cmsghdr) char control[CMSG_SPACE(descriptors_max * sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  Received received;
  const ssize_t length = ::recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC);
  if (length < 0) {
    received.reason = errno;
    return received;
  }
  received.fd = take_descriptor(header);
  received.hung_up = length == 0;
  const bool whole = length == static_cast<ssize_t>(sizeof message) && message.magic == magic &&
                     (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
  received.reason = received.hung_up ? ECONNRESET : (whole ? 0 : EPROTO);
  return received;
}

}  // namespace ssn::kmnic
