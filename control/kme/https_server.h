// SPDX-License-Identifier: BSD-3-Clause
// An HTTPS server with mutual TLS (1.2 or later): whoever has no certificate of our CA does not get as far as
// HTTP. Bounded: connections, bodies, times.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "http_message.h"
#include "ssn/hw/result.h"

namespace ssn::kme {

/// Moves, never copies.
class HttpsServer {
 public:
  struct Options {
    std::string listen = "127.0.0.1";
    unsigned port = 0;  ///< 0: any that is free
    std::string certificate;
    std::string key;
    std::string ca;
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

 private:
  class Engine;
  std::unique_ptr<Engine> engine_;
};

}  // namespace ssn::kme
