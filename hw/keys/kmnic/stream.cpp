// SPDX-License-Identifier: BSD-3-Clause
#include "stream.h"

#include <algorithm>
#include <cstring>
#include <ctime>

#include "ssn/hw/vector_registers.h"

namespace ssn::kmnic {
namespace {

// Blocks that one poll takes in at most.
constexpr int poll_blocks = 4;
// How often one block is asked for again before the stream is given up.
constexpr std::uint16_t attempts_max = 8;
// How often registers are read while nothing comes.
constexpr std::uint64_t look_ms = 10;

std::uint64_t now_ms() noexcept {
  timespec now{};
  (void)::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);  // no system call: read from the kernel's page
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000 +
         1;
}

template <typename Word>
Word shared_load(const Word& word) noexcept {
  return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}

Descriptor& slot_of(Stream& stream, std::uint64_t sequence) noexcept {
  return stream.slots[sequence & (stream.expected.entries - 1)];
}

ssn_status fail(Stream& stream) noexcept {
  stream.head.health = SSN_KEY_HEALTH_FAILED;
  return SSN_FAILED;
}

// Asks for the expected block once more. The slot is emptied first: what is found there afterwards is new.
void ask_again(Stream& stream) noexcept {
  Expected& expected = stream.expected;
  if (expected.attempt == attempts_max) {
    (void)fail(stream);
    return;
  }
  ++expected.attempt;
  ++stream.counted.redelivered_blocks;
  __atomic_store_n(&slot_of(stream, expected.sequence).turn, turn_of(expected.sequence, expected.entries) - 1,
                   __ATOMIC_RELEASE);
  stream.registers.write64(stream::redeliver, static_cast<std::uint64_t>(expected.attempt) << attempt_shift |
                                                  (expected.sequence & sequence_mask));
}

// A later block is there, or the device says that it delivered this one, and it is not there: as descriptors
// arrive in order, and before what the device says, it is lost.
bool is_missing(Stream& stream) noexcept {
  const Expected& expected = stream.expected;
  const std::uint64_t next = expected.sequence + 1;
  if (expected.attempt != 0) {
    return false;
  }
  if (shared_load(stream.status->blocks) < next &&
      shared_load(slot_of(stream, next).turn) != turn_of(next, expected.entries)) {
    return false;
  }
  return shared_load(slot_of(stream, expected.sequence).turn) ==
         turn_of(expected.sequence, expected.entries) - 1;
}

// Takes in one block, if it is there and right.
bool take_block(Stream& stream) noexcept {
  Expected& expected = stream.expected;
  const Descriptor& slot = slot_of(stream, expected.sequence);
  if (shared_load(slot.turn) == turn_of(expected.sequence, expected.entries) - 1) {
    if (is_missing(stream)) {
      ask_again(stream);
    }
    return false;
  }
  expected.room = stream.head.ring_bytes - (stream.head.end - stream.key_credit);
  Descriptor copy;
  std::memcpy(&copy, &slot, sizeof copy);
  const Verdict verdict = inspect(copy, expected);
  const std::uint64_t place = expected.offset & (expected.ring_bytes - 1);
  if (verdict == Verdict::good && key_check(copy, stream.head.ring + place) == copy.key_check) {
    expected.offset += copy.length;
    ++expected.sequence;
    expected.attempt = 0;
    stream.head.end = expected.offset;
    return true;
  }
  if (verdict == Verdict::good || verdict == Verdict::bad) {
    ask_again(stream);
  }
  return false;
}

void give_credit(Stream& stream) noexcept {
  if (stream.key_credit != stream.head.released) {
    stream.key_credit = stream.head.released;
    stream.registers.write64(stream::key_credit, stream.key_credit);
  }
}

// What the registers say: whether this stream can still get anything. Seldom: a read of a register is slow.
bool registers_are_well(const Stream& stream) noexcept {
  const std::uint32_t status = stream.function.read32(function::status);
  return status != all_ones && (status & status_fault) == 0 &&
         stream.function.read32(function::generation) == stream.expected.generation;
}

// Asks a device that is quiet for a sign of life, and notices when it gives none.
void watch(Stream& stream, std::uint64_t now) noexcept {
  if (stream.pinged_at == 0) {
    if (now - stream.quiet_since >= stream.timing.stall_ms / 4) {
      stream.registers.write32(stream::ping, ++stream.ping);
      stream.pinged_at = now;
    }
    return;
  }
  if (shared_load(stream.status->pong) == stream.ping) {
    stream.pinged_at = 0;
    stream.quiet_since = now;
    if (stream.expected.attempt != 0) {
      ask_again(stream);  // it lives, and has had time enough to answer the last time
    }
    return;
  }
  if (now - stream.pinged_at >= stream.timing.give_up_ms) {
    (void)fail(stream);
  } else if (now - stream.pinged_at >= stream.timing.stall_ms &&
             stream.head.health != SSN_KEY_HEALTH_STALLED) {
    stream.head.health = SSN_KEY_HEALTH_STALLED;
    ++stream.counted.stalled;
  }
}

// Nothing came. Says why, as far as it can be told.
ssn_status wait(Stream& stream) noexcept {
  give_credit(stream);
  const std::uint64_t now = now_ms();
  bool ended = stream.bus->gone() || shared_load(stream.status->state) == state_ended;
  if (!ended && now - stream.looked_at >= look_ms) {
    stream.looked_at = now;
    ended = !registers_are_well(stream);
  }
  if (ended) {
    // What was delivered before the end is taken in by the polls until then.
    return stream.ending ? fail(stream) : (stream.ending = true, SSN_AGAIN);
  }
  if (stream.quiet_since == 0 ||
      stream.head.ring_bytes - (stream.head.end - stream.key_credit) < block_multiple) {
    stream.quiet_since = now;
    stream.pinged_at = 0;
    return SSN_AGAIN;
  }
  if (stream.head.health != SSN_KEY_HEALTH_STALLED || stream.pinged_at == 0) {
    const bool starved = shared_load(stream.status->health) == stream_starved;
    if (starved && stream.head.health != SSN_KEY_HEALTH_STARVED) {
      ++stream.counted.starved;
    }
    stream.head.health = starved ? SSN_KEY_HEALTH_STARVED : SSN_KEY_HEALTH_OK;
  }
  watch(stream, now);
  return stream.head.health == SSN_KEY_HEALTH_FAILED ? SSN_FAILED : SSN_AGAIN;
}

}  // namespace

