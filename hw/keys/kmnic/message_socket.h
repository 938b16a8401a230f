// SPDX-License-Identifier: BSD-3-Clause
// Messages between driver and device model (docs/kmnic.md), each with at most one file descriptor.
#pragma once

#include "layout.h"
#include "ssn/hw/file_descriptor.h"

namespace ssn::kmnic {

/// Sends one message, with `fd` unless that is negative. `flags` as for sendmsg(2). Returns 0, or an errno
/// value.
int send_message(int socket, const Message& message, int fd, int flags) noexcept;

/// What came with a message that was received.
struct Received {
  int reason = 0;         ///< an errno value: EPROTO when it was not one whole message
  bool hung_up = false;   ///< nothing will ever come again
  hw::FileDescriptor fd;  ///< the first one; all others were closed
};
/// Receives one message. `flags` as for recvmsg(2). The peer is not trusted: whatever it sends, no descriptor
/// stays open but the one that is returned. Only magic number and size were checked.
Received receive_message(int socket, Message& message, int flags) noexcept;

}  // namespace ssn::kmnic
