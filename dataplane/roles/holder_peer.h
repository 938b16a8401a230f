// SPDX-License-Identifier: BSD-3-Clause
// One peer of a holder: its part of everything, allocated once. Puts are in holder_puts.cpp, reads in
// holder_reads.cpp, seals, removals and answers in holder_orders.cpp.
#pragma once

#include <array>
#include <bit>
#include <cassert>
#include <cstdint>
#include <span>
#include <vector>

#include "ssn/protocol/requests.h"
#include "ssn/roles/holder.h"

namespace ssn::roles {

/// First in, first out, of a fixed length.
template <typename T>
class Queue {
 public:
  explicit Queue(std::size_t capacity) : items_(capacity) {}
  std::size_t size() const noexcept { return count_; }
  bool empty() const noexcept { return count_ == 0; }
  bool full() const noexcept { return count_ == items_.size(); }
  std::size_t left() const noexcept { return items_.size() - count_; }
  T& operator[](std::size_t at) noexcept { return items_[(first_ + at) % items_.size()]; }
  const T& operator[](std::size_t at) const noexcept { return items_[(first_ + at) % items_.size()]; }
  T& front() noexcept { return items_[first_]; }
  T& back() noexcept { return (*this)[count_ - 1]; }
  /// Not permitted when full.
  void push(const T& item) noexcept {
    assert(!full());
    ++count_;
    back() = item;
  }
  void pop() noexcept {
    assert(!empty());
    first_ = (first_ + 1) % items_.size();
    --count_;
  }
  void clear() noexcept { first_ = count_ = 0; }

 private:
  std::vector<T> items_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

/// Cells on their way back to the pool, in bursts.
class Returns {
 public:
  explicit Returns(protocol::PacketPool& pool) noexcept : pool_(pool) {}
  Returns(const Returns&) = delete;
  Returns& operator=(const Returns&) = delete;
  ~Returns() { pool_.give_back(std::span<protocol::Cell* const>(cells_).first(count_)); }
  void add(protocol::Cell* cell) noexcept {
    if (count_ == cells_.size()) {
      pool_.give_back(cells_);
      count_ = 0;
    }
    cells_[count_++] = cell;
  }

 private:
  protocol::PacketPool& pool_;
  std::array<protocol::Cell*, 64> cells_{};
  std::size_t count_ = 0;
};

/// Tokens of what a holder sends: nothing but their number matters.
inline constexpr std::uint64_t cell_token = 1;
inline constexpr std::uint64_t answer_token = 2;

/// What the peers of a holder share.
struct HolderContext {
  HolderOptions options;
  StoreAccess& store;
  protocol::PacketPool& pool;
  const AccessRule& rule;
  HolderCounters counters;
};

bool is_good(store::StoreResult result) noexcept;
protocol::AnswerCode answer_code(store::StoreResult result) noexcept;

class HolderPeer {
 public:
  HolderPeer(HolderContext& context, std::uint32_t place);

  /// Nothing of an earlier peer is left.
  bool is_free() const noexcept { return channel_ == nullptr && in_store_ == 0; }
  bool is_here(std::uint32_t life) const noexcept { return channel_ != nullptr && life_ == life; }
  bool uses(const protocol::Channel& channel) const noexcept { return channel_ == &channel; }
  std::uint32_t life() const noexcept { return life_; }
  void begin(protocol::Channel& channel, const PeerIdentity& identity, std::uint64_t now_ns) noexcept;
  void end() noexcept;

  void delivered(std::span<protocol::Cell* const> cells, std::uint64_t now_ns) noexcept;
  /// A request of this peer, also of one that is no longer here.
  void came_back(store::StoreRequest& request, std::uint64_t now_ns) noexcept;
  /// When to come again, whatever else happens.
  std::uint64_t step(std::uint64_t now_ns) noexcept;
  std::uint32_t credit() const noexcept { return context_.options.cells - held_; }
  std::uint32_t in_store() const noexcept { return in_store_; }
  bool audit() const noexcept;

 private:
  using Answer = protocol::Answer;
  using AnswerCode = protocol::AnswerCode;
  using Cell = protocol::Cell;
  using Placement = protocol::Placement;

