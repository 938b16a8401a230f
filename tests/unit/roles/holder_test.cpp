// SPDX-License-Identifier: BSD-3-Clause
// What a holder does with what SSAs send: everything over two channels, lossy links and a real share store.
#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "holder_world.h"

namespace ssn::roles {
namespace {

using namespace protocol;
using store::ShareId;
using test::HolderWorld;
using test::HolderWorldOptions;
using test::one_ms;
using test::one_s;
using test::TestSsa;

constexpr ShareId share{77, 1, 3};

HolderWorldOptions lossy() {
  HolderWorldOptions options;
  options.link.loss_percent = 5;
  options.link.double_percent = 3;
  options.link.mix_percent = 20;
  options.store.store = test::small_options();
  return options;
}

class HolderTest : public testing::Test {
 protected:
  void start(const HolderWorldOptions& options = lossy()) {
    world_ = std::make_unique<HolderWorld>(options, test::test_seed());
    ASSERT_TRUE(world_->connect());
  }
  TestSsa& ssa() { return world_->ssa(); }
  ::testing::AssertionResult run(const std::function<bool()>& done, std::uint64_t limit_ns = 20 * one_s) {
    if (world_->run(limit_ns, done)) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "at " << world_->now_ns << ": " << world_->wrong();
  }
  ::testing::AssertionResult fill(std::uint32_t cells, std::uint16_t attempt = 0) {
    ssa().fill(share, cells, attempt);
    return run([&] { return ssa().all_stored(); });
  }
  // The answer to `request`, when it has come.
  const TestSsa::Got* answer(std::uint64_t request, std::size_t number = 0) {
    const auto there = [&] { return ssa().answer(request, number) != nullptr; };
    return run(there) ? ssa().answer(request, number) : nullptr;
  }
  void expect_answer(std::uint64_t request, PacketType type, AnswerCode code) {
    const TestSsa::Got* const got = answer(request);
    ASSERT_NE(got, nullptr) << "request " << request;
    EXPECT_EQ(got->answer.type, type);
    EXPECT_EQ(got->answer.code, code) << "request " << request;
  }
  std::unique_ptr<HolderWorld> world_;
};

TEST_F(HolderTest, StoresReadsSealsAndRemoves) {
  start();
  ASSERT_TRUE(fill(500));
  ssa().seal(share, 500, 1);
  expect_answer(1, PacketType::seal_order, AnswerCode::done);
  ssa().read(share, 0, 10, 256, 2);
  ssa().read(share, 0, 300, 200, 3);
  ASSERT_TRUE(run([&] { return ssa().given.size() == 456; }));
  for (const auto& [what, times] : ssa().given) EXPECT_EQ(times, 1U) << what.second.second;
  EXPECT_EQ(ssa().answer(2), nullptr);  // cells are the answer
  ssa().remove(share, 4);
  expect_answer(4, PacketType::delete_order, AnswerCode::done);
  ssa().read(share, 0, 10, 256, 5);
  expect_answer(5, PacketType::read, AnswerCode::not_found);
  ASSERT_NE(ssa().answer(5), nullptr);
  EXPECT_EQ(ssa().answer(5)->answer.count, 256U);
  EXPECT_EQ(world_->holder->counters().stored, 500U);
  EXPECT_EQ(world_->wrong(), "");
}

TEST_F(HolderTest, BatchesWhatArrivesTogether) {
  HolderWorldOptions options = lossy();
  options.link = {};
  start(options);
  ASSERT_TRUE(fill(4000));
  const HolderCounters& counters = world_->holder->counters();
  EXPECT_EQ(counters.put_cells, 4000U);
  EXPECT_LT(counters.puts, 4000U / 16) << "requests to the store hold too few cells";
}

TEST_F(HolderTest, KeepsOrdersAsShares) {
  start();
  ssa().keep(share, 2, 30, 70);  // across stripes
  ssa().put(share, 2, 100);
  ssa().keep(share, 2, 0, 30);
  ssa().keep({78, 1, 1}, 0, 0, 5);  // of another object at the same time
  ASSERT_TRUE(run([&] { return ssa().all_stored(); }));
  ssa().seal(share, 101, 1, {{0, 2}});
  expect_answer(1, PacketType::seal_order, AnswerCode::done);
  ssa().read(share, 2, 0, 101, 2);
  ASSERT_TRUE(run([&] { return ssa().given.size() == 101; }));  // compared by the SSA
  EXPECT_EQ(world_->holder->counters().orders_kept, 3U);
  EXPECT_EQ(world_->holder->counters().stored, 106U);
  EXPECT_EQ(world_->wrong(), "");
}

TEST_F(HolderTest, KeepsOrdersOfSeveralLengthsTogether) {
  HolderWorldOptions options = lossy();
  start(options);
  ssa().keep(share, 0, 0, 8);
  ssa().writes.back().bytes = 64;
  ssa().keep({78, 1, 1}, 0, 0, 8);
  ssa().writes.back().bytes = 192;
  ASSERT_TRUE(run([&] { return ssa().all_stored(); }));
  EXPECT_EQ(world_->wrong(), "");
}

TEST_F(HolderTest, RefusesAnOrderForSeveralRows) {
  start();
  Cell* cell = nullptr;
  ASSERT_EQ(ssa().pool.take({&cell, 1}), 1U);
  cell->header.placement = {share.object, 0, share.generation, 0, share.share};
  const KeepOrder order{4, 64, 2};
  std::vector<std::uint8_t> kept(order.bytes());
  Parcel parcel{};
  parcel.cell = cell;
  parcel.cells = 8;
  ASSERT_TRUE(ssa().channel.send_order(parcel, order, kept, world_->now_ns));
  expect_answer(0, PacketType::keep_order, AnswerCode::refused);
  ASSERT_FALSE(ssa().answers.empty());
  EXPECT_EQ(ssa().answers.front().answer.count, 0U);
  EXPECT_EQ(world_->holder->counters().stored, 0U);
}

TEST_F(HolderTest, SaysWhichCellsItDoesNotHave) {
  start();
  for (std::uint32_t cell = 0; cell < 200; ++cell) {
    if (cell % 3 != 0) ssa().put(share, 0, cell);
  }
  ASSERT_TRUE(run([&] { return ssa().all_stored(); }));
  ssa().read(share, 0, 3, 150, 9);
  const TestSsa::Got* const got = answer(9);
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(got->answer.code, AnswerCode::not_found);
  EXPECT_EQ(got->what, (Placement{77, 3, 1, 0, 3}));
  EXPECT_EQ(got->answer.count, 148U);  // up to the last one that is missing
  for (std::uint32_t i = 0; i < 148; ++i) EXPECT_EQ(names_cell(got->answer.bitmap, i), i % 3 == 0) << i;
  ASSERT_TRUE(run([&] { return ssa().given.size() == 100; }));
  ssa().read(share, 1, 3, 1, 10);  // another attempt
  expect_answer(10, PacketType::read, AnswerCode::not_found);
  ssa().read({77, 1, 4}, 0, 3, 1, 11);  // another share
  expect_answer(11, PacketType::read, AnswerCode::not_found);
  ssa().read(share, 0, UINT32_MAX - 3, 200, 12);
  expect_answer(12, PacketType::read, AnswerCode::not_found);
}

TEST_F(HolderTest, NamesWhatASealLacks) {
  start();
  ssa().put(share, 0, 0);
  ssa().put(share, 0, 2);
  ASSERT_TRUE(run([&] { return ssa().all_stored(); }));
  ssa().seal(share, 3, 1);
  const TestSsa::Got* const got = answer(1);
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(got->answer.code, AnswerCode::incomplete);
  EXPECT_EQ(got->what.cell, 1U);
  EXPECT_EQ(got->answer.count, 1U);
  ssa().put(share, 0, 1);
  ASSERT_TRUE(run([&] { return ssa().all_stored(); }));
  ssa().seal(share, 3, 2);
  expect_answer(2, PacketType::seal_order, AnswerCode::done);
  ssa().seal(share, 3, 3);  // again
  expect_answer(3, PacketType::seal_order, AnswerCode::done);
  ssa().seal(share, 3, 4, {{0, 0}, {2, 1}});  // another one
  expect_answer(4, PacketType::seal_order, AnswerCode::refused);
  ssa().seal({99, 1, 1}, 3, 5);
  expect_answer(5, PacketType::seal_order, AnswerCode::not_found);
  ssa().seal({100, 1, 1}, 0, 6, {});
  expect_answer(6, PacketType::seal_order, AnswerCode::done);
}

// More runs than an order holds: two orders, in any sequence, each answered when the share is sealed.
TEST_F(HolderTest, SealsWithSeveralOrders) {
  start();
  std::vector<SealOrder::Run> runs;
  for (std::uint32_t cell = 0; cell < 200; ++cell) {
    const auto attempt = static_cast<std::uint16_t>(cell % 2);
    ssa().put(share, attempt, cell);
    runs.push_back({cell, attempt});
  }
  ASSERT_TRUE(run([&] { return ssa().all_stored(); }));
  const std::vector<SealOrder::Run> first(runs.begin(), runs.begin() + 120);
  const std::vector<SealOrder::Run> second(runs.begin() + 120, runs.end());
  ssa().seal(share, 200, 12, second, 120, 200);
  ASSERT_FALSE(run([&] { return ssa().answer(12) != nullptr; }, 200 * one_ms));
  ssa().seal(share, 200, 11, first, 0, 120);
  expect_answer(11, PacketType::seal_order, AnswerCode::done);
  expect_answer(12, PacketType::seal_order, AnswerCode::done);
  ssa().seal({78, 1, 1}, 200, 13, first, 0, 120);  // the other one never comes
  expect_answer(13, PacketType::seal_order, AnswerCode::busy);
  ASSERT_FALSE(ssa().answers.empty());
  EXPECT_EQ(ssa().answers.back().answer.retry_us, world_->options.holder.retry_us);
  EXPECT_EQ(world_->wrong(), "");
}

TEST_F(HolderTest, DoesTheSameForTheSameRequest) {
  start();
  ASSERT_TRUE(fill(100));
  const auto refill = [&] { ssa().fill(share, 100); };
  refill();  // new packets with the same cells
  ASSERT_TRUE(run([&] { return ssa().all_stored(); }));
  EXPECT_EQ(world_->store.store().status().counters.cells_again, 100U);
  for (int i = 0; i < 3; ++i) ssa().seal(share, 100, 1);
  expect_answer(1, PacketType::seal_order, AnswerCode::done);
  for (int i = 0; i < 3; ++i) ssa().read(share, 0, 0, 100, 2);
  ASSERT_TRUE(run([&] { return ssa().given.size() == 100; }));
  for (std::uint64_t request = 3; request < 6; ++request) ssa().remove(share, request);
  for (int i = 0; i < 3; ++i) ssa().remove(share, 6);
  for (std::uint64_t request = 3; request < 7; ++request) {
    expect_answer(request, PacketType::delete_order, AnswerCode::done);
  }
  EXPECT_FALSE(world_->has(ssa(), share, 0, 5, 128));
  EXPECT_GT(world_->holder->counters().repeated, 0U);
  EXPECT_EQ(world_->wrong(), "");
}

// A later attempt replaces an earlier one, which comes too late then, and other bytes are refused.
TEST_F(HolderTest, AnswersWhatItDoesNotStore) {
  start();
  ASSERT_TRUE(fill(10, 4));
  ssa().put(share, 3, 5);       // superseded
  ssa().put(share, 4, 5, 64);   // another length
  ssa().put({77, 1, 9}, 4, 5);  // another share of the same generation
  ssa().put({77, 1, 0}, 4, 5);  // no share
  // An answer whose acknowledgement was lost comes twice.
  ASSERT_TRUE(run([&] {
    std::set<std::pair<std::uint16_t, std::uint16_t>> answered;
    for (const TestSsa::Got& got : ssa().answers) answered.emplace(got.what.share, got.what.attempt);
    return answered.size() == 4;
  }));
  for (const TestSsa::Got& got : ssa().answers) {
    EXPECT_EQ(got.answer.type, PacketType::cell);
    EXPECT_EQ(got.answer.code, AnswerCode::refused);
    EXPECT_EQ(got.answer.count, 1U);
    EXPECT_EQ(got.what.cell, 5U);
  }
  EXPECT_EQ(ssa().count_stored(), 10U);
  EXPECT_EQ(world_->holder->counters().not_stored, 4U);
}

TEST_F(HolderTest, AsksTheRule) {
  start();
  ASSERT_TRUE(fill(10));
  ASSERT_TRUE(world_->connect({2, false, true}));
  TestSsa& other = world_->ssa(1);
  for (std::uint32_t cell = 0; cell < 10; ++cell) other.put({88, 1, 1}, 0, cell);
  other.read(share, 0, 0, 10, 1);
  other.seal(share, 10, 2);
  other.remove(share, 3);
  ASSERT_TRUE(run([&] {
    return other.answer(1) != nullptr && other.answer(2) != nullptr && other.answer(3) != nullptr &&
           world_->holder->counters().refused[static_cast<std::size_t>(HolderAction::write)] == 10 &&
           other.answer(0) != nullptr;
  }));
  for (const TestSsa::Got& got : other.answers) EXPECT_EQ(got.answer.code, AnswerCode::refused);
  EXPECT_TRUE(world_->has(ssa(), share, 0, 5, 128));
  EXPECT_FALSE(world_->has(other, {88, 1, 1}, 0, 5, 128));
  EXPECT_TRUE(other.given.empty());
  const HolderCounters& counters = world_->holder->counters();
  for (const HolderAction action : {HolderAction::read, HolderAction::seal, HolderAction::remove}) {
    EXPECT_GE(counters.refused[static_cast<std::size_t>(action)], 1U);
  }
}

TEST_F(HolderTest, SaysWhatIsQuarantined) {
  HolderWorldOptions options = lossy();
  options.store.store.cached_shares = 1;
  start(options);
  ASSERT_TRUE(fill(128));
  world_->medium.fail_never();
  for (const auto& [key, value] : world_->medium.items()) {
    if (key[0] != 'S' || key.back() != 0) continue;  // the first stripe
    store::Buffer rotten = *value;
    rotten[rotten.size() / 2] ^= 1;
    world_->medium.replace(key, rotten);
    break;
  }
  ASSERT_TRUE(world_->store.open().ok());  // nothing of it is in memory
  ssa().read(share, 0, 0, 128, 1);
  const TestSsa::Got* const got = answer(1);
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(got->answer.code, AnswerCode::quarantined);
  EXPECT_EQ(got->what.cell, 0U);
  EXPECT_EQ(got->answer.count, 64U);
  ASSERT_TRUE(run([&] { return ssa().given.size() == 64; }));
  ssa().fill(share, 64);  // repaired
  ASSERT_TRUE(run([&] { return ssa().all_stored(); }));
  EXPECT_EQ(world_->wrong(), "");
}

TEST_F(HolderTest, SaysThatTheDiskFailed) {
  start();
  ASSERT_TRUE(fill(64));
  world_->medium.fail_in(0, test::CrashMedium::Failure::io_error);
  ssa().put(share, 0, 100);
  ASSERT_TRUE(run([&] { return ssa().answers.size() == 1; }));
  EXPECT_TRUE(ssa().answers[0].answer.code == AnswerCode::io_error ||
              ssa().answers[0].answer.code == AnswerCode::read_only);
  ssa().put(share, 0, 101);
  ASSERT_TRUE(run([&] { return ssa().answers.size() == 2; }));
  EXPECT_EQ(ssa().answers[1].answer.code, AnswerCode::read_only);
  EXPECT_EQ(ssa().count_stored(), 64U);
  ssa().seal(share, 64, 7);
  expect_answer(7, PacketType::seal_order, AnswerCode::read_only);
  ssa().read(share, 0, 0, 64, 8);
  ASSERT_TRUE(run([&] { return ssa().given.size() == 64; }));
}

TEST_F(HolderTest, SaysThatTheDiskIsFullAndGoesOnWhenItIsNot) {
  start();
  ASSERT_TRUE(fill(64));
  world_->medium.set_capacity(world_->medium.used() + 1000);
  ssa().put(share, 0, 100);
  ssa().put(share, 0, 300);
  ssa().put(share, 0, 500);
  ASSERT_TRUE(run([&] { return !ssa().answers.empty(); }));
  EXPECT_EQ(ssa().answers[0].answer.code, AnswerCode::disk_full);
  EXPECT_EQ(ssa().count_stored(), 64U);
  ssa().read(share, 0, 0, 64, 8);
  ASSERT_TRUE(run([&] { return ssa().given.size() == 64; }));
  world_->medium.set_capacity(UINT64_MAX);
  // The peer tries again and again, as it would.
  const auto is_stored = [&] { return ssa().writes.back().stored; };
  for (int tries = 0; tries < 1000 && !is_stored(); ++tries) {
    if (ssa().settled()) ssa().put(share, 0, 700);
    (void)world_->run(20 * one_ms, is_stored);
  }
  EXPECT_TRUE(is_stored());
  EXPECT_EQ(world_->wrong(), "");
}

TEST_F(HolderTest, ObeysTheController) {
  start();
  ASSERT_TRUE(fill(20));
  ASSERT_TRUE(world_->holder->remove(share.generation_id(), 42));
  ASSERT_TRUE(world_->holder->remove({12345, 1}, 43));  // nothing is as good as removed
  std::vector<LocalOutcome> outcomes;
  ASSERT_TRUE(run([&] {
    std::array<LocalOutcome, 1> out;
    if (world_->holder->take_outcomes(out) == 1) outcomes.push_back(out[0]);
    return outcomes.size() == 2;
  }));
  for (const LocalOutcome& each : outcomes) EXPECT_EQ(each.result, store::StoreResult::done) << each.token;
  EXPECT_FALSE(world_->has(ssa(), share, 0, 5, 128));
  for (std::uint32_t i = 0; i < world_->options.holder.removals; ++i) {
    EXPECT_TRUE(world_->holder->remove({500 + i, 1}, i));
  }
  EXPECT_FALSE(world_->holder->remove({600, 1}, 1));
  std::array<LocalOutcome, 8> all;
  std::size_t count = 0;
  ASSERT_TRUE(run([&] { return (count += world_->holder->take_outcomes(all)) == 8; }));
}

TEST_F(HolderTest, StoresUnderACipherWhereThatIsPermitted) {
  HolderWorldOptions options = lossy();
  options.gcm = true;
  options.pad_bytes = 4096;  // for keys, and a few cells
  start(options);
  ASSERT_TRUE(fill(300));
  ssa().read(share, 0, 0, 256, 2);
  ASSERT_TRUE(run([&] { return ssa().given.size() == 256; }));
  EXPECT_EQ(world_->wrong(), "");
}

TEST_F(HolderTest, SaysBusyWhereKeysAreShort) {
  HolderWorldOptions options = lossy();
  options.pad_bytes = 1 << 17;
  start(options);
  ASSERT_TRUE(fill(64));
  // Nothing is left for what goes back.
  test::PacketEnds& back = *world_->connections[0]->back;
  PadRange range;
  while (back.pads_out.available() >= 64 && back.pads_out.reserve(64, range) == Take::ok) {
    back.pads_out.discard(range);
  }
  ssa().read(share, 0, 0, 64, 1);
  expect_answer(1, PacketType::read, AnswerCode::busy);
}

}  // namespace
}  // namespace ssn::roles
