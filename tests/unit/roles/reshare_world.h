// SPDX-License-Identifier: BSD-3-Clause
// Shareholders that make shares anew among themselves, over links that lose, double and mix packets by a
// seed, in virtual time. Channels, sealers, kernels, holders, resharers and stores are the real ones; the
// test plays the control side. Nodes are killed and restarted. What each node ever held can be
// watched.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ssa_world.h"
#include "ssn/roles/resharer.h"
#include "ssn/roles/store_divider.h"

namespace ssn::test {

struct ReshareWorldOptions {
  SsaWorldOptions base;  ///< links, channels, stores
  roles::ResharerOptions resharer;
  roles::ReshareFloor floor;
  unsigned nodes = 6;  ///< with the ids 10, 20, ...
  std::uint32_t cell_bytes = 128;

  ReshareWorldOptions() {
    resharer.job_bytes = std::size_t{192} << 10;
    resharer.peers = 16;
    base.holder.peers = 1;
    base.holder.cells = 64;
    base.holder.stripe_reads = 1;
    base.pool_cells = 20000;
  }
};

/// As it was written: what each share must be follows from it.
struct SharedObject {
  std::uint64_t object = 1;
  std::uint32_t cells = 0;
  std::uint32_t cell_bytes = 0;
  roles::ReshareGeneration at;  ///< layout and attempts
  Bytes data;                   ///< cells * L * cell_bytes
};

struct ReshareNode {
  ReshareNode(const ReshareWorldOptions& options, std::uint64_t id, std::uint64_t seed,
              const roles::ReshareRule& rule);
  void start();

  const ReshareWorldOptions& options;
  std::uint64_t id;
  const roles::ReshareRule& rule;
  CrashMedium medium;
  VirtualStore store;
  TestPacketPool pool;
  roles::SsaAccess access;
  kernels::RandomGenerator generator;
  roles::GeneratedBlocks generated;
  CountedBlocks random;
  hw::SecretBuffer memory;
  std::unique_ptr<roles::StoreDivider> divider;
  std::unique_ptr<roles::Holder> holder;
  std::unique_ptr<roles::Resharer> resharer;
  bool alive = false;
  /// Changes what this node gives; for liars. Called with each contribution as it arrives elsewhere.
  std::function<void(protocol::Cell&)> lies;
};

/// The connection of two nodes.
struct ReshareLine {
  ReshareLine(const ReshareWorldOptions& options, unsigned name, ReshareNode& lower, ReshareNode& higher,
              std::uint64_t seed, std::uint64_t now_ns)
      : low(lower),
        high(higher),
        tie(options.base, name, lower.pool, higher.pool, now_ns),
        there(options.base.link, seed),
        back(options.base.link, seed + 1) {}
  ReshareNode& low;
  ReshareNode& high;
  Tie tie;  ///< "ssa" is the lower one
  Link there, back;
  roles::PeerId at_low, at_high;
  bool low_here = false, high_here = false;
};

class ReshareWorld {
 public:
  ReshareWorld(const ReshareWorldOptions& options, std::uint64_t seed);
  ~ReshareWorld();

  ReshareNode& node(unsigned at) { return *nodes[at]; }
  ReshareNode* by_id(std::uint64_t id);
  void connect(unsigned a, unsigned b);
  /// Both ends hear that the connection is gone.
  void disconnect(unsigned a, unsigned b);
  /// Power goes; the others hear nothing. `restart` begins new connections.
  void kill(unsigned at);
  void restart(unsigned at);

  /// A layout whose shares 1, 2, ... lie at these nodes.
  roles::ReshareLayout layout(unsigned k, const std::vector<unsigned>& at,
                              kernels::Scheme scheme = kernels::Scheme::systematic,
                              unsigned blocks = 1) const;
  /// Writes and seals a new object, random contents and random blocks.
  SharedObject put(std::uint64_t object, const roles::ReshareLayout& layout, std::uint32_t cells,
                   std::vector<store::AttemptRun> runs = {{0, 0}});
  /// The share as it lies on the disk of its node; empty where a cell is missing.
  Bytes share(const SharedObject& object, const roles::ReshareGeneration& at, unsigned share);
  /// What the shares that are there recover to, after checking that all agree. Empty: too few, or not.
  Bytes recover(const SharedObject& object, const roles::ReshareGeneration& at, bool alive_only = false);
  /// Wipes it from its node.
  void remove(std::uint64_t object, std::uint32_t generation, unsigned at);
  /// Changes one byte of a stored share, as if it had been stored so.
  void replace_share(const SharedObject& object, unsigned share, const Bytes& bytes);

  /// To all alive nodes that have a part; the answers in their order.
  std::vector<roles::ReshareAnswer> order(const roles::ReshareOrder& order);
  roles::ReshareStatus status(unsigned at, std::uint64_t job);
  /// Whether all alive nodes that have a part are done with this round.
  bool done(const roles::ReshareOrder& order);
  bool failed(const roles::ReshareOrder& order);
  /// How each node stands with a job, in words.
  std::string describe(std::uint64_t job);
  /// Orders it, and goes on until it is done or failed somewhere.
  bool carry_out(const roles::ReshareOrder& order, std::uint64_t limit_ns = 60 * one_s);

  template <typename Done>
  bool run(std::uint64_t limit_ns, Done done) {
    const std::uint64_t end = now_ns + limit_ns;
    for (work(); !done(); work()) {
      if (!advance(end)) return false;
    }
    return true;
  }
  void work();
  bool advance(std::uint64_t end_ns);
  std::string wrong() const;
  std::uint64_t bytes_on_wire() const;

  ReshareWorldOptions options;
  std::uint64_t now_ns = one_s;
  std::uint64_t seed;
  TestRandom random;
  roles::FloorRule rule;
  std::vector<std::unique_ptr<ReshareNode>> nodes;
  std::vector<std::unique_ptr<ReshareLine>> lines;
  unsigned names = 0;
  /// What arrived at a node in clear: after opening, before anybody used it.
  std::function<void(ReshareNode&, const protocol::Cell&)> watch;

 private:
  ReshareLine* line(unsigned a, unsigned b);
  void leave(ReshareLine& line, bool low);
  void deliver(ReshareLine& line, bool low);
  std::vector<std::uint64_t> with_part(const roles::ReshareOrder& order) const;
  std::string wrong_;
};

}  // namespace ssn::test
