// SPDX-License-Identifier: BSD-3-Clause
// The parts of Burst that run only while something is traced.
#include "ssn/dataplane/node.h"

namespace ssn::dataplane {

void Burst::begin_trace(Packet* const* packets, std::uint16_t count, std::uint32_t port) noexcept {
  if (trace_ == nullptr) {
    return;
  }
  const TraceWish& wish = trace_->wish();
  if ((wish.port != any_port && wish.port != port) || (wish.node != any_node && wish.node != node_->id)) {
    return;
  }
  for (std::uint16_t i = 0; i < count; ++i) {
    const std::uint32_t number = trace_->mark();
    if (number == 0) {
      return;
    }
    packets[i]->ol_flags |= trace_flag;
    area_of(*packets[i]).trace = number;
  }
}

// Marks what comes to the node that the trace asks for. Writes where packets end: such a node sends nothing,
// which would be recorded.
void Burst::enter() noexcept {
  if (trace_->wish().node == node_->id && trace_->wish().port == any_port) {
    for (std::uint16_t i = 0; i < count_; ++i) {
      if (is_traced((*this)[i])) {
        continue;
      }
      const std::uint32_t number = trace_->mark();
      if (number == 0) {
        break;
      }
      (*this)[i].ol_flags |= trace_flag;
      area_of((*this)[i]).trace = number;
    }
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

const char* node_name(std::uint32_t node) noexcept {
  const char* const name = rte_node_id_to_name(node);
  return name != nullptr ? name : "";
}

}  // namespace ssn::dataplane
