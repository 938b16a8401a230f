// SPDX-License-Identifier: BSD-3-Clause
// One place for a job of a Resharer: a round of it, from its order to its end. Giving is in reshare_give.cpp,
// masks in reshare_masks.cpp, taking in reshare_take.cpp, the check in reshare_check.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "reshare_math.h"
#include "reshare_plan.h"
#include "share_reader.h"
#include "ssn/roles/resharer.h"

namespace ssn::roles {

struct ResharePeer {
  protocol::Channel* channel = nullptr;
  std::uint64_t node = 0;
  std::uint32_t life = 0;
};

/// What the jobs of a resharer share.
struct ReshareContext {
  ResharerOptions options;
  const kernels::Implementation& implementation;
  StoreAccess& store;
  protocol::PacketPool& pool;
  RandomBlocks& random;
  ResharerCounters counters;
  std::vector<ResharePeer> peers;
  kernels::Transform transform;  // 66 KiB that are made anew for every use
  bool starved = false;          // something waits for what nobody announces

  protocol::Channel* channel_of(std::uint64_t node) const noexcept;
};

/// What a token of a channel says: whose, and of what.
struct ReshareToken {
  enum class Kind : std::uint8_t { mask = 1, contribution = 2, challenge = 3 };
  Kind kind = Kind::mask;
  std::uint8_t place = 0;
  std::uint32_t life = 0;   // 24 bits
  std::uint32_t index = 0;  // 24 bits
  std::uint64_t pack() const noexcept;
  static ReshareToken unpack(std::uint64_t token) noexcept;
};

class ReshareJob {
 public:
  ReshareJob(ReshareContext& context, std::uint32_t place, std::span<std::uint8_t> memory);

  bool is_running() const noexcept { return running_; }
  bool is_free() const noexcept { return !running_ && in_store_ == 0; }
  bool is(std::uint64_t job) const noexcept { return running_ && order_.job == job; }
  bool is(std::uint64_t job, std::uint16_t round) const noexcept { return is(job) && order_.round == round; }
  std::uint32_t life() const noexcept { return life_; }
  std::size_t in_store() const noexcept { return in_store_; }
  bool is_erased() const noexcept;

  /// The order was checked, and its plan fits. `computational`: a round before was. Allocates.
  void begin(const ReshareOrder& order, ResharePlan plan, bool computational, std::uint64_t now_ns);
  /// Everything of it is erased; what is in the store finds nobody.
  void end(ReshareState state, ReshareTrouble trouble, std::uint64_t node) noexcept;
  /// Of the latest round.
  ReshareStatus status() const noexcept;
  /// Whether it is over since the last call.
  bool take_ended() noexcept { return std::exchange(ended_, false); }
  bool uses(std::uint64_t node) const noexcept;

  // False: it is not expected. Nothing is sent in them.
  bool take_contribution(protocol::Cell& cell, std::uint64_t node) noexcept;
  bool take_mask(const protocol::Cell& cell, const protocol::MaskOrder& order, std::uint64_t node) noexcept;
  bool take_challenge(const protocol::Cell& cell, std::uint64_t node) noexcept;

  void settled(const ReshareToken& token, const protocol::Settled& settled, std::uint64_t node) noexcept;
  void came_back(store::StoreRequest& request) noexcept;
  std::uint64_t step(std::uint64_t now_ns) noexcept;

 private:
  using Cell = protocol::Cell;
  enum class Slot : std::uint8_t { give_read, take_read, put, seal, fold_read };

