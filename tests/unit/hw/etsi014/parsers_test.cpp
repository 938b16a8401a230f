// SPDX-License-Identifier: BSD-3-Clause
// Base64, HTTP, the standard's own JSON and the messages between drivers, without a network.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>

#include "base64.h"
#include "http.h"
#include "json.h"
#include "peer_messages.h"
#include "test_random.h"

namespace ssn::hw::etsi014 {
namespace {

using ssn::test::TestRandom;

std::string encoded(const Bytes& key) {
  std::string text((key.size() + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), key.data(),
                                     static_cast<int>(key.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

const std::uint8_t* bytes_of(const std::string& text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

TEST(Base64, DecodesWhatOpenSslEncodes) {
  TestRandom random = TestRandom::labelled("base64");
  for (std::size_t size = 1; size < 300; ++size) {
    const Bytes key = random.bytes(size);
    const std::string text = encoded(key);
    ASSERT_EQ(base64_decoded_bytes(bytes_of(text), text.size()), size);
    ASSERT_TRUE(base64_valid(bytes_of(text), text.size()));
    Bytes out(size + 1, 0xee);
    ASSERT_TRUE(base64_decode(bytes_of(text), text.size(), out.data()));
    EXPECT_EQ(out[size], 0xee) << "wrote behind its end";
    out.pop_back();
    ASSERT_EQ(out, key);
  }
}

TEST(Base64, EveryWrongCharacterIsNoticedAnywhere) {
  const std::string good = encoded(Bytes(96, 0x35));
  for (unsigned c = 0; c < 256; ++c) {
    const bool legal = std::isalnum(static_cast<int>(c)) != 0 ? c < 128 : c == '+' || c == '/';
    for (const std::size_t at : {std::size_t{0}, std::size_t{63}, std::size_t{64}, good.size() - 3}) {
      std::string text = good;
      text[at] = static_cast<char>(c);
      ASSERT_EQ(base64_valid(bytes_of(text), text.size()), legal) << c << " at " << at;
    }
  }
}

TEST(Base64, RefusesOtherForms) {
  for (const std::string text :
       {"", "A", "AA", "AAA", "AAAAA", "====", "A===", "AB==", "AAB=", "AA=A", "=AAA"}) {
    EXPECT_FALSE(base64_valid(bytes_of(text), text.size())) << text;
  }
  for (const std::string text : {"AAAA", "AA==", "AAA=", "/+8="}) {
    EXPECT_TRUE(base64_valid(bytes_of(text), text.size())) << text;
  }
}

// ---- JSON ---------------------------------------------------------------------------------------------

Body body_of(const std::string& text) {
  Body body{std::move(SecretBuffer::make(text.size() + body_slack).value())};
  std::memcpy(body.memory.data(), text.data(), text.size());
  body.length = body.written = text.size();
  return body;
}

Result<KmeStatus> status_of(const std::string& text) {
  JsonReader reader;
  Body body = body_of(text);
  return reader.status(body);
}

struct Keys {
  KeyContainer container;
  std::vector<Bytes> bytes;
};

Result<Keys> keys_of(const std::string& text) {
  JsonReader reader;
  Body body = body_of(text);
  Result<KeyContainer> read = reader.keys(body);
  if (!read.ok()) {
    return read.error();
  }
  Keys keys{read.value(), {}};
  for (const DeliveredKey& key : read.value().keys) {
    Bytes out(key.bytes);
    EXPECT_TRUE(base64_decode(body.data() + key.begin, key.length, out.data()));
    keys.bytes.push_back(out);
  }
  return keys;
}

// The examples of ETSI GS QKD 014 V1.1.1: 6.1, 6.2, 6.3 and 6.5.
TEST(Json, StandardsStatus) {
  const Result<KmeStatus> read = status_of(R"({
    "source_KME_ID": "AAAABBBBCCCCDDDD", "target_KME_ID": "EEEEFFFFGGGGHHHH",
    "master_SAE_ID": "IIIIJJJJKKKKLLLL", "slave_SAE_ID": "MMMMNNNNOOOOPPPP",
    "key_size": 352, "stored_key_count": 25000, "max_key_count": 100000, "max_key_per_request": 128,
    "max_key_size": 1024, "min_key_size": 64, "max_SAE_ID_count": 0 })");
  ASSERT_TRUE(read.ok());
  const KmeStatus& status = read.value();
  EXPECT_EQ(status.source_kme, "AAAABBBBCCCCDDDD");
  EXPECT_EQ(status.slave_sae, "MMMMNNNNOOOOPPPP");
  EXPECT_EQ(status.key_size, 352U);
  EXPECT_EQ(status.stored_key_count, 25000U);
  EXPECT_TRUE(status.has_stored_key_count);
  EXPECT_EQ(status.max_key_count, 100000U);
  EXPECT_EQ(status.max_key_per_request, 128U);
  EXPECT_EQ(status.max_key_size, 1024U);
  EXPECT_EQ(status.min_key_size, 64U);
  EXPECT_EQ(status.max_sae_id_count, 0U);
  EXPECT_FALSE(status.emulator);
}

TEST(Json, StandardsKeyContainer) {
  const Result<Keys> read = keys_of(R"({ "keys": [
    { "key_ID": "bc490419-7d60-487f-adc1-4ddcc177c139",
      "key": "wHHVxRwDJs3/bXd38GHP3oe4svTuRpZS0yCC7x4Ly+s=" },
    { "key_ID": "0a782fb5-3434-48fe-aa4d-14f41d46cf92",
      "key": "OeGMPxh1+2RpJpNCYixWHFLYRubpOKCw94FcCI7VdJA=" } ]})");
  ASSERT_TRUE(read.ok());
  const Keys& keys = read.value();
  ASSERT_EQ(keys.bytes.size(), 2U);
  EXPECT_EQ(keys.container.keys[0].id, (KeyId{"bc490419-7d60-487f-adc1-4ddcc177c139", false}));
  EXPECT_EQ(keys.bytes[0].size(), 32U);
  EXPECT_EQ(encoded(keys.bytes[1]), "OeGMPxh1+2RpJpNCYixWHFLYRubpOKCw94FcCI7VdJA=");
}

TEST(Json, Requests) {
  EXPECT_EQ(key_request_json(3, 1024, "", ""), R"({"number":3,"size":1024})");
  EXPECT_EQ(key_request_json(20, 0, R"([{"abc_route_type":"direct"}])", R"([{"abc_max_age":30000}])"),
            R"({"number":20,"extension_mandatory":[{"abc_route_type":"direct"}],)"
            R"("extension_optional":[{"abc_max_age":30000}]})");
  EXPECT_EQ(key_ids_json({{"bc490419-7d60-487f-adc1-4ddcc177c139", false}, {"42", true}}),
            R"({"key_IDs":[{"key_ID":"bc490419-7d60-487f-adc1-4ddcc177c139"},{"key_ID":42}]})");
  EXPECT_EQ(percent_encoded("sae/a b%-._~"), "sae%2Fa%20b%25-._~");
}

TEST(Json, StandardsError) {
  JsonReader reader;
  Body body = body_of(R"({"message": "not all extension_mandatory parameters are supported",
    "details": [ { "extension_mandatory_unsupported": "abc_route_type" } ] })");
  EXPECT_EQ(reader.error_message(body), "not all extension_mandatory parameters are supported");
  Body html = body_of("<html>");
  EXPECT_EQ(reader.error_message(html), "");
}

TEST(Json, ToleratesWhatOthersWrite) {
  const Result<KmeStatus> read =
      status_of(R"({"target_KME_ID": 0, "key_size": "256", "stored_key_count": 12.0,
    "max_key_per_request": null, "max_key_size": -5, "x": [[{"y": 1}]],
    "status_extension": {"shareline_emulator": true, "z": {}}})");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read.value().target_kme, "0");
  EXPECT_EQ(read.value().key_size, 256U);
  EXPECT_EQ(read.value().stored_key_count, 12U);
  EXPECT_EQ(read.value().max_key_per_request, 0U);
  EXPECT_EQ(read.value().max_key_size, 0U);
  EXPECT_TRUE(read.value().emulator);
  const Result<Keys> keys = keys_of(R"({"Keys": [{"key": "\u002b\/\u002B=", "key_ID": 17, "e": {}},
    {"key_ID": "b", "key": "AAAA\n"}, {"key_ID": "c"}, {"key": "AAAA"}, {"key_ID": "d e", "key": "AAAA"},
    {"key_ID": 1.5, "key": "AAAA"}, {"key_ID": "f", "key": 7}], "key_container_extension":
    {"shareline_emulator": true}})");
  ASSERT_TRUE(keys.ok());
  ASSERT_EQ(keys.value().bytes.size(), 0U) << "+/+= has bits behind its end";
  EXPECT_EQ(keys.value().container.unusable, 7U);
  EXPECT_TRUE(keys.value().container.emulator);
  const Result<Keys> escaped = keys_of(R"({"Keys": [{"key": "\u002b\/8=", "key_ID": 17}]})");
  ASSERT_TRUE(escaped.ok());
  ASSERT_EQ(escaped.value().bytes.size(), 1U);
  EXPECT_EQ(escaped.value().bytes[0], (Bytes{0xfb, 0xff}));
  EXPECT_EQ(escaped.value().container.keys[0].id, (KeyId{"17", true}));
}

