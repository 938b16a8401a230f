// SPDX-License-Identifier: BSD-3-Clause
// Seals, removals, and the answers to everything.
#include <algorithm>

#include "holder_peer.h"

namespace ssn::roles {

using namespace protocol;
using store::StoreRequest;
using store::StoreResult;

namespace {

/// As many orders as a share's runs can take.
constexpr std::size_t most_parts = store::max_attempt_runs / SealOrder::max_runs + 1;

bool same_share(const Placement& one, const Placement& other) noexcept {
  return one.object == other.object && one.generation == other.generation && one.share == other.share;
}

}  // namespace

HolderPeer::Seal::Seal() : parts(most_parts), runs(store::max_attempt_runs) {}

bool HolderPeer::SealPart::same(const SealOrder& order, std::uint32_t from) const noexcept {
  return first == from && end == order.end && run_count == order.run_count &&
         std::equal(runs.begin(), runs.begin() + run_count, order.runs.begin());
}

// False: it must come again. True: it is done with, whatever that is.
bool HolderPeer::take_message(const Cell& cell, std::uint64_t now_ns) noexcept {
  switch (cell.header.type) {
    case PacketType::read:
      return take_read(cell, now_ns);
    case PacketType::seal_order:
      return take_seal(cell, now_ns);
    case PacketType::delete_order:
      return take_removal(cell);
    default:
      ++context_.counters.not_ours;
      return true;
  }
}

HolderPeer::Seal* HolderPeer::find_seal(const Placement& what) noexcept {
  for (Seal& seal : seals_) {
    if (seal.state != Seal::State::free && !seal.orphan && same_share(seal.what, what)) return &seal;
  }
  return nullptr;
}

HolderPeer::Seal* HolderPeer::new_seal() noexcept {
  for (Seal& seal : seals_) {
    if (seal.state == Seal::State::free) return &seal;
  }
  return nullptr;
}

bool HolderPeer::take_seal(const Cell& cell, std::uint64_t now_ns) noexcept {
  SealOrder order;
  const Placement& what = cell.header.placement;
  if (!read_seal_order({cell.data, cell.length}, what.cell, order)) {
    ++context_.counters.not_ours;
    return true;
  }
  if (!permitted(HolderAction::seal, cell)) {
    return answer(what, PacketType::seal_order, AnswerCode::refused, order.request);
  }
  // Nothing was stored of an object without cells, and nothing needs to be.
  if (order.cells == 0) return answer(what, PacketType::seal_order, AnswerCode::done, order.request);
  Seal* seal = find_seal(what);
  if (seal != nullptr && seal->state != Seal::State::gathering) {
    for (std::size_t i = seal->answered; i < seal->part_count && seal->cells == order.cells; ++i) {
      if (!seal->parts[i].same(order, what.cell)) continue;
      seal->parts[i].request = order.request;
      ++context_.counters.repeated;
      return true;
    }
    return answer(what, PacketType::seal_order, AnswerCode::busy, order.request);
  }
  if (seal == nullptr) {
    seal = new_seal();
    if (seal == nullptr) return answer(what, PacketType::seal_order, AnswerCode::busy, order.request);
    seal->part_count = 0;
    seal->state = Seal::State::gathering;
    seal->orphan = false;
    seal->what = what;
    seal->what.attempt = 0;
    seal->what.cell = 0;
    ++context_.counters.seals;
  }
  seal->since_ns = now_ns;
  if (!add_part(*seal, order, what.cell)) {
    return answer(what, PacketType::seal_order, AnswerCode::refused, order.request);
  }
  begin_seal(*seal);
  return true;
}

// What does not fit together with the orders before it replaces them: its sender thought again.
bool HolderPeer::add_part(Seal& seal, const SealOrder& order, std::uint32_t first) noexcept {
  std::size_t at = 0;
  bool fits = seal.part_count == 0 || seal.cells == order.cells;
  for (std::size_t i = 0; i < seal.part_count && fits; ++i) {
    SealPart& part = seal.parts[i];
    if (part.same(order, first)) {
      part.request = order.request;
      ++context_.counters.repeated;
      return true;
    }
    if (part.first < first) at = i + 1;
    fits = part.end <= first || order.end <= part.first;
  }
  if (!fits) seal.part_count = at = 0;
  if (seal.part_count == seal.parts.size()) return false;
  seal.cells = order.cells;
  std::move_backward(seal.parts.begin() + static_cast<std::ptrdiff_t>(at),
                     seal.parts.begin() + static_cast<std::ptrdiff_t>(seal.part_count),
                     seal.parts.begin() + static_cast<std::ptrdiff_t>(seal.part_count + 1));
  seal.parts[at] = {order.request, first, order.end, order.run_count, order.runs};
  ++seal.part_count;
  return true;
}

// If all orders are there.
void HolderPeer::begin_seal(Seal& seal) noexcept {
  std::uint32_t covered = 0;
  std::size_t runs = 0;
  bool fits = true;
  for (std::size_t i = 0; i < seal.part_count; ++i) {
    const SealPart& part = seal.parts[i];
    if (part.first != covered) return;
    covered = part.end;
    for (std::uint16_t run = 0; run < part.run_count; ++run) {
      const SealOrder::Run& each = part.runs[run];
      if (runs != 0 && seal.runs[runs - 1].attempt == each.attempt) continue;
      fits = fits && runs < seal.runs.size();
      if (fits) seal.runs[runs++] = {each.first, each.attempt};
    }
  }
  if (covered != seal.cells) return;
  seal.answered = 0;
  seal.request.kind = StoreRequest::Kind::seal;
  seal.request.share = {seal.what.object, seal.what.generation, seal.what.share};
  seal.request.sealed_cells = seal.cells;
  seal.request.runs = std::span<const store::AttemptRun>(seal.runs).first(runs);
  seal.state = fits ? Seal::State::ready : Seal::State::answering;
  seal.code = AnswerCode::refused;
}

void HolderPeer::seal_came_back(Seal& seal) noexcept {
  assert(seal.state == Seal::State::in_store);
  const bool good = is_good(seal.request.result);
  context_.counters.sealed += good ? 1 : 0;
  seal.code = answer_code(seal.request.result);
  seal.state = seal.orphan ? Seal::State::free : Seal::State::answering;
}

void HolderPeer::answer_seal(Seal& seal) noexcept {
  const bool named = seal.code == AnswerCode::incomplete || seal.code == AnswerCode::quarantined;
  CellBitmap missing{};
  name_cell(missing, 0);
  for (; seal.answered < seal.part_count; ++seal.answered) {
    const SealPart& part = seal.parts[seal.answered];
    Placement what = seal.what;
    what.cell = named ? seal.request.missing : part.first;
    const bool room = named ? answer_cells(what, PacketType::seal_order, seal.code, part.request, 1, missing)
                            : answer(what, PacketType::seal_order, seal.code, part.request);
    if (!room) return;
  }
  seal.state = Seal::State::free;
}

void HolderPeer::step_seals(std::uint64_t now_ns) noexcept {
  for (Seal& seal : seals_) {
    if (seal.state == Seal::State::gathering && now_ns - seal.since_ns >= context_.options.seal_wait_ns) {
      seal.code = AnswerCode::busy;  // the others did not come
      seal.answered = 0;
      seal.state = Seal::State::answering;
    }
    if (seal.state == Seal::State::ready) {
      if (submit(seal.request)) {
        seal.state = Seal::State::in_store;
      } else {
        starved_ = true;
      }
    }
    if (seal.state == Seal::State::answering) answer_seal(seal);
  }
}

bool HolderPeer::take_removal(const Cell& cell) noexcept {
  const std::optional<DeleteOrder> order = read_delete_order({cell.data, cell.length});
  const Placement& what = cell.header.placement;
  if (!order) {
    ++context_.counters.not_ours;
    return true;
  }
  if (!permitted(HolderAction::remove, cell)) {
    return answer(what, PacketType::delete_order, AnswerCode::refused, order->request);
  }
  Removal* free = nullptr;
  for (Removal& removal : removals_) {
    if (removal.state == Removal::State::free) {
      free = &removal;
    } else if (!removal.orphan && removal.number == order->request && removal.what == what) {
      ++context_.counters.repeated;
      return true;
    }
  }
  if (free == nullptr) return answer(what, PacketType::delete_order, AnswerCode::busy, order->request);
  free->what = what;
  free->number = order->request;
  free->orphan = false;
  free->request.kind = StoreRequest::Kind::remove;
  free->request.share = {what.object, what.generation, what.share};
  free->state = Removal::State::ready;
  ++context_.counters.removals;
  return true;
}

void HolderPeer::step_removals() noexcept {
  for (Removal& removal : removals_) {
    if (removal.state == Removal::State::ready) {
      if (submit(removal.request)) {
        removal.state = Removal::State::in_store;
      } else {
        starved_ = true;
      }
    }
    if (removal.state == Removal::State::answering &&
        answer(removal.what, PacketType::delete_order, removal.code, removal.number)) {
      removal.state = Removal::State::free;
    }
  }
}

void HolderPeer::end_orders() noexcept {
  for (Seal& seal : seals_) {
    seal.orphan = seal.state == Seal::State::in_store;
    if (!seal.orphan) seal.state = Seal::State::free;
  }
  for (Removal& removal : removals_) {
    removal.orphan = removal.state == Removal::State::in_store;
    if (!removal.orphan) removal.state = Removal::State::free;
  }
  answers_.clear();
}

bool HolderPeer::answer(const Placement& what, PacketType type, AnswerCode code,
                        std::uint64_t request) noexcept {
  return answer_cells(what, type, code, request, 0, CellBitmap{});
}

// `bitmap` is about cells from `what` on; the answer begins at the first one that it names.
bool HolderPeer::answer_cells(const Placement& what, PacketType type, AnswerCode code, std::uint64_t request,
                              std::uint16_t count, const CellBitmap& bitmap) noexcept {
  if (answers_.full()) return false;
  QueuedAnswer queued;
  queued.what = what;
  queued.answer.type = type;
  queued.answer.code = code;
  queued.answer.request = request;
  queued.answer.retry_us = code == AnswerCode::busy ? context_.options.retry_us : 0;
  std::uint16_t first = 0;
  while (first < count && !names_cell(bitmap, first)) ++first;
  for (std::uint16_t at = first; at < count; ++at) {
    if (!names_cell(bitmap, at)) continue;
    name_cell(queued.answer.bitmap, static_cast<std::size_t>(at - first));
    queued.answer.count = static_cast<std::uint16_t>(at - first + 1);
  }
  queued.what.cell += first;
  answers_.push(queued);
  ++context_.counters.answers[static_cast<std::size_t>(code)];
  return true;
}

// A cell or an order that will not be stored. Cells next to each other share an answer.
void HolderPeer::answer_share(const Cell& cell, AnswerCode code) noexcept {
  const Placement& what = cell.header.placement;
  const PacketType type = cell.header.type;
  ++context_.counters.not_stored;
  if (!answers_.empty() && answers_.back().open) {
    QueuedAnswer& last = answers_.back();
    Placement there = what;
    there.cell = last.what.cell;
    const std::uint32_t at = what.cell - last.what.cell;
    if (type == PacketType::cell && last.answer.type == type && last.answer.code == code &&
        last.what == there && what.cell >= last.what.cell && at < max_named_cells) {
      name_cell(last.answer.bitmap, at);
      last.answer.count = std::max(last.answer.count, static_cast<std::uint16_t>(at + 1));
      return;
    }
  }
  CellBitmap one{};
  name_cell(one, 0);
  const bool single = type == PacketType::cell;
  const bool room = single ? answer_cells(what, type, code, 0, 1, one) : answer(what, type, code, 0);
  if (!room) {
    ++context_.counters.answers_lost;
    return;
  }
  answers_.back().open = single;
}

void HolderPeer::post_answers(std::uint64_t now_ns) noexcept {
  while (!answers_.empty()) {
    const QueuedAnswer& queued = answers_.front();
    std::array<std::uint8_t, answer_bytes> payload{};
    write_answer(queued.answer, payload.data());
    if (!channel_->post(PacketType::answer, queued.what, payload, answer_token,
                        now_ns + context_.options.reply_deadline_ns, now_ns)) {
      return;
    }
    answers_.pop();
  }
}

}  // namespace ssn::roles
