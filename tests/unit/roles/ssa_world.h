// SPDX-License-Identifier: BSD-3-Clause
// An SSA, its holders and data owners, over links that lose, double and mix packets by a seed, in virtual
// time. Channels, sealers, kernels, holders and stores are the real ones. Holders are killed, restarted,
// partitioned, slowed down, and lie. What is promised is checked at every step; the first thing that is wrong
// is kept.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../store/test_store.h"
#include "packet_ends.h"
#include "ssn/protocol/channel.h"
#include "ssn/protocol/session_keys.h"
#include "ssn/roles/holder.h"
#include "ssn/roles/ssa.h"
#include "ssn/roles/store_divider.h"
#include "test_packet_pool.h"
#include "transport_world.h"
#include "virtual_store.h"

namespace ssn::test {

/// How many seeds a test runs over: SSN_SSA_RUNS, or so many.
std::uint64_t seeds(std::uint64_t usual);

/// While the SSA runs: for a test that counts allocations.
inline thread_local bool inside_ssa = false;

struct SsaWorldOptions {
  LinkOptions link;
  LinkOptions owner_link;
  roles::HolderOptions holder;
  VirtualStoreOptions store;
  protocol::ChannelOptions channel;
  roles::SsaOptions ssa;
  roles::ObjectLayout layout;
  std::size_t pool_cells = 40000;
  bool gcm = false;  ///< between SSA and holders, where pads are short
  std::uint64_t pad_bytes = std::uint64_t{1} << 40;
  std::size_t pad_ring_bytes = std::size_t{1}
                               << 18;  ///< of each direction of a tie: locked memory, and filled
  std::uint16_t holders = 0;           ///< nodes; 0: one for each share of the layout
  bool guests = false;                 ///< at each holder somebody else uses the store, too
};

/// Counts what is taken.
class CountedBlocks final : public roles::RandomBlocks {
 public:
  explicit CountedBlocks(roles::RandomBlocks& from) : from_(from) {}
  bool fill(std::span<std::uint8_t> to) noexcept override {
    if (dry || !from_.fill(to)) return false;
    bytes += to.size();
    return true;
  }
  bool computational() const noexcept override { return !qrng && from_.computational(); }

  std::uint64_t bytes = 0;
  bool dry = false;
  bool qrng = false;  ///< passes for a random stream of a key device

 private:
  roles::RandomBlocks& from_;
};

/// What a Channel needs around it at one end.
class ChannelEnd {
 public:
  ChannelEnd(TestPacketPool& pool, protocol::Opener& opener, protocol::Channel& channel)
      : pool_(pool), opener_(opener), channel_(channel) {}
  ~ChannelEnd() { pool_.give_back(inbox_); }
  ChannelEnd(const ChannelEnd&) = delete;
  ChannelEnd& operator=(const ChannelEnd&) = delete;

  /// `orders`: with memory for what keep orders yield.
  void receive(const Bytes& packet, bool orders = false);
  using Take = std::function<void(std::span<protocol::Cell* const>)>;
  /// Opens what came, and hands over what is delivered.
  void deliver(std::uint64_t now_ns, const Take& take);
  /// What came and was not looked at goes with its process.
  void drop() {
    pool_.give_back(inbox_);
    inbox_.clear();
  }
  void transmit(Link& link, unsigned to, std::uint64_t now_ns);
  protocol::Channel& channel() { return channel_; }

 private:
  TestPacketPool& pool_;
  protocol::Opener& opener_;
  protocol::Channel& channel_;
  std::vector<protocol::Cell*> inbox_;
  std::map<const protocol::Cell*, Bytes> kept_;  // by cell
};

/// A connection of an SSA to one holder: dies with the restart of either.
struct Tie {
  Tie(const SsaWorldOptions& options, unsigned name, TestPacketPool& ssa_pool, TestPacketPool& holder_pool,
      std::uint64_t now_ns);
  void poll();

  unsigned name;
  PacketEnds there;  ///< SSA to holder
  PacketEnds back;
  protocol::Channel ssa_channel;
  protocol::Channel holder_channel;
  ChannelEnd at_ssa;
  ChannelEnd at_holder;
  roles::PeerId peer;
  bool peered = false;
};

struct HolderNode {
  HolderNode(const SsaWorldOptions& options, std::uint64_t seed);
  void start(const SsaWorldOptions& options);

  Link there, back;
  CrashMedium medium;
  VirtualStore store;
  TestPacketPool pool;
  roles::SsaAccess rule;
  std::unique_ptr<roles::StoreDivider> divider;  ///< with guests
  std::unique_ptr<roles::Holder> holder;
  std::unique_ptr<Tie> tie;
  bool alive = true;
  unsigned lies_percent = 0;  ///< of the shares that it gives, changed in one byte
  unsigned shares_given = 0;
};

/// A data owner with one session: it writes or reads one object.
class TestOwner {
 public:
  TestOwner(const SsaWorldOptions& options, unsigned name, TestPacketPool& ssa_pool, std::uint64_t seed,
            std::uint64_t now_ns);

  void write(const roles::ObjectKey& key, Bytes content);
  void read(const roles::ObjectKey& key, std::uint32_t blocks);
  void work(std::uint64_t now_ns);
  std::uint64_t next_due() const { return channel->next_due(); }

  bool all_stored() const { return stored_count == blocks; }
  bool read_over() const { return got_count + refused_count == blocks; }
  bool has(std::uint32_t block) const { return states_[block] == BlockState::got; }

