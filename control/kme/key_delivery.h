// SPDX-License-Identifier: BSD-3-Clause
// ETSI GS QKD 014 V1.1.1 as one key manager serves it: from a request to an answer, without HTTP around it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "http_message.h"
#include "key_request.h"

namespace ssn::kme {

/// Thread-safe.
class KeyDelivery {
 public:
  /// Both must outlive it.
  KeyDelivery(Network& network, std::size_t site) : network_(network), site_(site) {}

  HttpResponse handle(const HttpRequest& request);

  enum class Method { status, enc_keys, dec_keys, other };
  static constexpr std::array<const char*, 4> method_names{"status", "enc_keys", "dec_keys", "other"};
  static constexpr std::array<int, 4> status_codes{200, 400, 401, 503};
  /// Answers with one of `status_codes`; others count as 400.
  std::uint64_t answers(Method method, std::size_t code) const noexcept {
    return answers_[static_cast<std::size_t>(method)][code].load(std::memory_order_relaxed);
  }

  /// The name and value pair that this emulator understands in extension_mandatory and extension_optional.
  static constexpr const char* max_hops_extension = "shareline_max_hops";

 private:
  HttpResponse dispatch(const HttpRequest& request, Method& method);
  HttpResponse status(const HttpRequest& request, const std::string& slave);
  HttpResponse enc_keys(const HttpRequest& request, const std::string& slave, std::string_view query);
  HttpResponse dec_keys(const HttpRequest& request, const std::string& master, std::string_view query);
  std::optional<ApiError> check(const KeyRequest& request, std::uint64_t hops) const;
  void count(Method method, int status) noexcept;

  Network& network_;
  std::size_t site_;
  std::array<std::array<std::atomic<std::uint64_t>, 4>, 4> answers_{};
};

/// The Error of clause 6.5.
HttpResponse error_response(const ApiError& error);

}  // namespace ssn::kme
