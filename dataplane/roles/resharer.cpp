// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/roles/resharer.h"

#include <algorithm>
#include <cassert>

#include "reshare_job.h"

namespace ssn::roles {

using namespace protocol;
using store::StoreRequest;

namespace {

/// Requests that one job can have in the store: a unit that is given, a unit that is taken, its own share,
/// its put, a seal, the stripe of a check.
constexpr std::size_t job_requests = 2 * 16 + 2 * 16 + 2;
constexpr std::size_t most_turns = 16;

}  // namespace

class Resharer::Implementation {
 public:
  Implementation(const ResharerOptions& options, const kernels::Implementation& implementation,
                 StoreAccess& store, PacketPool& pool, RandomBlocks& random, const ReshareRule& rule,
                 hw::SecretBuffer& memory)
      : context_{options, implementation, store, pool, random, {}, {}, {}, false}, rule_(rule) {
    context_.peers.resize(options.peers);
    for (std::uint32_t i = 0; i < options.jobs; ++i) {
      jobs_.push_back(std::make_unique<ReshareJob>(
          context_, i, memory.span().subspan(i * options.job_bytes, options.job_bytes)));
    }
    kept_.reserve(options.kept);
  }

  ReshareJob* find(std::uint64_t job) const noexcept {
    for (const auto& each : jobs_) {
      if (each->is(job)) return each.get();
    }
    return nullptr;
  }
  ReshareJob* find(std::uint64_t job, std::uint16_t round) const noexcept {
    ReshareJob* const found = find(job);
    return found != nullptr && found->is(job, round) ? found : nullptr;
  }
  const ReshareStatus* kept(std::uint64_t job) const noexcept;
  void keep(const ReshareStatus& status) noexcept;
  void note_ended() noexcept;
  ReshareAnswer order(const ReshareOrder& order, std::uint64_t now_ns);
  ReshareAnswer known(const ReshareOrder& order) const noexcept;
  bool take(Cell& cell, std::uint64_t node) noexcept;
  void refuse(Cell& cell, Channel& channel, std::uint64_t now_ns) noexcept;
  void take_settled() noexcept;
  void collect() noexcept;
  void step(std::uint64_t now_ns) noexcept;

