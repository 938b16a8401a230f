// SPDX-License-Identifier: BSD-3-Clause
#include "stream_ends.h"

#include <algorithm>
#include <array>

#include "packet_ends.h"

namespace ssn::sim {

using namespace protocol;

namespace {

constexpr unsigned feed_max = 8;

std::uint32_t sender_blocks(const WireStream& wire) {
  const std::uint32_t room = wire.block_bytes() - block_header_bytes;
  return (wire.frame_max + record_header_bytes + room) / room * 2 + 12;
}

std::span<std::uint8_t> memory_for(Bytes& bytes, const WireStream& wire, std::uint32_t blocks) {
  bytes.resize(BlockPool::memory_bytes(wire.block_bytes(), blocks));
  return bytes;
}

BlockSplitter::Parts splitter_parts(const StreamContext& context, SendKeys& keys, BlockPool& pool,
                                    PacketCounters& packets, WireSendCounters& counters,
                                    JobCarrier& carrier) {
  BlockSplitter::Parts parts;
  parts.code = context.code;
  parts.implementation = context.implementation;
  parts.keys = &keys;
  parts.pool = &pool;
  parts.packets = &packets;
  parts.counters = &counters;
  parts.offload = carrier.use();
  parts.tag_keys = carrier.tag_keys();
  return parts;
}

}  // namespace

SendingStream::SendingStream(const StreamContext& context, SendKeys& keys, PacketCounters& packets,
                             PadSender& random_stream, TestRandom& random)
    : context_(context),
      keys_(keys),
      random_(random.next()),
      pool_(memory_for(pool_memory_, context.plan->wire, sender_blocks(context.plan->wire)),
            context.plan->wire.block_bytes(), sender_blocks(context.plan->wire)),
      arena_(std::size_t{BlockSplitter::max_burst} * 2 * context.plan->wire.n, context.plan->wire.cell_bytes),
      carrier_(context.device, *context.offload, *context.recorder, *context.marks, context.d, context.a),
      packer_(context.plan->wire, pool_, counters_),
      splitter_([&] {
        BlockSplitter::Parts parts = splitter_parts(context, keys, pool_, packets, counters_, carrier_);
        parts.jobs = 2 + random_.between(0, 14);
        if (context.code->code().random_blocks() == 0) return parts;
        if (context.plan->random == RandomSource::stream) {
          parts.random = &random_stream;
          return parts;
        }
        std::array<std::uint8_t, kernels::RandomGenerator::seed_bytes> seed;
        random_.fill(seed.data(), seed.size());
        generator_.seed(seed);
        generated_ = test::locked_memory(BlockSplitter::generated_bytes(context.plan->wire, parts.jobs));
        parts.generator = &generator_;
        parts.generated = &generated_;
        return parts;
      }()) {}

SendingStream::~SendingStream() {
  if (splitter_.in_flight() != 0) context_.marks->hit("epoch ended while jobs were in flight");
  carrier_.close();
  splitter_.abandon();
  std::vector<Outgoing> never_sent;
  take_out(never_sent);
  packer_.give_up();
  if (arena_.out() != 0) context_.recorder->violation("cells of a sender did not come back");
  if (splitter_.in_flight() != 0) context_.recorder->violation("jobs of a sender did not come back");
  if (pool_.free() + 1 < pool_.size()) context_.recorder->violation("blocks of a sender did not come back");
}

void SendingStream::offer(std::span<const std::size_t> lengths, std::uint64_t now) {
  std::array<Bytes, feed_max> contents;
  std::array<Cell, feed_max> cells;
  std::array<Cell*, feed_max> burst{};
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    contents[i] = context_.book->content(context_.book->next() + i, lengths[i]);
    cells[i].data = contents[i].data();
    cells[i].length = static_cast<std::uint32_t>(lengths[i]);
    burst[i] = &cells[i];
  }
  const std::size_t taken = packer_.pack(std::span(burst).first(lengths.size()), now);
  for (std::size_t i = 0; i < taken; ++i) {
    context_.book->put(lengths[i], lengths[i] <= context_.plan->wire.frame_max);
  }
}

void SendingStream::feed(unsigned count, std::uint64_t now) {
  std::vector<std::size_t> lengths;
  const StreamPlan& plan = *context_.plan;
  for (unsigned i = 0; i < std::min<unsigned>(count, feed_max); ++i) {
    std::size_t length = random_.between(plan.frame_low, plan.frame_high);
    if (random_.below(50) == 0) length = plan.wire.frame_max + 1 + random_.below(100);
    lengths.push_back(length);
  }
  offer(lengths, now);
}

void SendingStream::feed_calmly(std::uint64_t now) {
  if (!all_came() || !has_keys()) return;
  std::vector<std::size_t> lengths;
  const StreamPlan& plan = *context_.plan;
  std::size_t room = 3 * (plan.wire.block_bytes() - 16);
  while (lengths.size() < feed_max) {
    // Long enough to say which it is.
    const std::size_t length = std::max<std::size_t>(random_.between(plan.frame_low, plan.frame_high), 8);
    if (length + record_header_bytes > room) break;
    room -= length + record_header_bytes;
    lengths.push_back(length);
  }
  offer(lengths, now);
}

