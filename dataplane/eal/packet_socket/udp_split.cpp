// SPDX-License-Identifier: BSD-3-Clause
#include "udp_split.h"

#include "frame_header.h"
#include "udp_headers.h"

namespace ssn::dataplane {

using namespace udp_headers;

namespace {

// A checksum of 0 would say that there is none.
std::uint16_t udp_checksum(std::uint64_t sum) noexcept {
  const std::uint16_t checksum = checksum_finish(sum);
  return checksum != 0 ? checksum : 0xFFFF;
}

}  // namespace

bool complete_checksum(std::uint8_t* frame, std::uint32_t length, const FrameNote& note) noexcept {
  const std::uint32_t start = note.checksum_start;
  const std::uint32_t field = start + note.checksum_offset;
  if (field + 2 > length || field < start) return false;
  store_sum(frame + field, udp_checksum(checksum_add(0, frame + start, length - start)));
  return true;
}

bool UdpSplit::begin(const std::uint8_t* frame, std::uint32_t length, const FrameNote& note) noexcept {
  if (note.segmentation != FrameHeader::udp_segmentation || note.segment == 0) return false;
  if (length < ethernet_bytes + vlan_bytes) return false;
  l3_ = ethernet_bytes;
  std::uint16_t type = load16(frame + 12);
  if (type == ethertype_vlan) {
    type = load16(frame + 16);
    l3_ += vlan_bytes;
  }
  v6_ = type == ethertype_ip6;
  if (!v6_ && type != ethertype_ip4) return false;
  if (length < l3_ + (v6_ ? ip6_bytes : ip4_bytes)) return false;
  const std::uint8_t* const ip = frame + l3_;
  const std::uint32_t ip_header = v6_ ? ip6_bytes : (ip[0] & 15U) * 4U;
  const std::uint32_t ip_length = v6_ ? ip6_bytes + load16(ip + 4) : load16(ip + 2);
  l4_ = l3_ + ip_header;
  header_ = l4_ + udp_bytes;
  if (ip[0] >> 4 != (v6_ ? 6 : 4) || ip_header < ip4_bytes || length <= header_ ||
      ip_length != length - l3_ || ip[v6_ ? 6 : 9] != protocol_udp) {
    return false;
  }
  // New checksums must not make a wrong one right; pieces of datagrams are none.
  if (!v6_ && ((load16(ip + 6) & 0x3FFFU) != 0 || !checksum_right(checksum_add(0, ip, ip_header)))) {
    return false;
  }
  payload_ = length - header_;
  segment_ = note.segment;
  count_ = (payload_ + segment_ - 1) / segment_;
  frame_ = frame;
  address_sum_ = address_sum(ip, v6_);
  return load16(frame + l4_ + 4) == payload_ + udp_bytes && count_ <= datagrams_max;
}

void UdpSplit::write(std::uint32_t index, bool completes, std::uint8_t* to) const noexcept {
  const std::uint32_t bytes = payload(index);
  std::memcpy(to, frame_, header_);
  std::memcpy(to + header_, frame_ + header_ + std::size_t{index} * segment_, bytes);
  std::uint8_t* const ip = to + l3_;
  std::uint8_t* const udp = to + l4_;
  // As the kernel counts them.
  if (!v6_) store16(ip + 4, load16(ip + 4) + index);
  write_ip_length(ip, l4_ - l3_, bytes + udp_bytes, v6_);
  store16(udp + 4, bytes + udp_bytes);
  const std::uint64_t pseudo = address_sum_ + as_word(bytes + udp_bytes);
  store_sum(udp + 6, checksum_fold(pseudo));
  if (completes) {
    store_sum(udp + 6, udp_checksum(checksum_add(0, udp, bytes + udp_bytes)));
  }
}

}  // namespace ssn::dataplane
