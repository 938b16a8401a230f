// SPDX-License-Identifier: BSD-3-Clause
#include "port_tx.h"

namespace ssn::dataplane {
namespace {

constexpr std::uint32_t mask = PortTx::waiting_max - 1;

// Returns how many the device took, from the front. `bytes`: of all of them.
std::uint16_t transmit(PortTx& state, Packet** packets, std::uint16_t count, std::uint64_t bytes) noexcept {
  const std::uint16_t sent = state.device->transmit(state.queue, packets, count);
  // The device owns what it took: only the others may be looked at.
  for (std::uint16_t i = sent; i < count; ++i) bytes -= length_of(*packets[i]);
  state.packets->add(sent);
  state.bytes->add(bytes);
  return sent;
}

std::uint64_t bytes_of(Packet* const* packets, std::uint16_t count) noexcept {
  std::uint64_t bytes = 0;
  for (std::uint16_t i = 0; i < count; ++i) bytes += length_of(*packets[i]);
  return bytes;
}

// Returns how many went out of those that waited.
std::uint16_t send_waiting(PortTx& state) noexcept {
  std::uint32_t total = 0;
  while (state.count != 0) {
    const std::uint32_t to_end = PortTx::waiting_max - (state.first & mask);
    const std::uint32_t some = state.count < to_end ? state.count : to_end;
    const auto wanted = static_cast<std::uint16_t>(some < Burst::chunk ? some : Burst::chunk);
    Packet** const packets = &state.waiting[state.first & mask];
    const std::uint16_t sent = transmit(state, packets, wanted, bytes_of(packets, wanted));
    state.first += sent;
    state.count -= sent;
    total += sent;
    if (sent < wanted) {
      break;
    }
  }
  return static_cast<std::uint16_t>(total);
}

void send_or_wait(PortTx& state, Burst& burst, Packet** packets, std::uint16_t count) noexcept {
  // Behind those that wait, or the order would be lost.
  std::uint16_t done =
      state.count == 0 && count != 0 ? transmit(state, packets, count, bytes_of(packets, count)) : 0;
  for (; done < count && state.count < PortTx::waiting_max; ++done) {
    state.waiting[(state.first + state.count++) & mask] = packets[done];
    state.waited->add(1);
  }
  burst.send(port_tx_full, packets + done, static_cast<std::uint16_t>(count - done));
}

// Devices that fill in checksums may refuse a packet for its form: it is dropped, those behind it go on.
std::uint16_t prepare(const PortTx& state, Burst& burst, Packet** packets, std::uint16_t count) noexcept {
  std::uint16_t ready = 0;
  while (ready < count) {
    const auto left = static_cast<std::uint16_t>(count - ready);
    ready = static_cast<std::uint16_t>(ready + state.device->prepare(state.queue, packets + ready, left));
    if (ready < count) {
      burst.send(port_tx_refused, *packets[ready]);
      --count;
      for (std::uint16_t i = ready; i < count; ++i) {
        packets[i] = packets[i + 1];
      }
    }
  }
  return count;
}

std::uint16_t send(PortTx& state, Burst& burst) {
  if (state.count != 0) {
    send_waiting(state);
  }
  burst.for_each_chunk([&](Packet* const* packets, std::uint16_t count) {
    Packet* fitting[Burst::chunk];
    std::uint16_t fits = 0;
    for (std::uint16_t i = 0; i < count; ++i) {
      if (length_of(*packets[i]) > state.longest) [[unlikely]] {
        burst.send(port_tx_too_long, *packets[i]);
      } else {
        fitting[fits++] = packets[i];
      }
    }
    if (state.prepares) {
      fits = prepare(state, burst, fitting, fits);
    }
    for (std::uint16_t i = 0; burst.is_tracing() && i < fits; ++i) burst.remark(*fitting[i], "sent");
    send_or_wait(state, burst, fitting, fits);
  });
  return burst.size();
}

std::uint16_t flush_port(PortTx& state, Burst& burst) {
  if (state.count == 0) {
    return 0;
  }
  // The device announces nothing when it has room again.
  burst.worker().keep_awake();
  return send_waiting(state);
}

std::uint16_t flush(PortFlush& state, Burst& burst) {
  std::uint32_t sent = 0;
  for (const std::shared_ptr<PortTx>& each : state.ports) sent += flush_port(*each, burst);
  if (sent != 0) {
    burst.worker().note_work();
  }
  return static_cast<std::uint16_t>(sent);
}

constexpr Edge edges[] = {{"port_tx_full", EdgeKind::drop},
                          {"port_tx_too_long", EdgeKind::drop},
                          {"port_tx_refused", EdgeKind::drop}};

}  // namespace

PortTx::~PortTx() {
  for (; count != 0; --count) {
    release(*waiting[first++ & mask]);
  }
}

const NodeType port_tx_type = node_type<send>("port_tx", edges);
const NodeType port_flush_type = source_type<flush>("port_flush", {});

}  // namespace ssn::dataplane