// As far as the device goes: the ledger is waited for, and never writes as much ahead where its extent is
// small.
bool SendingStream::has_keys() const {
  const WireStream& wire = context_.plan->wire;
  return keys_.pads->delivered() - keys_.pads->next() >= std::uint64_t{8} * wire.n * wire.cell_bytes;
}

void SendingStream::take_out(std::vector<Outgoing>& out) {
  std::array<Cell*, 64> cells;
  for (std::size_t count = cells.size(); count == cells.size();) {
    count = splitter_.take_sealed(cells);
    for (std::size_t i = 0; i < count; ++i) {
      Cell& cell = *cells[i];
      const std::uint64_t block = block_number(cell.header.placement);
      const std::uint64_t message = fingerprint(context_.d, block * 1024 + context_.plan->wire.id);
      context_.recorder->sealed(context_.d, context_.a, cell, context_.code->code(), message);
      out.push_back({cell.header.placement.share, Bytes(cell.packet(), cell.packet() + cell.packet_bytes())});
      if (!arena_.give(&cell)) context_.recorder->violation("a cell of a sender came back twice");
    }
  }
  for (std::size_t count = cells.size(); count == cells.size();) {
    count = splitter_.take_spent(cells);
    for (std::size_t i = 0; i < count; ++i) {
      if (!arena_.give(cells[i])) context_.recorder->violation("a cell of a sender came back twice");
    }
  }
}

std::vector<Outgoing> SendingStream::round(std::uint64_t now) {
  std::vector<Outgoing> out;
  splitter_.finish(carrier_.collect(now));
  splitter_.take_as_lost(carrier_.lost_before(now));
  if (carrier_.is_hopeless(splitter_.overdue(), now)) {
    carrier_.close();
    splitter_.device_closed();
  }
  take_out(out);
  packer_.flush(now);
  std::vector<Cell*> fresh;
  for (std::size_t want = splitter_.wanted(packer_); fresh.size() < want;) {
    Cell* const cell = arena_.take();
    if (cell == nullptr) break;
    fresh.push_back(cell);
  }
  std::array<ssn_offload_job*, BlockSplitter::max_burst> jobs{};
  const BlockSplitter::Prepared prepared = splitter_.prepare(packer_, fresh, jobs, now);
  for (std::size_t i = prepared.cells; i < fresh.size(); ++i) arena_.give(fresh[i]);
  if (prepared.why == Take::shortage) context_.marks->hit("sender short of keys");
  if (prepared.why == Take::not_written_ahead) context_.marks->hit("ledger behind");
  splitter_.finish(carrier_.carry(std::span(jobs).first(prepared.jobs), now));
  take_out(out);
  if (arena_.out() != std::size_t{splitter_.in_flight()} * context_.plan->wire.n) {
    context_.recorder->violation("a sender holds other cells than those of its jobs");
  }
  return out;
}

void SendingStream::count_marks(Marks& marks) const {
  marks.hit("block split", counters_.blocks);
  marks.hit("frame too long", counters_.frames_too_long);
  marks.hit("sender given no room", counters_.frames_no_room);
  marks.hit("frames given up by the sender", counters_.frames_given_up);
  marks.hit("split failed and redone on the CPU", counters_.jobs_failed);
  marks.hit("split late", counters_.jobs_late);
  marks.hit("split lost by the device", counters_.jobs_lost);
}

ReceivingStream::ReceivingStream(const StreamContext& context, ReceiveKeys& keys, ReceiveProgress& progress,
                                 PacketCounters& packets, TestRandom& random)
    : context_(context),
      keys_(keys),
      pool_(memory_for(pool_memory_, context.plan->wire, 104), context.plan->wire.block_bytes(),
            random.coin() ? 8 + random.between(0, 8) : 104),
      arena_(std::size_t{context.plan->wire.window} * context.plan->wire.n + 256,
             context.plan->wire.cell_bytes),
      frames_(32, context.plan->wire.frame_max),
      carrier_(context.device, *context.offload, *context.recorder, *context.marks, context.d, context.a),
      collector_([&] {
        BlockCollector::Parts parts;
        parts.code = context.code;
        parts.implementation = context.implementation;
        parts.keys = &keys;
        parts.progress = &progress;
        parts.pool = &pool_;
        parts.packets = &packets;
        parts.counters = &counters_;
        parts.offload = carrier_.use();
        parts.tag_keys = carrier_.tag_keys();
        parts.jobs = 1 + random.between(0, 31);
        return parts;
      }()),
      unpacker_(context.plan->wire, pool_, counters_) {}

