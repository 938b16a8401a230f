// SPDX-License-Identifier: BSD-3-Clause
#include "wire_ends.h"

#include <algorithm>
#include <array>
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

template <typename T>
T demand(Result<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "%s: %s (%s)\n", result.error().what.c_str(), result.error().why.c_str(),
                 result.error().where.c_str());
    std::abort();
  }
  return std::move(result.value());
}

// Mapped twice.
std::span<std::uint8_t> ring(TestKeyStream& stream) {
  return {stream.stream().ring, 2 * stream.stream().ring_bytes};
}

Ksid random_ksid() {
  Ksid ksid{};
  ksid.fill(200);
  return ksid;
}

}  // namespace

CellPool::CellPool(std::size_t room) : room_(room), memory_(new std::uint8_t[most * stride()]) {}

Cell* CellPool::take() {
  if (free_.empty()) {
    require(cells_.size() < most, "too many cells are out");
    cells_.emplace_back();
    cells_.back().buffer = memory_.get() + (cells_.size() - 1) * stride();
    free_.push_back(&cells_.back());
  }
  Entry& entry = *free_.back();
  free_.pop_back();
  entry.out = true;
  entry.cell = Cell{};
  const auto base = reinterpret_cast<std::uintptr_t>(entry.buffer);
  entry.cell.data = entry.buffer + (64 - base % 64) % 64 + overhead_bytes;
  entry.cell.headroom = overhead_bytes;
  entry.cell.tailroom = static_cast<std::uint16_t>(room_ - overhead_bytes);
  entry.cell.memory = handle;
  entry.cell.target = entry.cell.data;
  entry.cell.target_room = entry.cell.tailroom;
  return &entry.cell;
}

void CellPool::give_back(Cell* cell) {
  Entry& entry = *reinterpret_cast<Entry*>(cell);
  require(entry.out, "a cell came back twice");
  entry.out = false;
  std::fill_n(entry.buffer, stride(), std::uint8_t{0xdd});  // nobody reads it any more
  free_.push_back(&entry);
}

// Memory that the device may touch.
std::uint32_t WireEnds::enroll(std::span<std::uint8_t> memory) {
  if (device == nullptr || !device->info().memory_registration || memory.empty())
    return SSN_OFFLOAD_UNREGISTERED;
  ssn_memory described{};
  // Whole pages: what lies beside it belongs to the test as well.
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.data()) & ~std::uintptr_t{4095};
  const auto end =
      (reinterpret_cast<std::uintptr_t>(memory.data() + memory.size()) + 4095) & ~std::uintptr_t{4095};
  described.base = reinterpret_cast<void*>(begin);
  described.bytes = end - begin;
  described.page_bytes = 4096;
  described.fd = -1;
  described.numa_node = -1;
  memories_.push_back(demand(device->register_memory(described)));
  return memories_.back().get();
}

WireEnds::WireEnds(WireOptions given)
    : options(std::move(given)),
      random(TestRandom::labelled("wire")),
      ends(options.ends),
      random_stream(random_ksid(), SSN_KEY_SENDER, options.ends.d_ring),
      random_source(random_stream.stream(), random_marks),
      progress(2 * options.stream.reorder_ns),
      cells(std::max(options.stream.frame_max, options.stream.cell_bytes) + 4 * overhead_bytes) {
  random_marks.grant(UINT64_MAX / 2);
  std::array<std::uint8_t, kernels::RandomGenerator::seed_bytes> seed;
  random.fill(seed.data(), seed.size());
  generator.seed(seed);
  const kernels::Implementation& implementation =
      options.ends.implementation != nullptr ? *options.ends.implementation : chosen_implementation();
  if (!options.driver.empty()) {
    device = std::make_unique<hw::OffloadDevice>(
        demand(hw::OffloadDevice::open({.driver = options.driver, .settings = options.settings})));
    queue_out = demand(device->open_queue({options.jobs, -1, -1}));
    queue_in = demand(device->open_queue({options.jobs, -1, -1}));
    keys_out = demand(protocol::OffloadTagKeys::make(*device));
    keys_in = demand(protocol::OffloadTagKeys::make(*device));
  }
  code = demand(protocol::StreamCode::make(options.stream, device.get()));
  const std::uint32_t block = options.stream.block_bytes();
  const std::uint32_t receive_blocks =
      options.receive_blocks != 0 ? options.receive_blocks : options.stream.window + options.jobs + 8;
  send_memory.resize(protocol::BlockPool::memory_bytes(block, options.send_blocks));
  receive_memory.resize(protocol::BlockPool::memory_bytes(block, receive_blocks));
  send_pool = std::make_unique<protocol::BlockPool>(send_memory, block, options.send_blocks);
  receive_pool = std::make_unique<protocol::BlockPool>(receive_memory, block, receive_blocks);
  make_sender(implementation);
  make_receiver(implementation);
}