  unsigned name;
  std::uint32_t cell_bytes;
  PacketEnds keys_there, keys_back;  ///< only for their sealers and openers
  TestPacketPool pool;
  std::unique_ptr<protocol::SessionKeys> keys, ssa_keys;
  std::unique_ptr<protocol::Channel> channel, ssa_channel;
  std::unique_ptr<ChannelEnd> end, ssa_end;
  Link there, back;

  roles::SessionMeters meters{};  ///< of its sessions; before they are opened
  roles::ObjectKey key;
  Bytes content;  ///< written, or what was read
  std::uint32_t blocks = 0;
  std::uint32_t received_count = 0;
  std::uint32_t stored_count = 0;
  std::uint32_t got_count = 0;
  std::uint32_t refused_count = 0;
  std::vector<bool> stored;
  std::vector<std::uint32_t> newly_stored;
  std::vector<bool> was_given;  ///< what was read
  std::map<protocol::AnswerCode, unsigned> answers;
  bool write_over = false;  ///< the SSA said that it has failed
  std::string wrong;

 private:
  enum class BlockState : std::uint8_t { none, asked, got, refused };
  void take_in(std::span<protocol::Cell* const> cells, std::uint64_t now_ns);
  void take_block(const protocol::Cell& cell);
  void take_answer(const protocol::Cell& cell);
  void take_settled();
  void send_blocks(std::uint64_t now_ns);
  void ask(std::uint64_t now_ns);

  bool writes_ = false;
  std::vector<std::uint32_t> to_send_;
  std::vector<BlockState> states_;
  std::vector<std::uint64_t> asked_ns_;
  std::uint64_t request_ = 0;
};

/// What else lives at the holders, in the same time: on the second side of their dividers.
class HolderGuests {
 public:
  HolderGuests() = default;
  HolderGuests(const HolderGuests&) = delete;
  HolderGuests& operator=(const HolderGuests&) = delete;
  virtual ~HolderGuests() = default;
  virtual void started(std::size_t holder) = 0;
  /// Power goes: what is on its way is given up.
  virtual void stopping(std::size_t holder) = 0;
  /// The store gave everything back.
  virtual void stopped(std::size_t holder) = 0;
  virtual void work() = 0;
  virtual std::uint64_t next_due() const = 0;
  /// Takes what arrived by now.
  virtual void receive() = 0;
  virtual std::string wrong() const = 0;
};

class SsaWorld {
 public:
  SsaWorld(const SsaWorldOptions& options, std::uint64_t seed);
  ~SsaWorld();

  void connect(std::size_t holder);
  /// Both ends of the association are gone; the SSA is told.
  void disconnect(std::size_t holder);
  /// Power goes at the holder. The SSA is not told.
  void kill(std::size_t holder);
  /// The holder starts with what is on its disk, and a new association begins.
  void restart(std::size_t holder);
  void cut(std::size_t holder, bool cut);
  /// How many holders' stores have this cell, in whichever attempt.
  unsigned holders_with(const roles::ObjectKey& key, std::uint32_t cell);

  TestOwner& add_owner();
  void remove_owner(TestOwner& owner);
  roles::SsaSession open_write(TestOwner& owner, const roles::ObjectKey& key, Bytes content);
  roles::SsaSession open_read(TestOwner& owner, const roles::ObjectKey& key,
                              const roles::WriteResult& written);

  /// Writes an object to its end: stored, finished, sealed.
  const roles::WriteResult& put(const roles::ObjectKey& key, const Bytes& content,
                                std::uint64_t limit_ns = 120 * one_s);
  /// Reads it; what the owner has then, with its answers.
  TestOwner& get(const roles::ObjectKey& key, std::uint32_t blocks, const roles::WriteResult& written,
                 std::uint64_t limit_ns = 120 * one_s);

  template <typename Done>
  bool run(std::uint64_t limit_ns, Done done) {
    const std::uint64_t end = now_ns + limit_ns;
    for (work(); !done(); work()) {
      if (!advance(end)) return false;
    }
    return true;
  }
  void at(std::uint64_t after_ns, std::function<void()> what) {
    plan_.emplace(now_ns + after_ns, std::move(what));
  }
  void work();
  bool advance(std::uint64_t end_ns);
  std::string wrong() const;
  std::size_t count_events(roles::SsaEvent::Kind kind) const;
  Bytes random_content(std::size_t blocks) { return random.bytes(blocks * options.layout.cell_bytes); }

  SsaWorldOptions options;
  std::uint64_t now_ns = one_s;
  std::uint64_t seed;
  TestRandom random;
  TestPacketPool pool;  ///< the SSA's
  kernels::RandomGenerator generator;
  roles::GeneratedBlocks generated;
  CountedBlocks counted;
  std::unique_ptr<roles::Ssa> ssa;
  std::vector<std::unique_ptr<HolderNode>> holders;
  std::vector<std::unique_ptr<TestOwner>> owners;
  std::vector<roles::SsaEvent> events;
  std::map<roles::SsaSession, roles::WriteResult> results;
  unsigned ties = 0;
  HolderGuests* guests = nullptr;  ///< outlives the world, or is null at its end
  unsigned verify_stored = 0;  ///< each block that its owner is told of is at so many holders; 0: not asked

 private:
  void receive();
  void work_holder(std::size_t at);
  void work_ties();
  void lie(HolderNode& node, std::span<protocol::Cell* const> cells);
  void close_sessions();

  std::multimap<std::uint64_t, std::function<void()>> plan_;
  std::vector<roles::SsaSession> writes_, reads_;
  roles::WriteResult last_;
  std::uint64_t steps_ = 0;
  std::string wrong_;
};

}  // namespace ssn::test
