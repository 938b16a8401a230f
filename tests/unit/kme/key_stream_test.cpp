// SPDX-License-Identifier: BSD-3-Clause
#include <random>

#include "test_network_support.h"

namespace ssn::kme {
namespace {

StreamProvider::Request ask(const char* local, const char* peer, ssn_key_role role, std::uint8_t ksid = 1) {
  StreamProvider::Request request;
  request.local = local;
  request.peer = peer;
  request.ksid = {ksid};
  request.role = role;
  return request;
}

class KeyStreams : public testing::Test {
 protected:
  void begin(Configuration configuration) { timed_.emplace(std::move(configuration)); }
  std::unique_ptr<StreamSource> open(std::size_t site, const StreamProvider::Request& request) {
    Result<std::unique_ptr<StreamSource>> opened = timed_->network->open_stream(site, request);
    EXPECT_TRUE(opened.ok());
    return std::move(opened.value());
  }
  std::vector<std::uint8_t> read(StreamSource& source, std::size_t most) {
    std::vector<std::uint8_t> bytes(most);
    bytes.resize(source.next(bytes));
    return bytes;
  }

  std::optional<test::TimedNetwork> timed_;
};

TEST_F(KeyStreams, BothEndsReadTheSameAndTheLinkPaysOnce) {
  Configuration configuration = test::two_sites();
  begin(configuration);
  timed_->network->begin_outage(0, 0);
  auto sender = open(0, ask("sae-a", "sae-b", SSN_KEY_SENDER));
  auto receiver = open(1, ask("sae-b", "sae-a", SSN_KEY_RECEIVER));
  const std::vector<std::uint8_t> first = read(*sender, 1000);
  ASSERT_EQ(first.size(), 1000u);
  EXPECT_EQ(timed_->network->report_links()[0].stock_bits, 1'000'000u - 8000);
  std::vector<std::uint8_t> second = read(*receiver, 333);
  for (const std::uint8_t byte : read(*receiver, 667)) {
    second.push_back(byte);
  }
  EXPECT_EQ(first, second);
  EXPECT_EQ(timed_->network->report_links()[0].stock_bits, 1'000'000u - 8000);
  // Until the stock is gone: starvation, not an end.
  EXPECT_EQ(read(*sender, 1'000'000).size(), 124'000u);
  EXPECT_EQ(read(*sender, 1).size(), 0u);
  EXPECT_EQ(sender->level(), 0u);
  EXPECT_TRUE(sender->alive());
  EXPECT_EQ(receiver->level(), 124'000u);
  EXPECT_EQ(read(*receiver, 1'000'000).size(), 124'000u);
  timed_->network->end_outage(0);
  EXPECT_EQ(read(*receiver, 100), read(*sender, 100));
}

TEST_F(KeyStreams, TheOtherEndWaitsForTheLatency) {
  Configuration configuration = test::two_sites();
  configuration.links[0].latency = 32'000;
  begin(configuration);
  auto sender = open(0, ask("sae-a", "sae-b", SSN_KEY_SENDER));
  auto receiver = open(1, ask("sae-b", "sae-a", SSN_KEY_RECEIVER));
  const std::vector<std::uint8_t> sent = read(*sender, 500);
  timed_->now += 31'999;
  EXPECT_EQ(read(*receiver, 500).size(), 0u);
  timed_->now += 1'001 + 1;  // rounded up by at most a 32nd
  EXPECT_EQ(read(*receiver, 500), sent);
  // Polled all the time, it still comes no later than that.
  std::uint64_t received = 0;
  std::uint64_t drawn = 0;
  for (int i = 0; i < 2000; ++i) {
    timed_->now += 100;
    drawn += read(*sender, 10).size();
    received += read(*receiver, 1000).size();
    const std::uint64_t late = std::uint64_t{10} * (33'000 / 100 + 2);
    ASSERT_GE(received + late, drawn);
    ASSERT_LE(received + (i < 319 ? drawn : std::uint64_t{10} * 319), drawn);
  }
}

TEST_F(KeyStreams, EachEndOpensOnce) {
  begin(test::two_sites());
  Network& network = *timed_->network;
  {
    auto sender = open(0, ask("sae-a", "sae-b", SSN_KEY_SENDER));
    EXPECT_FALSE(network.open_stream(0, ask("sae-a", "sae-b", SSN_KEY_SENDER)).ok());
  }
  EXPECT_EQ(network.open_stream(0, ask("sae-a", "sae-b", SSN_KEY_SENDER)).error().code, Exit::refused);
  // Both as sender, or for somebody else: refused, and the rightful receiver still gets it.
  EXPECT_FALSE(network.open_stream(1, ask("sae-b", "sae-a", SSN_KEY_SENDER)).ok());
  EXPECT_FALSE(network.open_stream(1, ask("second b", "sae-a", SSN_KEY_RECEIVER)).ok());
  {
    auto receiver = open(1, ask("sae-b", "sae-a", SSN_KEY_RECEIVER));
  }
  EXPECT_FALSE(network.open_stream(1, ask("sae-b", "sae-a", SSN_KEY_RECEIVER)).ok());
  EXPECT_EQ(network.report_links()[0].streams, 0u);
}

TEST_F(KeyStreams, OpensForItsOwnSaesAndKnownPeersOnly) {
  begin(test::two_sites());
  Network& network = *timed_->network;
  EXPECT_EQ(network.open_stream(0, ask("sae-b", "sae-a", SSN_KEY_SENDER)).error().code, Exit::refused);
  EXPECT_EQ(network.open_stream(0, ask("sae-a", "nobody", SSN_KEY_SENDER)).error().code, Exit::not_found);
  EXPECT_EQ(network.open_stream(0, ask("sae-a", "second a", SSN_KEY_SENDER)).error().code, Exit::not_found);
  auto random = open(0, ask("sae-a", "", SSN_KEY_RANDOM));
  auto again = open(0, ask("sae-a", "", SSN_KEY_RANDOM));
  EXPECT_NE(read(*random, 100), read(*again, 100));
}

TEST_F(KeyStreams, DifferentStreamsDiffer) {
  begin(test::two_sites());
  auto forward = open(0, ask("sae-a", "sae-b", SSN_KEY_SENDER, 1));
  auto other = open(0, ask("sae-a", "sae-b", SSN_KEY_SENDER, 2));
  auto backward = open(1, ask("sae-b", "sae-a", SSN_KEY_SENDER, 3));
  const auto a = read(*forward, 64);
  const auto b = read(*other, 64);
  const auto c = read(*backward, 64);
  EXPECT_NE(a, b);
  EXPECT_NE(a, c);
  EXPECT_NE(b, c);
}

}  // namespace
}  // namespace ssn::kme