void WireEnds::make_sender(const kernels::Implementation& implementation) {
  packer = std::make_unique<protocol::FramePacker>(options.stream, *send_pool, sent);
  protocol::BlockSplitter::Parts out;
  out.code = code.get();
  out.implementation = &implementation;
  out.keys = &ends.send;
  out.pool = send_pool.get();
  out.packets = &ends.sent;
  out.counters = &sent;
  out.jobs = options.jobs;
  out.first_block = options.first_block;
  generated = locked_memory(protocol::BlockSplitter::generated_bytes(options.stream, options.jobs) + 1);
  if (code->code().random_blocks() != 0) {
    out.random = options.random_stream ? &random_source : nullptr;
    out.generator = options.random_stream ? nullptr : &generator;
    out.generated = &generated;
  }
  cells.handle = enroll(cells.memory());
  out.offload.blocks = enroll(send_memory);
  out.offload.pads = enroll(ring(ends.d_out));
  out.offload.masks = enroll(ring(ends.a_out));
  out.offload.random = options.random_stream ? enroll(ring(random_stream)) : enroll(generated.span());
  out.offload.queue = device == nullptr ? nullptr : &queue_out;
  out.offload.deadline_ns = options.deadline_ns;
  out.tag_keys = &keys_out;
  splitter = std::make_unique<protocol::BlockSplitter>(out);
}

void WireEnds::make_receiver(const kernels::Implementation& implementation) {
  protocol::BlockCollector::Parts in;
  in.code = code.get();
  in.implementation = &implementation;
  in.keys = &ends.receive;
  in.progress = &progress;
  in.pool = receive_pool.get();
  in.packets = &ends.opened;
  in.counters = &received;
  in.jobs = options.jobs;
  in.first_block = options.first_block;
  in.offload.blocks = enroll(receive_memory);
  in.offload.pads = enroll(ring(ends.d_in));
  in.offload.masks = enroll(ring(ends.a_in));
  in.offload.queue = device == nullptr ? nullptr : &queue_in;
  in.offload.deadline_ns = options.deadline_ns;
  in.tag_keys = &keys_in;
  collector = std::make_unique<protocol::BlockCollector>(in);
  unpacker = std::make_unique<protocol::FrameUnpacker>(options.stream, *receive_pool, received);
}

WireEnds::~WireEnds() {
  queue_out.close();
  queue_in.close();
  splitter->abandon();
  collector->abandon();
  collector->drop_all();
  if (Cell* const open = unpacker->take_open(); open != nullptr) cells.give_back(open);
  std::vector<Cell*> rest(65536);
  while (const std::size_t count = collector->take_cells(rest)) {
    for (std::size_t i = 0; i < count; ++i) cells.give_back(rest[i]);
  }
  while (const std::size_t count = splitter->take_spent(rest)) {
    for (std::size_t i = 0; i < count; ++i) cells.give_back(rest[i]);
  }
  while (const std::size_t count = splitter->take_sealed(rest)) {
    for (std::size_t i = 0; i < count; ++i) cells.give_back(rest[i]);
  }
  require(cells.out() == 0, "cells were lost");
  unpacker.reset();
  require(receive_pool->free() == receive_pool->size(), "blocks were lost at the receiver");
  packer.reset();
  require(send_pool->free() == send_pool->size(), "blocks were lost at the sender");
}

void WireEnds::deliver(std::uint64_t packets) {
  deliver_to_sender(packets);
  deliver_to_receiver(packets);
}

void WireEnds::deliver_to_sender(std::uint64_t packets) {
  ends.d_out.deliver(packets * options.stream.cell_bytes);
  ends.a_out.deliver(packets * protocol::mask_bytes + protocol::hash_key_bytes);
  random_stream.deliver(packets * options.stream.cell_bytes);
  ends.poll();
  (void)random_source.poll();
}

