// SPDX-License-Identifier: BSD-3-Clause
#include "wire_counters.h"

#include <string>
#include <utility>

namespace ssn::dataplane {
namespace {

template <typename Block>
using Named = std::pair<const char*, std::uint64_t Block::*>;

constexpr Named<protocol::PacketCounters> packet_names[] = {
    {"sealed", &protocol::PacketCounters::sealed},
    {"sealed_bytes", &protocol::PacketCounters::sealed_bytes},
    {"opened", &protocol::PacketCounters::opened},
    {"opened_bytes", &protocol::PacketCounters::opened_bytes},
    {"short_of_keys", &protocol::PacketCounters::short_of_keys},
    {"epochs_ended", &protocol::PacketCounters::epochs_ended},
};

using Sent = protocol::WireSendCounters;
constexpr Named<Sent> sent_names[] = {
    {"frames", &Sent::frames},
    {"frame_bytes", &Sent::frame_bytes},
    {"frames_too_long", &Sent::frames_too_long},
    {"frames_no_room", &Sent::frames_no_room},
    {"frames_given_up", &Sent::frames_given_up},
    {"blocks", &Sent::blocks},
    {"blocks_given_up", &Sent::blocks_given_up},
    {"jobs_failed", &Sent::jobs_failed},
    {"jobs_late", &Sent::jobs_late},
    {"jobs_lost", &Sent::jobs_lost},
    {"on_cpu", &Sent::on_cpu},
};

using Received = protocol::WireReceiveCounters;
constexpr Named<Received> received_names[] = {
    {"frames", &Received::frames},
    {"frame_bytes", &Received::frame_bytes},
    {"frames_cut", &Received::frames_cut},
    {"blocks", &Received::blocks},
    {"blocks_lost", &Received::blocks_lost},
    {"blocks_malformed", &Received::blocks_malformed},
    {"verified_alone", &Received::verified_alone},
    {"jobs_failed", &Received::jobs_failed},
    {"jobs_late", &Received::jobs_late},
    {"jobs_lost", &Received::jobs_lost},
    {"on_cpu", &Received::on_cpu},
};

constexpr Named<Received> held_names[] = {
    {"shares_held", &Received::held},
    {"shares_held_most", &Received::held_most},
};

template <typename Block, std::size_t count>
void mirror(GraphBuilder& graph, CounterMirror& to, const std::string& prefix, const Block& block,
            const Named<Block> (&names)[count], CounterKind kind = CounterKind::counter) {
  for (const auto& [name, member] : names) to.add(block.*member, graph.counter(prefix + name, kind));
}

}  // namespace

void mirror_counters(GraphBuilder& graph, WireWorker& worker) {
  CounterMirror& to = worker.mirror;
  to.clear();
  mirror(graph, to, "wire.", worker.packets, packet_names);
  to.add(worker.handed_off, graph.counter("wire.handed_off"));
  to.add(worker.offload.jobs, graph.counter("offload.jobs"));
  to.add(worker.offload.given_up, graph.counter("offload.given_up"));
  to.add(worker.offload.turned_away, graph.counter("offload.turned_away"));
  for (const std::unique_ptr<WireStreamWorker>& stream : worker.streams) {
    const std::string prefix = "stream." + stream->plan->name + ".";
    mirror(graph, to, prefix + "sent.", stream->sent, sent_names);
    mirror(graph, to, prefix + "received.", stream->received, received_names);
    mirror(graph, to, prefix + "received.", stream->received, held_names, CounterKind::gauge);
    to.add(stream->no_packets, graph.counter(prefix + "no_packets"));
  }
}

}  // namespace ssn::dataplane
