// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/block_splitter.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "offload_job.h"
#include "planted_faults.h"

namespace ssn::protocol {
namespace {

// A generator is seeded anew, from its own output, before its stream ends.
constexpr std::uint64_t generator_reserve = 1024;

void reseed(const kernels::Implementation& implementation, kernels::RandomGenerator& generator) noexcept {
  std::array<std::uint8_t, kernels::RandomGenerator::seed_bytes> seed;
  const kernels::Status status = kernels::random(implementation, generator, seed.data(), seed.size());
  assert(status == kernels::Status::ok && "the generator was seeded");
  static_cast<void>(status);
  generator.seed(seed);
  ::explicit_bzero(seed.data(), seed.size());
}

}  // namespace

// What one reservation gave: numbers, pads and random blocks of successive blocks of one size.
struct BlockSplitter::Run {
  TagBurst numbers;
  PadRange pads;
  PadRange random;
  std::uint32_t share_bytes = 0;
};

struct BlockSplitter::Job {
  Job(const kernels::Code& code, void* context, std::uint8_t* generated_at)
      : offload(SSN_OFFLOAD_SPLIT_SEAL, code.k(), code.n(), code.n(), context),
        cells(code.n()),
        generated(generated_at) {}

  OffloadJob offload;
  Block* block = nullptr;
  TagBurst numbers;  // n of them
  PadRange pads;     // the first of n
  PadRange random;   // the first random block of a stream; pad null: none
  std::vector<Cell*> cells;
  std::uint8_t* generated;  // where a generator's random blocks go
  std::uint64_t key_block = 0;
  bool flying = false;
  bool late = false;  // given up, but the device may still touch it
  bool lost = false;  // and it did not say so
};

std::size_t BlockSplitter::generated_bytes(const WireStream& stream, std::uint32_t jobs) noexcept {
  kernels::Code code;
  if (kernels::Code::make(stream.scheme, stream.k, stream.n, stream.data_blocks, code) !=
      kernels::Status::ok) {
    return 0;
  }
  return std::size_t{code.random_blocks()} * stream.cell_bytes * (jobs + 1);  // and the spare one
}

BlockSplitter::BlockSplitter(const Parts& parts)
    : parts_(parts),
      n_(parts.code->code().n()),
      random_blocks_(parts.code->code().random_blocks()),
      next_block_(parts.first_block),
      spare_(parts.offload.queue != nullptr ? 1 : 0) {
  const WireStream& stream = parts.code->stream();
  assert(parts.keys->policy != ShortagePolicy::aes_256_gcm && "not for wire mode");
  assert(random_blocks_ == 0 || (parts.random != nullptr) != (parts.generator != nullptr));
  assert(parts.generator == nullptr || random_blocks_ == 0 ||
         (parts.generated != nullptr && parts.generated->size() >= generated_bytes(stream, parts.jobs)));
  assert(parts.jobs >= 1 && (parts.offload.queue == nullptr || parts.tag_keys != nullptr));
  const std::size_t random_bytes = std::size_t{random_blocks_} * stream.cell_bytes;
  for (std::uint32_t i = 0; i < parts.jobs + spare_; ++i) {
    std::uint8_t* const generated = parts.generated == nullptr || random_blocks_ == 0
                                        ? nullptr
                                        : parts.generated->data() + i * random_bytes;
    jobs_.push_back(std::make_unique<Job>(parts.code->code(), parts.offload.context, generated));
    free_.push_back(jobs_.back().get());
  }
  std::reverse(free_.begin(), free_.end());
  again_.reserve(std::size_t{parts.jobs} * 2);
  sealed_.reserve((max_burst + std::size_t{parts.jobs} * 2) * n_);
  spent_.reserve(std::size_t{parts.jobs} * 2 * n_);
  PacketHeader common;
  common.connection_id = parts.keys->connection_id;
  common.key_index = parts.keys->key_index;
  common.placement.object = stream.id;
  write_header(common, header_.data());
}

BlockSplitter::~BlockSplitter() { assert(in_flight_ == 0 && "close the queue, then abandon()"); }

std::size_t BlockSplitter::wanted(const FramePacker& packer) const noexcept {
  std::size_t blocks = std::min(packer.closed() + again_.size(), max_burst);
  // No packets for blocks that keys are not there for; but for one, for prepare() to say what is missing.
  if (again_.empty() && blocks > 1) {
    blocks = std::max<std::size_t>(affordable(packer.closed_at(0)->share_bytes, blocks), 1);
  }
  return blocks * n_;
}

// Jobs that can be begun.
std::size_t BlockSplitter::usable() const noexcept {
  if (free_.size() > spare_) return free_.size() - spare_;
  return overdue().jobs != 0 ? free_.size() : 0;
}

// How many blocks pads and random blocks are there for.
std::size_t BlockSplitter::affordable(std::uint32_t share_bytes, std::size_t blocks) const noexcept {
  const std::uint64_t each = std::uint64_t{share_bytes} * n_;
  std::uint64_t count = blocks;
  if (const std::uint64_t pads = parts_.keys->pads->available(); pads < each * count) count = pads / each;
  if (parts_.random != nullptr && random_blocks_ != 0) {
    const std::uint64_t random = std::uint64_t{share_bytes} * random_blocks_;
    if (const std::uint64_t there = parts_.random->available(); there < random * count)
      count = there / random;
  }
  return static_cast<std::size_t>(count);
}

// Not even one block's pads or random blocks are there: why.
Take BlockSplitter::why_none(std::uint32_t share_bytes) const noexcept {
  const Take why = parts_.keys->pads->can_take(std::uint64_t{share_bytes} * n_);
  if (why != Take::ok || parts_.random == nullptr) return why == Take::ok ? Take::busy : why;
  const Take random = parts_.random->can_take(std::uint64_t{share_bytes} * random_blocks_);
  return random == Take::ok ? Take::busy : random;
}

// Numbers, pads and random blocks for as many blocks as possible; 0: why_ says why.
std::size_t BlockSplitter::take(std::uint32_t share_bytes, std::size_t blocks, Run& run) noexcept {
  const auto most = static_cast<std::uint32_t>(affordable(share_bytes, blocks));
  if (most == 0) {
    why_ = why_none(share_bytes);
    return 0;
  }
  why_ = parts_.keys->tags->take_runs(n_, most, run.numbers);
  if (why_ != Take::ok) return 0;
  const std::uint32_t count = run.numbers.count / n_;
  Take why = parts_.keys->pads->reserve_run(share_bytes, count * n_, run.pads);
  assert(why == Take::ok);
  if (parts_.random != nullptr && random_blocks_ != 0) {
    why = parts_.random->reserve_run(share_bytes, count * random_blocks_, run.random);
    assert(why == Take::ok);
  }
  static_cast<void>(why);
  run.share_bytes = share_bytes;
  return count;
}

// The part of a run that is block number `at` of it; its random blocks are the job's first inputs.
void BlockSplitter::begin(Job& job, Block& block, const Run& run, std::size_t at,
                          std::span<Cell* const> cells) noexcept {
  const std::uint32_t share_bytes = run.share_bytes;
  const std::size_t first = at * n_;
  job.block = &block;
  ++block.users;
  job.late = job.lost = false;
  job.numbers = {run.numbers.first + first, n_, run.numbers.masks + first * mask_bytes, run.numbers.key};
  job.pads = {run.pads.pad + first * share_bytes, run.pads.offset + first * share_bytes, share_bytes};
  job.random = {};
  OffloadJob& offload = job.offload;
  offload.begin(share_bytes);
  if (random_blocks_ != 0) {
    std::uint8_t* from = job.generated;
    if (parts_.random != nullptr) {
      const std::size_t offset = at * random_blocks_ * share_bytes;
      job.random = {run.random.pad + offset, run.random.offset + offset, share_bytes};
      from = job.random.pad;
    } else {
      generate(from, std::size_t{random_blocks_} * share_bytes);
    }
    for (std::uint32_t i = 0; i < random_blocks_; ++i)
      offload.input(i, from + i * share_bytes, parts_.offload.random);
  }
  const std::uint32_t data_blocks = parts_.code->stream().data_blocks;
  for (std::uint32_t i = 0; i < data_blocks; ++i) {
    offload.input(random_blocks_ + i, block.data + std::size_t{i} * share_bytes, parts_.offload.blocks);
  }
  std::copy_n(cells.begin(), n_, job.cells.begin());
  write_packets(job);
}

void BlockSplitter::generate(std::uint8_t* to, std::size_t bytes) noexcept {
  kernels::RandomGenerator& generator = *parts_.generator;
  if (generator.blocks_left() < bytes / 16 + generator_reserve) reseed(*parts_.implementation, generator);
  const kernels::Status status = kernels::random(*parts_.implementation, generator, to, bytes);
  assert(status == kernels::Status::ok);
  static_cast<void>(status);
}

// What write_packets() will write to.
void BlockSplitter::prefetch(std::span<Cell* const> cells) noexcept {
  for (const Cell* const cell : cells) {
    __builtin_prefetch(cell->packet(), 1);
    __builtin_prefetch(&cell->header.placement, 1);
  }
}

// Headers of the n packets, and where their payloads, pads and tags are.
void BlockSplitter::write_packets(Job& job) noexcept {
  const Block& block = *job.block;
  const std::uint32_t share_bytes = job.pads.length;
  OffloadJob& offload = job.offload;
  for (std::uint32_t i = 0; i < n_; ++i) {
    Cell& cell = *job.cells[i];
    assert(cell.headroom >= overhead_bytes && cell.length + cell.tailroom >= share_bytes);
    cell.length = share_bytes;
    cell.seal_result = SealResult::sealed;  // once they come out of take_sealed()
    cell.header.placement = block_placement(parts_.code->stream().id, block.number, i + 1);
    std::uint8_t* const packet = cell.packet();
    std::memcpy(packet, header_.data(), header_bytes);
    store_big(packet + 8, job.numbers.first + i);
    store_big(packet + 16, job.pads.offset + std::uint64_t{i} * share_bytes);
    store_big(packet + 32, static_cast<std::uint32_t>(block.number));
    store_big(packet + 36, static_cast<std::uint32_t>(block.number >> 32));
    packet[42] = static_cast<std::uint8_t>(i + 1);
    std::uint8_t* const pad = job.pads.pad + std::size_t{i} * share_bytes;
    offload.output(i, cell.data, cell.memory);
    offload.pad(i, pad, parts_.offload.pads);
    offload.tag(i, packet, cell.memory, job.numbers.masks + i * mask_bytes, parts_.offload.masks);
  }
}

// False: the CPU must do it.
bool BlockSplitter::to_device(Job& job, std::uint64_t now) noexcept {
  if (parts_.offload.queue == nullptr || !parts_.code->uses_device()) return false;
  if (!parts_.offload.queue->is_open() || in_flight_ == parts_.jobs) return false;
  const std::uint64_t key_block = job.numbers.first >> block_packets_log2;
  const ssn_offload_tag_key* const key =
      parts_.tag_keys->get(*parts_.offload.queue, key_block, parts_.keys->tags->hash_key(job.numbers));
  if (key == nullptr) return false;
  parts_.tag_keys->hold(key_block);
  job.key_block = key_block;
  const std::uint64_t deadline = parts_.offload.deadline_ns;
  job.offload.for_device(parts_.code->split_matrix(), key, deadline == 0 ? 0 : now + deadline);
  job.flying = true;
  ++in_flight_;
  return true;
}

void BlockSplitter::on_cpu(Job& job) noexcept {
  split_on_cpu(*parts_.implementation, parts_.code->code(), parts_.code->split(), job.offload,
               *job.numbers.key);
  ++parts_.counters->on_cpu;
  complete(job);
}

// The packets are made.
void BlockSplitter::complete(Job& job) noexcept {
  settle(job);
  parts_.packets->sealed += n_;
  parts_.packets->sealed_bytes += std::uint64_t{n_} * job.pads.length;
  ++parts_.counters->blocks;
  sealed_.insert(sealed_.end(), job.cells.begin(), job.cells.end());
  let_go(*job.block);
  free_.push_back(&job);
}

// What jobs used, of which each continues the one before, is done with at once.
void BlockSplitter::settle(const Job& job) noexcept {
  Used& used = used_;
  const bool random = job.random.pad != nullptr;
  const std::uint32_t blocks = used.numbers.count / n_;
  const std::uint64_t bytes = std::uint64_t{blocks} * job.pads.length;
  const bool continues = blocks != 0 && job.numbers.first == used.numbers.first + used.numbers.count &&
                         job.numbers.key == used.numbers.key && job.pads.length == used.pads.length &&
                         job.pads.offset == used.pads.offset + n_ * bytes &&
                         random == (used.random.pad != nullptr) &&
                         (!random || job.random.offset == used.random.offset + random_blocks_ * bytes);
  if (!continues) {
    settle_used();
    used = {job.numbers, job.pads, job.random};
  } else {
    used.numbers.count += n_;
  }
}

void BlockSplitter::settle_used() noexcept {
  const std::uint32_t blocks = used_.numbers.count / n_;
  if (blocks == 0) return;
  parts_.keys->tags->finish(used_.numbers);
  parts_.keys->pads->use_run(used_.pads, blocks * n_);
  if (used_.random.pad != nullptr) parts_.random->use_run(used_.random, blocks * random_blocks_);
  used_ = {};
}

// Pads and numbers of a failed job are never used again; the device touches none of it any more.
void BlockSplitter::burn(Job& job) noexcept {
  parts_.keys->tags->discard(job.numbers);
  parts_.keys->pads->discard_run(job.pads, n_);
  if (job.random.pad != nullptr) parts_.random->discard_run(job.random, random_blocks_);
  spent_.insert(spent_.end(), job.cells.begin(), job.cells.end());
  let_go(*job.block);
  free_.push_back(&job);
}

void BlockSplitter::let_go(Block& block) noexcept {
  assert(block.users != 0);
  if (--block.users == 0) parts_.pool->give_back(&block);
}

void BlockSplitter::fail(Job& job, bool held) noexcept {
  ++parts_.counters->jobs_failed;
  if (job.lost || job.offload.state().status == SSN_TIMEOUT) ++parts_.counters->jobs_late;
  if (planted(job.lost ? PlantedFault::reuse_of_lost : PlantedFault::reuse_for_retry) &&
      (job.lost || !held)) {
    land(job);
    return on_cpu(job);
  }
  ++job.block->users;
  again_.push_back(job.block);
  if (held) {
    job.late = true;
  } else {
    land(job);
    burn(job);
  }
}

void BlockSplitter::land(Job& job) noexcept {
  assert(job.flying);
  job.flying = false;
  --in_flight_;
  parts_.tag_keys->release(job.key_block);
}

void BlockSplitter::finish(std::span<ssn_offload_job* const> jobs) noexcept {
  for (ssn_offload_job* const each : jobs) {
    Job& job = owner_of<Job>(*each);
    if (planted(PlantedFault::reuse_of_lost) && !job.flying) continue;
    if (job.late) {
      if (each->held) continue;
      land(job);
      burn(job);
    } else if (job_end(*each) == JobEnd::done) {
      land(job);
      complete(job);
    } else {
      fail(job, each->held);
    }
  }
  give_back();
}

std::uint32_t BlockSplitter::take_as_lost(std::uint64_t before) noexcept {
  if (in_flight_ == 0 || planted(PlantedFault::lost_jobs_awaited)) return 0;
  std::uint32_t count = 0;
  for (const std::unique_ptr<Job>& job : jobs_) {
    if (!job->flying || job->late || !is_lost(job->offload.state(), before)) continue;
    job->lost = true;
    ++parts_.counters->jobs_lost;
    fail(*job, true);
    ++count;
  }
  return count;
}

OverdueJobs BlockSplitter::overdue() const noexcept {
  OverdueJobs all;
  for (const std::unique_ptr<Job>& job : jobs_) {
    if (job->flying && job->late) all.add({1, job->lost ? 1U : 0U, job->offload.state().deadline});
  }
  return all;
}

void BlockSplitter::device_closed() noexcept {
  for (const std::unique_ptr<Job>& job : jobs_) {
    if (!job->flying) continue;
    ssn_offload_job* const back = job->offload.job();
    give_back_undone(*back);
    finish({&back, 1});
  }
}

void BlockSplitter::give_back() noexcept {
  settle_used();
  parts_.keys->pads->give_back();
  parts_.keys->tags->give_back();
  if (parts_.random != nullptr) parts_.random->give_back();
}

// Blocks whose jobs failed, on the CPU.
void BlockSplitter::split_again(std::span<Cell* const> fresh, Prepared& result) noexcept {
  std::size_t at = 0;
  for (; at < again_.size() && fresh.size() - result.cells >= n_ && !free_.empty(); ++at) {
    Block& block = *again_[at];
    Run run;
    if (take(block.share_bytes, 1, run) == 0) {
      result.why = why_;
      if (!gives_up(why_)) break;
      ++parts_.counters->blocks_given_up;
      parts_.counters->frames_given_up += block.frames;
      let_go(block);
      continue;
    }
    Job& job = *free_.back();
    free_.pop_back();
    begin(job, block, run, 0, fresh.subspan(result.cells, n_));
    let_go(block);
    result.cells += n_;
    on_cpu(job);
  }
  again_.erase(again_.begin(), again_.begin() + static_cast<std::ptrdiff_t>(at));
}

bool BlockSplitter::gives_up(Take why) const noexcept {
  return why == Take::ended || (why == Take::shortage && parts_.keys->policy == ShortagePolicy::refuse);
}

// How many closed blocks from the first on have one size.
std::size_t BlockSplitter::run_length(const FramePacker& packer, std::size_t most) noexcept {
  const std::size_t limit = std::min(most, packer.closed());
  std::size_t count = 1;
  while (count < limit && packer.closed_at(count)->share_bytes == packer.closed_at(0)->share_bytes) ++count;
  return count;
}

BlockSplitter::Prepared BlockSplitter::prepare(FramePacker& packer, std::span<Cell* const> fresh,
                                               std::span<ssn_offload_job*> jobs, std::uint64_t now) noexcept {
  Prepared result;
  split_again(fresh, result);
  std::size_t blocks = 0;
  while (result.why == Take::ok && packer.closed() != 0 && blocks < max_burst) {
    const std::size_t most = std::min(
        {max_burst - blocks, (fresh.size() - result.cells) / n_, usable(), jobs.size() - result.jobs});
    if (most == 0) {
      result.why = Take::busy;
      break;
    }
    Run run;
    const std::size_t count = take(packer.closed_at(0)->share_bytes, run_length(packer, most), run);
    if (count == 0) {
      result.why = why_;
      break;
    }
    for (std::size_t i = 0; i < count; ++i) {
      Block& block = *packer.closed_at(i);
      Job& job = *free_.back();
      free_.pop_back();
      block.number = next_block_++;
      if (i + 1 < count) prefetch(fresh.subspan(result.cells + n_, n_));
      begin(job, block, run, i, fresh.subspan(result.cells, n_));
      result.cells += n_;
      if (to_device(job, now)) {
        jobs[result.jobs++] = job.offload.job();
      } else {
        on_cpu(job);
      }
    }
    packer.pop(count);
    blocks += count;
  }
  if (gives_up(result.why)) {
    parts_.packets->short_of_keys += packer.closed() * n_;
    packer.give_up();
  }
  give_back();
  return result;
}

std::size_t BlockSplitter::take_out(std::vector<Cell*>& from, std::span<Cell*> cells) noexcept {
  const std::size_t count = std::min(from.size(), cells.size());
  std::copy_n(from.begin(), count, cells.begin());
  if (count == from.size()) {
    from.clear();
  } else {
    from.erase(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return count;
}

std::size_t BlockSplitter::take_sealed(std::span<Cell*> cells) noexcept { return take_out(sealed_, cells); }
std::size_t BlockSplitter::take_spent(std::span<Cell*> cells) noexcept { return take_out(spent_, cells); }

void BlockSplitter::abandon() noexcept {
  for (const std::unique_ptr<Job>& job : jobs_) {
    if (!job->flying) continue;
    land(*job);
    if (!job->late) {
      ++parts_.counters->blocks_given_up;
      parts_.counters->frames_given_up += job->block->frames;
    }
    burn(*job);
  }
  for (Block* const block : again_) {
    ++parts_.counters->blocks_given_up;
    parts_.counters->frames_given_up += block->frames;
    let_go(*block);
  }
  again_.clear();
}

}  // namespace ssn::protocol
