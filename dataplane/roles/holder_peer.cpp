// SPDX-License-Identifier: BSD-3-Clause
#include "holder_peer.h"

#include <algorithm>

namespace ssn::roles {

using namespace protocol;
using store::StoreRequest;
using store::StoreResult;

namespace {

/// How long to wait for keys or packets, whose coming nobody announces.
constexpr std::uint64_t starved_ns = 1'000'000;

std::size_t put_count(const HolderOptions& options) {
  return options.cells / StoreRequest::most_cells + options.partial_puts + 1;
}

}  // namespace

bool is_good(StoreResult result) noexcept {
  return result == StoreResult::done || result == StoreResult::again;
}

AnswerCode answer_code(StoreResult result) noexcept {
  switch (result) {
    case StoreResult::done:
    case StoreResult::again:
      return AnswerCode::done;
    case StoreResult::not_found:
      return AnswerCode::not_found;
    case StoreResult::incomplete:
      return AnswerCode::incomplete;
    case StoreResult::quarantined:
      return AnswerCode::quarantined;
    case StoreResult::read_only:
      return AnswerCode::read_only;
    case StoreResult::disk_full:
      return AnswerCode::disk_full;
    case StoreResult::io_error:
      return AnswerCode::io_error;
    case StoreResult::busy:
      return AnswerCode::busy;
    case StoreResult::superseded:
    case StoreResult::conflict:
    case StoreResult::removed:
    case StoreResult::invalid:
    case StoreResult::none:
      break;
  }
  return AnswerCode::refused;
}

HolderPeer::HolderPeer(HolderContext& context, std::uint32_t place)
    : context_(context),
      place_(place),
      puts_(put_count(context.options)),
      free_puts_(puts_.size()),
      jobs_(context.options.queued_reads),
      job_order_(jobs_.size()),
      reads_(context.options.stripe_reads),
      sending_(reads_.size()),
      seals_(context.options.seals),
      removals_(context.options.removals),
      answers_(context.options.queued_answers) {
  const auto name = [this](StoreRequest& request, std::size_t index) {
    request.context = std::uint64_t{place_} << 32 | index;
  };
  untold_.reserve(context.options.cells);
  for (std::uint32_t i = 0; i < puts_.size(); ++i) {
    name(puts_[i].request, i);
    free_puts_.push(i);
  }
  for (std::size_t i = 0; i < reads_.size(); ++i) name(reads_[i].request, i);
  for (std::size_t i = 0; i < seals_.size(); ++i) name(seals_[i].request, i);
  for (std::size_t i = 0; i < removals_.size(); ++i) name(removals_[i].request, i);
}

void HolderPeer::begin(Channel& channel, const PeerIdentity& identity, std::uint64_t now_ns) noexcept {
  assert(is_free());
  channel_ = &channel;
  identity_ = identity;
  ++life_;
  channel.set_credit(credit(), now_ns);
}

// What is in the store comes back later, and finds nobody.
void HolderPeer::end() noexcept {
  end_puts();
  end_reads();
  end_orders();
  flying_ = 0;
  channel_ = nullptr;
}

void HolderPeer::give_back(Cell* cell) noexcept {
  Cell* const cells[] = {cell};
  context_.pool.give_back(cells);
}

bool HolderPeer::submit(StoreRequest& request) noexcept {
  if (!context_.store.submit(request)) return false;
  ++in_store_;
  return true;
}

bool HolderPeer::permitted(HolderAction action, const Cell& cell) noexcept {
  if (context_.rule.permits(identity_, action, cell.header.placement)) return true;
  ++context_.counters.refused[static_cast<std::size_t>(action)];
  return false;
}

// Of the channel nothing is called here but refuse(), which must come before anything else.
void HolderPeer::delivered(std::span<Cell* const> cells, std::uint64_t now_ns) noexcept {
  for (Cell* const cell : cells) {
    switch (cell->open_result) {
      case OpenResult::opened:
      case OpenResult::kept:
        take_share(*cell, now_ns);
        break;
      case OpenResult::message:
        if (take_message(*cell, now_ns)) {
          give_back(cell);
        } else {
          channel_->refuse(*cell, now_ns);  // it comes again
        }
        break;
      case OpenResult::masked:
        answer_share(*cell, AnswerCode::refused);
        [[fallthrough]];
      default:
        ++context_.counters.not_ours;
        give_back(cell);
    }
  }
}

void HolderPeer::came_back(StoreRequest& request, std::uint64_t now_ns) noexcept {
  assert(in_store_ != 0);
  --in_store_;
  const auto index = static_cast<std::uint32_t>(request.context);
  switch (request.kind) {
    case StoreRequest::Kind::put:
      put_came_back(puts_[index], now_ns);
      break;
    case StoreRequest::Kind::read:
      read_came_back(reads_[index]);
      break;
    case StoreRequest::Kind::seal:
      seal_came_back(seals_[index]);
      break;
    case StoreRequest::Kind::remove: {
      Removal& removal = removals_[index];
      // Nothing there is what was wanted: the second of two equal orders must hear the same.
      const bool gone = is_good(request.result) || request.result == StoreResult::not_found ||
                        request.result == StoreResult::removed;
      removal.code = gone ? AnswerCode::done : answer_code(request.result);
      context_.counters.removed += gone ? 1 : 0;
      removal.state = removal.orphan ? Removal::State::free : Removal::State::answering;
      break;
    }
  }
}

std::uint64_t HolderPeer::step(std::uint64_t now_ns) noexcept {
  if (channel_ == nullptr) return UINT64_MAX;
  starved_ = false;
  take_settled();
  tell_stored(now_ns);
  submit_puts();
  step_seals(now_ns);
  step_removals();
  start_reads(now_ns);
  send_reads(now_ns);
  finish_jobs();
  post_answers(now_ns);
  channel_->set_credit(credit(), now_ns);
  starved_ = starved_ || !untold_.empty() || ready_ != 0 || !answers_.empty();
  std::uint64_t due = starved_ ? now_ns + starved_ns : UINT64_MAX;
  for (const Seal& seal : seals_) {
    if (seal.state == Seal::State::gathering) {
      due = std::min(due, seal.since_ns + context_.options.seal_wait_ns);
    }
  }
  if (!job_order_.empty()) {
    const std::uint64_t late = jobs_[job_order_.front()].since_ns + context_.options.reply_deadline_ns;
    if (late > now_ns) due = std::min(due, late);  // else it waits for the store, or for room to say so
  }
  return due;
}

void HolderPeer::take_settled() noexcept {
  std::array<Settled, 64> settled;
  std::size_t count = 0;
  do {
    count = channel_->take_settled(settled);
    for (std::size_t i = 0; i < count; ++i) {
      const bool expired = settled[i].how == Settled::How::expired;
      context_.counters.replies_expired += expired ? 1 : 0;
      if (settled[i].token == cell_token) {
        assert(flying_ != 0);
        --flying_;
      }
    }
  } while (count == settled.size());
}

bool HolderPeer::audit() const noexcept {
  std::uint32_t units = 0;
  std::uint32_t partials = 0;
  std::uint32_t ready = 0;
  std::size_t free = 0;
  std::uint32_t stored = 0;
  for (const Put& put : puts_) {
    units += put.units;
    free += put.state == Put::State::free ? 1U : 0U;
    ready += put.state == Put::State::ready ? 1U : 0U;
    stored += put.state == Put::State::in_store ? 1U : 0U;
    partials += put.partial && put.state != Put::State::free ? 1U : 0U;
    if (put.state == Put::State::free && put.units != 0) return false;
    if (put.state != Put::State::free && put.request.count > put.units) return false;
  }
  for (const Untold& each : untold_) units += each.units;
  for (const StripeRead& read : reads_) stored += read.state == StripeRead::State::in_store ? 1U : 0U;
  for (const Seal& seal : seals_) stored += seal.state == Seal::State::in_store ? 1U : 0U;
  for (const Removal& removal : removals_) stored += removal.state == Removal::State::in_store ? 1U : 0U;
  return units == held_ && held_ <= context_.options.cells && partials == partials_ &&
         partials_ <= context_.options.partial_puts && ready == ready_ && free == free_puts_.size() &&
         stored == in_store_ && flying_ <= context_.options.sent_cells;
}

}  // namespace ssn::roles