  ReshareContext context_;
  const ReshareRule& rule_;
  std::vector<std::unique_ptr<ReshareJob>> jobs_;
  std::vector<ReshareStatus> kept_;  // a ring once it is full
  std::size_t next_kept_ = 0;
  std::uint64_t due_ns_ = UINT64_MAX;
};

const ReshareStatus* Resharer::Implementation::kept(std::uint64_t job) const noexcept {
  for (const ReshareStatus& each : kept_) {
    if (each.job == job) return &each;
  }
  return nullptr;
}

void Resharer::Implementation::keep(const ReshareStatus& status) noexcept {
  for (ReshareStatus& each : kept_) {
    if (each.job != status.job) continue;
    each = status;
    return;
  }
  if (kept_.size() < context_.options.kept) {
    kept_.push_back(status);
    return;
  }
  kept_[next_kept_] = status;
  next_kept_ = (next_kept_ + 1) % kept_.size();
}

void Resharer::Implementation::note_ended() noexcept {
  for (const auto& job : jobs_) {
    if (!job->take_ended()) continue;
    const ReshareStatus status = job->status();
    keep(status);
    ResharerCounters& counters = context_.counters;
    counters.jobs_done += status.state == ReshareState::done ? 1 : 0;
    counters.jobs_failed += status.state == ReshareState::failed ? 1 : 0;
    counters.jobs_cancelled += status.state == ReshareState::cancelled ? 1 : 0;
  }
}

// taken: nothing stands against it.
ReshareAnswer Resharer::Implementation::known(const ReshareOrder& order) const noexcept {
  const ReshareJob* const running = find(order.job);
  const ReshareStatus* const over = kept(order.job);
  if (running == nullptr && over == nullptr) return ReshareAnswer::taken;
  const std::uint16_t round = running != nullptr ? running->status().round : over->round;
  if (over != nullptr && over->state == ReshareState::cancelled) return ReshareAnswer::superseded;
  if (round == order.round) return ReshareAnswer::again;
  return round > order.round ? ReshareAnswer::superseded : ReshareAnswer::taken;
}

ReshareAnswer Resharer::Implementation::order(const ReshareOrder& order, std::uint64_t now_ns) {
  if (const ReshareAnswer answer = check_order(order); answer != ReshareAnswer::taken) return answer;
  if (const ReshareAnswer answer = known(order); answer != ReshareAnswer::taken) return answer;
  if (const ReshareAnswer answer = rule_.permits(order); answer != ReshareAnswer::taken) return answer;
  ResharePlan plan = make_plan(order, context_.options.node);
  if (!plan.gives() && !plan.takes()) return ReshareAnswer::no_part;
  if (plan.memory_bytes() > context_.options.job_bytes || plan.records() > context_.options.job_records) {
    return ReshareAnswer::too_large;
  }
  if (ReshareJob* const before = find(order.job)) {
    before->end(ReshareState::failed, ReshareTrouble::none, 0);
    note_ended();
  }
  const ReshareStatus* const before = kept(order.job);
  for (const auto& job : jobs_) {
    if (!job->is_free()) continue;
    job->begin(order, std::move(plan), before != nullptr && before->computational, now_ns);
    due_ns_ = 0;
    return ReshareAnswer::taken;
  }
  return ReshareAnswer::busy;
}

bool Resharer::Implementation::take(Cell& cell, std::uint64_t node) noexcept {
  const Placement& what = cell.header.placement;
  if (cell.open_result == OpenResult::contributed) {
    ReshareJob* const job = find(what.object, what.attempt);
    return job != nullptr && job->take_contribution(cell, node);
  }
  if (cell.open_result == OpenResult::masked) {
    const std::optional<MaskOrder> order = read_mask_order({cell.data, cell.length});
    ReshareJob* const job = order ? find(order->job, order->round) : nullptr;
    return job != nullptr && job->take_mask(cell, *order, node);
  }
  ReshareJob* const job = find(what.object, what.attempt);
  return job != nullptr && job->take_challenge(cell, node);
}

// What was opened for it is erased, too.
void Resharer::Implementation::refuse(Cell& cell, Channel& channel, std::uint64_t now_ns) noexcept {
  ++context_.counters.unexpected;
  channel.refuse(cell, now_ns);
}

namespace {

void erase(Cell& cell) noexcept {
  if (cell.open_result == OpenResult::masked && cell.target != nullptr) {
    ::explicit_bzero(cell.target, cell.range_length);
  }
  if (cell.open_result == OpenResult::contributed) {
    ::explicit_bzero(cell.target != nullptr ? cell.target : cell.data, cell.length);
  }
}

bool is_ours(const Cell& cell) noexcept {
  return cell.open_result == OpenResult::contributed || cell.open_result == OpenResult::masked ||
         (cell.open_result == OpenResult::message && cell.header.type == PacketType::challenge);
}

}  // namespace

void Resharer::Implementation::take_settled() noexcept {
  std::array<Settled, 64> settled;
  for (const ResharePeer& peer : context_.peers) {
    if (peer.channel == nullptr) continue;
    while (const std::size_t count = peer.channel->take_settled(settled)) {
      for (std::size_t i = 0; i < count; ++i) {
        const ReshareToken token = ReshareToken::unpack(settled[i].token);
        if (token.place < jobs_.size()) jobs_[token.place]->settled(token, settled[i], peer.node);
      }
    }
  }
}

void Resharer::Implementation::collect() noexcept {
  std::array<StoreRequest*, 64> back{};
  for (std::size_t turn = 0; turn < most_turns; ++turn) {
    const std::size_t count = context_.store.collect(back);
    for (std::size_t i = 0; i < count; ++i) {
      jobs_[back[i]->context >> 32]->came_back(*back[i]);
    }
    if (count < back.size()) break;
  }
}

void Resharer::Implementation::step(std::uint64_t now_ns) noexcept {
  collect();
  take_settled();
  due_ns_ = UINT64_MAX;
  context_.starved = false;
  for (const auto& job : jobs_) due_ns_ = std::min(due_ns_, job->step(now_ns));
  if (context_.starved) due_ns_ = std::min(due_ns_, now_ns + 1'000'000);
  note_ended();
}

std::size_t Resharer::requests(const ResharerOptions& options) noexcept {
  return options.jobs * job_requests;
}

std::size_t Resharer::packets(const ResharerOptions& options) noexcept {
  // What is read, and what is sent and not yet acknowledged: at most all that is kept of units.
  const std::size_t given = options.job_bytes / store::cell_granule;
  return options.jobs * (job_requests * store::stripe_cells + std::min<std::size_t>(given, 65536));
}

std::size_t Resharer::memory_bytes(const ResharerOptions& options) noexcept {
  return options.jobs * options.job_bytes;
}

std::size_t Resharer::bytes_for(const ReshareOrder& order, std::uint64_t node) noexcept {
  if (check_order(order) != ReshareAnswer::taken) return 0;
  return make_plan(order, node).memory_bytes();
}

Resharer::Resharer(const ResharerOptions& options, const kernels::Implementation& implementation,
                   StoreAccess& store, PacketPool& pool, RandomBlocks& random, const ReshareRule& rule,
                   hw::SecretBuffer& memory)
    : implementation_(
          std::make_unique<Implementation>(options, implementation, store, pool, random, rule, memory)) {
  assert(options.node != 0 && options.peers != 0 && options.jobs != 0 && options.jobs <= 255);
  assert(options.kept != 0 && memory.size() >= memory_bytes(options) && memory.locked());
  assert(store.credit() >= requests(options));
}

Resharer::~Resharer() {
  for (const auto& job : implementation_->jobs_) job->end(ReshareState::cancelled, ReshareTrouble::none, 0);
  assert(idle());
}

bool Resharer::add_peer(Channel& channel, std::uint64_t node, std::uint64_t now_ns, PeerId& peer) {
  std::vector<ResharePeer>& peers = implementation_->context_.peers;
  if (implementation_->context_.channel_of(node) != nullptr) return false;
  for (std::uint32_t place = 0; place < peers.size(); ++place) {
    if (peers[place].channel != nullptr) continue;
    peers[place] = {&channel, node, peers[place].life + 1};
    peer = {place, peers[place].life};
    channel.set_credit(0, now_ns);  // contributions take none: orders bound them
    implementation_->due_ns_ = 0;
    return true;
  }
  return false;
}

void Resharer::remove_peer(PeerId peer, std::uint64_t /*now_ns*/) noexcept {
  std::vector<ResharePeer>& peers = implementation_->context_.peers;
  if (peer.place >= peers.size() || peers[peer.place].life != peer.life) return;
  ResharePeer& its = peers[peer.place];
  if (its.channel == nullptr) return;
  for (const auto& job : implementation_->jobs_) {
    if (job->uses(its.node)) job->end(ReshareState::failed, ReshareTrouble::peer_lost, its.node);
  }
  its.channel = nullptr;
  implementation_->note_ended();
}

void Resharer::delivered(PeerId peer, std::span<Cell* const> cells, std::uint64_t now_ns) noexcept {
  Implementation& its = *implementation_;
  const std::vector<ResharePeer>& peers = its.context_.peers;
  const bool known = peer.place < peers.size() && peers[peer.place].life == peer.life &&
                     peers[peer.place].channel != nullptr;
  for (Cell* const cell : cells) {
    const bool ours = is_ours(*cell);
    its.context_.counters.strangers += known ? 0 : 1;
    its.context_.counters.not_ours += known && !ours ? 1 : 0;
    const bool taken = known && ours && its.take(*cell, peers[peer.place].node);
    erase(*cell);
    if (known && ours && !taken) {
      its.refuse(*cell, *peers[peer.place].channel, now_ns);
    } else {
      its.context_.pool.give_back({&cell, 1});
    }
  }
}

void Resharer::step(std::uint64_t now_ns) noexcept { implementation_->step(now_ns); }

std::uint64_t Resharer::next_due() const noexcept { return implementation_->due_ns_; }

ReshareAnswer Resharer::order(const ReshareOrder& order, std::uint64_t now_ns) {
  const ReshareAnswer answer = implementation_->order(order, now_ns);
  ++implementation_->context_.counters.answers[static_cast<std::size_t>(answer)];
  return answer;
}

bool Resharer::cancel(std::uint64_t job) noexcept {
  Implementation& its = *implementation_;
  if (ReshareJob* const running = its.find(job)) {
    running->end(ReshareState::cancelled, ReshareTrouble::none, 0);
    its.note_ended();
    return true;
  }
  const ReshareStatus* const over = its.kept(job);
  if (over == nullptr) return false;
  ReshareStatus status = *over;
  status.state = ReshareState::cancelled;
  its.keep(status);
  return true;
}

bool Resharer::status(std::uint64_t job, ReshareStatus& status) const noexcept {
  if (const ReshareJob* const running = implementation_->find(job)) {
    status = running->status();
    return true;
  }
  const ReshareStatus* const over = implementation_->kept(job);
  if (over != nullptr) status = *over;
  return over != nullptr;
}

std::size_t Resharer::list(std::span<ReshareStatus> jobs) const noexcept {
  std::size_t count = 0;
  for (const auto& job : implementation_->jobs_) {
    if (job->is_running() && count < jobs.size()) jobs[count++] = job->status();
  }
  for (const ReshareStatus& each : implementation_->kept_) {
    if (implementation_->find(each.job) == nullptr && count < jobs.size()) jobs[count++] = each;
  }
  return count;
}

bool Resharer::idle() const noexcept {
  return std::all_of(implementation_->jobs_.begin(), implementation_->jobs_.end(),
                     [](const auto& job) { return job->is_free(); });
}

const ResharerCounters& Resharer::counters() const noexcept { return implementation_->context_.counters; }

bool Resharer::is_erased() const noexcept {
  return std::all_of(implementation_->jobs_.begin(), implementation_->jobs_.end(),
                     [](const auto& job) { return !job->is_free() || job->is_erased(); });
}

}  // namespace ssn::roles
