// SPDX-License-Identifier: BSD-3-Clause
// A client of another key manager: one HTTPS connection that is kept open, with mutual TLS 1.3. After a
// change of certificates or lists it begins another one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ssn/hw/result.h"

namespace ssn::pki {
class LiveIdentity;
}

namespace ssn::kme {

/// Moves, never copies. One thread at a time.
class HttpsClient {
 public:
  struct Options {
    std::string address;
    unsigned port = 0;
    std::string common_name;                  ///< of the other side's certificate
    std::shared_ptr<pki::LiveIdentity> live;  ///< what it shows, and whom it believes
    std::uint64_t timeout_s = 5;
  };
  /// Does not connect yet.
  static Result<HttpsClient> make(Options options);

  struct Answer {
    int status = 0;  ///< 0: no answer
    std::string body;
  };
  /// Connects where needed. The body is JSON.
  Answer post(const std::string& target, const std::string& body);

  HttpsClient(HttpsClient&& other) noexcept;
  HttpsClient& operator=(HttpsClient&& other) noexcept;
  HttpsClient(const HttpsClient&) = delete;
  HttpsClient& operator=(const HttpsClient&) = delete;
  ~HttpsClient();

 private:
  struct Engine;
  explicit HttpsClient(std::unique_ptr<Engine> engine) noexcept;
  std::unique_ptr<Engine> engine_;
};

}  // namespace ssn::kme
