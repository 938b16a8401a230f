// SPDX-License-Identifier: BSD-3-Clause
// Objects put and got by a data owner, whole, over good networks and bad ones, and what is left where it
// fails.
#include "object_client.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "owner_network.h"

namespace ssn::client {
namespace {

using controller::ObjectState;
using std::chrono::milliseconds;
using test::Bytes;
using test::TestRandom;

std::string describe(const Error& error) {
  return fmt::format("{} {}: {} ({}) {}", static_cast<int>(error.code), error.what, error.why, error.where,
                     error.fix);
}

class MemorySource : public DataSource {
 public:
  explicit MemorySource(const Bytes& bytes, bool knows_size = true, std::size_t at_once = SIZE_MAX)
      : bytes_(bytes), knows_size_(knows_size), at_once_(at_once) {}
  Result<std::size_t> read(std::span<std::uint8_t> buffer) override {
    const std::size_t count = std::min({buffer.size(), bytes_.size() - at_, at_once_});
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), count, buffer.begin());
    at_ += count;
    return count;
  }
  std::optional<std::uint64_t> size() const override {
    return knows_size_ ? std::optional<std::uint64_t>(bytes_.size()) : std::nullopt;
  }

 private:
  const Bytes& bytes_;
  const bool knows_size_;
  const std::size_t at_once_;
  std::size_t at_ = 0;
};

class MemorySink : public DataSink {
 public:
  explicit MemorySink(std::size_t at_once = SIZE_MAX) : at_once_(at_once) {}
  Result<std::size_t> write(std::span<const std::uint8_t> bytes) override {
    const std::size_t count = std::min(bytes.size(), at_once_);
    all.insert(all.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    return count;
  }
  Bytes all;

 private:
  const std::size_t at_once_;
};

class ObjectClientTest : public testing::Test {
 protected:
  void SetUp() override { start({}); }
  void TearDown() override {
    network_.reset();
    std::filesystem::remove_all(folder_);
  }

  void start(const test::SsaOptions& options, const ObjectClientOptions& client_options = {}) {
    network_.reset();
    client_.reset();
    std::filesystem::remove_all(folder_);
    folder_ = testing::TempDir() + fmt::format("owner-{}-{}", ::getpid(), ++networks_);
    network_ = std::make_unique<test::OwnerNetwork>(folder_, options);
    client_ = client(client_options);
  }
  std::unique_ptr<ObjectClient> client(const ObjectClientOptions& options = {}) {
    auto made = ObjectClient::make(network_->place(), options);
    EXPECT_TRUE(made.ok()) << describe(made.error());
    return std::move(made.value());
  }

  Result<PutReport> put(const std::string& name, const Bytes& bytes, const PutOptions& options = {}) {
    network_->report();
    MemorySource source(bytes);
    return client_->put(source, name, options, watch_);
  }
  Result<GetReport> get(const std::string& name, DataSink& sink) {
    return client_->get(name, sink, watch_, {});
  }
  void expect_got(const std::string& name, const Bytes& bytes) {
    MemorySink sink;
    const Result<GetReport> report = get(name, sink);
    ASSERT_TRUE(report.ok()) << describe(report.error());
    EXPECT_EQ(report.value().object.size, bytes.size());
    EXPECT_TRUE(sink.all == bytes) << "got " << sink.all.size() << " of " << bytes.size();
  }
  // Nothing is visible, no write is open, no session either.
  void expect_nothing_left() {
    const auto page = client_->controller().list("", "", 100, "");
    ASSERT_TRUE(page.ok()) << describe(page.error());
    EXPECT_TRUE(page.value().objects.empty());
    EXPECT_EQ(network_->catalogue().status().value().writes, 0U);
    EXPECT_EQ(network_->ssa().open_sessions(), 0U);
  }
  test::SsaFaults& faults() { return network_->ssa().faults; }

