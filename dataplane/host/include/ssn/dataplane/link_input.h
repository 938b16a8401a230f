// SPDX-License-Identifier: BSD-3-Clause
// What nearly all received frames are, recognized in one look: a datagram of a peer over a known link, in
// IPv4 without options and fragments. Everything that ether_input(), ip4_input() and udp_input() ask of such
// a frame is asked here too, in few wide compares; whatever does not fit is left to them, which find out why.
//
// Any thread; reads the frame and the host only.
#pragma once

#include <cstdint>
#include <cstring>

#include "ssn/dataplane/checksum.h"
#include "ssn/dataplane/host_input.h"

namespace ssn::dataplane {

namespace detail {

/// Bytes as they lie in memory.
template <typename Word>
inline Word word_at(const std::uint8_t* from) noexcept {
  Word word = 0;
  std::memcpy(&word, from, sizeof word);
  return word;
}
template <typename Word>
constexpr Word word_of(const std::uint8_t (&bytes)[sizeof(Word)]) noexcept {
  return __builtin_bit_cast(Word, bytes);
}
inline std::uint32_t big16(const std::uint8_t* from) noexcept {
  return static_cast<std::uint32_t>(from[0] << 8 | from[1]);
}

}  // namespace detail

/// Of a frame whose `data`, `length` and `port` (that is `port`) are set, and whose checksums were looked at
/// or not. True: host_input() would deliver it just as `step` says. False: ask ether_input(); `step` is as it
/// was.
inline bool link_input(const Host& host, const HostPort& port, const Frame& frame, Step& step) noexcept {
  using detail::big16;
  using detail::word_at;
  using detail::word_of;
  constexpr std::uint32_t headers = ethernet_bytes + ip4_bytes + udp_bytes;
  if (port.link_pairs.empty() || port.vlan != 0 || frame.length < headers ||
      frame.length > ethernet_bytes + port.mtu) {
    return false;
  }
  const std::uint8_t* const at = frame.data;
  // To us, from another station.
  const auto address = word_of<std::uint64_t>({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0});
  std::uint64_t ours = 0;
  std::memcpy(&ours, port.mac.bytes.data(), port.mac.bytes.size());
  std::uint64_t wrong = (word_at<std::uint64_t>(at) ^ ours) & address;
  wrong |= static_cast<std::uint64_t>(((word_at<std::uint64_t>(at + 6) ^ ours) & address) == 0);
  wrong |= at[6] & 1U;
  // IPv4 without options or VLAN; whole, and UDP.
  wrong |= (word_at<std::uint32_t>(at + 12) ^ word_of<std::uint32_t>({8, 0, 0x45, 0})) &
           word_of<std::uint32_t>({0xff, 0xff, 0xff, 0});
  wrong |= (word_at<std::uint32_t>(at + 20) ^ word_of<std::uint32_t>({0, 0, 0, 17})) &
           word_of<std::uint32_t>({0x3f, 0xff, 0, 0xff});
  // Neither packet ends behind what holds it.
  const std::uint32_t total = big16(at + 16);
  const std::uint32_t bytes = big16(at + 38);
  wrong |= static_cast<std::uint64_t>(total > frame.length - ethernet_bytes) |
           static_cast<std::uint64_t>(bytes < udp_bytes) |
           static_cast<std::uint64_t>(ip4_bytes + bytes > total);
  if (wrong != 0 || !port.is_link_pair(at + 26)) return false;
  if (frame.ip_checksum != RxChecksum::good) {
    std::uint64_t sum = 0;
    for (std::uint32_t i = 0; i < ip4_bytes; i += 4) sum += word_at<std::uint32_t>(at + ethernet_bytes + i);
    if (frame.ip_checksum == RxChecksum::bad || !checksum_right(sum)) return false;
  }
  if (word_at<std::uint16_t>(at + 40) != 0 && frame.l4_checksum != RxChecksum::good) return false;
  const int listener = host.listener(static_cast<std::uint16_t>(big16(at + 36)));
  if (listener < 0) return false;
  step.next = Next::deliver;
  step.reason = HostDrop::none;
  step.listener = static_cast<std::uint8_t>(listener);
  step.offset = headers;
  step.length = bytes - udp_bytes;
  return true;
}

}  // namespace ssn::dataplane
