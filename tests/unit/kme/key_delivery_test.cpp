// SPDX-License-Identifier: BSD-3-Clause
#include "key_delivery.h"

#include "test_network_support.h"

namespace ssn::kme {
namespace {

class Delivery : public testing::Test {
 protected:
  HttpResponse ask(const char* method, std::string_view target, std::string_view body = "",
                   std::string_view caller = "sae-a", std::string_view type = "application/json") {
    return a_.handle({caller, method, target, type, body});
  }
  HttpResponse post(std::string_view body, const char* what = "enc_keys") {
    return ask("POST", std::string("/api/v1/keys/sae-b/") + what, body);
  }
  void refused(const HttpResponse& response, int status, const char* message) {
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(response.keys, nullptr);
    EXPECT_NE(response.body.find(std::string("\"message\": \"") + message), std::string::npos)
        << response.body;
  }
  std::vector<std::uint64_t> sizes(const HttpResponse& response) {
    std::vector<std::uint64_t> bits;
    EXPECT_EQ(response.status, 200) << response.body;
    if (response.keys != nullptr) {
      for (std::size_t i = 0; i < response.keys->batch().size(); ++i) {
        bits.push_back(response.keys->batch().bits(i));
      }
    }
    return bits;
  }

  test::TimedNetwork timed_{test::two_sites()};
  KeyDelivery a_{*timed_.network, 0};
  KeyDelivery b_{*timed_.network, 1};
};

using Sizes = std::vector<std::uint64_t>;

TEST_F(Delivery, KeyRequestsOfAllForms) {
  EXPECT_EQ(sizes(ask("GET", "/api/v1/keys/sae-b/enc_keys")), Sizes{256});
  EXPECT_EQ(sizes(ask("GET", "/api/v1/keys/sae-b/enc_keys?number=3&size=1024")), (Sizes{1024, 1024, 1024}));
  EXPECT_EQ(sizes(ask("GET", "https://kme.example:8443/api/v1/keys/sae-b/enc_keys?size=64")), Sizes{64});
  EXPECT_EQ(sizes(ask("GET", "/api/v1/keys/second%20b/enc_keys")), Sizes{256});
  EXPECT_EQ(sizes(post("")), Sizes{256});
  EXPECT_EQ(sizes(post("{}")), Sizes{256});
  EXPECT_EQ(sizes(post(R"({"number": 2, "size": 128})")), (Sizes{128, 128}));
  EXPECT_EQ(sizes(post(R"({"number": null, "additional_slave_SAE_IDs": [], "extension_mandatory": []})")),
            Sizes{256});
  EXPECT_EQ(sizes(post(R"({"extension_optional": [{"abc_max_age": 30000}]})")), Sizes{256});
  EXPECT_EQ(sizes(post(R"({"extension_mandatory": [{"shareline_max_hops": 1}]})")), Sizes{256});
}

TEST_F(Delivery, MandatedTexts) {
  refused(post(R"({"size": 65})"), 400, "size shall be a multiple of 8\"");
  refused(post(R"({"extension_mandatory": [{"abc_route_type": "direct"}, {"abc_transfer_method": "qkd"}]})"),
          400, "not all extension_mandatory parameters are supported\"");
  refused(post(R"({"extension_mandatory": [{"shareline_max_hops": 0}]})"), 400,
          "not all extension_mandatory request options could be met\"");
  refused(post(R"({"extension_optional": [{"shareline_max_hops": 0}]})"), 400,
          "not all extension_optional request options handled\"");
  refused(post(R"({"key_IDs": [{"key_ID": "bc490419-7d60-487f-adc1-4ddcc177c139"}]})", "dec_keys"), 400,
          "one or more keys specified are not found on KME\"");
}

TEST_F(Delivery, WhatIsNotARequestIs400) {
  for (const char* body : {"{",
                           "[]",
                           "1",
                           "\"x\"",
                           "null",
                           R"({"number": "3"})",
                           R"({"number": -1})",
                           R"({"number": 1.5})",
                           R"({"number": 0})",
                           R"({"number": 129})",
                           R"({"number": 99999999999999999999})",
                           R"({"size": 0})",
                           R"({"size": 56})",
                           R"({"size": 8388616})",
                           R"({"size": true})",
                           R"({"number": 1, "number": 2})",
                           R"({"additional_slave_SAE_IDs": ["x"]})",
                           R"({"additional_slave_SAE_IDs": "x"})",
                           R"({"additional_slave_SAE_IDs": [1]})",
                           R"({"extension_mandatory": {}})",
                           R"({"extension_mandatory": [1]})",
                           R"({"extension_optional": 1})",
                           R"({} {})",
                           "{\"a\": \"\xff\"}"}) {
    EXPECT_EQ(post(body).status, 400) << body;
  }
  EXPECT_EQ(post("{\"a\":" + std::string(1000, '[') + std::string(1000, ']') + "}").status, 400);
  for (const char* query :
       {"number", "number=", "number=x", "number=-1", "number=1&number=1", "size=%", "size=%4", "size=64%00",
        "extension_mandatory=1", "number=1&&", "=", "number=+1", "number=0x1"}) {
    EXPECT_EQ(ask("GET", std::string("/api/v1/keys/sae-b/enc_keys?") + query).status, 400) << query;
  }
}

TEST_F(Delivery, WhatIsNoListOfKeyIdsIs400) {
  for (const char* body :
       {"", "{}", R"({"key_IDs": []})", R"({"key_IDs": {}})", R"({"key_IDs": ["x"]})", R"({"key_IDs": [{}]})",
        R"({"key_IDs": [{"key_ID": 7}]})", R"({"key_IDs": [{"key_ID": "7"}]})",
        R"({"key_IDs": [{"key_ID": "bc490419-7d60-487f-adc1-4ddcc177c139", "key_ID_extension": 1}]})",
        R"({"key_IDs_extension": 1, "key_IDs": [{"key_ID": "bc490419-7d60-487f-adc1-4ddcc177c139"}]})"}) {
    EXPECT_EQ(post(body, "dec_keys").status, 400) << body;
  }
  for (const char* query :
       {"", "key_ID", "key_ID=", "key_ID=x", "number=1",
        "key_ID=bc490419-7d60-487f-adc1-4ddcc177c139&key_ID=bc490419-7d60-487f-adc1-4ddcc177c139"}) {
    EXPECT_EQ(ask("GET", std::string("/api/v1/keys/sae-b/dec_keys?") + query).status, 400) << query;
  }
}

TEST_F(Delivery, DecKeysWithExtensionsAndOnlyOnce) {
  const HttpResponse sent = ask("GET", "/api/v1/keys/sae-b/enc_keys?number=2");
  const std::string one = to_text(sent.keys->batch().id(0));
  const std::string two = to_text(sent.keys->batch().id(1));
  const std::string body = "{\"key_IDs_extension\": {}, \"key_IDs\": [{\"key_ID\": \"" + two +
                           "\", \"key_ID_extension\": {\"x_y\": 1}}, {\"key_ID\": \"" + one + "\"}]}";
  const auto at_b = [&](std::string_view caller, const char* method, std::string_view query,
                        std::string_view text) {
    return b_.handle(
        {caller, method, "/api/v1/keys/sae-a/dec_keys" + std::string(query), "application/json", text});
  };
  const HttpResponse other = at_b("second b", "POST", "", body);
  EXPECT_EQ(other.status, 401);
  EXPECT_EQ(other.body, "");
  EXPECT_EQ(sizes(at_b("sae-b", "POST", "", body)), (Sizes{256, 256}));
  refused(at_b("sae-b", "GET", "?key_ID=" + one, ""), 400, "one or more keys specified are not found on KME");
}

TEST_F(Delivery, WhoIsNotOfThisSiteGets401WithoutBody) {
  for (const char* caller : {"", "sae-b", "kme-a", "nobody"}) {
    for (const char* target :
         {"/api/v1/keys/sae-b/status", "/api/v1/keys/sae-b/enc_keys", "/", "/api/v1/keys/%/x"}) {
      const HttpResponse response = ask("GET", target, "", caller);
      EXPECT_EQ(response.status, 401);
      EXPECT_EQ(response.body, "");
    }
  }
}

TEST_F(Delivery, MethodsTargetsAndTypes) {
  EXPECT_EQ(ask("PUT", "/api/v1/keys/sae-b/enc_keys").status, 405);
  EXPECT_EQ(ask("HEAD", "/api/v1/keys/sae-b/enc_keys").status, 405);
  EXPECT_EQ(ask("POST", "/api/v1/keys/sae-b/status").status, 405);
  EXPECT_EQ(ask("POST", "/api/v1/keys/sae-b/status").allow, "GET");
  for (const char* target : {"/", "", "/api/v1/keys/", "/api/v1/keys/sae-b", "/api/v1/keys//status",
                             "/api/v1/keys/sae-b/status/", "/api/v2/keys/sae-b/status", "*"}) {
    EXPECT_EQ(ask("GET", target).status, 404) << target;
  }
  EXPECT_EQ(ask("GET", "/api/v1/keys/nobody/status").status, 400);
  EXPECT_EQ(ask("POST", "/api/v1/keys/sae-b/enc_keys", "{}", "sae-a", "text/plain").status, 400);
  EXPECT_EQ(
      ask("POST", "/api/v1/keys/sae-b/enc_keys", "{}", "sae-a", "Application/JSON ; charset=utf-8").status,
      200);
  EXPECT_EQ(ask("GET", "/api/v1/keys/sae-b/enc_keys", "{}").status, 400);
  EXPECT_EQ(a_.answers(KeyDelivery::Method::enc_keys, 0), 1u);
}

TEST_F(Delivery, StatusSaysThatItIsAnEmulator) {
  const HttpResponse response = ask("GET", "/api/v1/keys/sae-b/status");
  EXPECT_EQ(response.status, 200);
  for (const char* member :
       {R"("source_KME_ID": "kme-a")", R"("target_KME_ID": "kme-b")", R"("master_SAE_ID": "sae-a")",
        R"("slave_SAE_ID": "sae-b")", R"("key_size": 256)", R"("stored_key_count": 3906)",
        R"("max_key_count": 100000)", R"("max_key_per_request": 128)", R"("max_key_size": 8388608)",
        R"("min_key_size": 64)", R"("max_SAE_ID_count": 0)", R"("shareline_emulator": true)"}) {
    EXPECT_NE(response.body.find(member), std::string::npos) << member;
  }
}

}  // namespace
}  // namespace ssn::kme