ssn_status poll(Stream& stream) noexcept {
  if (stream.head.health == SSN_KEY_HEALTH_FAILED) {
    return SSN_FAILED;
  }
  int taken = 0;
  while (taken < poll_blocks && take_block(stream)) {
    ++taken;
  }
  if (taken != 0) {
    hw::clear_vector_registers();  // of what the checks read
    stream.registers.write64(stream::descriptor_credit, stream.expected.sequence);
    stream.quiet_since = stream.pinged_at = 0;
    stream.ending = false;
    if (stream.head.health != SSN_KEY_HEALTH_FAILED) {
      stream.head.health = SSN_KEY_HEALTH_OK;
    }
    return SSN_OK;
  }
  return stream.head.health == SSN_KEY_HEALTH_FAILED ? SSN_FAILED : wait(stream);
}

void release(Stream& stream, std::uint64_t offset) noexcept {
  stream.head.released = offset;
  if (offset - stream.key_credit >= stream.credit_batch) {
    give_credit(stream);
  }
}

void read_statistics(const Stream& stream, ssn_key_stream_statistics& statistics) noexcept {
  statistics = stream.counted;
  statistics.delivered = stream.head.end;
  statistics.level = shared_load(stream.status->level);
  statistics.bytes_per_second = shared_load(stream.status->bytes_per_second);
}

// ---- Control memory
// -----------------------------------------------------------------------------------------
//
//   one page: status block | descriptors | page list of the descriptors | page list of the ring

Result<ControlMemory> ControlMemory::make(std::uint32_t entries, std::size_t ring_pages, int numa_node) {
  const auto list_bytes = [](std::size_t addresses) {
    return (addresses + list_page_entries - 1) / list_page_entries * list_page_bytes;
  };
  ControlMemory result;
  result.descriptors_at_ = list_page_bytes;
  result.descriptor_pages_ = (entries * sizeof(Descriptor) + list_page_bytes - 1) / list_page_bytes;
  result.descriptor_list_at_ = result.descriptors_at_ + result.descriptor_pages_ * list_page_bytes;
  result.ring_list_at_ = result.descriptor_list_at_ + list_bytes(result.descriptor_pages_);
  const std::size_t bytes = std::bit_ceil(result.ring_list_at_ + list_bytes(ring_pages));
  Result<hw::RingMemory> memory = hw::RingMemory::make(bytes, hw::RingMemory::Pages::normal, numa_node);
  if (!memory.ok()) {
    return memory.error();
  }
  result.memory_ = std::move(memory.value());
  return result;
}

void ControlMemory::write_list(std::size_t at, const BusMemory& self, const std::uint64_t* addresses,
                               std::size_t count) noexcept {
  while (count != 0) {
    auto* const page = reinterpret_cast<std::uint64_t*>(memory_.data() + at);
    const std::size_t here = std::min(count, list_page_entries);
    std::copy_n(addresses, here, page);
    addresses += here;
    count -= here;
    at += list_page_bytes;
    page[list_page_entries] = count != 0 ? address(self, at) : 0;
  }
}

void ControlMemory::write_lists(const BusMemory& ring, const BusMemory& self) noexcept {
  assert(self.page_bytes == list_page_bytes);
  write_list(descriptor_list_at_, self, self.pages.data() + descriptors_at_ / list_page_bytes,
             descriptor_pages_);
  write_list(ring_list_at_, self, ring.pages.data(), ring.pages.size());
}

}  // namespace ssn::kmnic
