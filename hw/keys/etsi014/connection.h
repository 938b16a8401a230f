// SPDX-License-Identifier: BSD-3-Clause
// One connection to the key manager, kept open between requests. Never waits: the caller polls descriptor()
// and calls advance(). One request at a time. One thread.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <optional>
#include <string>

#include "http.h"
#include "settings.h"
#include "tls.h"
#include "types.h"

namespace ssn::hw::etsi014 {

/// How an exchange ended.
struct Exchange {
  enum class Outcome {
    answered,     ///< status and body are good
    unreachable,  ///< no connection, no TLS, not the right KME
    timed_out,
    malformed,  ///< what came back is no HTTP response, or too long
  };
  Outcome outcome = Outcome::unreachable;
  unsigned status = 0;
  std::string why;             ///< of a failure
  bool before_answer = false;  ///< a kept connection turned out to be closed: another try is in order
  Body body;                   ///< as given to start()
};

class Connection {
 public:
  Connection(const Settings& settings, const LiveTls& tls) : settings_(settings), tls_(tls) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { disconnect(); }

  bool idle() const noexcept { return !exchange_.has_value(); }
  /// Begins an exchange; idle() only. `body` takes the response. May block where a name has to be looked up.
  void start(const Request& request, Body body, Time now);
  /// Does what can be done without waiting. The result when the exchange ended.
  std::optional<Exchange> advance(Time now);

  /// The next request goes over another connection: what is asked at present is finished.
  void renew() noexcept;

  /// For poll(): -1 where there is nothing to wait for.
  int descriptor() const noexcept { return descriptor_; }
  short events() const noexcept { return events_; }
  Time deadline() const noexcept;
  /// Handshakes that were made so far.
  std::uint64_t handshakes() const noexcept { return handshakes_; }

 private:
  enum class State { closed, connecting, handshake, sending, receiving };
  enum class Step { again, wait, finished };

  struct FreeSsl {
    void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
  };

  Step step();
  Step connect();
  Step finish_connect();
  Step shake_hands();
  Step send();
  Step receive();
  Step wait_for(int result);
  Step fail(Exchange::Outcome outcome, std::string why);
  Step finish();
  void check_idle();
  void disconnect() noexcept;

  const Settings& settings_;
  const LiveTls& tls_;
  State state_ = State::closed;
  int descriptor_ = -1;
  short events_ = 0;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  bool stale_ = false;  // not to be kept
  unsigned next_address_ = 0;
  std::uint64_t handshakes_ = 0;

  // Of the exchange under way.
  std::optional<Exchange> exchange_;
  std::string request_;
  std::size_t sent_ = 0;
  ResponseReader reader_;
  bool reused_ = false;
  Time started_ = 0;
  Time deadline_ = never;
};

}  // namespace ssn::hw::etsi014
