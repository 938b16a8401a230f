// SPDX-License-Identifier: BSD-3-Clause
// One object on its way from its owner to its holders.
//
// A window of cells, found by cell number modulo its size, from base_ on: blocks of the owner arrive in any
// order; a cell that has all of them is split; its shares wait, one queue a holder, are sent, and are stored.
// Once `needed()` holders have it, its owner is told. A cell leaves the window, in order, when every holder
// that has not failed has it: so whoever has not failed has everything, and a connection that breaks costs a
// new split of what is in the window, never more.
//
// A share that was lost on its way is not sent again: cells from the first one on that its holder has not
// stored are split again, all of them, in a new attempt. Attempts therefore only grow with the cell number,
// and an object has at most splits_again + 1 runs of them.
#pragma once

#include <cstdint>
#include <vector>

#include "ssa_parts.h"
#include "ssn/hw/secret_buffer.h"

namespace ssn::roles {

class SsaWrite {
 public:
  /// Shares that wait for one holder before cells are not split any more on its account.
  static constexpr std::size_t ahead = 64;

  static Result<SsaWritePointer> make(const WriteOrder& order, const SsaOptions& options);
  SsaWrite(const SsaWrite&) = delete;
  SsaWrite& operator=(const SsaWrite&) = delete;

  const ObjectKey& key() const noexcept { return key_; }
  std::uint16_t owner() const noexcept { return owner_; }
  const WriteResult& result() const noexcept { return result_; }

  /// Once, before anything else.
  void open(SsaContext& context, SsaSession session, std::uint64_t now) noexcept;
  /// Gives everything back to the pool; ended() afterwards.
  void close(SsaTrouble why) noexcept;

  enum class Arrived : std::uint8_t { taken, again, told, refused };
  /// taken: the cell is this object's. again: it is not needed, and will be told with the first one. told: it
  /// is not needed, and is to be told as stored. refused: no room for it, or it has no place here.
  Arrived arrived(protocol::Cell& cell, std::uint64_t now) noexcept;
  /// Blocks that there is room for, and that the rate allows, beyond those that arrived.
  std::uint32_t credit() const noexcept;
  bool expects_blocks() const noexcept { return !result_.ended && !finishing_; }
  void finish(std::uint64_t blocks, std::uint64_t now) noexcept;

  void holder_came(std::uint16_t holder) noexcept;
  void holder_left(std::uint16_t holder, std::uint64_t now) noexcept;
  void settled(std::uint16_t holder, const protocol::Settled& settled, std::uint64_t now) noexcept;
  /// An answer about one of its cells or its seal.
  void answered(std::uint16_t holder, const protocol::PacketHeader& header, const protocol::Answer& answer,
                std::uint64_t now) noexcept;

  void step(std::uint64_t now) noexcept;
  std::uint64_t next_due() const noexcept { return due_; }

 private:
  enum class ShareState : std::uint8_t { none, queued, sent, stored, lost };
  struct Share {
    protocol::Cell* cell = nullptr;  // while queued
    protocol::PacketHandle handle;   // while sent
    ShareState state = ShareState::none;
    bool kept = false;  // its holder keeps pad: the order stands for more cells than this
  };
  struct Group {               // a cell of the object
    std::uint16_t blocks = 0;  // that are there
    std::uint16_t attempt = 0;
    std::uint8_t kept_cells = 0;  // of the keep orders that it is in; 0: none
    std::uint32_t kept_from = 0;  // their first cell
    std::uint16_t stored = 0;     // holders, not counting failed ones
    bool full = false;            // all blocks are there; what is null is zeros
    bool split = false;
    bool told = false;  // to its owner, or waiting for that in to_tell_
    std::uint16_t told_blocks = 0;
    std::uint64_t full_ns = 0;  // since when it could be stored: anew with each attempt
    std::uint64_t told_ns = 0;
    std::uint64_t enough_ns = UINT64_MAX;  // since when the minimum has it
  };
  struct Target {  // a holder
    enum class Seal : std::uint8_t { none, asked, done };
    std::uint16_t holder = 0;
    bool failed = false;
    bool away = true;
    bool broken = false;  // it lost shares
    Seal seal = Seal::none;
    SsaTrouble trouble = SsaTrouble::none;
    std::uint16_t broke = 0;          // how often cells were split again because of it
    std::uint32_t unstored = 0;       // cells of the window that were split and that it has not stored
    std::uint64_t away_ns = 0;        // since when
    std::uint64_t retry_ns = 0;       // not before that
    std::uint64_t stalled_ns = 0;     // how long it held up the owner
    std::uint64_t asked_ns = 0;       // to seal
    FixedQueue<std::uint32_t> queue;  // cells whose shares are to be sent
  };

  SsaWrite(const WriteOrder& order, const SsaOptions& options, const kernels::Code& code);
  Outcome allocate();

