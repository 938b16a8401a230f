// SPDX-License-Identifier: BSD-3-Clause
#include "ledger_log.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <string>

#include "bytes.h"
#include "digest.h"
#include "ssn/protocol/ledger.h"

namespace ssn::protocol {
namespace {

constexpr std::uint64_t magic = 0x53534e4c45444731;  // "SSNLEDG1": the last digit is the version
constexpr std::size_t checksum_bytes = 16;
constexpr std::ptrdiff_t checksum_at = 32;
constexpr std::uint8_t flag_last = 1;

using Span = std::span<const std::uint8_t>;

// A block whose checksum is right.
struct Block {
  std::uint64_t generation = 0;
  std::uint64_t batch = 0;
  bool last = false;
  Span payload;
};

// header: magic 8, generation 8, batch 8, block index 4, payload length 2, flags 1, zero 1, checksum 16
std::array<std::uint8_t, checksum_bytes> checksum_of(Span block) {
  assert(block.size() == ledger_block_bytes);
  std::array<std::uint8_t, ledger_block_bytes> covered;
  std::copy_n(block.begin(), ledger_block_bytes, covered.begin());
  std::fill_n(covered.begin() + checksum_at, checksum_bytes, std::uint8_t{0});
  const auto digest = sha256(covered);
  std::array<std::uint8_t, checksum_bytes> out;
  std::copy_n(digest.begin(), out.size(), out.begin());
  return out;
}

std::optional<Block> read_block(Span bytes, std::size_t index) {
  ByteReader in(bytes);
  Block block;
  if (in.number(8) != magic) return std::nullopt;
  block.generation = in.number(8);
  block.batch = in.number(8);
  const std::uint64_t position = in.number(4);
  const auto length = static_cast<std::size_t>(in.number(2));
  const std::uint64_t flags = in.number(1);
  const std::uint64_t zero = in.number(1);
  const auto stored = in.bytes<checksum_bytes>();
  if (position != index || length > ledger_payload_max || (flags & ~std::uint64_t{flag_last}) != 0 ||
      zero != 0 || block.generation == 0 || block.batch == 0 || stored != checksum_of(bytes)) {
    return std::nullopt;
  }
  block.last = (flags & flag_last) != 0;
  block.payload = bytes.subspan(ledger_block_header, length);
  return block;
}

struct Area {
  std::vector<std::optional<Block>> blocks;
  std::uint64_t generation = 0;  // the newest in it
};

Area read_area(Span image, std::size_t number) {
  Area area;
  for (std::size_t i = 0; i < ledger_area_blocks; ++i) {
    const std::size_t at = (number * ledger_area_blocks + i) * ledger_block_bytes;
    area.blocks.push_back(read_block(image.subspan(at, ledger_block_bytes), i));
    if (area.blocks.back() && area_of(area.blocks.back()->generation) == number) {
      area.generation = std::max(area.generation, area.blocks.back()->generation);
    } else {
      area.blocks.back().reset();
    }
  }
  return area;
}

Error damaged(const std::string& why) {
  return {
      Exit::integrity, "cannot use the ledger", why, "",
      "do not restore an old copy: peers would take it for a rollback. Move the file away, start with a new "
      "one, and have each peer's operator readmit this node"};
}

// The batches of one area, in order. At most one batch, the last, may be torn: no batch is written before the
// one before it is durable.
struct Replay {
  LedgerTail tail;
  std::size_t batches = 0;
};

Result<Replay> replay(const Area& area, LedgerState& state) {
  Replay out;
  out.tail = {area.generation, 0, 0};
  std::vector<std::uint8_t> records;
  std::uint32_t i = 0;
  std::uint64_t batch = 0;
  for (; i < area.blocks.size(); ++i) {
    const auto& block = area.blocks[i];
    if (!block || block->generation != area.generation) break;
    const bool begins = i == out.tail.next_block;
    if (begins && out.batches > 0 && block->batch != out.tail.next_batch) {
      return damaged("batches of records are out of order");
    }
    if (!begins && block->batch != batch) return damaged("a batch of records is mixed with another");
    if (begins) batch = block->batch;
    records.insert(records.end(), block->payload.begin(), block->payload.end());
    if (!block->last) continue;
    if (!apply_records(records, state)) return damaged("a record is not what this version writes");
    records.clear();
    ++out.batches;
    out.tail.next_block = i + 1;
    out.tail.next_batch = batch + 1;
  }
  if (out.batches == 0) return out;
  for (std::uint32_t later = out.tail.next_block; later < area.blocks.size(); ++later) {
    const auto& block = area.blocks[later];
    if (block && block->generation == area.generation && block->batch != out.tail.next_batch) {
      return damaged("blocks in the middle of it are damaged, and later ones are good");
    }
  }
  return out;
}

// Whether an area holds nothing but parts of its first batch, which a crash cut off: then the area before is
// still in force.
bool unfinished(const Area& area, std::uint64_t batch) {
  return std::all_of(area.blocks.begin(), area.blocks.end(), [&](const std::optional<Block>& block) {
    return !block || block->generation != area.generation || block->batch == batch;
  });
}

}  // namespace

std::vector<std::uint8_t> encode_batch(const LedgerTail& tail, Span records) {
  const std::size_t blocks =
      std::max<std::size_t>(1, (records.size() + ledger_payload_max - 1) / ledger_payload_max);
  if (blocks > ledger_area_blocks - tail.next_block) return {};
  std::vector<std::uint8_t> out;
  out.reserve(blocks * ledger_block_bytes);
  for (std::size_t i = 0; i < blocks; ++i) {
    const Span payload = records.subspan(
        i * ledger_payload_max, std::min(ledger_payload_max, records.size() - i * ledger_payload_max));
    const std::size_t begin = out.size();
    ByteWriter writer(out);
    writer.number(magic, 8);
    writer.number(tail.generation, 8);
    writer.number(tail.next_batch, 8);
    writer.number(tail.next_block + i, 4);
    writer.number(payload.size(), 2);
    writer.number(i + 1 == blocks ? flag_last : 0, 1);
    writer.number(0, 1);
    writer.number(0, 8);
    writer.number(0, 8);
    writer.bytes(payload);
    out.resize(begin + ledger_block_bytes);
    const auto checksum = checksum_of(Span(out).subspan(begin));
    std::copy(checksum.begin(), checksum.end(),
              out.begin() + static_cast<std::ptrdiff_t>(begin) + checksum_at);
  }
  return out;
}

Result<LedgerTail> read_log(Span image, LedgerState& state) {
  if (image.size() != ledger_file_bytes) {
    return damaged("it has " + std::to_string(image.size()) + " bytes, which is not a ledger's size");
  }
  const std::array<Area, ledger_areas> areas = {read_area(image, 0), read_area(image, 1)};
  const std::size_t newer = areas[1].generation > areas[0].generation ? 1 : 0;
  for (const std::size_t number : {newer, 1 - newer}) {
    if (areas[number].generation == 0) break;
    LedgerState read;
    Result<Replay> replayed = replay(areas[number], read);
    if (!replayed.ok()) return replayed.error();
    if (replayed.value().batches == 0) continue;
    if (number != newer && !unfinished(areas[newer], replayed.value().tail.next_batch)) {
      return damaged("the first block of its newer area is damaged, and later ones are good");
    }
    state = std::move(read);
    LedgerTail tail{areas[newer].generation + 1, 0, replayed.value().tail.next_batch};
    if (area_of(tail.generation) == number) ++tail.generation;
    return tail;
  }
  return damaged("no complete batch of records is in it");
}

}  // namespace ssn::protocol
