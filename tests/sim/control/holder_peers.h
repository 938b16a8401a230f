// SPDX-License-Identifier: BSD-3-Clause
// Shareholders among themselves: a real resharer at each of the world's holders, over the holder's store, and
// the connections between every two of them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ssa_world.h"
#include "ssn/roles/resharer.h"

namespace ssn::sim {

class HolderPeers final : public test::HolderGuests {
 public:
  /// `world` outlives it, and its holders end before it. Their names are h1, h2, ...
  HolderPeers(test::SsaWorld& world, const roles::ResharerOptions& options);
  ~HolderPeers() override { world_.guests = nullptr; }

  /// Null: its process does not run.
  roles::Resharer* at(std::size_t holder) { return nodes_[holder]->resharer.get(); }
  /// All its connections carry nothing.
  void cut(std::size_t holder, bool cut);
  /// Bit i: holder i is in the other of two groups, between which connections carry nothing.
  void part(std::uint64_t others);
  enum class Lie : std::uint8_t {
    none,
    gives,  ///< contributions of it are changed in one byte
    takes,  ///< what it makes its share of is
    masks,  ///< the masks are that it dealt with somebody
  };
  void lie(std::size_t holder, Lie lie) { nodes_[holder]->lie = lie; }
  std::uint64_t lies() const noexcept { return lies_; }
  /// At the end, when all have stopped: lets go of all connections, with what has arrived and nobody took.
  void disconnect() { lines_.clear(); }

  void started(std::size_t holder) override;
  void stopping(std::size_t holder) override;
  void stopped(std::size_t holder) override;
  void work() override;
  std::uint64_t next_due() const override;
  void receive() override;
  std::string wrong() const override { return wrong_; }

 private:
  struct Node {
    explicit Node(const roles::ResharerOptions& options);
    roles::ResharerOptions options;
    kernels::RandomGenerator generator;
    roles::GeneratedBlocks random;
    hw::SecretBuffer memory;
    std::unique_ptr<roles::Resharer> resharer;
    bool cut = false;
    bool other = false;  // of the groups
    Lie lie = Lie::none;
  };
  struct Line {
    Line(test::SsaWorld& world, std::size_t lower, std::size_t higher, unsigned name);
    std::size_t low, high;
    test::Tie tie;  ///< "ssa" is the lower one
    test::Link there, back;
    roles::PeerId at_low, at_high;
    bool low_here = false, high_here = false;
  };
  void connect(std::size_t low, std::size_t high);
  void leave(Line& line, bool low);
  void deliver(Line& line, bool low);
  void cut_lines();

  test::SsaWorld& world_;
  roles::FloorRule rule_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Line>> lines_;
  unsigned names_ = 0;
  std::uint64_t lies_ = 0;
  std::string wrong_;
};

}  // namespace ssn::sim
