// SPDX-License-Identifier: BSD-3-Clause
#include "process.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace ssn::sim {

using namespace protocol;

namespace {

constexpr std::uint32_t connection_of(const std::string& name) { return name == "alice" ? 0x101 : 0x202; }

Ledger open_ledger(Oracle& oracle, const CrashDisk& disk, const std::string& name) {
  Result<Ledger> ledger = Ledger::open(name, disk.image(), least_extent);
  if (ledger.ok()) return std::move(ledger.value());
  oracle.violation("the ledger cannot be read after a crash: " + ledger.error().why);
  return std::move(Ledger::open(name, Ledger::initial_image(name), least_extent).value());
}

InstanceId make_instance(TestRandom& random) {
  InstanceId out;
  random.fill(out.data(), out.size());
  return out;
}

const std::uint8_t* ring_at(test::TestKeyStream& keys, std::uint64_t offset) {
  return keys.stream().ring + (offset & (keys.stream().ring_bytes - 1));
}

}  // namespace

Epoch::Epoch(Oracle& watching, const std::vector<StreamRecord>& streams, std::uint16_t key_index,
             std::uint32_t connection_out, std::uint32_t connection_in)
    : oracle(watching),
      ksid{streams.at(0).ksid, streams.at(1).ksid, streams.at(2).ksid, streams.at(3).ksid},
      d_out(ksid[0], SSN_KEY_SENDER, d_ring),
      a_out(ksid[1], SSN_KEY_SENDER, a_ring),
      d_in(ksid[2], SSN_KEY_RECEIVER, d_ring),
      a_in(ksid[3], SSN_KEY_RECEIVER, a_ring),
      memory{test::locked_memory(TagKeys::memory_bytes), test::locked_memory(TagKeys::memory_bytes),
             test::locked_memory(PacketHistory::memory_bytes(window)),
             test::locked_memory(OneTimeCheck::memory_bytes),
             test::locked_memory(OneTimeCheck::memory_bytes)},
      pads_out(d_out.stream(), marks[0]),
      tags_out(a_out.stream(), marks[1], test::chosen_implementation(), memory[0]),
      pads_in(d_in.stream(), marks[2]),
      tags_in(a_in.stream(), marks[3], test::chosen_implementation(), memory[1], window),
      history(window, d_ring, memory[2]),
      sealer(test::chosen_implementation(), sent_counters, memory[3]),
      opener(test::chosen_implementation(), open_counters, table, memory[4]) {
  for (std::size_t i = 0; i < 4; ++i) oracle.stream_opened(ksid[i], i < 2);
  send = {connection_out, key_index, ShortagePolicy::refuse, &pads_out, &tags_out, nullptr};
  receive.key_index = key_index;
  receive.pads = &pads_in;
  receive.tags = &tags_in;
  receive.history = &history;
  connection.id = connection_in;
  connection.keys[0] = &receive;
  if (!table.add(connection)) oracle.violation("a connection has no place");
}

Epoch::~Epoch() {
  for (StreamEnd* end : {static_cast<StreamEnd*>(&pads_out), static_cast<StreamEnd*>(&tags_out),
                         static_cast<StreamEnd*>(&pads_in), static_cast<StreamEnd*>(&tags_in)}) {
    if (!end->audit()) oracle.violation("an account does not balance");
    end->end();
    if (!end->account().balanced() || end->account().left != 0) {
      oracle.violation("an account does not balance at the end");
    }
  }
  for (test::TestKeyStream* keys : {&d_out, &a_out, &d_in, &a_in}) {
    const std::uint8_t* ring = keys->stream().ring;
    for (std::uint64_t at = 0; at < keys->stream().ring_bytes; at += 64) {
      // What was delivered last lies here; nothing of it may be left.
      const std::uint64_t end = keys->stream().end;
      const std::uint64_t offset = end > at ? (end - 1 - at) / 64 * 64 : 0;
      if (end < at + 64) break;
      oracle.must_be_erased(ring + (offset & (keys->stream().ring_bytes - 1)), keys->ksid(), offset, 16,
                            "a ring after its end");
    }
  }
}

