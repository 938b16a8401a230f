// SPDX-License-Identifier: BSD-3-Clause
// The only file with the client half of the HTTP library.
#include "https_client.h"

#include <httplib.h>
#include <openssl/ssl.h>

#include "tls_files.h"

namespace ssn::kme {

struct HttpsClient::Engine {
  explicit Engine(Options given)
      : options(std::move(given)), client(options.address, static_cast<int>(options.port)) {}

  Options options;
  httplib::SSLClient client;
};

Result<HttpsClient> HttpsClient::make(Options options) {
  auto engine = std::make_unique<Engine>(std::move(options));
  SSL_CTX* const context = engine->client.ssl_context();
  if (context == nullptr) {
    return Error{Exit::temporary, "cannot make a TLS client", "OpenSSL refused it", "", "free memory"};
  }
  const Options& set = engine->options;
  if (Outcome outcome = set_up_tls(*context, {set.certificate, set.key, set.ca}); !outcome.ok()) {
    return outcome.error();
  }
  expect_common_name(*context, set.common_name);
  engine->client.set_ca_cert_path(set.ca.c_str());
  engine->client.enable_server_certificate_verification(true);
  engine->client.set_keep_alive(true);
  engine->client.set_tcp_nodelay(true);
  const auto seconds = static_cast<time_t>(set.timeout_s);
  engine->client.set_connection_timeout(seconds);
  engine->client.set_read_timeout(seconds);
  engine->client.set_write_timeout(seconds);
  return HttpsClient(std::move(engine));
}

HttpsClient::Answer HttpsClient::post(const std::string& target, const std::string& body) {
  const httplib::Result result = engine_->client.Post(target, body, "application/json");
  return result ? Answer{result->status, result->body} : Answer{};
}

HttpsClient::HttpsClient(std::unique_ptr<Engine> engine) noexcept : engine_(std::move(engine)) {}
HttpsClient::HttpsClient(HttpsClient&& other) noexcept = default;
HttpsClient& HttpsClient::operator=(HttpsClient&& other) noexcept = default;
HttpsClient::~HttpsClient() = default;

}  // namespace ssn::kme
