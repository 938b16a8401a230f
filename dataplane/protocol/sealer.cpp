// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/sealer.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "planted_faults.h"

namespace ssn::protocol {
namespace {

// Whether the caller kept to the rules.
bool sealable(const SendKeys& keys, const Cell& cell) noexcept {
  const bool padded = is_padded(cell.header.type);
  return (padded || is_message(cell.header.type)) && cell.data != nullptr && cell.source != nullptr &&
         cell.length >= 1 && cell.length <= max_payload && cell.headroom >= overhead_bytes &&
         (!padded || keys.cipher_only || cell.length <= keys.pads->longest()) &&
         (keys.policy != ShortagePolicy::aes_256_gcm || cell.source != cell.data);
}

// All there is, or a ping that uses a key of AES-256-GCM, so that the receiver takes it from its ring: see
// GcmSender.
bool wants_cipher(const SendKeys& keys, const Cell& cell) noexcept {
  assert(!keys.cipher_only || keys.policy == ShortagePolicy::aes_256_gcm);
  return keys.cipher_only ||
         (cell.header.type == PacketType::ping && (cell.header.flags & flag_computational) != 0 &&
          keys.policy == ShortagePolicy::aes_256_gcm);
}

// Whether two cells can be served by one reservation.
bool alike(const Cell& a, const Cell& b) noexcept {
  return is_padded(a.header.type) == is_padded(b.header.type) &&
         (is_padded(a.header.type) ? a.length == b.length : a.header.flags == b.header.flags);
}

void tag_packet(const kernels::Implementation& implementation, const TagBurst& burst, std::uint32_t at,
                std::uint8_t* packet, std::size_t length) noexcept {
  const kernels::Status status =
      kernels::tag(implementation, {burst.key, packet, covered_header(), burst.masks + at * mask_bytes},
                   packet + overhead_bytes, length, packet + header_bytes);
  assert(status == kernels::Status::ok);
  static_cast<void>(status);
}

}  // namespace

SealResult seal_result(Take why, ShortagePolicy policy) noexcept {
  switch (why) {
    case Take::ok:
      return SealResult::sealed;
    case Take::shortage:
      return policy == ShortagePolicy::wait ? SealResult::waiting : SealResult::refused;
    case Take::ended:
      return SealResult::ended;
    case Take::not_written_ahead:
    case Take::busy:
      break;
  }
  return SealResult::waiting;
}

// Cells of one length: numbers for as many as there are pads for, so that neither is taken in vain.
std::size_t Sealer::seal_cells(SendKeys& keys, std::span<Cell* const> run, Take& why) noexcept {
  const std::uint32_t length = run[0]->length;
  const std::uint64_t whole = (length + pad_alignment - 1) / pad_alignment * pad_alignment;
  std::array<PadRange, max_burst> ranges;
  std::uint64_t count = std::min<std::uint64_t>(run.size(), max_burst);
  if (const std::uint64_t available = keys.pads->available(); available < whole * count) {
    count = available / whole;
  }
  if (count == 0) {  // this also finds out why
    why = keys.pads->reserve(length, ranges[0]);
    if (why != Take::ok) return 0;
  }
  TagBurst burst;
  why = keys.tags->take(static_cast<std::uint32_t>(std::max<std::uint64_t>(count, 1)), burst);
  if (why != Take::ok) {
    if (count == 0) keys.pads->discard(ranges[0]);
    return 0;
  }
  if (count != 0) {
    const std::size_t reserved = keys.pads->reserve_burst(length, std::span(ranges).first(burst.count), why);
    assert(reserved == burst.count);
  }
  for (std::uint32_t i = 0; i < burst.count; ++i) {
    begin(keys, *run[i], burst.first + i, ranges[i].offset, length);
    seal_payload(*run[i], ranges[i], burst, i);
  }
  keys.pads->use_erased(std::span<const PadRange>(ranges).first(burst.count));
  keys.tags->finish(burst);
  return burst.count;
}

// One pass over the cell: pad, tag, and the pad is erased.
void Sealer::seal_payload(Cell& cell, const PadRange& range, const TagBurst& burst,
                          std::uint32_t at) noexcept {
  const kernels::Tagging tagging{burst.key, cell.packet(), covered_header(), burst.masks + at * mask_bytes};
  std::uint8_t* const tag = cell.packet() + header_bytes;
  kernels::Status status = kernels::Status::ok;
  if (planted(PlantedFault::lost_erase)) {
    status = kernels::pad(*implementation_, cell.source, range.pad, cell.data, cell.length);
    tag_packet(*implementation_, burst, at, cell.packet(), cell.length);
  } else {
    status = kernels::seal(*implementation_, tagging, cell.source, range.pad, cell.data, cell.length, tag);
  }
  assert(status == kernels::Status::ok);
  static_cast<void>(status);
  cell.seal_result = SealResult::sealed;
  counters_->sealed_bytes += cell.length;
}

// Acknowledgements and answers: authenticated, in clear.
std::size_t Sealer::seal_clear(SendKeys& keys, std::span<Cell* const> run, Take& why) noexcept {
  TagBurst burst;
  why = keys.tags->take(static_cast<std::uint32_t>(std::min(run.size(), max_burst)), burst);
  if (why != Take::ok) {
    return 0;
  }
  for (std::uint32_t i = 0; i < burst.count; ++i) {
    Cell& cell = *run[i];
    begin(keys, cell, burst.first + i, 0, 0);
    if (cell.source != cell.data) {
      std::copy_n(cell.source, cell.length, cell.data);
    }
    finish(cell, burst, i);
  }
  keys.tags->finish(burst);
  return burst.count;
}

// One packet under AES-256-GCM; `why` not, where it is none.
bool Sealer::seal_computational(SendKeys& keys, Cell& cell, Take& why) noexcept {
  why = keys.gcm->ready(*implementation_, *keys.pads);
  if (why != Take::ok) {
    return false;
  }
  begin(keys, cell, 0, 0, 0);
  if (!keys.gcm->seal(cell.header, cell.packet(), cell.source, cell.length)) {
    why = Take::ended;
    return false;
  }
  cell.computational = true;
  cell.seal_result = SealResult::computational;
  counters_->sealed_bytes += cell.length;
  return true;
}

// What there are no pads for now there will be none for later in the same call.
std::size_t Sealer::seal_all_computational(SendKeys& keys, std::span<Cell* const> run, Take& why) noexcept {
  std::size_t done = 0;
  while (done < run.size() && seal_computational(keys, *run[done], why)) ++done;
  counters_->sealed_computational += done;
  return done;
}

std::size_t Sealer::seal(SendKeys& keys, std::span<Cell* const> cells) noexcept {
  if (keys.gcm != nullptr) {
    keys.gcm->prepare(*implementation_, *keys.pads);
  }
  std::size_t sealed = 0;
  std::size_t at = 0;
  while (at < cells.size()) {
    if (!sealable(keys, *cells[at])) {
      cells[at++]->seal_result = SealResult::invalid;
      continue;
    }
    std::size_t end = at + 1;
    while (end < cells.size() && sealable(keys, *cells[end]) && alike(*cells[at], *cells[end])) {
      ++end;
    }
    const std::span<Cell* const> run = cells.subspan(at, end - at);
    Take why = Take::ok;
    std::size_t done = 0;
    if (wants_cipher(keys, *run[0])) {
      why = Take::shortage;
    } else {
      done = is_padded(run[0]->header.type) ? seal_cells(keys, run, why) : seal_clear(keys, run, why);
    }
    if (why == Take::shortage && keys.policy == ShortagePolicy::aes_256_gcm) {
      done = seal_all_computational(keys, run, why);
    }
    at += done;
    sealed += done;
    if (why != Take::ok) {
      give_up(keys, cells.subspan(at), why);
      break;
    }
  }
  counters_->sealed += sealed;
  keys.pads->give_back();
  if (keys.tags != nullptr) keys.tags->give_back();
  return sealed;
}

std::size_t Sealer::retransmit(SendKeys& keys, std::span<Cell* const> cells) noexcept {
  std::size_t sent = 0;
  for (std::size_t at = 0; at < cells.size(); ++at) {
    Cell& cell = *cells[at];
    Take why = Take::ok;
    if (cell.header.key_index != keys.key_index || cell.header.connection_id != keys.connection_id) {
      cell.seal_result = SealResult::ended;  // its keys are not there any more
      continue;
    }
    TagBurst burst;
    if (cell.computational) {
      why = seal_computational(keys, cell, why) ? Take::ok : why;
    } else if ((why = keys.tags->take(1, burst)) == Take::ok) {
      cell.header.number = burst.first;
      write_number(burst.first, cell.packet());
      finish(cell, burst, 0);
      keys.tags->finish(burst);
    }
    if (why != Take::ok) {
      give_up(keys, cells.subspan(at), why);
      break;
    }
    ++sent;
  }
  counters_->retransmitted += sent;
  if (keys.tags != nullptr) keys.tags->give_back();
  return sent;
}

void Sealer::begin(const SendKeys& keys, Cell& cell, std::uint64_t number, std::uint64_t d_offset,
                   std::uint32_t range_length) noexcept {
  cell.header.flags = 0;
  cell.header.connection_id = keys.connection_id;
  cell.header.key_index = keys.key_index;
  cell.header.number = number;
  cell.header.d_offset = d_offset;
  cell.range_length = range_length;
  cell.computational = false;
  write_header(cell.header, cell.packet());
}

void Sealer::finish(Cell& cell, const TagBurst& burst, std::uint32_t at) noexcept {
  tag_packet(*implementation_, burst, at, cell.packet(), cell.length);
  cell.seal_result = SealResult::sealed;
  counters_->sealed_bytes += cell.length;
}

void Sealer::give_up(const SendKeys& keys, std::span<Cell* const> cells, Take why) noexcept {
  for (Cell* const cell : cells) {
    cell->seal_result = seal_result(why, keys.policy);
    counters_->short_of_keys += why == Take::shortage ? 1 : 0;
  }
}

// The range of an order, the keys of its check behind it, and a packet number: all or nothing.
Take Sealer::take_order(SendKeys& keys, std::uint32_t bytes, PadRange& range, PadRange& check,
                        TagBurst& burst) noexcept {
  const std::uint64_t available = keys.pads->available();
  if (available < bytes) {
    const Take why = keys.pads->reserve(bytes, range);  // finds out why
    if (why == Take::ok) keys.pads->discard(range);
    return why == Take::ok ? Take::busy : why;
  }
  if (available < bytes + pad_alignment) {
    return Take::busy;  // the keys of the check are to come: nothing is burnt for them
  }
  if (const Take why = keys.tags->take(1, burst); why != Take::ok) {
    return why;
  }
  Take why = keys.pads->reserve(bytes, range);
  assert(why == Take::ok);
  why = keys.pads->reserve(order_check_bytes, check);
  assert(why == Take::ok && check.offset == range.offset + bytes);
  return why;
}

template <typename Order>
SealResult Sealer::seal_any_order(SendKeys& keys, Cell& cell, PacketType type, const Order& order,
                                  std::size_t fields, std::span<std::uint8_t> out) noexcept {
  const std::uint32_t bytes = order.bytes();
  if (keys.cipher_only || bytes == 0 || bytes > keys.pads->longest() || out.size() != bytes ||
      out.data() == nullptr || cell.data == nullptr || cell.headroom < overhead_bytes) {
    return cell.seal_result = SealResult::invalid;
  }
  PadRange range;
  PadRange check;
  TagBurst burst;
  if (const Take why = take_order(keys, bytes, range, check, burst); why != Take::ok) {
    Cell* const cells[] = {&cell};
    give_up(keys, cells, why);
    return cell.seal_result;
  }
  cell.header.type = type;
  cell.length = static_cast<std::uint32_t>(fields + wire_tag_bytes);
  begin(keys, cell, burst.first, range.offset, bytes);
  write_order(order, cell.data);
  check_.compute(cell.header, {cell.data, fields}, {range.pad, bytes}, check.pad, cell.data + fields);
  if (type == PacketType::keep_order) {
    keys.pads->keep(range, out);
  } else {
    keys.pads->mask(range, out);
  }
  keys.pads->use(check);
  finish(cell, burst, 0);
  keys.tags->finish(burst);
  ++counters_->sealed;
  keys.pads->give_back();
  keys.tags->give_back();
  return cell.seal_result;
}

SealResult Sealer::seal_order(SendKeys& keys, Cell& cell, const KeepOrder& order,
                              std::span<std::uint8_t> share) noexcept {
  return seal_any_order(keys, cell, PacketType::keep_order, order, keep_order_fields, share);
}

SealResult Sealer::seal_order(SendKeys& keys, Cell& cell, const MaskOrder& order,
                              std::span<std::uint8_t> mask) noexcept {
  return seal_any_order(keys, cell, PacketType::mask_order, order, mask_order_fields, mask);
}

}  // namespace ssn::protocol
