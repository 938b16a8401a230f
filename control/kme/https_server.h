// SPDX-License-Identifier: BSD-3-Clause
// An HTTPS server with mutual TLS: whoever has no certificate that we believe now does not get as far as
// HTTP. Bounded: connections, bodies, times.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "http_message.h"
#include "ssn/hw/result.h"

namespace ssn::pki {
class LiveIdentity;
}

namespace ssn::kme {

/// Moves, never copies.
class HttpsServer {
 public:
  struct Options {
    std::string listen = "127.0.0.1";
    unsigned port = 0;                        ///< 0: any that is free
    std::shared_ptr<pki::LiveIdentity> live;  ///< what it shows, and whom it believes
    bool tls_1_3_only = false;
    std::uint64_t connections = 64;
    std::uint64_t max_body_bytes = 1 << 20;
    std::uint64_t idle_s = 60;
    std::uint64_t request_s = 5;
    const kernels::Implementation* implementation = nullptr;  ///< makes the bytes of keys
  };
  /// Calls `handler` from several threads.
  static Result<HttpsServer> start(Options options, HttpHandler handler);

  HttpsServer() noexcept;
  HttpsServer(HttpsServer&& other) noexcept;
  HttpsServer& operator=(HttpsServer&& other) noexcept;
  HttpsServer(const HttpsServer&) = delete;
  HttpsServer& operator=(const HttpsServer&) = delete;
  /// Stops: ends all connections, waits for the handlers.
  ~HttpsServer();

  unsigned port() const noexcept;
  /// Cuts connections whose certificate was believed and is not any more. To be called now and then.
  void close_unproven();

 private:
  class Engine;
  std::unique_ptr<Engine> engine_;
};

}  // namespace ssn::kme