void Epoch::deliver(TestRandom& random) {
  for (test::TestKeyStream* keys : {&d_out, &d_in}) keys->deliver(random.below(24000));
  for (test::TestKeyStream* keys : {&a_out, &a_in}) keys->deliver(random.below(900));
  (void)pads_out.poll();
  (void)tags_out.poll();
  (void)pads_in.poll();
  (void)tags_in.poll();
  pads_out.give_back();
  tags_out.give_back();
  pads_in.give_back();
  tags_in.give_back();
}

// A packet goes on the wire: what it was made with is spent.
Bytes Epoch::record(const Cell& cell) {
  const Bytes packet(cell.packet(), cell.packet() + cell.packet_bytes());
  const std::span<const std::uint8_t> bytes(packet);
  PacketHeader header;
  if (parse_header(packet.data(), packet.size(), header) != DropReason::none) {
    oracle.violation("a packet was sealed that nobody can read");
    return packet;
  }
  std::uint64_t message = fingerprint(bytes.subspan(overhead_bytes));
  if (has_pad_range(header.type)) {
    oracle.pad_spent(ksid[0], header.d_offset, cell.range_length, message);
    oracle.must_be_erased(ring_at(d_out, header.d_offset), ksid[0], header.d_offset, 16, "a pad");
  }
  message = fingerprint(bytes.first(header_bytes), message);
  oracle.mask_spent(ksid[1], header.number, message);
  oracle.used_up_to(ksid[1], mask_offset(header.number) + mask_bytes);
  oracle.must_be_erased(ring_at(a_out, mask_offset(header.number)), ksid[1], mask_offset(header.number),
                        mask_bytes, "a mask");
  return packet;
}

std::vector<Bytes> Epoch::seal(TestRandom& random) {
  std::vector<Bytes> out;
  const std::size_t count = 1 + random.below(8);
  const std::size_t length = random.coin() ? 1344 : 1 + random.below(1400);
  std::list<Sent> made;
  std::vector<Cell*> burst;
  for (std::size_t i = 0; i < count; ++i) {
    Sent& sent = made.emplace_back();
    sent.buffer.resize(overhead_bytes + length);
    sent.plain = random.bytes(length);
    sent.cell.data = sent.buffer.data() + overhead_bytes;
    sent.cell.headroom = overhead_bytes;
    sent.cell.source = sent.plain.data();
    sent.cell.length = static_cast<std::uint32_t>(length);
    sent.cell.header.placement = {random.next(), 1, 1, 1, 1};
    burst.push_back(&sent.cell);
  }
  (void)sealer.seal(send, burst);
  for (auto sent = made.begin(); sent != made.end();) {
    if (sent->cell.seal_result != SealResult::sealed) {
      sent = made.erase(sent);
      continue;
    }
    oracle.expect(ksid[0], sent->cell.header.d_offset, fingerprint(sent->plain));
    out.push_back(record(sent->cell));
    ++sent;
  }
  outstanding.splice(outstanding.end(), made);
  return out;
}

std::vector<Bytes> Epoch::seal_keep(TestRandom& random, bool abort) {
  Sent sent;
  KeepOrder order;
  order.cells = 1 + static_cast<std::uint32_t>(random.below(4));
  order.cell_bytes = 1344;
  order.rows = 1;
  sent.buffer.resize(overhead_bytes + keep_order_bytes);
  sent.cell.data = sent.buffer.data() + overhead_bytes;
  sent.cell.headroom = overhead_bytes;
  sent.cell.header.placement = {random.next(), 1, 1, 1, 1};
  Bytes share(order.bytes());
  if (sealer.seal_order(send, sent.cell, order, share) != SealResult::sealed) return {};
  const std::uint64_t offset = sent.cell.header.d_offset;
  if (share != test::key_bytes(ksid[0], offset, share.size()))
    oracle.violation("a kept share is not the pad");
  oracle.expect(ksid[0], offset, fingerprint(share));
  Bytes packet = record(sent.cell);
  oracle.pad_spent(ksid[0], offset + order.bytes(), 16, fingerprint(share));
  oracle.must_be_erased(ring_at(d_out, offset + order.bytes()), ksid[0], offset + order.bytes(), 16,
                        "the mask of a keep order");
  if (abort) return {};  // the write is abandoned: nobody ever hears of it, and the range is burnt
  outstanding.push_back(std::move(sent));
  outstanding.back().cell.data = outstanding.back().buffer.data() + overhead_bytes;
  return {std::move(packet)};
}