TEST(Json, RefusesWhatIsNone) {
  for (const std::string text : {"", "<html></html>", "[]", "7", "{", R"({"keys": 7})", R"({"keys": [7]})",
                                 R"({"keys": [{"key_ID": "a")", R"({"keys": []} x)", R"({"other": []})"}) {
    EXPECT_FALSE(keys_of(text).ok()) << text;
    EXPECT_FALSE(status_of(text).ok()) << text;
  }
  EXPECT_FALSE(status_of(std::string(5000, '[')).ok());
  EXPECT_FALSE(keys_of(std::string(R"({"keys": )").append(5000, '[')).ok());
}

// ---- HTTP ---------------------------------------------------------------------------------------------

struct Read {
  ResponseReader::Progress progress = ResponseReader::Progress::more;
  ResponseReader reader;
  std::string body;
};

// Feeds the text in pieces of `step` bytes.
Read read_response(const std::string& text, std::size_t step, bool close = false) {
  Read read;
  Bytes buffer(text.size());
  for (std::size_t filled = 0; filled < text.size() && read.progress == ResponseReader::Progress::more;) {
    const std::size_t count = std::min(step, text.size() - filled);
    std::memcpy(buffer.data() + filled, text.data() + filled, count);
    filled += count;
    read.progress = read.reader.advance(buffer.data(), filled);
  }
  if (close && read.progress == ResponseReader::Progress::more) {
    read.progress = read.reader.closed();
  }
  if (read.progress == ResponseReader::Progress::complete) {
    const auto* const begin = reinterpret_cast<const char*>(buffer.data()) + read.reader.body_begin();
    read.body.assign(begin, read.reader.body_length());
  }
  return read;
}

