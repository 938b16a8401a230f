// SPDX-License-Identifier: BSD-3-Clause
// Reads: a request is taken apart into stripes; what the store gives goes out as far as the channel allows,
// and what cannot be given is answered, each reason once, when all of the request is done with.
#include <algorithm>

#include "holder_peer.h"

namespace ssn::roles {

using namespace protocol;
using store::StoreRequest;
using store::StoreResult;
using store::stripe_cells;

namespace {

bool empty(const CellBitmap& bitmap) noexcept {
  return std::all_of(bitmap.begin(), bitmap.end(), [](std::uint8_t byte) { return byte == 0; });
}

void forget_cell(CellBitmap& bitmap, std::size_t at) noexcept {
  bitmap[at / 8] = static_cast<std::uint8_t>(bitmap[at / 8] & ~(1U << (at % 8)));
}

}  // namespace

// False: there is no room, not even to say so.
bool HolderPeer::take_read(const Cell& cell, std::uint64_t now_ns) noexcept {
  const std::optional<ReadRequest> read = read_read_request({cell.data, cell.length});
  const Placement& what = cell.header.placement;
  if (!read) {
    ++context_.counters.not_ours;
    return true;
  }
  for (std::size_t i = 0; i < job_order_.size(); ++i) {
    const ReadJob& job = jobs_[job_order_[i]];
    if (job.request == read->request && job.what == what && job.asked == read->bitmap) {
      ++context_.counters.repeated;
      return true;
    }
  }
  if (!permitted(HolderAction::read, cell)) {
    return answer(what, PacketType::read, AnswerCode::refused, read->request);
  }
  if (what.cell > UINT32_MAX - max_named_cells) {
    return answer(what, PacketType::read, AnswerCode::not_found, read->request);
  }
  const auto free = std::find_if(jobs_.begin(), jobs_.end(), [](const ReadJob& job) { return !job.used; });
  if (free == jobs_.end()) return answer(what, PacketType::read, AnswerCode::busy, read->request);
  *free = ReadJob{};
  free->what = what;
  free->request = read->request;
  free->since_ns = now_ns;
  free->count = read->count;
  free->used = true;
  free->asked = free->pending = read->bitmap;
  job_order_.push(static_cast<std::uint32_t>(free - jobs_.begin()));
  ++context_.counters.reads;
  return true;
}

void HolderPeer::start_reads(std::uint64_t now_ns) noexcept {
  for (std::size_t i = 0; i < job_order_.size(); ++i) {
    ReadJob& job = jobs_[job_order_[i]];
    const bool late = now_ns - job.since_ns >= context_.options.reply_deadline_ns;
    for (std::uint32_t at = 0; late && at < job.count; ++at) {
      if (names_cell(job.pending, at)) fail_cell(job, at, AnswerCode::busy);
    }
    while (!empty(job.pending)) {
      if (!start_stripe(job, job_order_[i])) return;
    }
  }
}

// Reads what the request wants of its next stripe. False: no room for another one now.
bool HolderPeer::start_stripe(ReadJob& job, std::uint32_t index) noexcept {
  const auto free = std::find_if(reads_.begin(), reads_.end(), [](const StripeRead& read) {
    return read.state == StripeRead::State::free;
  });
  if (free == reads_.end()) return false;
  std::uint32_t at = 0;
  while (!names_cell(job.pending, at)) ++at;
  StoreRequest& request = free->request;
  request.kind = StoreRequest::Kind::read;
  request.share = {job.what.object, job.what.generation, job.what.share};
  request.attempt = job.what.attempt;
  request.stripe = (job.what.cell + at) / stripe_cells;
  request.wanted = 0;
  std::array<std::uint16_t, stripe_cells> places{};
  std::size_t count = 0;
  for (; at < job.count && (job.what.cell + at) / stripe_cells == request.stripe; ++at) {
    if (names_cell(job.pending, at)) places[count++] = static_cast<std::uint16_t>(at);
  }
  std::array<Cell*, stripe_cells> cells{};
  const std::size_t got = context_.pool.take(std::span(cells).first(count));
  std::uint32_t room = store::max_cell_bytes;
  for (std::size_t i = 0; i < got; ++i) {
    const std::uint32_t cell = (job.what.cell + places[i]) % stripe_cells;
    request.wanted |= std::uint64_t{1} << cell;
    request.cells[cell] = cells[i];
    room = std::min<std::uint32_t>(room, cells[i]->tailroom);
  }
  request.cell_bytes = room;
  if (got == 0 || !submit(request)) {
    context_.pool.give_back(std::span<Cell* const>(cells).first(got));
    starved_ = true;
    return false;
  }
  for (std::size_t i = 0; i < got; ++i) forget_cell(job.pending, places[i]);
  free->state = StripeRead::State::in_store;
  free->orphan = false;
  free->job = index;
  free->unsent = 0;
  ++job.stripes;
  return true;
}

void HolderPeer::read_came_back(StripeRead& read) noexcept {
  assert(read.state == StripeRead::State::in_store);
  StoreRequest& request = read.request;
  Returns returns(context_.pool);
  for (std::uint64_t left = request.wanted; left != 0; left &= left - 1) {
    const auto i = static_cast<unsigned>(std::countr_zero(left));
    if (!read.orphan && is_good(request.results[i])) {
      read.unsent |= std::uint64_t{1} << i;
      continue;
    }
    returns.add(request.cells[i]);
    if (read.orphan) continue;
    ReadJob& job = jobs_[read.job];
    // `invalid` is said of the whole request.
    const StoreResult why = request.results[i] == StoreResult::none ? request.result : request.results[i];
    fail_cell(job, request.stripe * stripe_cells + i - job.what.cell, answer_code(why));
  }
  if (read.orphan) {
    read.state = StripeRead::State::free;
  } else if (read.unsent == 0) {
    finish_stripe(read);
  } else {
    read.state = StripeRead::State::sending;
    sending_.push(static_cast<std::uint32_t>(request.context));
  }
}

void HolderPeer::send_reads(std::uint64_t now_ns) noexcept {
  while (!sending_.empty()) {
    StripeRead& read = reads_[sending_.front()];
    if (now_ns - jobs_[read.job].since_ns >= context_.options.reply_deadline_ns) {
      fail_unsent(read, AnswerCode::busy);
    }
    while (read.unsent != 0) {
      if (!send_stripe(read, now_ns)) return;
    }
    sending_.pop();
    finish_stripe(read);
  }
}

// Sends what may be sent now; false: go on later.
bool HolderPeer::send_stripe(StripeRead& read, std::uint64_t now_ns) noexcept {
  const std::uint32_t bytes = read.request.cell_bytes;
  const Allowance allowed = channel_->allowance(bytes, 1, now_ns);
  const std::uint32_t most = std::min(allowed.packets, context_.options.sent_cells - flying_);
  std::array<Parcel, stripe_cells> parcels{};
  std::size_t count = 0;
  for (std::uint64_t left = read.unsent; left != 0 && count < most; left &= left - 1) {
    Cell* const cell = read.request.cells[static_cast<unsigned>(std::countr_zero(left))];
    cell->source = nullptr;
    parcels[count++] = {cell, cell_token, now_ns + context_.options.reply_deadline_ns, 1, false, {}};
  }
  if (count == 0) return false;
  const std::size_t sent = channel_->send(std::span(parcels).first(count), now_ns);
  for (std::size_t i = 0; i < sent; ++i) read.unsent &= read.unsent - 1;
  flying_ += static_cast<std::uint32_t>(sent);
  context_.counters.cells_read += sent;
  if (sent == count) return true;
  const SealResult why = parcels[sent].cell->seal_result;
  if (why == SealResult::refused) {  // too few keys; the policy is to say so
    fail_unsent(read, AnswerCode::busy);
    return true;
  }
  if (why == SealResult::invalid) {  // no packet of this network has room for it
    fail_unsent(read, AnswerCode::refused);
    return true;
  }
  starved_ = true;
  return false;
}

void HolderPeer::fail_unsent(StripeRead& read, AnswerCode code) noexcept {
  ReadJob& job = jobs_[read.job];
  Returns returns(context_.pool);
  for (; read.unsent != 0; read.unsent &= read.unsent - 1) {
    const auto i = static_cast<unsigned>(std::countr_zero(read.unsent));
    returns.add(read.request.cells[i]);
    fail_cell(job, read.request.stripe * stripe_cells + i - job.what.cell, code);
  }
}

void HolderPeer::fail_cell(ReadJob& job, std::uint32_t cell, AnswerCode code) noexcept {
  forget_cell(job.pending, cell);
  name_cell(job.failed[static_cast<std::size_t>(code)], cell);
  ++context_.counters.cells_not_read;
}

void HolderPeer::finish_stripe(StripeRead& read) noexcept {
  read.state = StripeRead::State::free;
  --jobs_[read.job].stripes;
}

void HolderPeer::finish_jobs() noexcept {
  for (std::size_t left = job_order_.size(); left > 0; --left) {
    const std::uint32_t index = job_order_.front();
    ReadJob& job = jobs_[index];
    job_order_.pop();
    if (job.stripes != 0 || !empty(job.pending) || !answer_job(job)) {
      job_order_.push(index);
    } else {
      job.used = false;
    }
  }
}

// False: there is no room for all answers now.
bool HolderPeer::answer_job(ReadJob& job) noexcept {
  for (std::size_t code = 1; code <= last_answer_code; ++code) {
    CellBitmap& failed = job.failed[code];
    if (empty(failed)) continue;
    if (!answer_cells(job.what, PacketType::read, static_cast<AnswerCode>(code), job.request, job.count,
                      failed)) {
      return false;
    }
    failed = CellBitmap{};
  }
  return true;
}

void HolderPeer::end_reads() noexcept {
  Returns returns(context_.pool);
  for (StripeRead& read : reads_) {
    if (read.state == StripeRead::State::in_store) read.orphan = true;
    if (read.state != StripeRead::State::sending) continue;
    for (; read.unsent != 0; read.unsent &= read.unsent - 1) {
      returns.add(read.request.cells[static_cast<unsigned>(std::countr_zero(read.unsent))]);
    }
    read.state = StripeRead::State::free;
  }
  sending_.clear();
  job_order_.clear();
  for (ReadJob& job : jobs_) job.used = false;
}

}  // namespace ssn::roles