std::vector<Bytes> Epoch::retransmit(TestRandom& random) {
  if (outstanding.empty()) return {};
  auto sent = outstanding.begin();
  std::advance(sent, static_cast<std::ptrdiff_t>(random.below(outstanding.size())));
  Cell* burst[] = {&sent->cell};
  if (sealer.retransmit(send, burst) != 1) return {};
  return {record(sent->cell)};
}

void Epoch::give_up(TestRandom& random) {
  const std::uint64_t message = random.next();
  PadRange range;
  if (pads_out.reserve(1344, range) == Take::ok) {
    oracle.pad_spent(ksid[0], range.offset, range.length, message);  // an offload device has seen it
    pads_out.discard(range);
    oracle.must_be_erased(ring_at(d_out, range.offset), ksid[0], range.offset, 16, "a pad that was given up");
  }
  TagBurst burst;
  if (tags_out.take(1, burst) == Take::ok) {
    oracle.mask_spent(ksid[1], burst.first, message);
    tags_out.discard(burst);
  }
}

void Epoch::acknowledged(std::uint64_t d_offset) {
  outstanding.remove_if([&](const Sent& sent) { return sent.cell.header.d_offset == d_offset; });
}

std::uint64_t Epoch::outstanding_from() const {
  std::uint64_t from = pads_out.next();
  for (const Sent& sent : outstanding) from = std::min(from, sent.cell.header.d_offset);
  return from;
}

Epoch::Opened Epoch::open(const Bytes& packet, std::uint64_t process) {
  Cell cell;
  Bytes buffer = packet;
  Bytes target(packet.size() + 8 * 1344);
  cell.data = buffer.data();
  cell.length = static_cast<std::uint32_t>(packet.size());
  cell.target = target.data();
  cell.target_room = static_cast<std::uint32_t>(target.size());
  Cell* burst[] = {&cell};
  opener.open(burst);
  const std::uint64_t offset = cell.header.d_offset;
  if (cell.open_result == OpenResult::opened || cell.open_result == OpenResult::kept) {
    const std::size_t plain = cell.open_result == OpenResult::kept ? cell.range_length : cell.length;
    oracle.opened(ksid[2], offset, fingerprint(std::span(target).first(plain)), process);
    oracle.must_be_erased(ring_at(d_in, offset), ksid[2], offset, 16, "a pad at the receiver");
    oracle.must_be_erased(ring_at(a_in, mask_offset(cell.header.number)), ksid[3],
                          mask_offset(cell.header.number), mask_bytes, "a mask at the receiver");
  }
  return {cell.open_result, offset};
}

Process::Process(Oracle& oracle, Statistics& statistics, CrashDisk& on, const std::string& named,
                 const std::string& other, TestRandom seeded)
    : number(0),
      name(named),
      peer(other),
      disk(on),
      random(seeded),
      ledger(open_ledger(oracle, on, named)),
      instance(make_instance(random)),
      association(ledger,
                  AssociationConfig{named, other, instance, 16384, Epoch::window, {connection_of(named)}}),
      oracle_(oracle),
      statistics_(statistics) {
  // An honest start finds no open epoch.
  if (const PeerRecord* known = ledger.peer(peer); known != nullptr && known->open) {
    open_streams(known->streams, known->epoch);
    for (std::size_t i = 0; i < 2; ++i) epoch->marks[i].grant(known->streams[i].sent);
  }
}

Process::~Process() = default;

Contribution Process::contribution() {
  Contribution out;
  random.fill(out.data(), out.size());
  return out;
}

void Process::open_streams(const std::vector<StreamRecord>& streams, std::uint64_t epoch_number) {
  epoch = std::make_unique<Epoch>(oracle_, streams, static_cast<std::uint16_t>(epoch_number),
                                  connection_of(peer), connection_of(name));
}

bool Process::handle_events() {
  bool any = false;
  while (const auto event = association.next_event()) {
    any = true;
    if (*event == AssociationEvent::established) {
      ++statistics_.epochs;
      just_established = true;
      const Agreement& agreement = *association.agreement();
      open_streams(agreement.streams, agreement.epoch);
      for (std::size_t i = 0; i < 4; ++i) ledger.attach(peer, i, epoch->marks[i]);
    } else {
      ledger.detach(peer);
      epoch.reset();
      if (is_alarm(*event)) alarms.push_back(*event);
    }
  }
  return any;
}

}  // namespace ssn::sim
