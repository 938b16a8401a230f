// SPDX-License-Identifier: BSD-3-Clause
// What the files of the host's nodes share: edges from lists of reasons, and mbufs as frames.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>

#include "host_nodes.h"

namespace ssn::dataplane {

/// Edges to named nodes first, then one for each reason.
template <std::size_t Nexts, std::size_t Drops>
constexpr std::array<Edge, Nexts + Drops> edges_of(const std::array<const char*, Nexts>& nexts,
                                                   const HostDrop (&reasons)[Drops]) {
  std::array<Edge, Nexts + Drops> out{};
  for (std::size_t i = 0; i < Nexts; ++i) out[i] = {nexts[i], EdgeKind::next};
  for (std::size_t i = 0; i < Drops; ++i) out[Nexts + i] = {name(reasons[i]), EdgeKind::drop};
  return out;
}

/// The edge of each reason in such a list.
class DropEdges {
 public:
  template <std::size_t Drops>
  constexpr DropEdges(std::size_t nexts, const HostDrop (&reasons)[Drops]) {
    for (std::uint16_t& edge : edges_) edge = none;
    for (std::size_t i = 0; i < Drops; ++i) {
      edges_[static_cast<std::size_t>(reasons[i])] = static_cast<std::uint16_t>(nexts + i);
    }
  }
  std::uint16_t operator[](HostDrop reason) const noexcept {
    const std::uint16_t edge = edges_[static_cast<std::size_t>(reason)];
    assert(edge != none);
    return edge;
  }

 private:
  static constexpr std::uint16_t none = 0xFFFF;
  std::array<std::uint16_t, host_drop_count> edges_{};
};

inline Frame frame_of(Packet& packet) noexcept {
  Frame frame;
  frame.data = data_of(packet);
  frame.length = length_of(packet);
  frame.room = frame.length + tailroom_of(packet);
  frame.port = packet.port;
  frame.l3 = packet.l2_len;
  frame.l4 = static_cast<std::uint16_t>(packet.l2_len + packet.l3_len);
  frame.end = frame.length;
  return frame;
}

/// What the port found out about a checksum, from its flags.
inline RxChecksum checksum_flag(std::uint64_t flags, std::uint64_t mask, std::uint64_t bad) noexcept {
  if ((flags & mask) == 0) return RxChecksum::unknown;
  return (flags & mask) == bad ? RxChecksum::bad : RxChecksum::good;
}

/// Calls decide(packet) for the edge of each packet of the burst.
template <typename Decide>
std::uint16_t decide_each(Burst& burst, Decide decide) {
  std::uint16_t edges[Burst::chunk];
  burst.for_each_chunk([&](Packet* const* packets, std::uint16_t count) {
    for (std::uint16_t i = 0; i < count; ++i) edges[i] = decide(*packets[i]);
    burst.send_each(packets, edges, count);
  });
  return burst.size();
}

/// Makes the packet what `step` says is to be sent or delivered.
inline void trim(Packet& packet, const Step& step) noexcept {
  strip(packet, static_cast<std::uint16_t>(step.offset));
  set_length(packet, static_cast<std::uint16_t>(step.length));
}

/// A stage that answers: drops, passes on to edge 0, or sends back.
template <Step (*input)(HostWorker&, Frame&, std::uint64_t)>
std::uint16_t answer_each(AnsweringNode& node, Burst& burst, const DropEdges& drops) {
  HostWorker& worker = node.shared->worker;
  const std::uint64_t now = burst.worker().now_ns();
  const std::uint16_t handled = decide_each(burst, [&](Packet& packet) {
    Frame frame = frame_of(packet);
    const Step step = input(worker, frame, now);
    if (step.next == Next::drop) return drops[step.reason];
    if (step.next != Next::send) return std::uint16_t{0};
    trim(packet, step);
    return node.transmit[packet.port];
  });
  node.shared->publish();
  return handled;
}

/// A frame of the host's own, `bytes` long as write(span) says, sent through a port.
template <typename Write>
void send_own(SendingNode& node, Burst& burst, std::uint16_t port, Write write) {
  Packet* const packet = allocate(*node.pools[port]);
  if (packet == nullptr || tailroom_of(*packet) < max_host_frame) {
    if (packet != nullptr) release(*packet);
    node.no_memory->add(1);
    return;
  }
  packet->port = port;
  const std::uint32_t bytes = write(std::span<std::uint8_t>(data_of(*packet), max_host_frame));
  set_length(*packet, static_cast<std::uint16_t>(bytes));
  burst.send(node.transmit[port], *packet);
}

}  // namespace ssn::dataplane