  TestRandom random_ = TestRandom::labelled(testing::UnitTest::GetInstance()->current_test_info()->name());
  std::string folder_;
  unsigned networks_ = 0;
  std::unique_ptr<test::OwnerNetwork> network_;
  std::unique_ptr<ObjectClient> client_;
  Watch watch_;
};

TEST_F(ObjectClientTest, WhatIsPutIsGot) {
  for (const std::size_t size : {0U, 1U, 1343U, 1344U, 1345U, 4032U, 300'000U, 3'000'001U}) {
    const std::string name = fmt::format("object {}", size);
    const Bytes bytes = random_.bytes(size);
    const Result<PutReport> report = put(name, bytes);
    ASSERT_TRUE(report.ok()) << describe(report.error());
    EXPECT_EQ(report.value().object.state, ObjectState::committed);
    EXPECT_EQ(report.value().object.size, size);
    EXPECT_EQ(report.value().object.protection, controller::Protection::computational);
    EXPECT_FALSE(report.value().degraded);
    EXPECT_EQ(report.value().sealed, 5U);
    EXPECT_TRUE(report.value().troubles.empty());
    Bytes padded = bytes;
    padded.resize((size + 1343) / 1344 * 1344);
    EXPECT_TRUE(network_->ssa().last_written() == padded) << "zeros behind the end";
    expect_got(name, bytes);
  }
  EXPECT_EQ(network_->ssa().open_sessions(), 0U);
}

TEST_F(ObjectClientTest, ABadNetworkOnlySlowsItDown) {
  for (unsigned round = 0; round < 3; ++round) {
    network_->ssa().options.relay =
        test::RelayOptions{.lost = 30, .repeated = 20, .overtaken = 50, .damaged = 10};
    network_->ssa().options.window_blocks = round == 2 ? 16 : 256;
    const Bytes bytes = random_.bytes(1'000'000 + random_.below(10'000));
    const Result<PutReport> report = put("bad", bytes);
    ASSERT_TRUE(report.ok()) << describe(report.error());
    expect_got("bad", bytes);
  }
  EXPECT_GT(network_->ssa().packets_lost(), 50U);
}

TEST_F(ObjectClientTest, PipesAreReadAndWrittenAsTheyGo) {
  const Bytes bytes = random_.bytes(500'000);
  int in[2];
  int out[2];
  ASSERT_EQ(::pipe2(in, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(out, O_CLOEXEC), 0);
  struct PipeSource : DataSource {
    int fd;
    Result<std::size_t> read(std::span<std::uint8_t> buffer) override {
      const ssize_t count = ::read(fd, buffer.data(), buffer.size());
      return count >= 0 ? Result<std::size_t>(static_cast<std::size_t>(count))
                        : Result<std::size_t>(system_error(errno, "cannot read", "pipe"));
    }
    int poll_fd() const override { return fd; }
  } source;
  source.fd = in[0];
  std::thread writer([&] {
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t count = std::min<std::size_t>(bytes.size() - at, 1 + at % 9001);
      ASSERT_EQ(::write(in[1], bytes.data() + at, count), static_cast<ssize_t>(count));
      at += count;
      if (at % 7 == 0) std::this_thread::sleep_for(milliseconds(1));
    }
    ::close(in[1]);
  });
  network_->report();
  std::uint64_t seen_total = 1;
  watch_.progress = [&](std::uint64_t, std::uint64_t total) { seen_total = total; };
  const Result<PutReport> report = client_->put(source, "piped", {}, watch_);
  writer.join();
  ASSERT_TRUE(report.ok()) << describe(report.error());
  EXPECT_EQ(seen_total, 0U) << "nobody knows how much will come";
  EXPECT_EQ(report.value().object.size, bytes.size());

  struct PipeSink : DataSink {
    int fd;
    Result<std::size_t> write(std::span<const std::uint8_t> data) override {
      const ssize_t count = ::write(fd, data.data(), std::min<std::size_t>(data.size(), PIPE_BUF));
      return count >= 0 ? Result<std::size_t>(static_cast<std::size_t>(count))
                        : Result<std::size_t>(system_error(errno, "cannot write", "pipe"));
    }
    int poll_fd() const override { return fd; }
  } sink;
  sink.fd = out[1];
  Bytes got;
  std::thread reader([&] {
    Bytes buffer(3000);
    for (ssize_t count; (count = ::read(out[0], buffer.data(), buffer.size())) > 0;) {
      got.insert(got.end(), buffer.begin(), buffer.begin() + count);
      if (got.size() % 5 == 0) std::this_thread::sleep_for(milliseconds(1));
    }
  });
  const Result<GetReport> read = get("piped", sink);
  ::close(out[1]);
  reader.join();
  ::close(in[0]);
  ::close(out[0]);
  ASSERT_TRUE(read.ok()) << describe(read.error());
  EXPECT_TRUE(got == bytes);
}

TEST_F(ObjectClientTest, SlowSourcesAndSinksAreWaitedFor) {
  const Bytes bytes = random_.bytes(20'000);
  MemorySource source(bytes, false, 7);
  network_->report();
  const Result<PutReport> report = client_->put(source, "slow", {}, watch_);
  ASSERT_TRUE(report.ok()) << describe(report.error());
  MemorySink sink(11);
  ASSERT_TRUE(get("slow", sink).ok());
  EXPECT_TRUE(sink.all == bytes);
}

TEST_F(ObjectClientTest, ANewOneReplacesTheOldOne) {
  const Bytes first = random_.bytes(5000);
  const Bytes second = random_.bytes(7000);
  const Result<PutReport> one = put("name", first);
  ASSERT_TRUE(one.ok()) << describe(one.error());
  PutOptions create;
  create.request.create_only = true;
  const Result<PutReport> refused = put("name", second, create);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Exit::refused);
  expect_got("name", first);
  const Result<PutReport> two = put("name", second);
  ASSERT_TRUE(two.ok()) << describe(two.error());
  EXPECT_EQ(two.value().replaced, one.value().object.id);
  expect_got("name", second);
}

// A controller whose policy keeps nothing secret gets no data to anybody unless the owner says so, too.
TEST_F(ObjectClientTest, SendsNothingInTheClearThatNobodyAskedFor) {
  controller::Policy policy;
  policy.scheme = controller::Scheme::rs;
  policy.secret_blocks = policy.k;
  network_.reset();
  client_.reset();
  std::filesystem::remove_all(folder_);
  network_ = std::make_unique<test::OwnerNetwork>(folder_, test::SsaOptions{}, policy);
  client_ = client();
  const Bytes bytes = random_.bytes(5000);
  const Result<PutReport> refused = put("name", bytes);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Exit::refused) << describe(refused.error());
  EXPECT_TRUE(network_->ssa().last_written().empty()) << "it was sent before it was refused";
  expect_nothing_left();
  PutOptions options;
  options.request.scheme = controller::Scheme::rs;
  const Result<PutReport> asked = put("name", bytes, options);
  ASSERT_TRUE(asked.ok()) << describe(asked.error());
}

TEST_F(ObjectClientTest, WhatIsNotThereIsNotFound) {
  MemorySink sink;
  EXPECT_EQ(get("nothing", sink).error().code, Exit::not_found);
  EXPECT_TRUE(sink.all.empty());
}

// A source that fails somewhere, in all the ways.
class FailingSource final : public MemorySource {
 public:
  FailingSource(const Bytes& bytes, std::uint64_t says) : MemorySource(bytes), says_(says) {}
  std::optional<std::uint64_t> size() const override { return says_; }
  Result<std::size_t> read(std::span<std::uint8_t> buffer) override {
    if (fails) {
      return system_error(EIO, "cannot read the file", "file");
    }
    return MemorySource::read(buffer);
  }
  bool fails = false;

 private:
  const std::uint64_t says_;
};

TEST_F(ObjectClientTest, ASourceThatFailsLeavesNothing) {
  const Bytes bytes = random_.bytes(50'000);
  for (const std::uint64_t says : {49'999U, 50'001U, 50'000U}) {
    network_->report();
    FailingSource source(bytes, says);
    source.fails = says == 50'000;
    const Result<PutReport> report = client_->put(source, "fails", {}, watch_);
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().code, source.fails ? Exit::failed : Exit::temporary) << says;
    expect_nothing_left();
  }
}

TEST_F(ObjectClientTest, AnInterruptedPutLeavesNothingAndCanBeRepeated) {
  const Bytes bytes = random_.bytes(2'000'000);
  const int stop = ::eventfd(0, EFD_CLOEXEC);
  watch_.stop_fd = stop;
  watch_.progress = [&](std::uint64_t done, std::uint64_t) {
    if (done > 500'000) {
      EXPECT_EQ(::eventfd_write(stop, 1), 0);
    }
  };
  const Result<PutReport> report = put("stopped", bytes);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().why, interrupted);
  expect_nothing_left();
  ::close(stop);
  watch_ = {};
  ASSERT_TRUE(put("stopped", bytes).ok());
  expect_got("stopped", bytes);
}

TEST_F(ObjectClientTest, AnInterruptedGetEnds) {
  const Bytes bytes = random_.bytes(2'000'000);
  ASSERT_TRUE(put("stopped", bytes).ok());
  const int stop = ::eventfd(0, EFD_CLOEXEC);
  watch_.stop_fd = stop;
  watch_.progress = [&](std::uint64_t done, std::uint64_t) {
    if (done > 500'000) {
      EXPECT_EQ(::eventfd_write(stop, 1), 0);
    }
  };
  MemorySink sink;
  const Result<GetReport> report = get("stopped", sink);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().why, interrupted);
  EXPECT_LT(sink.all.size(), bytes.size());
  EXPECT_TRUE(std::equal(sink.all.begin(), sink.all.end(), bytes.begin()));
  EXPECT_EQ(network_->ssa().open_sessions(), 0U);
  ::close(stop);
}

TEST_F(ObjectClientTest, ASilentSsaIsGivenUp) {
  const Bytes bytes = random_.bytes(100'000);
  ASSERT_TRUE(put("before", bytes).ok());
  client_ = client({.patience = milliseconds(400)});
  faults().deaf = true;
  MemorySink sink;
  const Result<GetReport> read = get("before", sink);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, Exit::temporary);
  EXPECT_NE(read.error().why.find("the SSA has not"), std::string::npos) << read.error().why;
  ASSERT_TRUE(client_->controller().remove("before", 0).ok());
  const Result<PutReport> report = put("silent", bytes);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Exit::temporary);
  faults().deaf = false;
  expect_nothing_left();
}

TEST_F(ObjectClientTest, FewerThanTheQuorumIsDegraded) {
  faults().holders_fail = 2;  // 3 of 5 have it; the quorum is 4
  const Bytes bytes = random_.bytes(10'000);
  PutOptions strict;
  strict.accept_degraded = false;
  const Result<PutReport> refused = put("degraded", bytes, strict);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Exit::temporary);
  EXPECT_NE(refused.error().why.find("3 of 5 holders have it, 4 must"), std::string::npos)
      << refused.error().why;
  expect_nothing_left();
  const Result<PutReport> report = put("degraded", bytes);
  ASSERT_TRUE(report.ok()) << describe(report.error());
  EXPECT_TRUE(report.value().degraded);
  EXPECT_EQ(report.value().sealed, 3U);
  ASSERT_EQ(report.value().troubles.size(), 2U);
  EXPECT_EQ(report.value().troubles[0].share, 4U);
  EXPECT_EQ(report.value().troubles[0].trouble, "its disk is full");
  expect_got("degraded", bytes);
}

TEST_F(ObjectClientTest, FewerThanTheMinimumIsNoWrite) {
  faults().holders_fail = 3;
  const Result<PutReport> report = put("failed", random_.bytes(10'000));
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Exit::temporary);
  expect_nothing_left();
}

TEST_F(ObjectClientTest, SealingIsWaitedFor) {
  faults().sealing_answers = 5;
  const Bytes bytes = random_.bytes(10'000);
  const Result<PutReport> report = put("sealing", bytes);
  ASSERT_TRUE(report.ok()) << describe(report.error());
  expect_got("sealing", bytes);
}

TEST_F(ObjectClientTest, AnAnswerToABlockEndsTheWrite) {
  for (const auto& [code, exit] : {std::pair{protocol::AnswerCode::disk_full, Exit::temporary},
                                   std::pair{protocol::AnswerCode::refused, Exit::refused}}) {
    faults().block_answer = static_cast<int>(code);
    const Result<PutReport> report = put("refused", random_.bytes(500'000));
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().code, exit) << describe(report.error());
    expect_nothing_left();
  }
}

TEST_F(ObjectClientTest, WhatCannotBeReadIsSaid) {
  const Bytes bytes = random_.bytes(100'000);
  ASSERT_TRUE(put("bad", bytes).ok());
  for (const auto& [code, exit] : {std::pair{protocol::AnswerCode::not_found, Exit::unrecoverable},
                                   std::pair{protocol::AnswerCode::quarantined, Exit::integrity},
                                   std::pair{protocol::AnswerCode::refused, Exit::refused}}) {
    faults().read_answer = static_cast<int>(code);
    MemorySink sink;
    const Result<GetReport> report = get("bad", sink);
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().code, exit);
    EXPECT_LE(sink.all.size(), 7 * 1344U);
    EXPECT_TRUE(std::equal(sink.all.begin(), sink.all.end(), bytes.begin()));
  }
}

TEST_F(ObjectClientTest, ABusySsaIsAskedAgain) {
  const Bytes bytes = random_.bytes(1'000'000);
  ASSERT_TRUE(put("busy", bytes).ok());
  faults().busy_answers = 10;
  expect_got("busy", bytes);
  EXPECT_EQ(faults().busy_answers, 0U);
}

TEST_F(ObjectClientTest, WhatDoesNotComeIsAskedForAgain) {
  client_ = client({.ask_again = milliseconds(200)});
  const Bytes bytes = random_.bytes(1'000'000);
  ASSERT_TRUE(put("ignored", bytes).ok());
  faults().reads_ignored = 6;
  expect_got("ignored", bytes);
  EXPECT_EQ(faults().reads_ignored, 0U);
}

TEST_F(ObjectClientTest, AnAnswerMayBeSlowerThanTheSecondQuestion) {
  client_ = client({.ask_again = milliseconds(200)});
  const Bytes bytes = random_.bytes(100'000);
  ASSERT_TRUE(put("late", bytes).ok());
  faults().read_answer = static_cast<int>(protocol::AnswerCode::not_found);
  faults().answers_late_ms = 800;
  MemorySink sink;
  const Result<GetReport> report = get("late", sink);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Exit::unrecoverable) << describe(report.error());
}

TEST_F(ObjectClientTest, HoldersThatWereLateAreAskedOnceMore) {
  const Bytes bytes = random_.bytes(100'000);
  ASSERT_TRUE(put("late", bytes).ok());
  faults().incomplete_answers = 1;
  expect_got("late", bytes);
  faults().incomplete_answers = 2;
  MemorySink sink;
  const Result<GetReport> report = get("late", sink);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Exit::unrecoverable) << describe(report.error());
}

TEST_F(ObjectClientTest, OnlyWhatWasAskedForIsTaken) {
  const Bytes bytes = random_.bytes(500'000);
  ASSERT_TRUE(put("strays", bytes).ok());
  faults().strays = true;
  expect_got("strays", bytes);
}

TEST_F(ObjectClientTest, AnSsaThatCannotNowIsTriedAgain) {
  const Bytes bytes = random_.bytes(1000);
  faults().opens_fail = 2;
  ASSERT_TRUE(put("later", bytes).ok());
  faults().opens_fail = 1;
  expect_got("later", bytes);
  ASSERT_TRUE(client_->controller().remove("later", 0).ok());
  client_ = client({.tries = 2});
  faults().opens_fail = 2;
  const Result<PutReport> report = put("never", bytes);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Exit::temporary);
  expect_nothing_left();
}

TEST_F(ObjectClientTest, ContradictionsAreNotBelieved) {
  ASSERT_TRUE(put("lie", random_.bytes(1000)).ok());
  faults().lies_about_size = 1;
  MemorySink sink;
  const Result<GetReport> report = get("lie", sink);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Exit::integrity);
  EXPECT_TRUE(sink.all.empty());
  EXPECT_EQ(network_->ssa().open_sessions(), 0U);
}

TEST_F(ObjectClientTest, ALostCommitIsNotClaimed) {
  client_ = client({.tries = 2});
  faults().after_sealed = [this] { network_->stop_controller(); };
  const Bytes bytes = random_.bytes(1000);
  const Result<PutReport> report = put("lost", bytes);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Exit::failed);
  EXPECT_NE(report.error().why.find("not known"), std::string::npos) << report.error().why;
  EXPECT_EQ(report.error().fix.find("gives the write up"), std::string::npos) << report.error().fix;
  network_->start_controller();
  faults().after_sealed = {};
  client_ = client();
  const Result<PutReport> repeated = put("lost", bytes);
  ASSERT_TRUE(repeated.ok()) << describe(repeated.error());
  expect_got("lost", bytes);
}

TEST_F(ObjectClientTest, WithoutAControllerNothingBegins) {
  network_->stop_controller();
  const Bytes bytes(10);
  MemorySource source(bytes);
  const Result<PutReport> report = client_->put(source, "none", {}, watch_);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Exit::temporary);
  network_->start_controller();
  client_ = client();
  expect_nothing_left();
}

// Long before gRPC would connect again by its own rules.
TEST_F(ObjectClientTest, AControllerThatStartsAgainIsFoundAtOnce) {
  client_ = client({.tries = 3});  // 0.75 s in all
  const Bytes bytes = random_.bytes(1000);
  ASSERT_TRUE(put("first", bytes).ok());
  network_->stop_controller();
  std::thread later([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    network_->start_controller();
  });
  const Result<PutReport> report = put("second", bytes);
  later.join();
  ASSERT_TRUE(report.ok()) << describe(report.error());
  expect_got("second", bytes);
}

TEST_F(ObjectClientTest, SinksMayRefuse) {
  ASSERT_TRUE(put("full", random_.bytes(100'000)).ok());
  struct Full : DataSink {
    Result<std::size_t> write(std::span<const std::uint8_t>) override {
      return system_error(ENOSPC, "cannot write", "file");
    }
  } sink;
  const Result<GetReport> report = get("full", sink);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(network_->ssa().open_sessions(), 0U);
  MemorySink unused;
  const Result<GetReport> early = client_->get("full", unused, watch_, [](const controller::Object& object) {
    return Error{Exit::refused, "no", std::to_string(object.size), "", ""};
  });
  ASSERT_FALSE(early.ok());
  EXPECT_EQ(early.error().why, "100000");
  EXPECT_TRUE(unused.all.empty());
}

}  // namespace
}  // namespace ssn::client