  /// Up to 64 cells that go to the store together.
  struct Put {
    enum class State : std::uint8_t { free, open, ready, in_store };
    store::StoreRequest request;
    std::uint32_t units = 0;  // of credit
    State state = State::free;
    bool partial = false;
  };
  /// A cell that is durable, and the channel cannot remember it yet. Its put is free: others go to the store
  /// meanwhile, such as the one that the channel waits for.
  struct Untold {
    Cell* cell = nullptr;
    std::uint64_t since_ns = 0;
    std::uint32_t units = 0;
  };
  struct ReadJob {
    Placement what;
    std::uint64_t request = 0;
    std::uint64_t since_ns = 0;
    std::uint16_t count = 0;
    bool used = false;
    std::uint32_t stripes = 0;  // being read or sent
    protocol::CellBitmap asked{};
    protocol::CellBitmap pending{};                                 // not yet begun
    protocol::CellBitmap failed[protocol::last_answer_code + 1]{};  // by AnswerCode
  };
  struct StripeRead {
    enum class State : std::uint8_t { free, in_store, sending };
    store::StoreRequest request;
    std::uint64_t unsent = 0;
    std::uint32_t job = 0;
    State state = State::free;
    bool orphan = false;  // nobody waits for it any more
  };
  struct SealPart {
    std::uint64_t request = 0;
    std::uint32_t first = 0;
    std::uint32_t end = 0;
    std::uint16_t run_count = 0;
    std::array<protocol::SealOrder::Run, protocol::SealOrder::max_runs> runs{};
    bool same(const protocol::SealOrder& order, std::uint32_t from) const noexcept;
  };
  struct Seal {
    enum class State : std::uint8_t { free, gathering, ready, in_store, answering };
    Seal();
    store::StoreRequest request;
    Placement what;
    std::uint32_t cells = 0;
    std::uint64_t since_ns = 0;
    std::vector<SealPart> parts;
    std::size_t part_count = 0;
    std::size_t answered = 0;
    std::vector<store::AttemptRun> runs;
    AnswerCode code = AnswerCode::done;
    State state = State::free;
    bool orphan = false;
  };
  struct Removal {
    enum class State : std::uint8_t { free, ready, in_store, answering };
    store::StoreRequest request;
    Placement what;
    std::uint64_t number = 0;
    AnswerCode code = AnswerCode::done;
    State state = State::free;
    bool orphan = false;
  };
  struct QueuedAnswer {
    Answer answer;
    Placement what;
    bool open = false;  // more cells may join it
  };

  void give_back(Cell* cell) noexcept;
  bool submit(store::StoreRequest& request) noexcept;
  bool permitted(HolderAction action, const Cell& cell) noexcept;

  // holder_puts.cpp
  void take_share(Cell& cell, std::uint64_t now_ns) noexcept;
  bool check_order(Cell& cell, std::uint32_t& units) noexcept;
  Put* open_put() noexcept;
  void close_put() noexcept;
  void submit_puts() noexcept;
  void put_came_back(Put& put, std::uint64_t now_ns) noexcept;
  bool tell(const Cell& cell, std::uint32_t units, std::uint64_t now_ns) noexcept;
  void tell_stored(std::uint64_t now_ns) noexcept;
  void free_put(Put& put) noexcept;
  void end_puts() noexcept;

  // holder_reads.cpp
  bool take_read(const Cell& cell, std::uint64_t now_ns) noexcept;
  void start_reads(std::uint64_t now_ns) noexcept;
  bool start_stripe(ReadJob& job, std::uint32_t index) noexcept;
  void read_came_back(StripeRead& read) noexcept;
  void send_reads(std::uint64_t now_ns) noexcept;
  bool send_stripe(StripeRead& read, std::uint64_t now_ns) noexcept;
  void fail_unsent(StripeRead& read, AnswerCode code) noexcept;
  void fail_cell(ReadJob& job, std::uint32_t cell, AnswerCode code) noexcept;
  void finish_stripe(StripeRead& read) noexcept;
  void finish_jobs() noexcept;
  bool answer_job(ReadJob& job) noexcept;
  void end_reads() noexcept;

  // holder_orders.cpp
  bool take_message(const Cell& cell, std::uint64_t now_ns) noexcept;
  bool take_seal(const Cell& cell, std::uint64_t now_ns) noexcept;
  Seal* find_seal(const Placement& what) noexcept;
  Seal* new_seal() noexcept;
  bool add_part(Seal& seal, const protocol::SealOrder& order, std::uint32_t first) noexcept;
  void begin_seal(Seal& seal) noexcept;
  void seal_came_back(Seal& seal) noexcept;
  void answer_seal(Seal& seal) noexcept;
  void step_seals(std::uint64_t now_ns) noexcept;
  bool take_removal(const Cell& cell) noexcept;
  void step_removals() noexcept;
  void end_orders() noexcept;
  bool answer(const Placement& what, protocol::PacketType type, AnswerCode code,
              std::uint64_t request) noexcept;
  bool answer_cells(const Placement& what, protocol::PacketType type, AnswerCode code, std::uint64_t request,
                    std::uint16_t count, const protocol::CellBitmap& bitmap) noexcept;
  void answer_share(const Cell& cell, AnswerCode code) noexcept;
  void post_answers(std::uint64_t now_ns) noexcept;
  void take_settled() noexcept;

  HolderContext& context_;
  const std::uint32_t place_;
  std::uint32_t life_ = 0;
  protocol::Channel* channel_ = nullptr;
  PeerIdentity identity_;
  std::uint32_t in_store_ = 0;  // requests

  std::vector<Put> puts_;
  Queue<std::uint32_t> free_puts_;
  Put* open_ = nullptr;
  std::uint32_t held_ = 0;      // cells, of the credit
  std::uint32_t partials_ = 0;  // that are on their way
  std::uint32_t ready_ = 0;     // that the store has not taken yet
  std::vector<Untold> untold_;  // room for the credit

  std::vector<ReadJob> jobs_;
  Queue<std::uint32_t> job_order_;
  std::vector<StripeRead> reads_;
  Queue<std::uint32_t> sending_;
  std::uint32_t flying_ = 0;  // cells that were read and sent

  std::vector<Seal> seals_;
  std::vector<Removal> removals_;
  Queue<QueuedAnswer> answers_;
  bool starved_ = false;  // something waits for what nobody announces
};

}  // namespace ssn::roles
