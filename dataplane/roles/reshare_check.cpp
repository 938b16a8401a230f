// SPDX-License-Identifier: BSD-3-Clause
// The masked check: everybody folds its shares with weights that follow from a challenge and from parity
// checks of the scheme; the checker learns the sum of all folds, which is 0 for right shares whatever it
// drew, and nothing else.
#include <algorithm>
#include <cassert>
#include <cstring>

#include "gf256.h"
#include "reshare_job.h"

namespace ssn::roles {

using namespace protocol;
using store::stripe_cells;

void ReshareJob::begin_check() noexcept {
  challenged_.assign(plan_.givers.size(), Challenged::no);
  has_seed_ = folded_ = false;
  source_index_ = target_index_ = no_index;
  const std::uint64_t self = context_.options.node;
  for (std::size_t i = 0; i < order_.from.size(); ++i) {
    if (order_.source.layout.nodes[order_.from[i] - 1U] == self) source_index_ = i;
  }
  for (std::size_t i = 0; i < order_.to.size(); ++i) {
    if (order_.target.layout.nodes[order_.to[i] - 1U] == self) target_index_ = i;
  }
  const std::size_t equations = math_.equations();
  rho_.assign(stripe_cells * check_folds * equations, 0);
  weights_.assign(equations, 0);
}

void ReshareJob::step_check() noexcept {
  if (plan_.takes()) {
    std::array<std::uint8_t, kernels::RandomGenerator::seed_bytes> seed{};
    if (!has_seed_ && context_.random.fill(seed)) {
      status_.random_bytes += seed.size();
      accept_challenge(seed);
    }
    ::explicit_bzero(seed.data(), seed.size());
    if (has_seed_) send_challenges();
    context_.starved = context_.starved || !has_seed_;
  }
  if (has_seed_ && !folded_) step_fold();
}

void ReshareJob::accept_challenge(std::span<const std::uint8_t> seed) noexcept {
  assert(seed.size() == seed_.size() && !has_seed_);
  std::memcpy(seed_.data(), seed.data(), seed_.size());
  generator_.seed(seed_);
  has_seed_ = true;
  fold_at_ = 0;
  fold_source_ = false;
  progress();
}

bool ReshareJob::take_challenge(const Cell& cell, std::uint64_t node) noexcept {
  const std::optional<Challenge> challenge = read_challenge({cell.data, cell.length});
  const Placement& what = cell.header.placement;
  if (!challenge || !plan_.checks || plan_.takes() || node != order_.checker || what.cell != 0 ||
      what.generation != made_generation() || what.share != plan_.taker_shares[0]) {
    return false;
  }
  if (has_seed_) {  // another one would be a second message under the same masks
    ++context_.counters.repeated;
    return challenge->seed == seed_;
  }
  accept_challenge(challenge->seed);
  ++context_.counters.challenges;
  return true;
}

void ReshareJob::send_challenges() noexcept {
  std::array<std::uint8_t, challenge_bytes> payload{};
  write_challenge({seed_}, payload.data());
  for (std::size_t i = 0; i < plan_.givers.size(); ++i) {
    if (i == plan_.giver || challenged_[i] != Challenged::no) continue;
    Channel* const channel = context_.channel_of(plan_.givers[i]);
    const ReshareToken token{ReshareToken::Kind::challenge, static_cast<std::uint8_t>(place_), life_,
                             static_cast<std::uint32_t>(i)};
    const Placement what{order_.job, 0, made_generation(), order_.round, plan_.taker_shares[0]};
    if (channel != nullptr &&
        channel->post(PacketType::challenge, what, payload, token.pack(), deadline(), now_ns_)) {
      challenged_[i] = Challenged::sent;
    } else {
      context_.starved = true;
    }
  }
}

void ReshareJob::challenge_settled(std::uint32_t index, const Settled& settled, std::uint64_t node) noexcept {
  if (settled.how == Settled::How::received) {
    challenged_[index] = Challenged::received;
    return progress();
  }
  fail(settled.reason == ExpireReason::ended ? ReshareTrouble::peer_lost : ReshareTrouble::stalled, node);
}

// Reads on: of each stripe the share of the source, then that of the target. False: all is read.
bool ReshareJob::next_fold() noexcept {
  const bool has_source = source_index_ != no_index;
  const bool has_target = target_index_ != no_index;
  if (fold_source_ && has_target) {
    fold_source_ = false;
  } else {
    if (weights_.empty() || fold_at_ >= order_.cells) return false;
    const kernels::Status status =
        kernels::random(context_.implementation, generator_, rho_.data(), rho_.size());
    assert(status == kernels::Status::ok);
    static_cast<void>(status);
    fold_source_ = has_source;
  }
  const ReshareGeneration& generation = fold_source_ ? order_.source : order_.target;
  const bool one = !fold_source_ && order_.source.generation == order_.target.generation;
  const std::uint8_t share = fold_source_ ? order_.from[source_index_] : order_.to[target_index_];
  fold_reader_.begin({order_.object, generation.generation, share},
                     one ? order_.source.runs : generation.runs, fold_at_,
                     std::min(stripe_cells, order_.cells - fold_at_), plan_.cell_bytes);
  if (!fold_source_ || !has_target) fold_at_ += stripe_cells;
  return true;
}

void ReshareJob::step_fold() noexcept {
  while (running_) {
    if (fold_reader_.state() == ShareReader::State::idle && !next_fold()) {
      folded_ = true;
      return;
    }
    if (!read(fold_reader_)) return;
    fold(fold_source_);
    fold_reader_.drop(context_.pool);
    progress();
  }
}

// 8 weighted sums of what was read.
void ReshareJob::fold(bool of_source) noexcept {
  const std::uint32_t count = fold_reader_.count();
  const std::size_t equations = weights_.size();
  const std::span<std::uint8_t> matrix(matrix_.data(), check_folds * count);
  std::array<const std::uint8_t*, stripe_cells> in{};
  std::array<std::uint8_t*, check_folds> out{};
  std::uint32_t same = 0;
  for (std::uint32_t at = 0; at < count; ++at) {
    const std::uint32_t cell = fold_reader_.first() + at;
    in[at] = fold_reader_.cell(at);
    if (at == same) {
      if (of_source) {
        math_.source_weights(source_index_, cell, weights_);
      } else {
        math_.target_weights(target_index_, cell, weights_);
      }
      same = std::min(math_.same_until(cell) - fold_reader_.first(), count);
    }
    for (std::uint32_t e = 0; e < check_folds; ++e) {
      std::uint8_t weight = 0;
      for (std::size_t q = 0; q < equations; ++q) {
        const std::uint8_t rho = rho_[(at * equations + q) * check_folds + e];
        weight = static_cast<std::uint8_t>(weight ^ kernels::gf_mul(rho, weights_[q]));
      }
      matrix[e * count + at] = weight;
    }
  }
  for (std::uint32_t e = 0; e < check_folds; ++e) out[e] = product_ + std::size_t{e} * plan_.cell_bytes;
  apply(matrix, check_folds, in.data(), out.data(), plan_.cell_bytes);
  add(folds(), product_, plan_.unit_bytes());
  ::explicit_bzero(product_, plan_.unit_bytes());
}

// A share beside those that the others follow from. In a repair the new share is no surplus: it was made from
// k.
bool ReshareJob::has_surplus() const noexcept {
  const bool one = order_.to.empty() || order_.source.generation == order_.target.generation;
  const bool source = order_.from.size() > order_.source.layout.k;
  return source && (one || order_.to.size() > order_.target.layout.k);
}

void ReshareJob::judge(TakeUnit& unit) noexcept {
  std::uint8_t any = 0;
  const std::uint8_t* const bytes = sum(unit);
  for (std::size_t i = 0; i < plan_.unit_bytes(); ++i) any = static_cast<std::uint8_t>(any | bytes[i]);
  status_.verdict = any != 0        ? CheckVerdict::failed
                    : has_surplus() ? CheckVerdict::passed
                                    : CheckVerdict::unverified;
  ++(any != 0        ? context_.counters.checks_failed
     : has_surplus() ? context_.counters.checks_passed
                     : context_.counters.checks_unverified);
  unit.phase = TakeUnit::Phase::telling;
}

}  // namespace ssn::roles
