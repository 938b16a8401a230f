// SPDX-License-Identifier: BSD-3-Clause
// The secret is never assembled: everything that each node ever had in clear is recorded, and no linear
// combination of what any t of them had together is a cell of the data. Linear algebra over whole cells, so
// that no way of combining it is left out.
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "../../../dataplane/roles/reshare_math.h"
#include "gf256.h"
#include "reshare_orders.h"

namespace ssn::test {
namespace {

using protocol::OpenResult;
using roles::ReshareLayout;
using roles::ReshareOperation;
using roles::ReshareOrder;

constexpr std::uint32_t vector_bytes = 1024;  // of a cell: more than all vectors of a coalition

const std::vector<Bytes>& products() {
  static const std::vector<Bytes> table = [] {
    std::vector<Bytes> out(256, Bytes(256));
    for (unsigned a = 0; a < 256; ++a) {
      for (unsigned b = 0; b < 256; ++b) {
        out[a][b] = kernels::gf_mul(static_cast<std::uint8_t>(a), static_cast<std::uint8_t>(b));
      }
    }
    return out;
  }();
  return table;
}

std::uint8_t inverse(std::uint8_t a) {
  for (unsigned b = 1; b < 256; ++b) {
    if (products()[a][b] == 1) return static_cast<std::uint8_t>(b);
  }
  return 0;
}

/// The span of vectors over GF(2^8), as a row echelon.
class Span {
 public:
  /// What is left of `vector` when all that is known is taken off.
  Bytes reduce(Bytes vector) const {
    for (const auto& [pivot, row] : rows_) {
      if (vector[pivot] != 0) subtract(vector, row, vector[pivot]);
    }
    return vector;
  }
  bool add(const Bytes& vector) {
    Bytes rest = reduce(vector);
    const auto first = std::find_if(rest.begin(), rest.end(), [](std::uint8_t byte) { return byte != 0; });
    if (first == rest.end()) return false;
    const auto pivot = static_cast<std::size_t>(first - rest.begin());
    const Bytes& scale = products()[inverse(*first)];
    for (std::uint8_t& byte : rest) byte = scale[byte];
    rows_.emplace_back(pivot, std::move(rest));
    return true;
  }
  bool has(const Bytes& vector) const {
    const Bytes rest = reduce(vector);
    return std::all_of(rest.begin(), rest.end(), [](std::uint8_t byte) { return byte == 0; });
  }
  std::size_t dimension() const { return rows_.size(); }

 private:
  static void subtract(Bytes& from, const Bytes& row, std::uint8_t factor) {
    const Bytes& scale = products()[factor];
    for (std::size_t i = 0; i < from.size(); ++i)
      from[i] = static_cast<std::uint8_t>(from[i] ^ scale[row[i]]);
  }
  std::vector<std::pair<std::size_t, Bytes>> rows_;
};

/// What each node ever had in clear, in cells.
class Recorder {
 public:
  explicit Recorder(ReshareWorld& world) : world_(world) {
    world.watch = [this](ReshareNode& at, const protocol::Cell& cell) { arrived(at, cell); };
    held.resize(world.nodes.size());
  }
  void add(unsigned node, const Bytes& bytes) {
    for (std::size_t at = 0; at + vector_bytes <= bytes.size(); at += vector_bytes) {
      held[node].insert(Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                              bytes.begin() + static_cast<std::ptrdiff_t>(at + vector_bytes)));
    }
  }
  void stored(const SharedObject& object, const roles::ReshareGeneration& at) {
    for (unsigned share = 1; share <= at.layout.n; ++share) {
      for (unsigned i = 0; i < world_.nodes.size(); ++i) {
        if (world_.node(i).id == at.layout.nodes[share - 1]) add(i, world_.share(object, at, share));
      }
    }
  }
  Span of(const std::vector<unsigned>& nodes) const {
    Span out;
    for (const unsigned node : nodes) {
      for (const Bytes& each : held[node]) out.add(each);
    }
    return out;
  }
  std::vector<std::set<Bytes>> held;

 private:
  // Whoever sends something had it in clear, too: masks, dealings, what it gives.
  void arrived(ReshareNode& at, const protocol::Cell& cell) {
    if (cell.open_result != OpenResult::contributed && cell.open_result != OpenResult::masked) return;
    const std::uint8_t* const bytes = cell.target != nullptr ? cell.target : cell.data;
    const Bytes clear(bytes, bytes + cell.range_length);
    for (const auto& line : world_.lines) {
      if (cell.header.connection_id != line->tie.there.options.connection_id &&
          cell.header.connection_id != line->tie.back.options.connection_id) {
        continue;
      }
      EXPECT_TRUE(&line->low == &at || &line->high == &at);
      for (unsigned i = 0; i < world_.nodes.size(); ++i) {
        if (&world_.node(i) == &line->low || &world_.node(i) == &line->high) add(i, clear);
      }
    }
  }
  ReshareWorld& world_;
};

Bytes cell_of(const Bytes& bytes, std::uint32_t cell) {
  return Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(cell * vector_bytes),
               bytes.begin() + static_cast<std::ptrdiff_t>((cell + 1) * vector_bytes));
}

