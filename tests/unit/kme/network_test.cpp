// SPDX-License-Identifier: BSD-3-Clause
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "key_container.h"
#include "peer_link.h"
#include "test_network_support.h"

namespace ssn::kme {
namespace {

std::string text_of(KeyBatch batch) {
  std::string text;
  KeyContainer container(std::move(batch), "");
  EXPECT_TRUE(container.write(test::best_kernels(), [&](const char* piece, std::size_t length) {
    text.append(piece, length);
    return true;
  }));
  EXPECT_EQ(text.size(), container.length());
  return text;
}

std::vector<KeyId> ids_of(const KeyBatch& batch) {
  std::vector<KeyId> ids;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    ids.push_back(batch.id(i));
  }
  return ids;
}

int status_of(const Network::KeyAnswer& answer) {
  const ApiError* const error = std::get_if<ApiError>(&answer);
  return error == nullptr ? 200 : error->status;
}

TEST(Network, BothSaesGetTheSameKeysOnce) {
  test::TimedNetwork timed(test::two_sites());
  Network& network = *timed.network;
  for (const std::uint64_t bits : {64u, 72u, 256u, 1'000u, 393'216u, 393'224u, 900'000u}) {
    Network::KeyAnswer sent = network.enc_keys(0, "sae-a", "sae-b", 1, bits);
    ASSERT_EQ(status_of(sent), 200) << bits;
    const std::vector<KeyId> ids = ids_of(std::get<KeyBatch>(sent));
    EXPECT_EQ(status_of(network.dec_keys(1, "second b", "sae-a", ids)), 401);
    EXPECT_EQ(status_of(network.dec_keys(0, "sae-a", "sae-a", ids)), 400);
    Network::KeyAnswer got = network.dec_keys(1, "sae-b", "sae-a", ids);
    ASSERT_EQ(status_of(got), 200);
    EXPECT_EQ(status_of(network.dec_keys(1, "sae-b", "sae-a", ids)), 400);
    EXPECT_EQ(text_of(std::move(std::get<KeyBatch>(sent))), text_of(std::move(std::get<KeyBatch>(got))));
  }
}

TEST(Network, TheLatencyPassesBeforeTheOtherEndKnows) {
  Configuration configuration = test::two_sites();
  configuration.links[0].latency = 5000;
  test::TimedNetwork timed(configuration);
  Network::KeyAnswer sent = timed.network->enc_keys(0, "sae-a", "sae-b", 2, 256);
  const std::vector<KeyId> ids = ids_of(std::get<KeyBatch>(sent));
  timed.now += 4999;
  EXPECT_EQ(status_of(timed.network->dec_keys(1, "sae-b", "sae-a", ids)), 400);
  timed.now += 1;
  EXPECT_EQ(status_of(timed.network->dec_keys(1, "sae-b", "sae-a", ids)), 200);
}

TEST(Network, ShortageIs503AndPasses) {
  Configuration configuration = test::two_sites();
  configuration.links[0].model = {1000, 10'000, 1000, {}};
  test::TimedNetwork timed(configuration);
  Network& network = *timed.network;
  EXPECT_EQ(status_of(network.enc_keys(0, "sae-a", "sae-b", 4, 256)), 503);
  EXPECT_EQ(status_of(network.enc_keys(0, "sae-a", "sae-b", 3, 256)), 200);
  EXPECT_EQ(status_of(network.enc_keys(1, "sae-b", "sae-a", 1, 256)), 503);  // one stock for both ends
  timed.now += 32'000;
  EXPECT_EQ(status_of(network.enc_keys(1, "sae-b", "sae-a", 1, 256)), 200);
  EXPECT_EQ(network.report_links()[0].counters.shortages, 2u);
}

TEST(Network, AFullStoreRefusesAndPaysBack) {
  Configuration configuration = test::two_sites();
  configuration.limits.max_key_count = 3;
  test::TimedNetwork timed(configuration);
  timed.network->begin_outage(0, 0);
  EXPECT_EQ(status_of(timed.network->enc_keys(0, "sae-a", "sae-b", 4, 256)), 503);
  EXPECT_EQ(timed.network->report_links()[0].stock_bits, 1'000'000u);
  EXPECT_EQ(status_of(timed.network->enc_keys(0, "sae-a", "sae-b", 3, 256)), 200);
}

TEST(Network, UnknownSaesAreRefused) {
  test::TimedNetwork timed(test::two_sites());
  EXPECT_EQ(status_of(timed.network->enc_keys(0, "sae-a", "nobody", 1, 256)), 400);
  EXPECT_EQ(status_of(timed.network->enc_keys(0, "sae-a", "second a", 1, 256)), 400);
  EXPECT_TRUE(timed.network->knows(0, "second a"));
  EXPECT_FALSE(timed.network->knows(0, "sae-b"));
}

// Two processes, each serving one end of a link, and calls between them instead of HTTPS.
class TwoProcesses : public testing::Test {
 protected:
  class Wire final : public Peer {
   public:
    Wire(TwoProcesses& test, int to) : test_(test), to_(to) {}
    Answer announce(const std::string& link, const kme::Run& run,
                    const std::vector<Announcement>& keys) override {
      const std::optional<KeysMessage> message = parse_keys(write_keys(link, run, keys), 128);
      if (!message || !test_.connected_) {
        return Answer::unreachable;
      }
      return test_.ends_[to_]->network->accept(0, message->run, message->keys);
    }

   private:
    TwoProcesses& test_;
    int to_;
  };

  void SetUp() override {
    path_ = testing::TempDir() + "kme-two-processes-secret";
    ::unlink(path_.c_str());
    const mode_t before = ::umask(077);
    std::ofstream(path_) << std::string(64, '7') << "\n";
    ::umask(before);
    restart(0);
    restart(1);
    greet();
  }
  void TearDown() override { ::unlink(path_.c_str()); }

  void restart(int end) {
    Configuration configuration = test::two_sites();
    configuration.links[0].secret_file = path_;
    configuration.sites[static_cast<std::size_t>(1 - end)].served = false;
    ends_[end] = std::make_unique<test::TimedNetwork>(configuration);
    wires_[end] = std::make_unique<Wire>(*this, 1 - end);
    ends_[end]->network->set_peer(0, *wires_[end]);
  }
  void greet() {
    ASSERT_TRUE(network(0).peer_runs(0, network(1).own_nonce()).ok());
    ASSERT_TRUE(network(1).peer_runs(0, network(0).own_nonce()).ok());
  }
  Network& network(int end) { return *ends_[end]->network; }

  std::string path_;
  std::unique_ptr<test::TimedNetwork> ends_[2];
  std::unique_ptr<Wire> wires_[2];
  bool connected_ = true;
};

TEST_F(TwoProcesses, MakeTheSameKeys) {
  Network::KeyAnswer sent = network(0).enc_keys(0, "sae-a", "sae-b", 3, 256);
  ASSERT_EQ(status_of(sent), 200);
  Network::KeyAnswer got = network(1).dec_keys(1, "sae-b", "sae-a", ids_of(std::get<KeyBatch>(sent)));
  ASSERT_EQ(status_of(got), 200);
  EXPECT_EQ(text_of(std::move(std::get<KeyBatch>(sent))), text_of(std::move(std::get<KeyBatch>(got))));
}

TEST_F(TwoProcesses, CallEachOtherAtTheSameTime) {
  const auto draw = [this](int end) {
    for (int i = 0; i < 200; ++i) {
      const char* const names[] = {"sae-a", "sae-b"};
      EXPECT_EQ(
          status_of(network(end).enc_keys(static_cast<std::size_t>(end), names[end], names[1 - end], 1, 64)),
          200);
    }
  };
  std::thread other([&] { draw(1); });
  draw(0);
  other.join();
}

TEST_F(TwoProcesses, ARestartEndsKeysAndStreams) {
  StreamProvider::Request request{"sae-a", "sae-b", Ksid{9}, SSN_KEY_SENDER};
  std::unique_ptr<StreamSource> stream = std::move(network(0).open_stream(0, request).value());
  Network::KeyAnswer to_b = network(0).enc_keys(0, "sae-a", "sae-b", 1, 256);
  Network::KeyAnswer to_a = network(1).enc_keys(1, "sae-b", "sae-a", 1, 256);
  restart(1);
  EXPECT_EQ(status_of(network(0).enc_keys(0, "sae-a", "sae-b", 1, 256)), 503);  // keys of a run that is over
  greet();
  EXPECT_FALSE(stream->alive());
  std::array<std::uint8_t, 16> bytes{};
  EXPECT_EQ(stream->next(bytes), 0u);
  EXPECT_EQ(status_of(network(0).dec_keys(0, "sae-a", "sae-b", ids_of(std::get<KeyBatch>(to_a)))), 400);
  EXPECT_EQ(status_of(network(1).dec_keys(1, "sae-b", "sae-a", ids_of(std::get<KeyBatch>(to_b)))), 400);
  EXPECT_FALSE(network(0).open_stream(0, request).ok());
  EXPECT_EQ(status_of(network(0).enc_keys(0, "sae-a", "sae-b", 1, 256)), 200);
}

TEST_F(TwoProcesses, APeerThatIsGoneIs503) {
  connected_ = false;
  EXPECT_EQ(status_of(network(0).enc_keys(0, "sae-a", "sae-b", 1, 256)), 503);
  EXPECT_EQ(network(0).report_links()[0].counters.lost_bits, 256u);
  network(0).peer_lost(0);
  EXPECT_EQ(status_of(network(0).enc_keys(0, "sae-a", "sae-b", 1, 256)), 503);
  EXPECT_EQ(network(0).report_links()[0].counters.lost_bits, 256u);
  connected_ = true;
  greet();
  EXPECT_EQ(status_of(network(0).enc_keys(0, "sae-a", "sae-b", 1, 256)), 200);
}

TEST_F(TwoProcesses, StreamsAreTheSameAtBothEnds) {
  StreamProvider::Request request{"sae-a", "sae-b", Ksid{5}, SSN_KEY_SENDER};
  auto sender = std::move(network(0).open_stream(0, request).value());
  request = {"sae-b", "sae-a", Ksid{5}, SSN_KEY_RECEIVER};
  auto receiver = std::move(network(1).open_stream(1, request).value());
  std::vector<std::uint8_t> a(50'000), b(50'000);
  ASSERT_EQ(sender->next(a), a.size());
  ASSERT_EQ(receiver->next(b), b.size());
  EXPECT_EQ(a, b);
}

}  // namespace
}  // namespace ssn::kme