  struct Lane {
    std::uint64_t unsent = 0;
    std::uint64_t unstored = 0;
    std::uint64_t retry_ns = 0;
  };
  struct Pair {
    enum class State : std::uint8_t { none, sent, confirmed };
    State state = State::none;
    std::uint64_t retry_ns = 0;
  };
  /// What is given of one unit.
  struct GiveUnit {
    enum class Phase : std::uint8_t { closed, masking, reading, giving };
    Phase phase = Phase::closed;
    std::uint32_t number = 0;
    std::size_t unconfirmed = 0;
    std::size_t unstored = 0;  // lanes
    ShareReader reader;
    std::vector<Pair> pairs;  // by giver
    std::vector<Lane> lanes;  // by taker
  };
  struct Record {
    protocol::PacketHeader header;
    std::uint32_t range_length = 0;
  };
  /// What is taken of one unit.
  struct TakeUnit {
    enum class Phase : std::uint8_t { closed, adding, ready, in_store, telling };
    Phase phase = Phase::closed;
    std::uint32_t number = 0;
    std::size_t missing = 0;  // cells of givers, and of the own share
    bool own_added = false;
    std::uint64_t retry_ns = 0;
    ShareReader reader;
    store::StoreRequest request;
    std::vector<Cell> cells;            // one for each attempt in it: not packets
    std::vector<std::uint64_t> added;   // by giver: cells
    std::vector<std::uint64_t> untold;  // by giver
    std::vector<Record> records;        // by giver and cell
  };

  // reshare_job.cpp
  void lay_out(std::uint64_t now_ns);
  void finish_if_done() noexcept;
  void progress() noexcept { progress_ns_ = now_ns_; }
  void check_stall() noexcept;
  std::uint64_t waited_for() const noexcept;
  void fail(ReshareTrouble trouble, std::uint64_t node = 0) noexcept {
    end(ReshareState::failed, trouble, node);
  }
  std::uint64_t deadline() const noexcept { return now_ns_ + stall_ns_; }
  std::uint64_t context_of(Slot slot, std::size_t index) const noexcept;
  void give_back(Cell* cell) noexcept;
  void erase_memory() noexcept;
  bool read(ShareReader& reader) noexcept;
  void add(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) noexcept;
  void apply(std::span<const std::uint8_t> matrix, std::size_t rows, const std::uint8_t* const* in,
             std::uint8_t* const* out, std::size_t bytes) noexcept;
  store::ShareId given_share() const noexcept;
  store::ShareId target_share() const noexcept;
  std::uint32_t made_generation() const noexcept;
  void step_seal() noexcept;
  void later(std::uint64_t at_ns) noexcept { due_ns_ = std::min(due_ns_, at_ns); }

  // reshare_masks.cpp
  void send_masks(GiveUnit& unit) noexcept;
  bool send_mask(GiveUnit& unit, std::size_t giver) noexcept;
  protocol::MaskOrder mask_order(const GiveUnit& unit) const noexcept;
  protocol::Placement mask_placement(const GiveUnit& unit, std::size_t giver) const noexcept;
  std::uint8_t* pending_mask(const GiveUnit& unit, std::size_t giver) noexcept;
  void confirm(GiveUnit& unit, std::size_t giver, const std::uint8_t* mask) noexcept;
  void mask_settled(std::uint32_t index, const protocol::Settled& settled, std::uint64_t node) noexcept;

  // reshare_give.cpp
  GiveUnit& give_slot(std::uint32_t unit) noexcept { return give_units_[unit % plan_.slots]; }
  std::uint8_t* give_buffer(const GiveUnit& unit, std::size_t lane) noexcept;
  void open_give(std::uint32_t number) noexcept;
  void close_give(GiveUnit& unit) noexcept;
  void step_give() noexcept;
  bool may_open() noexcept;
  void work(GiveUnit& unit) noexcept;
  bool make_outputs(GiveUnit& unit) noexcept;
  void make_masked(GiveUnit& unit) noexcept;
  bool make_dealings(GiveUnit& unit) noexcept;
  void begin_giving(GiveUnit& unit) noexcept;
  void give_lane(GiveUnit& unit, std::size_t lane) noexcept;
  void give_self(GiveUnit& unit, std::size_t lane) noexcept;
  std::size_t give_some(GiveUnit& unit, std::size_t lane, protocol::Channel& channel) noexcept;
  void lane_stored(GiveUnit& unit, std::size_t lane, std::uint64_t cells) noexcept;
  void contribution_settled(std::uint32_t index, const protocol::Settled& settled,
                            std::uint64_t node) noexcept;