ReceivingStream::~ReceivingStream() {
  if (counters_.held != 0) context_.marks->hit("epoch ended while blocks were in flight");
  if (collector_.in_flight() != 0) context_.marks->hit("epoch ended while jobs were in flight");
  carrier_.close();
  collector_.abandon();
  collector_.drop_all();
  drain();
  if (Cell* const open = unpacker_.take_open(); open != nullptr) frames_.give(open);
  if (arena_.out() != 0 || counters_.held != 0) {
    context_.recorder->violation("packets of a receiver did not come back");
  }
  if (frames_.out() != 0) context_.recorder->violation("frames of a receiver did not come back");
  if (collector_.in_flight() != 0) context_.recorder->violation("jobs of a receiver did not come back");
  // The unpacker may still read one.
  if (pool_.free() + 1 < pool_.size()) context_.recorder->violation("blocks of a receiver did not come back");
}

void ReceivingStream::give(Cell* cell) {
  if (!arena_.give(cell)) context_.recorder->violation("a packet of a receiver came back twice");
}

void ReceivingStream::collect(std::span<Cell* const> cells, std::uint64_t now) {
  collector_.collect(cells, now);
}

void ReceivingStream::drain() {
  std::array<Cell*, 64> cells;
  for (std::size_t count = cells.size(); count == cells.size();) {
    count = collector_.take_cells(cells);
    for (std::size_t i = 0; i < count; ++i) give(cells[i]);
  }
}

void ReceivingStream::unpack() {
  constexpr std::size_t at_once = 16;
  for (std::size_t taken = at_once; taken == at_once;) {
    std::array<Cell*, at_once> fresh{};
    std::array<Cell*, at_once + 1> frames{};
    for (Cell*& each : fresh) each = frames_.take_for_frame();
    std::size_t count = 0;
    taken = unpacker_.unpack(collector_, fresh, frames, count);
    for (std::size_t i = taken; i < at_once; ++i) frames_.give(fresh[i]);
    for (std::size_t i = 0; i < count; ++i) {
      const std::string wrong = context_.book->out({frames[i]->data, frames[i]->length});
      if (!wrong.empty()) context_.recorder->violation(wrong);
      context_.marks->hit("frames out");
      if (!frames_.give(frames[i])) context_.recorder->violation("a frame's cell came back twice");
    }
  }
}

void ReceivingStream::round(std::uint64_t now, std::size_t pending) {
  collector_.finish(carrier_.collect(now), now);
  collector_.take_as_lost(carrier_.lost_before(now), now);
  if (carrier_.is_hopeless(collector_.overdue(), now)) {
    carrier_.close();
    collector_.device_closed(now);
  }
  collector_.advance(now);
  std::array<ssn_offload_job*, 32> jobs{};
  for (int walk = 0; walk < 4; ++walk) {
    const std::size_t count = collector_.prepare(jobs, now);
    collector_.finish(carrier_.carry(std::span(jobs).first(count), now), now);
    unpack();
    if (count == 0) break;
  }
  drain();
  check(pending);
}

void ReceivingStream::check(std::size_t pending) {
  const WireStream& wire = context_.plan->wire;
  const std::uint64_t held = counters_.held;
  if (held > std::uint64_t{wire.window} * wire.n) {
    context_.recorder->violation("a receiver holds more than its window");
  }
  const std::uint64_t out = arena_.out() - pending;
  if (out < held || out > held + std::uint64_t{collector_.in_flight()} * wire.k) {
    context_.recorder->violation("a receiver keeps packets that it does not hold");
  }
  if (counters_.blocks_malformed != 0) context_.recorder->violation("a recovered block is malformed");
  if (frames_.out() > 1) context_.recorder->violation("a receiver keeps more than one unfinished frame");
  if (keys_.alarm != EpochAlarm::none) {
    context_.recorder->violation("a false alarm: " + std::string(name(keys_.alarm)));
  }
}

std::string ReceivingStream::describe() const {
  return std::to_string(counters_.blocks) + " blocks, lost " + std::to_string(counters_.blocks_lost) +
         ", cut " + std::to_string(counters_.frames_cut) + ", base " + std::to_string(collector_.base()) +
         ", held " + std::to_string(counters_.held) + ", jobs " + std::to_string(collector_.in_flight()) +
         " (failed " + std::to_string(counters_.jobs_failed) + "), free blocks " +
         std::to_string(pool_.free()) + " of " + std::to_string(pool_.size());
}

void ReceivingStream::count_marks(Marks& marks) const {
  marks.hit("block recovered", counters_.blocks);
  marks.hit("block given up", counters_.blocks_lost);
  marks.hit("frame cut", counters_.frames_cut);
  marks.hit("share verified alone", counters_.verified_alone);
  marks.hit("recovery failed and redone on the CPU", counters_.jobs_failed);
  marks.hit("recovery late", counters_.jobs_late);
  marks.hit("recovery lost by the device", counters_.jobs_lost);
}

}  // namespace ssn::sim