/// How many dimensions of the shares of a generation a span has.
std::size_t meets(ReshareWorld& world, const SharedObject& object, const roles::ReshareGeneration& at,
                  const Span& span, std::uint32_t cell) {
  Span shares;
  Span both = span;
  for (unsigned share = 1; share <= at.layout.n; ++share) {
    const Bytes bytes = world.share(object, at, share);
    if (bytes.empty()) continue;
    shares.add(cell_of(bytes, cell));
    both.add(cell_of(bytes, cell));
  }
  return span.dimension() + shares.dimension() - both.dimension();
}

struct Scene {
  Scene() : world(make_options(), test_seed()), recorder(world) {}
  static ReshareWorldOptions make_options() {
    ReshareWorldOptions options;
    options.nodes = 7;
    options.cell_bytes = vector_bytes;
    options.resharer.job_bytes = std::size_t{512} << 10;
    return options;
  }
  // Alone no node has more than its own share of any generation; two of them, t, no cell of the data.
  void verify(const SharedObject& object, const std::vector<roles::ReshareGeneration>& generations) {
    for (unsigned a = 0; a < 7; ++a) {
      const Span alone = recorder.of({a});
      for (const roles::ReshareGeneration& at : generations) {
        EXPECT_LE(meets(world, object, at, alone, 1), 1U) << "node " << a << ", generation " << at.generation;
      }
      for (unsigned b = 0; b < a; ++b) {
        const Span both = recorder.of({a, b});
        ASSERT_LT(both.dimension(), vector_bytes / 2);
        for (std::uint32_t cell = 0; cell < object.cells; ++cell) {
          EXPECT_FALSE(both.has(cell_of(object.data, cell))) << "nodes " << a << " and " << b;
        }
        for (const roles::ReshareGeneration& at : generations) {
          EXPECT_LE(meets(world, object, at, both, 1), 2U) << "nodes " << a << " and " << b;
        }
      }
    }
  }
  /// To the end: sealed and checked.
  void finish(const SharedObject& object, ReshareOrder order, std::vector<std::uint8_t> from) {
    order.unit_cells = 2;
    ASSERT_TRUE(world.carry_out(order)) << world.describe(order.job);
    const ReshareOrder seal = sealing(order);
    ASSERT_TRUE(world.carry_out(seal));
    recorder.stored(object, seal.target);
    ASSERT_TRUE(world.carry_out(checking(seal, std::move(from), seal.target.layout.nodes[seal.to[0] - 1U])));
  }
  ReshareWorld world;
  Recorder recorder;
};

TEST(ReshareSecrecy, NoTNodesEverHadWhatMakesACell) {
  Scene scene;
  ReshareWorld& world = scene.world;
  const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 4);
  scene.recorder.stored(object, object.at);
  // Share 4 is made again at node 5, twice: another set of helpers that is broken off comes first.
  ReshareOrder repair = replacement(world, object, ReshareOperation::repair, 4, 5);
  repair.from = {1, 2, 3};
  repair.unit_cells = 2;
  repair.window = 1;
  (void)world.order(repair);
  (void)world.run(one_s, [&] { return world.status(5, 77).cells_taken >= 2; });
  repair.round = 2;
  repair.from = {1, 2, 5};
  scene.finish(object, repair, {1, 2, 3, 5});
  scene.verify(object, {object.at});
  ASSERT_FALSE(HasFailure()) << "repair";

  SharedObject now = object;
  now.at = repair.target;
  ReshareOrder refresh = renewal(now, ReshareOperation::refresh, now.at.layout, {1, 2, 4, 5});
  refresh.job = 78;
  scene.finish(object, refresh, {1, 2, 3, 4, 5});
  now.at = sealing(refresh).target;
  scene.verify(object, {object.at, now.at});
  ASSERT_FALSE(HasFailure()) << "refresh";

  ReshareOrder move = renewal(now, ReshareOperation::redistribute, world.layout(3, {6, 3, 0, 2}), {2, 3, 4});
  move.job = 79;
  scene.finish(object, move, {1, 2, 3, 4, 5});
  const roles::ReshareGeneration last = sealing(move).target;
  ASSERT_EQ(world.recover(object, last), object.data);
  scene.verify(object, {object.at, now.at, last});
  // What would be found, is: three nodes with shares of one generation have it.
  EXPECT_TRUE(scene.recorder.of({0, 1, 2}).has(cell_of(object.data, 0)));
}

// The same recorder finds a helper that gives its share without masks.
TEST(ReshareSecrecy, AnUnmaskedContributionWouldBeFound) {
  ReshareWorldOptions options;
  options.nodes = 6;
  options.cell_bytes = vector_bytes;
  options.resharer.job_bytes = std::size_t{512} << 10;
  ReshareWorld world(options, test_seed());
  Recorder recorder(world);
  const SharedObject object = world.put(5, world.layout(3, {0, 1, 2, 3, 4}), 2);
  recorder.stored(object, object.at);
  // As an exchange of one share after another to the same node would be.
  recorder.add(5, world.share(object, object.at, 1));
  recorder.add(5, world.share(object, object.at, 2));
  EXPECT_EQ(meets(world, object, object.at, recorder.of({5}), 1), 2U);
  EXPECT_TRUE(recorder.of({5, 2}).has(cell_of(object.data, 0)));
}

}  // namespace
}  // namespace ssn::test
