// SPDX-License-Identifier: BSD-3-Clause
// One object on its way from its holders back to its owner.
//
// What the owner asks for waits in a queue and is cut into batches: cells of one stripe of 64 and one
// attempt, at most read_batches of them at a time. A batch asks the best holders, k and the surplus, for all
// its cells, another one for each that is late, fails or lacks cells, and gives a cell to the owner when it
// has enough shares of it that agree. If they do not agree all holders are asked, and the wrong ones are
// named and left out from then on.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ssa_parts.h"
#include "ssa_transforms.h"
#include "ssn/hw/secret_buffer.h"

namespace ssn::roles {

class SsaRead {
 public:
  static constexpr std::size_t most_requests = 32;
  static constexpr std::uint32_t batch_cells = 64;

  static Result<SsaReadPointer> make(const ReadOrder& order, const SsaOptions& options);
  SsaRead(const SsaRead&) = delete;
  SsaRead& operator=(const SsaRead&) = delete;

  const ObjectKey& key() const noexcept { return key_; }
  std::uint16_t owner() const noexcept { return owner_; }

  void open(SsaContext& context, SsaSession session, std::uint64_t now) noexcept;
  /// Gives everything back to the pool.
  void close() noexcept;

  /// The owner asks.
  void asked(const protocol::PacketHeader& header, const protocol::ReadRequest& request,
             std::uint64_t now) noexcept;
  /// A share; false: it is not wanted, and stays the caller's.
  bool arrived(std::uint16_t holder, protocol::Cell& cell, std::uint64_t now) noexcept;
  void answered(std::uint16_t holder, const protocol::PacketHeader& header, const protocol::Answer& answer,
                std::uint64_t now) noexcept;
  void holder_changed(std::uint16_t holder) noexcept;

  void step(std::uint64_t now) noexcept;
  std::uint64_t next_due() const noexcept { return due_; }
  bool busy() const noexcept { return used_ != 0 || !requests_.empty() || current_.next != current_.count; }

 private:
  struct Request {  // of the owner: blocks that were not yet put into batches
    std::uint64_t request = 0;
    std::uint32_t first = 0;
    std::uint16_t count = 0;
    std::uint16_t next = 0;  // of its bitmap
    protocol::CellBitmap bitmap{};
  };
  struct Ask {  // one holder in one batch; bit i: cell first + i
    std::uint64_t asked = 0;
    std::uint64_t got = 0;
    std::uint64_t there = 0;   // shares that are kept: got, and neither given to the owner nor banned
    std::uint64_t failed = 0;  // it does not have them
    std::uint64_t busy = 0;    // to be asked again
    std::uint64_t busy_ns = 0;
    std::uint64_t asked_ns = 0;
    std::uint64_t heard_ns = 0;
    bool late = false;
    bool silent = false;
    bool mute = false;
  };
  struct Batch {
    bool used = false;
    bool look = false;  // something changed since work() looked at its cells
    std::uint8_t life = 0;
    std::uint16_t attempt = 0;
    std::uint32_t first = 0;      // a multiple of 64
    std::uint64_t wanted = 0;     // cells that are not done with
    std::uint64_t contested = 0;  // their shares contradict each other
    std::uint64_t undecided = 0;  // and it cannot be told which are wrong before more of them come
    std::uint64_t refused = 0;    // to be answered: cannot be had
    protocol::AnswerCode code = protocol::AnswerCode::incomplete;
    std::uint64_t request = 0;  // the owner's
    std::uint64_t deadline_ns = 0;
  };
  struct Member {  // a holder
    std::uint16_t holder = 0;
    bool sealed = false;
    bool banned = false;
  };
  struct Counted {            // of one cell of a batch
    unsigned have = 0;        // shares that are there
    unsigned coming = 0;      // and those that should come soon
    unsigned attainable = 0;  // and those that could be asked for, or are waited for
    unsigned possible = 0;    // and those whose holders may come back
  };

  // A number for each cell of a batch: bit i of it in planes[i], so that all cells are counted at once.
  class Tally {
   public:
    void add(std::uint64_t cells) noexcept {
      for (std::size_t i = 0; cells != 0; ++i) {
        const std::uint64_t carry = planes_[i] & cells;
        planes_[i] ^= cells;
        cells = carry;
      }
    }
    unsigned of(unsigned cell, unsigned planes) const noexcept {
      unsigned number = 0;
      for (unsigned i = 0; i < planes; ++i) number |= static_cast<unsigned>(planes_[i] >> cell & 1) << i;
      return number;
    }

   private:
    std::array<std::uint64_t, 8> planes_{};  // n is 255 at most
  };
  struct Counts {  // of all cells of a batch
    Tally have;
    Tally coming;
    Tally attainable;
    Tally possible;
  };