  // ssa_write.cpp
  Group& group(std::uint32_t cell) noexcept { return groups_[cell & (window_ - 1)]; }
  Share& share(std::uint32_t cell, unsigned index) noexcept {
    return shares_[std::size_t{cell & (window_ - 1)} * n_ + index];
  }
  protocol::Cell*& block(std::uint32_t cell, unsigned at) noexcept {
    return blocks_[std::size_t{cell & (window_ - 1)} * data_blocks_ + at];
  }
  std::uint32_t room() const noexcept;
  void pace(std::uint64_t now) noexcept;
  unsigned alive() const noexcept { return n_ - failed_; }
  unsigned needed() const noexcept { return std::min(layout_.quorum, alive()); }
  protocol::Channel* channel_of(const Target& target) const noexcept;
  Target* target_of(std::uint16_t holder, unsigned& index) noexcept;
  void fill(std::uint32_t cell, std::uint64_t now) noexcept;
  bool may_split() const noexcept;
  bool split_some(std::uint64_t now) noexcept;
  void split(std::uint32_t cell, std::size_t at, std::span<protocol::Cell*> packets) noexcept;
  bool split_run(std::uint32_t cells, std::uint64_t now) noexcept;
  bool is_there(unsigned index) const noexcept { return !targets_[index].failed && !targets_[index].away; }
  std::size_t place_shares(std::uint32_t cell, std::span<protocol::Cell*> packets) noexcept;
  bool send_some(Target& target, unsigned index, std::uint64_t now) noexcept;
  void stored(std::uint32_t cell, unsigned index, std::uint64_t now) noexcept;
  void consider(std::uint32_t cell, std::uint64_t now) noexcept;
  bool tell_owner(std::uint64_t now) noexcept;
  void release(std::uint64_t now) noexcept;
  void free_blocks(std::uint32_t cell) noexcept;
  void end(SsaTrouble why) noexcept;

  // ssa_keep.cpp
  std::uint32_t run_length() noexcept;
  bool reserve_random() noexcept;
  void use_random(std::uint32_t first, std::uint32_t cells, std::uint64_t now) noexcept;
  bool keep(unsigned index, std::uint32_t first, std::uint32_t cells, std::span<std::uint8_t> share,
            std::uint64_t now) noexcept;

  // ssa_trouble.cpp
  void lose(std::uint32_t cell, unsigned index, std::uint64_t again_ns) noexcept;
  void drop_share(std::uint32_t cell, unsigned index) noexcept;
  void fail(unsigned index, SsaTrouble trouble, std::uint64_t now) noexcept;
  void split_again(std::uint64_t now) noexcept;
  void split_again_from(std::uint32_t cell, std::uint64_t now) noexcept;
  bool first_lost(unsigned index, std::uint32_t& cell) noexcept;
  void watch(std::uint64_t now) noexcept;
  void next_look(std::uint64_t now) noexcept;
  void charge(std::uint64_t now) noexcept;
  bool holds_up(const Target& target, unsigned index) noexcept;
  bool far_behind(const Target& target) const noexcept;
  void event(SsaEvent::Kind kind, unsigned index, SsaTrouble trouble, std::uint32_t cell) noexcept;

  // ssa_seal.cpp
  void count_blocks(std::uint64_t now) noexcept;
  void seal(std::uint64_t now) noexcept;
  bool ask_to_seal(Target& target, unsigned index, std::uint64_t now) noexcept;
  void seal_answered(unsigned index, const protocol::Answer& answer, std::uint64_t now) noexcept;
  void conclude() noexcept;
  protocol::AnswerCode end_code() const noexcept;
  void tell_end(std::uint64_t now) noexcept;
  Protection protection() const noexcept;

  SsaContext* context_ = nullptr;
  SsaSession session_ = 0;
  ObjectKey key_;
  ObjectLayout layout_;
  SsaOptions options_;
  Pacer pacer_;
  kernels::Code code_;
  unsigned n_;
  unsigned data_blocks_;
  std::uint32_t window_;
  std::uint16_t owner_;

  std::vector<Group> groups_;
  std::vector<Share> shares_;
  std::vector<protocol::Cell*> blocks_;
  std::vector<Target> targets_;       // by share - 1
  std::vector<std::uint8_t> places_;  // of holders among them; 255: none
  std::vector<std::uint8_t*> outputs_;
  std::vector<const std::uint8_t*> inputs_;
  std::vector<protocol::Cell*> fresh_;
  std::unique_ptr<kernels::Transform> transform_;
  hw::SecretBuffer random_;     // the random blocks of one run of cells: by block, then by cell
  hw::SecretBuffer reserve_;    // drawn, for holders that turn out not to keep theirs; none where nobody does
  std::vector<bool> reserved_;  // which random blocks are in it
  hw::SecretBuffer scratch_;    // shares of holders that get none; zeros at its end

  FixedQueue<std::uint32_t> ready_;
  FixedQueue<std::uint32_t> to_tell_;
  std::uint32_t base_ = 0;     // the first cell of the window
  std::uint32_t end_ = 0;      // behind the last cell of which something arrived
  std::uint64_t held_ = 0;     // blocks in the window
  std::uint16_t attempt_ = 0;  // of what is split now
  unsigned failed_ = 0;
  std::uint32_t run_cells_ = 1;  // that are split together at most
  bool lowered_ = false;         // a cipher stood in for pads or random bytes, or data came under one
  bool paced_ = false;           // there is a limit of rate
  bool short_ = false;           // of packets, random blocks, or room in the owner's channel
  std::uint64_t stepped_ns_ = 0;
  std::uint64_t moved_ns_ = 0;  // when base_ moved last
  std::uint64_t due_ = 0;

  bool finishing_ = false;
  bool sealing_ = false;
  bool told_end_ = false;
  std::uint64_t total_blocks_ = 0;
  std::uint32_t total_cells_ = 0;
  std::uint64_t finish_ns_ = 0;
  WriteResult result_;
};

}  // namespace ssn::roles