TEST(Http, ReadsEveryFormInPiecesOfAnySize) {
  const std::string forms[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\ncontent-length:5\r\n\r\nhello",
      "HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n2\nhe\n3;a=b\nllo\n0\nT: x\n\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
  };
  for (const std::string& form : forms) {
    for (std::size_t step = 1; step <= form.size(); ++step) {
      const Read read = read_response(form, step);
      ASSERT_EQ(read.progress, ResponseReader::Progress::complete) << form << step;
      EXPECT_EQ(read.body, "hello");
      EXPECT_EQ(read.reader.status(), 200U);
      EXPECT_TRUE(read.reader.keep_alive());
    }
  }
  const Read closed = read_response("HTTP/1.0 503 no\r\n\r\nhello", 3, true);
  ASSERT_EQ(closed.progress, ResponseReader::Progress::complete);
  EXPECT_EQ(closed.body, "hello");
  EXPECT_FALSE(closed.reader.keep_alive());
  EXPECT_FALSE(read_response("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 100)
                   .reader.keep_alive());
  EXPECT_FALSE(read_response("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", 100).reader.keep_alive());
}

TEST(Http, RefusesWhatIsNone) {
  const std::string head = "HTTP/1.1 200 OK\r\n";
  for (const std::string& text :
       {std::string("220 mail.example ESMTP\r\n"), std::string("HTTP/2 200 OK\r\n"),
        std::string("HTTP/1.1 20 OK\r\n"), head + "Content-Length: -1\r\n\r\n",
        head + "Content-Length: \r\n\r\n", head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        head + "no colon\r\n\r\n", head + "Content-Encoding: gzip\r\n\r\n",
        head + "Transfer-Encoding: gzip\r\n\r\n", head + "Transfer-Encoding: chunked\r\n\r\nx\r\n",
        head + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", head + std::string(20000, 'a'),
        head + "Transfer-Encoding: chunked\r\n\r\n" + std::string(2000, '0')}) {
    EXPECT_EQ(read_response(text, text.size(), true).progress, ResponseReader::Progress::malformed) << text;
  }
  EXPECT_EQ(read_response(head + "Content-Length: 5\r\n\r\nhell", 7, true).progress,
            ResponseReader::Progress::malformed);
}

TEST(Http, Requests) {
  EXPECT_EQ(http_request({"GET", "/api/v1/keys/b/status", ""}, "kme:443"),
            "GET /api/v1/keys/b/status HTTP/1.1\r\nHost: kme:443\r\nAccept: application/json\r\n"
            "Accept-Encoding: identity\r\n\r\n");
  EXPECT_THAT(http_request({"POST", "/x", "{}"}, "k:1"),
              testing::EndsWith("Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"));
}

// ---- Messages between drivers --------------------------------------------------------------------------

TEST(PeerMessages, AsDocumented) {
  PeerMessage message;
  message.ksid.fill(0x11);
  message.instance = 2;
  message.sequence = 1;
  message.content = Announcement{{{{"ab", false}, 32}, {{"7", true}, 258}}};
  Bytes expected = {'S', 'S', 'N', 'K', 1, 1, 0, 0};
  expected.insert(expected.end(), 16, 0x11);
  const Bytes numbers = {0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1};
  expected.insert(expected.end(), numbers.begin(), numbers.end());
  const Bytes keys = {0, 2, 0, 0, 0, 32, 0, 2, 'a', 'b', 0, 0, 1, 2, 1, 1, '7'};
  Bytes announcement = expected;
  announcement.insert(announcement.end(), keys.begin(), keys.end());
  EXPECT_EQ(encode(message), announcement);
  EXPECT_EQ(decode(announcement), message);

  message.content = Answer{true, 0x102, {true, false, true, true, false, false, false, false, true}};
  Bytes answer = expected;
  answer[5] = 2;
  const Bytes rest = {2, 0, 0, 9, 0, 0, 0, 0, 0, 0, 1, 2, 0xb0, 0x80};
  answer.insert(answer.end(), rest.begin(), rest.end());
  EXPECT_EQ(encode(message), answer);
  EXPECT_EQ(decode(answer), message);

  message.content = End{End::Reason::disagreement};
  Bytes end = expected;
  end[5] = 3;
  end.push_back(3);
  EXPECT_EQ(encode(message), end);
  EXPECT_EQ(decode(end), message);
}

TEST(PeerMessages, NothingShorterLongerOrOtherIsTaken) {
  PeerMessage message;
  message.instance = 2;
  message.sequence = 1;
  message.content = Announcement{{{{"ab", false}, 32}}};
  const Bytes good = encode(message);
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(decode({good.data(), length}).has_value()) << length;
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(decode(longer).has_value());
  for (const std::size_t at : {0U, 4U, 5U, 6U, 7U, 40U, 42U, 46U, 47U}) {
    Bytes other = good;
    other[at] ^= 0x80;
    EXPECT_FALSE(decode(other).has_value()) << at;
  }
  Bytes no_instance = good;
  no_instance[31] = 0;
  EXPECT_FALSE(decode(no_instance).has_value());
  Bytes quote = good;
  quote.back() = '"';
  EXPECT_FALSE(decode(quote).has_value());
}

}  // namespace
}  // namespace ssn::hw::etsi014