void WireEnds::deliver_to_receiver(std::uint64_t packets) {
  ends.d_in.deliver(packets * options.stream.cell_bytes);
  ends.a_in.deliver(packets * protocol::mask_bytes + protocol::hash_key_bytes);
  ends.poll();
}

std::size_t WireEnds::pack(const std::vector<Bytes>& frames) {
  std::vector<Cell> heads(frames.size());
  std::vector<Cell*> burst;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    heads[i].data = const_cast<std::uint8_t*>(frames[i].data());
    heads[i].length = static_cast<std::uint32_t>(frames[i].size());
    burst.push_back(&heads[i]);
  }
  const std::size_t taken = packer->pack(burst, now);
  packer->flush(now);
  return taken;
}

bool WireEnds::give_up(const protocol::OverdueJobs& overdue) const {
  return options.patience_ns != 0 && overdue.jobs != 0 && overdue.since + options.patience_ns < now;
}

// Whether anything happened.
bool WireEnds::carry_out(std::span<ssn_offload_job* const> jobs) {
  if (!queue_out.is_open()) return false;
  held_out_.insert(held_out_.end(), jobs.begin(), jobs.end());
  std::uint32_t completed = 0;
  std::uint32_t accepted = 0;
  if (!held_out_.empty()) {
    accepted =
        queue_out.enqueue(held_out_.data(), static_cast<std::uint32_t>(held_out_.size()), now, completed);
  }
  const std::vector<ssn_offload_job*> given(held_out_.begin(), held_out_.begin() + accepted);
  held_out_.erase(held_out_.begin(), held_out_.begin() + accepted);
  for (ssn_offload_job* const job : given) {
    if (job->status != SSN_AGAIN && !job->held && completed == accepted) splitter->finish(std::span(&job, 1));
  }
  if (completed == accepted && accepted != 0) return true;
  std::array<ssn_offload_job*, 64> back;
  const std::uint32_t count = queue_out.dequeue(back.data(), back.size(), now);
  splitter->finish(std::span(back).first(count));
  const std::uint32_t lost = splitter->take_as_lost(now - options.deadline_ns);
  if (!give_up(splitter->overdue())) return count + lost != 0;
  queue_out.close();
  held_out_.clear();
  splitter->device_closed();
  ++given_up;
  return true;
}

bool WireEnds::carry_in(std::span<ssn_offload_job* const> jobs) {
  if (!queue_in.is_open()) return false;
  held_in_.insert(held_in_.end(), jobs.begin(), jobs.end());
  std::uint32_t completed = 0;
  std::uint32_t accepted = 0;
  if (!held_in_.empty()) {
    accepted = queue_in.enqueue(held_in_.data(), static_cast<std::uint32_t>(held_in_.size()), now, completed);
  }
  const std::vector<ssn_offload_job*> given(held_in_.begin(), held_in_.begin() + accepted);
  held_in_.erase(held_in_.begin(), held_in_.begin() + accepted);
  if (completed == accepted && accepted != 0) {
    collector->finish(given, now);
    return true;
  }
  std::array<ssn_offload_job*, 64> back;
  const std::uint32_t count = queue_in.dequeue(back.data(), back.size(), now);
  collector->finish(std::span(back).first(count), now);
  const std::uint32_t lost = collector->take_as_lost(now - options.deadline_ns, now);
  if (!give_up(collector->overdue())) return count + lost != 0;
  queue_in.close();
  held_in_.clear();
  collector->device_closed(now);
  ++given_up;
  return true;
}

void WireEnds::take_sent(std::vector<Bytes>& packets) {
  std::vector<Cell*> done(4096);
  const std::span<Cell* const> sealed = splitter->sealed();
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    require(sealed[i]->header.placement.share == i % options.stream.n + 1,
            "shares of a block are not in order");
    packets.emplace_back(sealed[i]->packet(), sealed[i]->packet() + sealed[i]->packet_bytes());
    cells.give_back(sealed[i]);
  }
  splitter->sealed_are_sent();
  const std::size_t spent = splitter->take_spent(done);
  for (std::size_t i = 0; i < spent; ++i) cells.give_back(done[i]);
}

