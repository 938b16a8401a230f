// SPDX-License-Identifier: BSD-3-Clause
#include "packet_ends.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace ssn::test {

using protocol::Cell;
using protocol::overhead_bytes;

namespace {

void require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

Ksid named(std::uint8_t name) {
  Ksid out{};
  out.fill(name);
  return out;
}

std::uint8_t a_name(const EndsOptions& options) { return static_cast<std::uint8_t>(options.ksid + 100); }

const kernels::Implementation& implementation_of(const EndsOptions& options) {
  return options.implementation != nullptr ? *options.implementation : chosen_implementation();
}

}  // namespace

hw::SecretBuffer locked_memory(std::size_t bytes) {
  Result<hw::SecretBuffer> made = hw::SecretBuffer::make(bytes, hw::SecretBuffer::Locking::required);
  require(made.ok(), "cannot lock memory for the test");
  return std::move(made.value());
}

const kernels::Implementation& chosen_implementation() {
  static const kernels::Implementation* const chosen = [] {
    const kernels::Implementation* found = nullptr;
    require(kernels::select(found) == kernels::Status::ok, "no kernels");
    return found;
  }();
  return *chosen;
}

CellArena::CellArena(std::size_t cells, std::size_t payload_room)
    : room_(payload_room + overhead_bytes), cells_(cells), buffers_(cells * room_), plain_(cells * room_) {}

std::vector<Cell*> CellArena::burst(std::size_t count) {
  std::vector<Cell*> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(&cells_[i]);
  return out;
}

void CellArena::prepare(std::size_t at, std::size_t length, TestRandom& random) {
  Cell& cell = cells_[at];
  cell = Cell{};
  cell.data = buffers_.data() + at * room_ + overhead_bytes;
  cell.headroom = overhead_bytes;
  cell.length = static_cast<std::uint32_t>(length);
  cell.source = plaintext(at);
  random.fill(plaintext(at), length);
  cell.header.placement = {random.next(), static_cast<std::uint32_t>(random.next()),
                           static_cast<std::uint32_t>(random.next()), 3, 2};
}

void CellArena::receive(std::size_t at, const Bytes& packet) {
  Cell& cell = cells_[at];
  cell = Cell{};
  cell.data = buffers_.data() + at * room_;
  cell.length = static_cast<std::uint32_t>(packet.size());
  cell.target = plaintext(at);
  cell.target_room = static_cast<std::uint32_t>(room_);
  std::copy(packet.begin(), packet.end(), cell.data);
}

Bytes CellArena::packet(std::size_t at) const {
  const Cell& cell = cells_[at];
  return Bytes(cell.packet(), cell.packet() + cell.packet_bytes());
}

PacketEnds::PacketEnds(EndsOptions given)
    : options(given),
      d_out(named(given.ksid), SSN_KEY_SENDER, given.d_ring),
      a_out(named(a_name(given)), SSN_KEY_SENDER, given.a_ring),
      d_in(named(given.ksid), SSN_KEY_RECEIVER, given.d_ring),
      a_in(named(a_name(given)), SSN_KEY_RECEIVER, given.a_ring),
      sender_keys(locked_memory(protocol::TagKeys::memory_bytes)),
      receiver_keys(locked_memory(protocol::TagKeys::memory_bytes)),
      sealer_memory(locked_memory(protocol::OneTimeCheck::memory_bytes)),
      opener_memory(locked_memory(protocol::OneTimeCheck::memory_bytes)),
      history_memory(
          locked_memory(protocol::PacketHistory::memory_bytes(static_cast<std::uint32_t>(given.window)))),
      pads_out(d_out.stream(), marks[0]),
      tags_out(a_out.stream(), marks[1], implementation_of(given), sender_keys),
      pads_in(d_in.stream(), marks[2]),
      tags_in(a_in.stream(), marks[3], implementation_of(given), receiver_keys, given.window),
      history(static_cast<std::uint32_t>(given.window), given.d_ring, history_memory),
      sealer(implementation_of(given), sent, sealer_memory),
      opener(implementation_of(given), opened, table, opener_memory) {
  marks[0].grant(UINT64_MAX / 2);
  marks[1].grant(UINT64_MAX / 2);
  if (options.gcm) {
    auto made_out = protocol::GcmSender::make(options.first_gcm_number);
    auto made_in = protocol::GcmReceiver::make(static_cast<std::uint32_t>(options.window));
    require(made_out.ok() && made_in.ok(), "no AES-256-GCM");
    gcm_out = std::move(made_out.value());
    gcm_in = std::move(made_in.value());
  }
  send = {options.connection_id, options.key_index, options.policy, &pads_out, &tags_out, gcm_out.get()};
  receive.key_index = options.key_index;
  receive.pads = &pads_in;
  receive.tags = &tags_in;
  receive.history = &history;
  receive.gcm = gcm_in.get();
  connection.id = options.connection_id;
  connection.keys[0] = &receive;
  require(table.add(connection), "the connection has no place");
}

void PacketEnds::deliver(std::uint64_t d_bytes, std::uint64_t a_bytes) {
  d_out.deliver(d_bytes);
  d_in.deliver(d_bytes);
  a_out.deliver(a_bytes);
  a_in.deliver(a_bytes);
  poll();
}

void PacketEnds::poll() {
  (void)pads_out.poll();
  (void)tags_out.poll();
  (void)pads_in.poll();
  (void)tags_in.poll();
}

Bytes PacketEnds::seal_one(std::size_t length, Bytes& plain) {
  out.prepare(0, length, random);
  const auto burst = out.burst(1);
  if (sealer.seal(send, burst) != 1) return {};
  plain.assign(out.plaintext(0), out.plaintext(0) + length);
  return out.packet(0);
}

protocol::OpenResult PacketEnds::open_one(const Bytes& packet) {
  in.receive(0, packet);
  const auto burst = in.burst(1);
  opener.open(burst);
  return in[0].open_result;
}

bool PacketEnds::balanced() const {
  return pads_out.audit() && tags_out.audit() && pads_in.audit() && tags_in.audit();
}

}  // namespace ssn::test
