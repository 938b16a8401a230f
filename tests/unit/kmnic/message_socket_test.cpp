// SPDX-License-Identifier: BSD-3-Clause
// What a peer that breaks rules can send as a message: nothing of it stays open.
#include "message_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace ssn::kmnic {
namespace {

using hw::FileDescriptor;

// The lowest descriptor that is free: equal before and after where nothing stayed open.
int lowest_free() { return FileDescriptor(::fcntl(0, F_DUPFD_CLOEXEC, 0)).get(); }

class MessageSocket : public testing::Test {
 protected:
  void SetUp() override {
    int ends[2] = {-1, -1};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    ours_ = FileDescriptor(ends[0]);
    theirs_ = FileDescriptor(ends[1]);
  }

  // `length` bytes that begin as a message does, with the descriptor 0 as often as asked.
  void send(std::size_t length, std::size_t descriptors) {
    std::vector<std::uint8_t> bytes(length);
    std::memcpy(bytes.data(), &magic, std::min(length, sizeof magic));
    iovec part{bytes.data(), bytes.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = {};
    if (descriptors != 0) {
      header.msg_control = control;
      header.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
      cmsghdr* const entry = CMSG_FIRSTHDR(&header);
      entry->cmsg_level = SOL_SOCKET;
      entry->cmsg_type = SCM_RIGHTS;
      entry->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
    }
    ASSERT_EQ(::sendmsg(theirs_.get(), &header, MSG_NOSIGNAL), static_cast<ssize_t>(length));
  }

  FileDescriptor ours_;
  FileDescriptor theirs_;
};

TEST_F(MessageSocket, KeepsOneDescriptorAndLeavesNoneOpen) {
  const int free = lowest_free();
  for (const std::size_t descriptors : {0U, 1U, 2U, 3U, 4U, 5U, 64U}) {
    send(sizeof(Message), descriptors);
    {
      Message message{};
      const Received received = receive_message(ours_.get(), message, 0);
      // More than there is room for were dropped by the kernel: then it is no message of ours.
      EXPECT_EQ(received.reason, descriptors <= 4 ? 0 : EPROTO) << descriptors;
      EXPECT_EQ(received.fd.is_open(), descriptors != 0);
      EXPECT_FALSE(received.hung_up);
    }
    EXPECT_EQ(lowest_free(), free) << descriptors << " descriptors came, and one is still open";
  }
}

TEST_F(MessageSocket, TakesWholeMessagesOnly) {
  const int free = lowest_free();
  for (const std::size_t length : {std::size_t{1}, sizeof(Message) - 1, sizeof(Message) + 1, 4096UL}) {
    send(length, 1);
    Message message{};
    EXPECT_EQ(receive_message(ours_.get(), message, 0).reason, EPROTO) << length;
    EXPECT_EQ(lowest_free(), free);
  }
  Message message{};
  ASSERT_EQ(send_message(theirs_.get(), message, -1, 0), 0);  // without the magic number
  EXPECT_EQ(receive_message(ours_.get(), message, 0).reason, EPROTO);
  EXPECT_EQ(receive_message(ours_.get(), message, MSG_DONTWAIT).reason, EAGAIN);
  theirs_.close();
  EXPECT_TRUE(receive_message(ours_.get(), message, 0).hung_up);
  EXPECT_EQ(send_message(ours_.get(), message, -1, 0), EPIPE);
}

}  // namespace
}  // namespace ssn::kmnic
