// SPDX-License-Identifier: BSD-3-Clause
#include "send_queue.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>

namespace ssn::dataplane {
namespace {

constexpr std::uint16_t checksum_offset = 6;  // in a UDP header

bool wants_checksum(const Packet& packet) noexcept {
  return (packet.ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_UDP_CKSUM;
}

const std::uint8_t* bytes_of(const Packet& packet) noexcept {
  return rte_pktmbuf_mtod(&packet, const std::uint8_t*);
}

UdpFrame find(const Packet& packet) noexcept {
  return packet.nb_segs == 1 ? find_udp(bytes_of(packet), packet.data_len, wants_checksum(packet))
                             : UdpFrame{};
}

void* writable(const void* bytes) noexcept { return const_cast<void*>(bytes); }

}  // namespace

void SendQueue::close_entry(unsigned first_part, std::uint16_t end, std::uint32_t bytes) noexcept {
  msghdr& message = messages_[count_].msg_hdr;
  message.msg_iov = &iovecs_[first_part];
  message.msg_iovlen = parts_ - first_part;
  entries_[count_] = {end, bytes};
  ++count_;
}

// False: there is no room for it any more.
bool SendQueue::add_alone(const Packet& packet) noexcept {
  if (parts_ + 1 + packet.nb_segs > parts_max) return false;
  Header& header = headers_[count_];
  header.note = {};
  if (wants_checksum(packet)) {
    header.note.flags = FrameHeader::needs_checksum;
    header.note.checksum_start = static_cast<std::uint16_t>(packet.l2_len + packet.l3_len);
    header.note.checksum_offset = checksum_offset;
  }
  iovecs_[parts_++] = {&header.note, sizeof header.note};
  for (const Packet* part = &packet; part != nullptr; part = part->next) {
    iovecs_[parts_++] = {writable(bytes_of(*part)), part->data_len};
  }
  return true;
}

// Says how many packets from the front became one frame; 1: it is none, nothing was added. 0: no room.
std::uint16_t SendQueue::add_run(Packet* const* packets, std::uint16_t count,
                                 const UdpFrame& first) noexcept {
  UdpRun run;
  run.begin(bytes_of(*packets[0]), first);
  std::uint16_t taken = 1;
  // What is equal but for the last one is found without a second look.
  while (taken < count && run.add(bytes_of(*packets[taken]), find(*packets[taken]))) ++taken;
  if (taken == 1) return 1;
  if (parts_ + 1U + taken > parts_max) return 0;
  Header& header = headers_[count_];
  header.note = {};
  header.note.flags = FrameHeader::needs_checksum;
  header.note.segmentation = FrameHeader::udp_segmentation;
  header.note.segment = run.segment();
  header.note.header_bytes = static_cast<std::uint16_t>(first.header_bytes());
  header.note.checksum_start = first.l4;
  header.note.checksum_offset = checksum_offset;
  run.write_header(header.bytes);
  static_assert(offsetof(Header, bytes) == sizeof(FrameHeader));
  iovecs_[parts_++] = {&header, sizeof header.note + first.header_bytes()};
  for (std::uint16_t i = 0; i < taken; ++i) {
    const Packet& packet = *packets[i];
    iovecs_[parts_++] = {writable(bytes_of(packet) + first.header_bytes()),
                         packet.data_len - first.header_bytes()};
  }
  return taken;
}

// Makes entries of packets from the front, and says of how many.
std::uint16_t SendQueue::build(Packet* const* packets, std::uint16_t count) noexcept {
  count_ = parts_ = 0;
  std::uint16_t done = 0;
  while (done < count) {
    const unsigned first_part = parts_;
    const auto left = static_cast<std::uint16_t>(count - done);
    const UdpFrame found = segments_ && left > 1 ? find(*packets[done]) : UdpFrame{};
    std::uint16_t taken = found.l3 != 0 ? add_run(packets + done, left, found) : std::uint16_t{1};
    if (taken == 1 && !add_alone(*packets[done])) taken = 0;
    if (taken == 0) break;
    std::uint32_t bytes = 0;
    for (std::uint16_t i = 0; i < taken; ++i) bytes += length_of(*packets[done + i]);
    done = static_cast<std::uint16_t>(done + taken);
    close_entry(first_part, done, bytes);
  }
  return done;
}

// Sends the entries, and says how many packets from the front are done with.
std::uint16_t SendQueue::send() noexcept {
  unsigned at = 0;
  while (at < count_) {
    const int got = ::sendmmsg(fd_, &messages_[at], count_ - at, MSG_DONTWAIT);
    for (int i = 0; i < got; ++i, ++at) {
      const std::uint32_t packets = static_cast<std::uint32_t>(entries_[at].end - start_of(at));
      statistics_.packets.add(packets);
      statistics_.bytes.add(entries_[at].bytes);
      if (packets > 1) statistics_.runs.add(1);
    }
    if (got > 0) continue;  // if it was not all, the next call says why
    if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM || errno == EINTR) break;
    const auto packets = static_cast<std::uint32_t>(entries_[at].end - start_of(at));
    if (errno == EINVAL && packets > 1 && statistics_.runs.read() == 0) {
      segments_ = false;  // it does not know runs: from here on one by one
      break;
    }
    statistics_.errors.add(packets);
    ++at;
  }
  return start_of(at);
}

std::uint16_t SendQueue::transmit(Packet** packets, std::uint16_t count) noexcept {
  std::uint16_t done = 0;
  while (done < count) {
    const bool segmented = segments_;
    const auto some = std::min<std::uint16_t>(static_cast<std::uint16_t>(count - done), packets_max);
    const std::uint16_t built = build(packets + done, some);
    std::uint16_t sent = send();
    if (built == 0) {  // in more pieces than anything of ours
      statistics_.errors.add(1);
      sent = 1;
    }
    release(packets + done, sent);
    done = static_cast<std::uint16_t>(done + sent);
    if (sent < built && segments_ == segmented) break;
  }
  return done;
}

}  // namespace ssn::dataplane