  SsaRead(const ReadOrder& order, const SsaOptions& options, const kernels::Code& code);
  Outcome allocate();
  Ask& ask_of(std::size_t batch, unsigned index) noexcept { return asks_[batch * n_ + index]; }
  protocol::Cell*& share(std::size_t batch, unsigned cell, unsigned index) noexcept {
    return shares_[(batch * batch_cells + cell) * n_ + index];
  }
  std::uint8_t& blocks_of(std::size_t batch, unsigned cell, unsigned block) noexcept {
    return wanted_blocks_[(batch * batch_cells + cell) * data_blocks_ + block];
  }
  bool present(unsigned index) const noexcept;
  protocol::Channel* channel_of(unsigned index) const noexcept;

  // ssa_read.cpp
  std::uint16_t attempt_of(std::uint32_t cell) const noexcept;
  void take_requests(std::uint64_t now) noexcept;
  bool take_block(std::uint32_t block, const Request& request, std::uint64_t now) noexcept;
  bool may_take(std::uint64_t now) noexcept;
  void answer_owner(std::uint32_t first, std::uint16_t count, const protocol::CellBitmap& bitmap,
                    std::uint64_t request, protocol::AnswerCode code, std::uint64_t now) noexcept;
  void answer_refused(std::size_t at, std::uint64_t now) noexcept;
  void refuse(std::size_t at, unsigned cell, protocol::AnswerCode code) noexcept;
  void free_cell(std::size_t at, unsigned cell) noexcept;
  void forget_asks(std::size_t at) noexcept;
  void end_batch(std::size_t at) noexcept;

  // ssa_ask.cpp
  void work(std::size_t at, std::uint64_t now) noexcept;
  void note_late(std::size_t at, std::uint64_t now) noexcept;
  std::uint64_t unlikely(std::size_t at, unsigned index, std::uint64_t now) noexcept;
  Counts count(std::size_t at, std::uint64_t now) noexcept;
  Counted of(const Counts& counts, unsigned cell) const noexcept;
  void work_on(std::size_t at, std::uint64_t now) noexcept;
  unsigned enough(const Batch& batch, unsigned cell, const Counted& counted) const noexcept;
  void ask_more(std::size_t at, std::uint64_t now) noexcept;
  std::uint64_t score(unsigned index, std::uint64_t now) const noexcept;
  bool ask(std::size_t at, unsigned index, std::uint64_t cells, std::uint64_t now) noexcept;
  void unask(std::size_t at, unsigned index, std::uint64_t cells) noexcept;

  // ssa_recover.cpp
  enum class Given : std::uint8_t { given, not_now, not_yet };
  Given give(std::size_t at, unsigned cell, std::uint64_t now) noexcept;
  bool agree() noexcept;
  bool locate(std::size_t at, unsigned cell) noexcept;
  void contradict(std::size_t at, unsigned cell) noexcept;
  std::size_t room_for(std::size_t at, unsigned cell, std::uint64_t now) noexcept;
  bool recover(std::size_t at, unsigned cell, std::size_t packets, std::uint64_t now) noexcept;
  void send_blocks(std::uint64_t now) noexcept;
  void take_back(const protocol::Placement& what) noexcept;
  void collect(std::size_t at, unsigned cell) noexcept;
  void ban(unsigned index, std::uint32_t cell) noexcept;

  SsaContext* context_ = nullptr;
  SsaSession session_ = 0;
  ObjectKey key_;
  ObjectLayout layout_;
  SsaOptions options_;
  Pacer pacer_;
  kernels::Code code_;
  unsigned n_;
  unsigned k_;
  unsigned data_blocks_;
  std::uint16_t owner_;
  std::uint32_t cells_;
  std::vector<AttemptRun> attempts_;
  std::vector<std::uint8_t> sealed_;

  std::vector<Member> members_;       // by share - 1
  std::vector<std::uint8_t> places_;  // of holders among them; 255: none
  std::vector<Batch> batches_;
  std::vector<Ask> asks_;
  std::vector<protocol::Cell*> shares_;
  std::vector<std::uint8_t> wanted_blocks_;
  FixedQueue<Request> requests_{most_requests};
  Request current_;  // being put into batches; count 0: none
  TransformCache recover_;
  TransformCache syndromes_;
  hw::SecretBuffer scratch_;  // blocks that the owner did not ask for

  // One cell's shares, as collect() found them: rows, ascending.
  std::vector<std::uint8_t> indices_;
  std::vector<const std::uint8_t*> inputs_;
  std::vector<std::uint8_t*> outputs_;
  std::vector<protocol::Cell*> fresh_;
  kernels::LocateResult located_;
  // Blocks that were recovered and are to be sent, and how many more the owner's channel takes.
  std::array<protocol::Parcel, protocol::Channel::max_burst> parcels_;
  std::size_t parcel_count_ = 0;
  std::uint32_t allowed_ = 0;
  std::uint32_t used_ = 0;  // batches
  bool short_ = false;      // of packets, or of room in a channel
  bool recount_ = false;    // a holder was banned
  std::uint64_t turn_ = 0;
  std::uint64_t due_ = 0;
};

}  // namespace ssn::roles