std::vector<Bytes> WireEnds::split() {
  std::vector<Bytes> packets;
  ends.poll();
  (void)random_source.poll();
  for (;;) {
    std::vector<Cell*> fresh;
    while (fresh.size() < splitter->wanted(*packer)) fresh.push_back(cells.take());
    std::array<ssn_offload_job*, 64> jobs;
    const auto prepared = splitter->prepare(*packer, fresh, jobs, now);
    for (std::size_t i = prepared.cells; i < fresh.size(); ++i) cells.give_back(fresh[i]);
    bool more = prepared.cells != 0;
    if (device != nullptr) more |= carry_out(std::span(jobs).first(prepared.jobs));
    take_sent(packets);
    if (!more) break;
  }
  return packets;
}

bool WireEnds::receive_round() {
  std::array<ssn_offload_job*, 64> jobs;
  bool more = false;
  const std::size_t count = collector->prepare(jobs, now);
  if (device != nullptr) more |= carry_in(std::span(jobs).first(count));
  collector->advance(now);
  for (;;) {
    std::vector<Cell*> fresh;
    std::vector<Cell*> out(9);
    for (int i = 0; i < 8; ++i) fresh.push_back(cells.take());
    std::size_t frames = 0;
    const std::size_t taken = unpacker->unpack(*collector, fresh, out, frames);
    for (std::size_t i = taken; i < fresh.size(); ++i) cells.give_back(fresh[i]);
    for (std::size_t i = 0; i < frames; ++i) {
      frames_.emplace_back(out[i]->data, out[i]->data + out[i]->length);
      cells.give_back(out[i]);
    }
    more |= frames != 0;
    if (taken < fresh.size()) break;
  }
  std::array<Cell*, 256> done;
  while (const std::size_t released = collector->take_cells(done)) {
    for (std::size_t i = 0; i < released; ++i) {
      require(done[i]->open_result == protocol::OpenResult::opened ||
                  done[i]->open_result == protocol::OpenResult::dropped,
              "a cell came back without a result");
      ++reasons_[static_cast<std::size_t>(done[i]->reason)];
      cells.give_back(done[i]);
    }
    more = true;
  }
  return more || count != 0;
}

void WireEnds::receive(const std::vector<Bytes>& packets) {
  ends.poll();
  for (std::size_t first = 0; first < packets.size(); first += 64) {
    std::vector<Cell*> burst;
    for (std::size_t i = first; i < std::min(first + 64, packets.size()); ++i) {
      Cell* const cell = cells.take();
      require(packets[i].size() <= cell->headroom + std::size_t{cell->tailroom}, "the packet is too long");
      cell->data -= overhead_bytes;
      cell->length = static_cast<std::uint32_t>(packets[i].size());
      cell->target = nullptr;
      std::copy(packets[i].begin(), packets[i].end(), cell->data);
      const protocol::DropReason reason = protocol::parse_cell(*cell);
      if (reason == protocol::DropReason::none) {
        burst.push_back(cell);
      } else {
        ++reasons_[static_cast<std::size_t>(reason)];
        cells.give_back(cell);
      }
    }
    collector->collect(burst, now);
    while (receive_round()) {
    }
  }
  while (receive_round()) {
  }
}

void WireEnds::advance(std::uint64_t ns) {
  now += ns;
  receive({});
}

void WireEnds::settle() {
  while (splitter->in_flight() != 0 || collector->in_flight() != 0) {
    now += 1000;  // what is late is given back in time
    (void)carry_out({});
    (void)receive_round();
  }
}

unsigned share_of(const Bytes& packet) { return packet[42]; }

std::uint64_t block_of(const Bytes& packet) {
  return std::uint64_t{protocol::load_big<std::uint32_t>(packet.data() + 36)} << 32 |
         protocol::load_big<std::uint32_t>(packet.data() + 32);
}

std::vector<Bytes> without_shares(const std::vector<Bytes>& packets, const std::vector<unsigned>& lost) {
  std::vector<Bytes> out;
  for (const Bytes& packet : packets) {
    if (std::find(lost.begin(), lost.end(), share_of(packet)) == lost.end()) out.push_back(packet);
  }
  return out;
}

}  // namespace ssn::test