  // reshare_take.cpp
  TakeUnit& take_slot(std::uint32_t unit) noexcept { return take_units_[unit % plan_.window]; }
  std::uint8_t* sum(const TakeUnit& unit) noexcept;
  void open_take(std::uint32_t number) noexcept;
  bool add_cell(std::size_t giver, std::uint32_t cell, const std::uint8_t* bytes) noexcept;
  void add_own(TakeUnit& unit) noexcept;
  void step_take() noexcept;
  void work(TakeUnit& unit) noexcept;
  void put(TakeUnit& unit) noexcept;
  void put_came_back(TakeUnit& unit) noexcept;
  void tell(TakeUnit& unit) noexcept;
  void close_take(TakeUnit& unit) noexcept;

  // reshare_check.cpp
  void begin_check() noexcept;
  void step_check() noexcept;
  void accept_challenge(std::span<const std::uint8_t> seed) noexcept;
  void send_challenges() noexcept;
  void challenge_settled(std::uint32_t index, const protocol::Settled& settled, std::uint64_t node) noexcept;
  void step_fold() noexcept;
  bool next_fold() noexcept;
  void fold(bool of_source) noexcept;
  void judge(TakeUnit& unit) noexcept;
  bool has_surplus() const noexcept;
  std::uint8_t* folds() noexcept { return share_; }

  ReshareContext& context_;
  const std::uint32_t place_;
  const std::span<std::uint8_t> memory_;
  std::size_t used_ = 0;  // of memory_
  std::uint32_t life_ = 0;
  bool running_ = false;
  bool ended_ = false;
  std::size_t in_store_ = 0;

  ReshareOrder order_;
  ResharePlan plan_;
  ReshareMath math_;
  ReshareStatus status_;
  std::uint64_t now_ns_ = 0;
  std::uint64_t due_ns_ = UINT64_MAX;
  std::uint64_t progress_ns_ = 0;
  std::uint64_t stall_ns_ = 0;
  ReshareTrouble short_of_ = ReshareTrouble::stalled;

  // Places in memory_.
  std::uint8_t* give_memory_ = nullptr;
  std::uint8_t* random_memory_ = nullptr;
  std::uint8_t* mask_memory_ = nullptr;
  std::uint8_t* share_ = nullptr;    // of one unit, while it is worked on; in a check the folds
  std::uint8_t* product_ = nullptr;  // in a check
  std::uint8_t* sum_memory_ = nullptr;
  std::uint8_t* own_ = nullptr;

  std::vector<GiveUnit> give_units_;
  std::uint32_t give_base_ = 0;  // units before are stored by all takers
  std::uint32_t give_next_ = 0;  // to open
  std::uint64_t rate_ns_ = 0;
  std::vector<std::uint8_t> matrix_;
  std::vector<std::uint32_t> own_mask_index_;  // by giver: which of those that this one allocates
  std::vector<bool> pair_proven_, lane_proven_;
  std::vector<std::uint32_t> pair_flying_, lane_flying_;

  std::vector<TakeUnit> take_units_;
  std::uint32_t take_base_ = 0;

  store::StoreRequest seal_;
  bool sealing_ = false;

  enum class Challenged : std::uint8_t { no, sent, received };
  std::vector<Challenged> challenged_;  // by giver
  std::array<std::uint8_t, kernels::RandomGenerator::seed_bytes> seed_{};
  bool has_seed_ = false;
  bool folded_ = false;
  bool fold_source_ = false;  // which share is being read
  std::uint32_t fold_at_ = 0;
  ShareReader fold_reader_;
  std::size_t source_index_ = no_index, target_index_ = no_index;
  kernels::RandomGenerator generator_;
  std::vector<std::uint8_t> rho_, weights_;
};

}  // namespace ssn::roles
