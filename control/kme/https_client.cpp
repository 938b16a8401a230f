// SPDX-License-Identifier: BSD-3-Clause
// The only file with the client half of the HTTP library.
#include "https_client.h"

#include <httplib.h>
#include <openssl/ssl.h>

#include <optional>

#include "tls_files.h"

namespace ssn::kme {

struct HttpsClient::Engine {
  explicit Engine(Options given)
      : options(std::move(given)), tls(options.live, pki::Purpose::server, options.common_name) {}

  Outcome begin();

  const Options options;
  LiveTls tls;
  std::optional<httplib::SSLClient> client;
  std::uint64_t generation = 0;
};

Outcome HttpsClient::Engine::begin() {
  const std::uint64_t now = options.live->generation();
  client.emplace(options.address, static_cast<int>(options.port));
  SSL_CTX* const context = client->ssl_context();
  if (context == nullptr) {
    return Error{Exit::temporary, "cannot make a TLS client", "OpenSSL refused it", "", "free memory"};
  }
  if (Outcome outcome = tls.set_up(*context, true); !outcome.ok()) {
    return outcome.error();
  }
  client->enable_server_certificate_verification(true);
  client->set_keep_alive(true);
  client->set_tcp_nodelay(true);
  const auto seconds = static_cast<time_t>(options.timeout_s);
  client->set_connection_timeout(seconds);
  client->set_read_timeout(seconds);
  client->set_write_timeout(seconds);
  generation = now;
  return done;
}

Result<HttpsClient> HttpsClient::make(Options options) {
  auto engine = std::make_unique<Engine>(std::move(options));
  if (Outcome outcome = engine->begin(); !outcome.ok()) {
    return outcome.error();
  }
  return HttpsClient(std::move(engine));
}

HttpsClient::Answer HttpsClient::post(const std::string& target, const std::string& body) {
  // Whom it is connected to is judged again, by what counts now.
  if (engine_->generation != engine_->options.live->generation() && !engine_->begin().ok()) {
    return {};
  }
  const httplib::Result result = engine_->client->Post(target, body, "application/json");
  return result ? Answer{result->status, result->body} : Answer{};
}

HttpsClient::HttpsClient(std::unique_ptr<Engine> engine) noexcept : engine_(std::move(engine)) {}
HttpsClient::HttpsClient(HttpsClient&& other) noexcept = default;
HttpsClient& HttpsClient::operator=(HttpsClient&& other) noexcept = default;
HttpsClient::~HttpsClient() = default;

}  // namespace ssn::kme
