// SPDX-License-Identifier: BSD-3-Clause
#include "receive_queue.h"

#include <linux/if_packet.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace ssn::dataplane {
namespace {

constexpr std::uint32_t vlan_tag_bytes = 4;
constexpr std::uint32_t addresses_bytes = 12;
// A run is 64 KiB at most as devices are set up; what is longer comes truncated and is dropped.
constexpr std::uint32_t frame_room = 65536 + 64;

}  // namespace

// Untouched pages of it are not there: frames that are no runs need one or two.
struct ReceiveQueue::Slot {
  FrameHeader note;
  iovec parts[2];
  alignas(cmsghdr) std::uint8_t control[CMSG_SPACE(sizeof(tpacket_auxdata))];
  // What follows from them.
  std::uint8_t* frame;
  std::uint32_t length;
  bool is_whole;  // not truncated
  FrameNote told;
  std::uint8_t room[vlan_tag_bytes + frame_room];
};

ReceiveQueue::ReceiveQueue(const Setup& setup)
    : setup_(setup),
      packet_room_(rte_pktmbuf_data_room_size(setup.pool) - RTE_PKTMBUF_HEADROOM),
      slots_(std::make_unique_for_overwrite<Slot[]>(frames_max)) {
  for (unsigned i = 0; i < frames_max; ++i) {
    Slot& slot = slots_[i];
    slot.parts[0] = {&slot.note, sizeof slot.note};
    slot.parts[1] = {slot.room + vlan_tag_bytes, frame_room};
    msghdr& message = messages_[i].msg_hdr;
    message.msg_iov = slot.parts;
    message.msg_iovlen = 2;
    message.msg_control = slot.control;
  }
}

ReceiveQueue::~ReceiveQueue() = default;

// Reads what there is, into slots of which none is in use. False: nothing.
bool ReceiveQueue::fill() noexcept {
  for (mmsghdr& each : messages_) each.msg_hdr.msg_controllen = sizeof(Slot::control);
  const int got = ::recvmmsg(setup_.fd, messages_.data(), frames_max, MSG_DONTWAIT, nullptr);
  staged_ = next_ = 0;
  if (got <= 0) {
    // It has no words for some frames, and takes them off its queue; or the interface went away.
    if (got < 0 && errno != EAGAIN && errno != EINTR) statistics_.errors.add(1);
    return false;
  }
  staged_ = static_cast<unsigned>(got);
  for (unsigned i = 0; i < staged_; ++i) {
    Slot& slot = slots_[i];
    slot.is_whole = take(slot, messages_[i].msg_len, messages_[i].msg_hdr.msg_flags);
  }
  return true;
}

