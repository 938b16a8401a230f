// SPDX-License-Identifier: BSD-3-Clause
// Two drivers at a key manager that is not ours, through all that real ones get wrong: both ends always have
// the same bytes at the same offsets, and come back once it is over.
#include <algorithm>
#include <fstream>

#include "fixture.h"

namespace ssn::test {
namespace {

constexpr std::uint64_t some = 150000;

TEST_F(TwoSites, SameBytesAtBothEnds) {
  open();
  EXPECT_EQ(a->info().protection, SSN_PROTECTION_EMULATED) << "nothing may be claimed before it is known";
  open_stream();
  EXPECT_GE(compare(*sender, *receiver, 10 * some), 10 * some);
  EXPECT_EQ((*sender)->health, SSN_KEY_HEALTH_OK);
  EXPECT_EQ(a->info().protection, SSN_PROTECTION_INFORMATION_THEORETIC);
  EXPECT_LE(kme.count("connections"), 4) << "connections are kept";
  EXPECT_GE(sender->statistics().delivered, 10 * some);
}

TEST_F(TwoSites, BothDirectionsAndSeveralStreams) {
  open();
  std::vector<std::unique_ptr<End>> senders, receivers;
  for (std::uint8_t i = 0; i < 6; ++i) {
    Node& from = i % 2 == 0 ? *a : *b;
    Node& to = i % 2 == 0 ? *b : *a;
    senders.push_back(std::make_unique<End>(from, SSN_KEY_SENDER, i, to.name(), ring_bytes));
    receivers.push_back(std::make_unique<End>(to, SSN_KEY_RECEIVER, i, from.name(), ring_bytes));
    ASSERT_TRUE(senders.back()->is_open() && receivers.back()->is_open());
  }
  for (std::size_t i = 0; i < senders.size(); ++i) {
    EXPECT_GE(compare(*senders[i], *receivers[i], some), some) << i;
  }
}

TEST_F(TwoSites, EmulatorLowersTheClassForGood) {
  kme.set("emulator", "true");
  open();
  open_stream();
  EXPECT_GE(compare(*sender, *receiver, some), some);
  EXPECT_EQ(a->info().protection, SSN_PROTECTION_EMULATED);
  EXPECT_NE(std::string(a->info().identity).find("EMULATOR"), std::string::npos);
  kme.set("emulator", "false");
  const long before = kme.count("status");
  ASSERT_TRUE(wait_for([&] { return kme.count("status") > before + 3; }));
  EXPECT_EQ(a->info().protection, SSN_PROTECTION_EMULATED) << "it never rises";
}

TEST_F(TwoSites, StockAndRingLimitWhatIsPrefetched) {
  open({{"stock_bytes", "200000"}});
  open_stream();
  ASSERT_TRUE(wait_for([&] { return sender->poll(), (*sender)->end >= 100000; }));
  long before = -1;
  ASSERT_TRUE(wait_for([&] {
    const long now = kme.count("enc_keys");
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return std::exchange(before, now) == now;
  }));
  (void)sender->poll();
  EXPECT_LE((*sender)->end, 200000U);
  EXPECT_GE(compare(*sender, *receiver, some), some) << "goes on once there is room";
}

TEST_F(TwoSites, LostRepeatedAndReorderedMessages) {
  open({}, {.lost = 20, .repeated = 20, .late = 20, .busy = 10});
  open_stream();
  EXPECT_GE(compare(*sender, *receiver, 10 * some, 60), 10 * some);
}

TEST_F(TwoSites, EndsThatOpenAtDifferentTimes) {
  open();
  sender = std::make_unique<End>(*a, SSN_KEY_SENDER, 1, "sae-b", ring_bytes);
  ASSERT_TRUE(wait_for([&] { return sender->poll(), (*sender)->health == SSN_KEY_HEALTH_STALLED; }));
  EXPECT_EQ(kme.count("enc_keys"), 0) << "no key is asked for that nobody waits for";
  receiver = std::make_unique<End>(*b, SSN_KEY_RECEIVER, 1, "sae-a", ring_bytes);
  EXPECT_GE(compare(*sender, *receiver, some), some);
  EXPECT_EQ((*sender)->health, SSN_KEY_HEALTH_OK);
}

TEST_F(TwoSites, ClosingOneEndEndsTheOther) {
  open();
  open_stream();
  EXPECT_GE(compare(*sender, *receiver, some), some);
  receiver->close();
  ASSERT_TRUE(wait_for([&] { return sender->poll() == SSN_FAILED; }));
  EXPECT_EQ((*sender)->health, SSN_KEY_HEALTH_FAILED);
  End again(*b, SSN_KEY_RECEIVER, 1, "sae-a", ring_bytes);
  EXPECT_FALSE(again.is_open()) << "no KSID is opened twice";
}

TEST_F(TwoSites, SmallRingAtTheReceiver) {
  open();
  sender = std::make_unique<End>(*a, SSN_KEY_SENDER, 1, "sae-b", ring_bytes);
  receiver = std::make_unique<End>(*b, SSN_KEY_RECEIVER, 1, "sae-a", 65536);
  EXPECT_GE(compare(*sender, *receiver, some), some);
}

struct Fault {
  const char* name;
  const char* sae;
  const char* verb;
  const char* kind;
  const char* more;
};

class Faults : public TwoSites, public testing::WithParamInterface<Fault> {};

// The fault strikes from the start and again in the middle of delivery; afterwards all goes on.
TEST_P(Faults, AreOrdinary) {
  const Fault& fault = GetParam();
  open();
  kme.fault(fault.sae, fault.verb, fault.kind, 2, fault.more);
  open_stream();
  EXPECT_GE(compare(*sender, *receiver, some), some);
  kme.fault(fault.sae, fault.verb, fault.kind, 5, fault.more);
  EXPECT_GE(compare(*sender, *receiver, 2 * some), 2 * some);
  kme.command("{\"do\": \"clear\"}");
  EXPECT_GE(compare(*sender, *receiver, 2 * some), 2 * some);
  EXPECT_EQ((*sender)->health, SSN_KEY_HEALTH_OK);
}

const Fault faults[] = {
    {"HtmlForStatus", "sae-a", "status", "html", ""},
    {"HtmlForEnc", "sae-a", "enc_keys", "html", ""},
    {"HtmlForDec", "sae-b", "dec_keys", "html", ""},
    {"Html401ForDec", "sae-b", "dec_keys", "html", ", \"code\": 401"},
    {"Html500ForEnc", "sae-a", "enc_keys", "html", ", \"code\": 500"},
    {"Error400ForEnc", "sae-a", "enc_keys", "error", ", \"code\": 400"},
    {"Error503ForEnc", "sae-a", "enc_keys", "error", ", \"code\": 503"},
    {"Error503ForStatus", "sae-b", "status", "error", ", \"code\": 503"},
    {"Error503ForDec", "sae-b", "dec_keys", "error", ", \"code\": 503"},
    {"Empty401ForDec", "sae-b", "dec_keys", "empty", ", \"code\": 401"},
    {"Empty404ForDec", "sae-b", "dec_keys", "empty", ", \"code\": 404"},
    {"Error500ForDec", "sae-b", "dec_keys", "error", ", \"code\": 500"},
    {"IntegerIds", "sae-a", "enc_keys", "integer", ""},
    {"CapitalKeys", "sae-a", "enc_keys", "capital", ""},
    {"CapitalKeysForDec", "sae-b", "dec_keys", "capital", ""},
    {"OtherSizes", "sae-a", "enc_keys", "sizes", ""},
    {"FewerKeys", "sae-a", "enc_keys", "fewer", ""},
    {"NoKeys", "sae-a", "enc_keys", "none", ""},
    {"MoreKeys", "sae-a", "enc_keys", "more", ""},
    {"IdTwice", "sae-a", "enc_keys", "twice", ""},
    {"KeysAgain", "sae-a", "enc_keys", "again", ""},
    {"OneSideOnly", "sae-a", "enc_keys", "one_side", ""},
    {"DiscardsUndelivered", "sae-a", "enc_keys", "discard", ""},
    {"EncAnswerLost", "sae-a", "enc_keys", "lose", ""},
    {"DecAnswerLost", "sae-b", "dec_keys", "lose", ""},
    {"PartialDec", "sae-b", "dec_keys", "partial", ""},
    {"ShuffledDec", "sae-b", "dec_keys", "shuffled", ""},
    {"ShortKeyInDec", "sae-b", "dec_keys", "short", ""},
    {"BadBase64InEnc", "sae-a", "enc_keys", "bad_base64", ""},
    {"BadBase64InDec", "sae-b", "dec_keys", "bad_base64", ""},
    {"NoIdInEnc", "sae-a", "enc_keys", "no_id", ""},
    {"EscapedCharacters", "sae-a", "enc_keys", "escaped", ""},
    {"EscapedCharactersInDec", "sae-b", "dec_keys", "escaped", ""},
    {"CutJson", "sae-b", "dec_keys", "cut", ""},
    {"Chunked", "sae-b", "dec_keys", "chunked", ""},
    {"HandshakePerRequest", "sae-a", "enc_keys", "close", ""},
    {"Dropped", "sae-a", "status", "drop", ""},
    {"Endless", "sae-b", "dec_keys", "endless", ""},
    {"NoHttp", "sae-a", "enc_keys", "raw", ", \"text\": \"220 mail.example ESMTP\\r\\n\""},
    {"HugeLength", "sae-a", "enc_keys", "raw",
     ", \"text\": \"HTTP/1.1 200 OK\\r\\nContent-Length: 99999999999\\r\\n\\r\\n\""},
};

INSTANTIATE_TEST_SUITE_P(Etsi014, Faults, testing::ValuesIn(faults),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_F(TwoSites, HangingServerStallsAndRecovers) {
  open({{"request_timeout_ms", "300"}});
  open_stream();
  EXPECT_GE(compare(*sender, *receiver, some), some);
  kme.fault("sae-a", "enc_keys", "hang", 1000, ", \"seconds\": 2");
  kme.fault("sae-a", "status", "hang", 1000, ", \"seconds\": 2");
  ASSERT_TRUE(wait_for([&] {
    (void)compare(*sender, *receiver, 1, 0);
    return (*sender)->health == SSN_KEY_HEALTH_STALLED;
  }));
  EXPECT_GE(sender->statistics().stalled, 1U);
  kme.command("{\"do\": \"clear\"}");
  EXPECT_GE(compare(*sender, *receiver, 2 * some), 2 * some);
}

TEST_F(TwoSites, EmptyKeyManagerStarvesAndRecovers) {
  kme.set("stored_key_count", "0");
  kme.fault("sae-a", "enc_keys", "error", 100000, ", \"code\": 503");
  open();
  open_stream();
  ASSERT_TRUE(wait_for([&] { return sender->poll(), sender->statistics().starved >= 2; }));
  EXPECT_EQ((*sender)->health, SSN_KEY_HEALTH_STARVED);
  EXPECT_NE(std::string(a->info().identity).find("last failure"), std::string::npos);
  kme.command("{\"do\": \"clear\"}");
  // It still says that it has none, which some always do.
  EXPECT_GE(compare(*sender, *receiver, 5000), 5000U);
  kme.set("stored_key_count", "100000");
  EXPECT_GE(compare(*sender, *receiver, some), some);
}

TEST_F(TwoSites, KeysThatVanishAtTheKeyManagerAreDroppedAtBothEnds) {
  open();
  open_stream();
  for (int i = 0; i < 5; ++i) {
    EXPECT_GE(compare(*sender, *receiver, some), some);
    kme.command("{\"do\": \"forget\"}");
  }
  EXPECT_GE(compare(*sender, *receiver, some), some);
}

TEST_F(TwoSites, ConnectionsThatBreak) {
  open();
  open_stream();
  for (int i = 0; i < 5; ++i) {
    EXPECT_GE(compare(*sender, *receiver, some), some);
    kme.command("{\"do\": \"restart\"}");
  }
  EXPECT_GE(compare(*sender, *receiver, some), some);
}

TEST_F(TwoSites, LimitsOfStatusAreHonoured) {
  // The key manager answers 400 to anything outside of its limits.
  kme.set("chatty", "true");
  for (const auto& [size, least, most, number] :
       {std::array{64, 64, 64, 1}, std::array{256, 8, 1024, 3}, std::array{352, 64, 1024, 128},
        std::array{1024, 1024, 524288, 2}}) {
    SCOPED_TRACE(most);
    kme.set("key_size", std::to_string(size));
    kme.set("min_key_size", std::to_string(least));
    kme.set("max_key_size", std::to_string(most));
    kme.set("max_key_per_request", std::to_string(number));
    open();
    open_stream();
    EXPECT_GE(compare(*sender, *receiver, 400), 400U);
    EXPECT_EQ(std::string(a->info().identity).find("HTTP 400"), std::string::npos) << a->info().identity;
    TearDown();
  }
}

TEST_F(TwoSites, Tls12Only) {
  KmeProcess old("1.2");
  ASSERT_TRUE(old.running()) << old.why();
  Node first("sae-a", settings_for(old, "sae-a")), second("sae-b", settings_for(old, "sae-b"));
  ASSERT_EQ(first.open(), SSN_OK);
  ASSERT_EQ(second.open(), SSN_OK);
  first.connect(&second, {}, 1);
  second.connect(&first, {}, 2);
  sender = std::make_unique<End>(first, SSN_KEY_SENDER, 1, "sae-b", ring_bytes);
  receiver = std::make_unique<End>(second, SSN_KEY_RECEIVER, 1, "sae-a", ring_bytes);
  EXPECT_GE(compare(*sender, *receiver, some), some);
  sender.reset();
  receiver.reset();
}

struct Stranger {
  const char* name;
  Config changes;
  const char* said;
};

class Strangers : public TwoSites, public testing::WithParamInterface<int> {};

TEST_P(Strangers, AreNotTalkedTo) {
  const Stranger strangers[] = {
      {"another KME", {{"kme_id", "kme-other"}}, "not that of KME 'kme-other'"},
      {"another CA", {{"ca", kme.file("stranger-ca.pem")}}, "TLS: "},
      {"unknown to it",
       {{"certificate", kme.file("stranger.pem")}, {"private_key", kme.file("stranger.key")}},
       "TLS: "},
      {"nobody there", {{"url", "https://127.0.0.1:1"}}, "refused"},
  };
  const Stranger& stranger = strangers[GetParam()];
  SCOPED_TRACE(stranger.name);
  open(stranger.changes);
  open_stream();
  ASSERT_TRUE(wait_for([&] {
    (void)sender->poll();
    return (*sender)->health == SSN_KEY_HEALTH_STALLED &&
           std::string(a->info().identity).find(stranger.said) != std::string::npos;
  })) << a->info().identity;
  EXPECT_EQ((*sender)->end, 0U);
  EXPECT_EQ(kme.count("status") + kme.count("enc_keys"), 0);
}

INSTANTIATE_TEST_SUITE_P(Etsi014, Strangers, testing::Range(0, 4));

}  // namespace
}  // namespace ssn::test
