// SPDX-License-Identifier: BSD-3-Clause
// The parts of Burst that run only while something is traced.
#include "ssn/dataplane/node.h"

#include "ssn/dataplane/pipeline.h"

namespace ssn::dataplane {

void Burst::mark(Packet& packet) noexcept {
  const std::uint32_t port = trace_->wish().port;
  if (is_traced(packet) || (port != any_port && port != packet.port)) {
    return;
  }
  const std::uint32_t number = trace_->mark();
  if (number != 0) {
    packet.ol_flags |= trace_flag;
    area_of(packet).trace = number;
  }
}

void Burst::begin_trace(Packet* const* packets, std::uint16_t count) noexcept {
  if (trace_ == nullptr || (trace_->node() != any_node && trace_->node() != node_->id)) {
    return;
  }
  for (std::uint16_t i = 0; i < count; ++i) {
    mark(*packets[i]);
  }
}

// Marks what comes to the node that the trace asks for. Writes where packets end: such a node sends nothing,
// which would be recorded.
void Burst::enter() noexcept {
  for (std::uint16_t i = 0; trace_->node() == node_->id && i < count_; ++i) {
    mark((*this)[i]);
  }
  for (std::uint16_t i = 0; node_->nb_edges == 0 && i < count_; ++i) {
    remark((*this)[i], nullptr);
  }
}

void Burst::write_record(std::uint32_t next, Packet& packet, const char* detail, std::uint64_t first,
                         std::uint64_t second) noexcept {
  trace_->add({area_of(packet).trace,
               node_->id,
               next,
               length_of(packet),
               worker().now_ns(),
               detail,
               {first, second}});
}

std::string public_node_name(std::string_view registered) {
  return std::string(registered.substr(0, registered.find('@')));
}

std::string node_name(std::uint32_t node) {
  const char* const name = node < rte_node_max_count() ? rte_node_id_to_name(node) : nullptr;
  return name != nullptr ? public_node_name(name) : std::string();
}

}  // namespace ssn::dataplane