// The kernel took a VLAN tag off the frame, and says which.
bool ReceiveQueue::take(Slot& slot, std::uint32_t length, int flags) noexcept {
  const FrameHeader& note = slot.note;
  slot.frame = slot.room + vlan_tag_bytes;
  slot.length = length > sizeof note ? length - static_cast<std::uint32_t>(sizeof note) : 0;
  slot.told = {(note.flags & FrameHeader::needs_checksum) != 0,
               (note.flags & FrameHeader::checksum_is_good) != 0,
               note.segmentation,
               note.segment,
               note.checksum_start,
               note.checksum_offset};
  if ((flags & MSG_TRUNC) != 0 || slot.length < addresses_bytes + 2) return false;
  const auto* const header = reinterpret_cast<const cmsghdr*>(slot.control);
  tpacket_auxdata said{};
  if ((flags & MSG_CTRUNC) != 0 || header->cmsg_level != SOL_PACKET || header->cmsg_type != PACKET_AUXDATA ||
      header->cmsg_len < CMSG_LEN(sizeof said)) {
    return true;
  }
  std::memcpy(&said, slot.control + CMSG_LEN(0), sizeof said);
  if ((said.tp_status & TP_STATUS_VLAN_VALID) == 0) return true;
  const std::uint16_t type = (said.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? said.tp_vlan_tpid : 0x8100;
  slot.frame -= vlan_tag_bytes;
  std::memmove(slot.frame, slot.frame + vlan_tag_bytes, addresses_bytes);
  const std::uint8_t tag[] = {static_cast<std::uint8_t>(type >> 8), static_cast<std::uint8_t>(type),
                              static_cast<std::uint8_t>(said.tp_vlan_tci >> 8),
                              static_cast<std::uint8_t>(said.tp_vlan_tci)};
  std::memcpy(slot.frame + addresses_bytes, tag, sizeof tag);
  slot.length += vlan_tag_bytes;
  slot.told.checksum_start = static_cast<std::uint16_t>(slot.told.checksum_start + vlan_tag_bytes);
  return true;
}

void ReceiveQueue::begin_next() noexcept {
  const Slot& slot = slots_[next_];
  begun_ = true;
  datagram_ = 0;
  splits_ = slot.is_whole && slot.told.segmentation != FrameHeader::no_segmentation &&
            split_.begin(slot.frame, slot.length, slot.told) && split_.length(0) <= packet_room_;
  if (splits_) statistics_.runs.add(1);
}

// As many datagrams of the run as there is room for.
std::uint16_t ReceiveQueue::put_split(Packet** packets, std::uint16_t count) noexcept {
  const std::uint32_t left = split_.count() - datagram_;
  const auto wanted = static_cast<std::uint16_t>(std::min<std::uint32_t>(left, count));
  if (!allocate(*setup_.pool, packets, wanted)) {
    statistics_.no_memory.add(left);
    datagram_ += left;
    return 0;
  }
  const FrameNote& told = slots_[next_].told;
  const bool open = told.needs_checksum || told.checksum_is_good;
  for (std::uint16_t i = 0; i < wanted; ++i) {
    Packet& packet = *packets[i];
    packet.port = setup_.port;
    split_.write(datagram_, setup_.completes_checksums, data_of(packet));
    set_length(packet, static_cast<std::uint16_t>(split_.length(datagram_++)));
    packet.ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | (open ? RTE_MBUF_F_RX_L4_CKSUM_GOOD : 0);
  }
  return wanted;
}

// A frame that is one packet, or more than one can hold: that becomes a chain, which no port passes on.
std::uint16_t ReceiveQueue::put_whole(Packet** packets) noexcept {
  Slot& slot = slots_[next_];
  if (slot.length == 0) {
    statistics_.errors.add(1);
    return 0;
  }
  Packet* const packet = allocate(*setup_.pool);
  if (packet == nullptr) {
    statistics_.no_memory.add(1);
    return 0;
  }
  packet->port = setup_.port;
  const std::uint32_t bytes = std::min(slot.length, packet_room_);
  const bool fits =
      slot.is_whole && slot.told.segmentation == FrameHeader::no_segmentation && bytes == slot.length;
  if (fits && slot.told.needs_checksum && setup_.completes_checksums &&
      !complete_checksum(slot.frame, slot.length, slot.told)) {
    release(*packet);
    statistics_.errors.add(1);
    return 0;
  }
  std::memcpy(data_of(*packet), slot.frame, bytes);
  set_length(*packet, static_cast<std::uint16_t>(bytes));
  if (fits && (slot.told.needs_checksum || slot.told.checksum_is_good)) {
    packet->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  }
  if (!fits) {
    Packet* const rest = allocate(*setup_.pool);
    if (rest == nullptr || rte_pktmbuf_chain(packet, rest) != 0) {
      if (rest != nullptr) release(*rest);
      release(*packet);
      statistics_.no_memory.add(1);
      return 0;
    }
  }
  *packets = packet;
  return 1;
}

std::uint16_t ReceiveQueue::receive(Packet** packets, std::uint16_t count) noexcept {
  std::uint16_t out = 0;
  bool asked = false;
  std::uint64_t bytes = 0;
  while (out < count) {
    if (next_ == staged_) {
      // Once a call: a burst is enough, and nothing is nothing.
      if (asked || !fill()) break;
      asked = true;
    }
    if (!begun_) begin_next();
    if (splits_) {
      const auto room = static_cast<std::uint16_t>(count - out);
      out = static_cast<std::uint16_t>(out + put_split(packets + out, room));
      if (datagram_ < split_.count()) break;
    } else {
      out = static_cast<std::uint16_t>(out + put_whole(packets + out));
    }
    begun_ = false;
    ++next_;
  }
  for (std::uint16_t i = 0; i < out; ++i) bytes += length_of(*packets[i]);
  if (out != 0) {
    statistics_.packets.add(out);
    statistics_.bytes.add(bytes);
  }
  return out;
}

}  // namespace ssn::dataplane
