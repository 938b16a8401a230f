// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/opener.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "planted_faults.h"
#include "ssn/protocol/requests.h"

namespace ssn::protocol {
namespace {

// What is known of an order's range from what is known of its two parts.
Found both(Found range, Found check) noexcept {
  if (range == check) {
    return range;
  }
  const auto any = [&](Found found) { return range == found || check == found; };
  if (any(Found::invalid)) return Found::invalid;
  if (any(Found::too_old)) return Found::too_old;
  if (any(Found::overlap) || any(Found::already_opened)) return Found::overlap;
  if (any(Found::pad_gone)) return Found::pad_gone;
  return Found::not_yet;
}

/// What a cell of `length` bytes takes of the D stream.
std::uint64_t whole_range(std::uint32_t length) noexcept {
  return (length + pad_alignment - 1) & ~(pad_alignment - 1);
}

// How many cells from the first one on continue one another: numbers and ranges one after another, one
// length, room for what comes out. That is what honest packets do unless the network loses or reorders them.
std::size_t run_length(std::span<Cell* const> cells) noexcept {
  const Cell& first = *cells[0];
  const std::uint64_t whole = whole_range(first.length);
  std::size_t count = 0;
  for (const Cell* const cell : cells) {
    const PacketHeader& header = cell->header;
    const bool room = cell->target == nullptr || cell->target_room >= first.length;
    if (!is_padded(header.type) || header.type != first.header.type || header.flags != 0 ||
        cell->length != first.length || !room || header.number != first.header.number + count ||
        header.d_offset != first.header.d_offset + count * whole) {
      break;
    }
    ++count;
  }
  return count;
}

bool well_formed(const Cell& cell) noexcept {
  return well_formed_message(cell.header, {cell.data, cell.length});
}

OpenResult result_of(PacketType type) noexcept {
  switch (type) {
    case PacketType::cell:
      return OpenResult::opened;
    case PacketType::contribution:
      return OpenResult::contributed;
    case PacketType::acknowledgement:
      return OpenResult::acknowledgement;
    case PacketType::pad_gone:
      return OpenResult::gone_answer;
    default:
      return OpenResult::message;
  }
}

}  // namespace

ConnectionTable::ConnectionTable(std::uint32_t places) : places_(places, nullptr) {
  assert(std::has_single_bit(places));
}

bool ConnectionTable::add(ReceiveConnection& connection) noexcept {
  ReceiveConnection*& place = places_[connection.id & (places_.size() - 1)];
  if (connection.id == 0 || place != nullptr) {
    return false;
  }
  place = &connection;
  return true;
}

void ConnectionTable::remove(std::uint32_t id) noexcept {
  if (find(id) != nullptr) {
    places_[id & (places_.size() - 1)] = nullptr;
  }
}

void Opener::drop(Cell& cell, DropReason reason) noexcept {
  cell.open_result = OpenResult::dropped;
  cell.reason = reason;
  counters_->drop(reason);
}

void Opener::succeed(Cell& cell, OpenResult result) noexcept {
  cell.open_result = result;
  ++counters_->opened;
  counters_->opened_bytes += cell.length;
}

void Opener::end_epoch(ReceiveKeys& keys, Cell& cell, EpochAlarm alarm) noexcept {
  keys.ended = true;
  keys.alarm = alarm;
  keys.pads->end();
  if (keys.tags != nullptr) {
    keys.tags->end();
    keys.history->erase();
  }
  if (keys.gcm != nullptr) {
    keys.gcm->end();
  }
  cell.open_result = OpenResult::alarm;
  ++counters_->epochs_ended;
}

bool Opener::verify(const kernels::TagKey& key, const std::uint8_t* header, const std::uint8_t* mask,
                    const Cell& cell, const std::uint8_t* tag) noexcept {
  return kernels::verify(*implementation_, {&key, header, covered_header(), mask}, cell.data, cell.length,
                         tag) == kernels::Status::ok ||
         planted(PlantedFault::unchecked_tag);
}

void Opener::accept(ReceiveKeys& keys, const Cell& cell, const std::uint8_t* mask,
                    std::uint32_t range_length) noexcept {
  keys.history->add(cell.header.number, cell.header.d_offset, range_length, cell.packet() + header_bytes,
                    mask);
  if (!planted(PlantedFault::unmarked_number)) {
    keys.tags->accept(cell.header.number);
  }
}

// The number was accepted before: the same packet once more, a forgery, or a second message.
void Opener::judge_number(ReceiveKeys& keys, Cell& cell) noexcept {
  const std::uint8_t* const tag = cell.packet() + header_bytes;
  const PacketHistory::Record* const before = keys.history->by_number(cell.header.number);
  const kernels::TagKey* const key = keys.tags->held_key(cell.header.number);
  if (before == nullptr || key == nullptr || std::memcmp(before->tag, tag, wire_tag_bytes) == 0) {
    return drop(cell, DropReason::number_replayed);  // tags are public
  }
  if (!verify(*key, cell.packet(), before->mask, cell, tag)) {
    return drop(cell, DropReason::bad_tag);
  }
  end_epoch(keys, cell, EpochAlarm::number_reused);
}

// Whether the packet says what the one said that opened its range first: that one's tag must fit this one
// with the number of that one.
bool Opener::same_as_before(const ReceiveKeys& keys, const Cell& cell) noexcept {
  const PacketHistory::Record* const before = keys.history->by_range(cell.header.d_offset);
  if (before == nullptr || planted(PlantedFault::unchecked_repeat)) {
    return true;  // no longer remembered
  }
  const kernels::TagKey* const key = keys.tags->held_key(before->number);
  if (key == nullptr) {
    return true;
  }
  std::array<std::uint8_t, header_bytes> header;
  std::memcpy(header.data(), cell.packet(), header.size());
  write_number(before->number, header.data());
  return before->range_length == cell.range_length &&
         verify(*key, header.data(), before->mask, cell, before->tag);
}

void Opener::settle(ReceiveKeys& keys, Cell& cell, const std::uint8_t* mask, Found found) noexcept {
  switch (found) {
    case Found::not_yet:
      return drop(cell, DropReason::pad_not_delivered);  // and nothing has changed: it may come again
    case Found::overlap:
      return end_epoch(keys, cell, EpochAlarm::range_overlap);
    case Found::already_opened:
      if (!same_as_before(keys, cell)) {
        return end_epoch(keys, cell, EpochAlarm::range_reused);
      }
      accept(keys, cell, mask, 0);
      cell.open_result = OpenResult::repeated;
      ++counters_->repeated;
      return;
    case Found::pad_gone:
      accept(keys, cell, mask, 0);
      (void)keys.pads->discard(cell.header.d_offset, cell.range_length);
      cell.open_result = OpenResult::pad_gone;
      ++counters_->pads_gone;
      return;
    case Found::too_old:
      accept(keys, cell, mask, 0);
      return drop(cell, DropReason::pad_range_forgotten);
    case Found::ready:
    case Found::invalid:
      break;
  }
  accept(keys, cell, mask, 0);
  drop(cell, DropReason::bad_length);
}

// Checks the tag, takes the pad off and erases it, in one pass. False: a wrong tag, and nothing has changed.
bool Opener::open_payload(Cell& cell, const kernels::TagKey& key, const std::uint8_t* mask,
                          std::uint8_t* pad) noexcept {
  const std::uint8_t* const tag = cell.packet() + header_bytes;
  std::uint8_t* const target = cell.target == nullptr ? cell.data : cell.target;
  const kernels::Tagging tagging{&key, cell.packet(), covered_header(), mask};
  cell.range_length = cell.length;
  if (planted(PlantedFault::lost_erase) || planted(PlantedFault::unchecked_tag)) {
    if (!verify(key, cell.packet(), mask, cell, tag) ||
        kernels::pad(*implementation_, cell.data, pad, target, cell.length) != kernels::Status::ok) {
      return false;
    }
  } else if (kernels::open(*implementation_, tagging, cell.data, pad, target, cell.length, tag) !=
             kernels::Status::ok) {
    return false;
  }
  cell.target = target;
  return true;
}

// Tag and pad in one pass where the pad is there; looking for it changes nothing, so that a forged packet
// does not either.
void Opener::open_cell(ReceiveKeys& keys, Cell& cell, const kernels::TagKey& key,
                       const std::uint8_t* mask) noexcept {
  std::uint8_t* pad = nullptr;
  cell.range_length = cell.length;
  const Found found = keys.pads->find(cell.header.d_offset, cell.length, pad);
  const bool room = cell.target == nullptr || cell.target_room >= cell.length;
  const std::uint8_t* const tag = cell.packet() + header_bytes;
  if (found != Found::ready || !room) {
    if (!verify(key, cell.packet(), mask, cell, tag)) {
      return drop(cell, DropReason::bad_tag);
    }
    return room ? settle(keys, cell, mask, found) : drop(cell, DropReason::no_room);
  }
  if (!open_payload(cell, key, mask, pad)) {
    return drop(cell, DropReason::bad_tag);
  }
  accept(keys, cell, mask, cell.length);
  keys.pads->open_erased(cell.header.d_offset, cell.length);
  succeed(cell, result_of(cell.header.type));
}

// Opens cells that continue one another, as far as their numbers are fresh and their pads are there. No two
// of them touch the same number or pad, so that looking for all first finds what looking for each in turn
// would. Ends behind the first wrong tag. Returns how many cells are done with; 0: the first one is not so.
std::size_t Opener::open_run(ReceiveKeys& keys, std::span<Cell* const> run) noexcept {
  const PacketHeader& first = run[0]->header;
  const std::uint32_t length = run[0]->length;
  const std::uint8_t* masks = nullptr;
  const kernels::TagKey* key = nullptr;
  std::uint8_t* pads = nullptr;
  std::uint32_t count = keys.tags->find_run(first.number, static_cast<std::uint32_t>(run.size()), masks, key);
  if (count != 0) {
    count = keys.pads->find_run(first.d_offset, length, count, pads);
  }
  std::uint32_t opened = 0;
  for (; opened < count; ++opened) {
    Cell& cell = *run[opened];
    const std::uint8_t* const mask = masks + opened * mask_bytes;
    if (!open_payload(cell, *key, mask, pads + opened * whole_range(length))) {
      break;
    }
    keys.history->add(cell.header.number, cell.header.d_offset, length, cell.packet() + header_bytes, mask);
    cell.open_result = result_of(cell.header.type);
  }
  if (opened != 0) {
    if (!planted(PlantedFault::unmarked_number)) {
      keys.tags->accept_run(first.number, opened);
    }
    keys.pads->open_erased(first.d_offset, length, opened);
    counters_->opened += opened;
    counters_->opened_bytes += std::uint64_t{opened} * length;
  }
  if (opened == count) {
    return count;
  }
  drop(*run[opened], DropReason::bad_tag);
  return opened + 1;
}

void Opener::open_order(ReceiveKeys& keys, Cell& cell, const std::uint8_t* mask) noexcept {
  const std::span<const std::uint8_t> payload(cell.data, cell.length);
  const bool keep = cell.header.type == PacketType::keep_order;
  const std::optional<KeepOrder> keep_order = keep ? read_keep_order(payload) : std::nullopt;
  const std::optional<MaskOrder> mask_order = keep ? std::nullopt : read_mask_order(payload);
  if (!keep_order && !mask_order) {
    accept(keys, cell, mask, 0);
    return drop(cell, DropReason::bad_order);
  }
  const std::uint32_t bytes = keep ? keep_order->bytes() : mask_order->bytes();
  cell.range_length = bytes;
  const std::uint64_t check_offset = cell.header.d_offset + bytes;
  std::uint8_t* range = nullptr;
  std::uint8_t* check = nullptr;
  // A range that this end's ring can never hold is as good as gone.
  const Found found = bytes > keys.pads->longest()
                          ? Found::pad_gone
                          : both(keys.pads->find(cell.header.d_offset, bytes, range),
                                 keys.pads->find(check_offset, order_check_bytes, check));
  if (found != Found::ready) {
    settle(keys, cell, mask, found);
    if (found == Found::pad_gone) {
      (void)keys.pads->discard(check_offset, order_check_bytes);
    }
    return;
  }
  if (cell.target == nullptr || cell.target_room < bytes) {
    return drop(cell, DropReason::no_room);
  }
  const std::size_t fields = cell.length - wire_tag_bytes;
  if (!check_.matches(cell.header, {cell.data, fields}, {range, bytes}, check, cell.data + fields)) {
    return end_epoch(keys, cell, EpochAlarm::keys_differ);
  }
  accept(keys, cell, mask, bytes);
  if (keep) {
    keys.pads->keep(cell.header.d_offset, {cell.target, bytes});
  } else {
    keys.pads->mask(cell.header.d_offset, {cell.target, bytes});
  }
  keys.pads->open(check_offset, order_check_bytes);
  succeed(cell, keep ? OpenResult::kept : OpenResult::masked);
}

void Opener::open_clear(ReceiveKeys& keys, Cell& cell, const std::uint8_t* mask) noexcept {
  accept(keys, cell, mask, 0);
  if (!well_formed(cell)) {
    return drop(cell, DropReason::bad_length);
  }
  succeed(cell, result_of(cell.header.type));
}

void Opener::open_one(ReceiveKeys& keys, Cell& cell) noexcept {
  const std::uint8_t* mask = nullptr;
  const kernels::TagKey* key = nullptr;
  switch (keys.tags->find(cell.header.number, mask, key)) {
    case Found::ready:
      break;
    case Found::already_opened:
      return judge_number(keys, cell);
    case Found::not_yet:
      return drop(cell, DropReason::mask_not_delivered);
    case Found::pad_gone:
    case Found::too_old:
      return drop(cell, DropReason::number_too_old);
    case Found::overlap:
    case Found::invalid:
      return drop(cell, DropReason::bad_field);
  }
  if (is_padded(cell.header.type)) {
    return open_cell(keys, cell, *key, mask);
  }
  if (!verify(*key, cell.packet(), mask, cell, cell.packet() + header_bytes)) {
    return drop(cell, DropReason::bad_tag);
  }
  switch (cell.header.type) {
    case PacketType::cell:
    case PacketType::contribution:
      return;
    case PacketType::keep_order:
    case PacketType::mask_order:
      return open_order(keys, cell, mask);
    case PacketType::acknowledgement:
    case PacketType::pad_gone:
    case PacketType::read:
    case PacketType::delete_order:
    case PacketType::seal_order:
    case PacketType::answer:
    case PacketType::ping:
    case PacketType::challenge:
      return open_clear(keys, cell, mask);
  }
}

void Opener::open_computational(ReceiveKeys& keys, Cell& cell) noexcept {
  const bool order = cell.header.type == PacketType::keep_order || cell.header.type == PacketType::mask_order;
  if (keys.gcm == nullptr || order) {
    return drop(cell, DropReason::not_permitted);
  }
  std::uint8_t* const target = cell.target == nullptr ? cell.data : cell.target;
  if (cell.target != nullptr && cell.target_room < cell.length) {
    return drop(cell, DropReason::no_room);
  }
  switch (keys.gcm->open(*implementation_, *keys.pads, cell.header, cell.packet(), cell.length, target)) {
    case GcmReceiver::Opened::ok:
      break;
    case GcmReceiver::Opened::replayed:
      return drop(cell, DropReason::number_replayed);
    case GcmReceiver::Opened::too_old:
      return drop(cell, DropReason::number_too_old);
    case GcmReceiver::Opened::bad_tag:
      return drop(cell, DropReason::bad_tag);
    case GcmReceiver::Opened::key_not_delivered:
      return drop(cell, DropReason::pad_not_delivered);
    case GcmReceiver::Opened::number_reused:
      return end_epoch(keys, cell, EpochAlarm::number_reused);
  }
  cell.target = target;
  cell.computational = true;
  ++counters_->opened_computational;
  if (is_padded(cell.header.type)) {
    return succeed(cell, result_of(cell.header.type));
  }
  cell.data = target;  // the payload in clear
  if (!well_formed(cell)) {
    return drop(cell, DropReason::bad_length);
  }
  succeed(cell, result_of(cell.header.type));
}

// Header and keys, or the reason why not.
ReceiveKeys* Opener::begin(Cell& cell) noexcept {
  cell.reason = DropReason::none;
  cell.computational = false;
  cell.range_length = 0;
  const DropReason reason = parse_header(cell.data, cell.length, cell.header);
  if (reason != DropReason::none) {
    drop(cell, reason);
    return nullptr;
  }
  const ReceiveConnection* const connection = connections_->find(cell.header.connection_id);
  if (connection == nullptr) {
    drop(cell, DropReason::unknown_connection);
    return nullptr;
  }
  ReceiveKeys* const keys = connection->find(cell.header.key_index);
  if (keys == nullptr) {
    drop(cell, DropReason::unknown_key_index);
    return nullptr;
  }
  cell.data += overhead_bytes;
  cell.length -= static_cast<std::uint32_t>(overhead_bytes);
  cell.headroom = static_cast<std::uint16_t>(cell.headroom + overhead_bytes);
  if (keys->history != nullptr) {
    keys->history->prefetch(cell.header.number);
  }
  return keys;
}

void Opener::open_single(ReceiveKeys& keys, Cell& cell) noexcept {
  if (keys.ended) {
    drop(cell, DropReason::epoch_ended);
  } else if ((cell.header.flags & flag_computational) != 0) {
    open_computational(keys, cell);
  } else if (keys.tags == nullptr) {
    drop(cell, DropReason::not_permitted);
  } else {
    open_one(keys, cell);
  }
}

// Cells of one key index, in their order: runs at once, everything else one by one.
void Opener::open_all(ReceiveKeys& keys, std::span<Cell* const> cells) noexcept {
  std::size_t run = 0;  // what is left of the present one
  for (std::size_t at = 0; at < cells.size();) {
    if (run == 0) {
      run = run_length(cells.subspan(at));
    }
    std::size_t done =
        run == 0 || keys.ended || keys.tags == nullptr ? 0 : open_run(keys, cells.subspan(at, run));
    if (done == 0) {
      open_single(keys, *cells[at]);
      done = 1;
    }
    run -= std::min(run, done);
    at += done;
  }
  keys.pads->give_back();
  if (keys.tags != nullptr) keys.tags->give_back();
}

void Opener::open(std::span<Cell* const> cells) noexcept {
  constexpr std::size_t at_once = 64;
  std::array<ReceiveKeys*, at_once> found;
  std::array<Cell*, at_once> same;
  for (std::size_t first = 0; first < cells.size(); first += at_once) {
    const std::span<Cell* const> part = cells.subspan(first, std::min(at_once, cells.size() - first));
    for (std::size_t i = 0; i < part.size(); ++i) {
      found[i] = begin(*part[i]);
    }
    // Those of one key index together: packets of several senders arrive mixed.
    for (std::size_t i = 0; i < part.size(); ++i) {
      ReceiveKeys* const keys = found[i];
      if (keys == nullptr) continue;
      std::size_t count = 0;
      for (std::size_t other = i; other < part.size(); ++other) {
        if (found[other] != keys) continue;
        same[count++] = part[other];
        found[other] = nullptr;
      }
      open_all(*keys, std::span(same).first(count));
    }
  }
}

PadGone answer_to(const Cell& cell) noexcept {
  PadGone answer;
  answer.type = cell.header.type;
  answer.key_index = cell.header.key_index;
  answer.number = cell.header.number;
  answer.d_offset = cell.header.d_offset;
  answer.length = cell.range_length;
  return answer;
}

}  // namespace ssn::protocol
