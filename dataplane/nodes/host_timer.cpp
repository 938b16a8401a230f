// SPDX-License-Identifier: BSD-3-Clause
// What the host says without being asked; on one worker.
#include "host_edges.h"

namespace ssn::dataplane {
namespace {

constexpr unsigned frames_at_once = 32;

void show_links(const TimerNode& node) noexcept {
  const Host& host = *node.sending.shared->host;
  for (std::uint32_t i = 0; i < node.links.size(); ++i) {
    const LinkReport& report = host.report(i);
    const TimerNode::LinkGauges& shown = node.links[i];
    shown.too_big->set(report.too_big.load(std::memory_order_relaxed));
    shown.smallest_mtu->set(report.smallest_mtu.load(std::memory_order_relaxed));
    shown.unreachable->set(report.unreachable.load(std::memory_order_relaxed));
    shown.fragments->set(report.fragments.load(std::memory_order_relaxed));
    shown.neighbour->set(static_cast<std::uint64_t>(host.neighbours().look(host.link(i).neighbour).state));
  }
}

std::uint16_t process(TimerNode& node, Burst& burst) {
  const std::uint64_t now = burst.worker().now_ns();
  std::uint16_t sent = 0;
  if (now >= node.timer.wake_at()) [[unlikely]] {
    std::array<std::uint8_t, max_host_frame> frame;
    while (sent < frames_at_once) {
      const HostTimer::Due due = node.timer.next(now, frame);
      if (due.length == 0) break;
      send_own(node.sending, burst, due.port, [&](std::span<std::uint8_t> out) {
        std::copy_n(frame.begin(), due.length, out.begin());
        return due.length;
      });
      ++sent;
    }
    if (sent != 0) burst.worker().note_work();
    node.sending.shared->publish();
    show_links(node);
  }
  burst.worker().wake_at(node.timer.wake_at());
  return sent;
}

}  // namespace

const NodeType host_timer_type = source_type<process>("host_timer", {});

void HostState::publish() noexcept {
  const HostCounters& counted = worker.counters;
  arp_replies->set(counted.arp_replies);
  neighbour_advertisements->set(counted.neighbour_advertisements);
  echo_replies->set(counted.echo_replies);
  solicitations->set(counted.solicitations);
  announcements->set(counted.announcements);
  addresses_learnt->set(counted.addresses_learnt);
}

}  // namespace ssn::dataplane
