// SPDX-License-Identifier: BSD-3-Clause
#include "connection.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>
#include <cstring>
#include <vector>

namespace ssn::hw::etsi014 {
namespace {

// Most that one call of advance() receives, so that connections take turns.
constexpr unsigned reads_per_advance = 64;

}  // namespace

void Connection::disconnect() noexcept {
  ssl_.reset();
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
  descriptor_ = -1;
  events_ = 0;
  stale_ = false;
  state_ = State::closed;
}

void Connection::renew() noexcept {
  if (idle()) {
    disconnect();
  } else {
    stale_ = ssl_ != nullptr;
  }
}

Connection::Step Connection::fail(Exchange::Outcome outcome, std::string why) {
  const bool nothing_yet = exchange_->body.written == 0 && state_ != State::closed &&
                           state_ != State::connecting && state_ != State::handshake;
  exchange_->before_answer = reused_ && nothing_yet && outcome != Exchange::Outcome::timed_out;
  exchange_->outcome = outcome;
  exchange_->why = std::move(why);
  disconnect();
  return Step::finished;
}

Connection::Step Connection::finish() {
  exchange_->outcome = Exchange::Outcome::answered;
  exchange_->status = reader_.status();
  exchange_->body.begin = reader_.body_begin();
  exchange_->body.length = reader_.body_length();
  if (reader_.keep_alive() && !stale_) {
    state_ = State::sending;  // the next request goes straight out
    events_ = POLLIN;
  } else {
    disconnect();
  }
  return Step::finished;
}

void Connection::start(const Request& request, Body body, Time now) {
  assert(idle() && body.written == 0);
  check_idle();
  exchange_.emplace();
  exchange_->body = std::move(body);
  request_ = http_request(request, settings_.authority());
  sent_ = 0;
  reader_ = ResponseReader();
  reused_ = state_ != State::closed;
  started_ = now;
  deadline_ = now + settings_.request_timeout + (reused_ ? 0 : settings_.connect_timeout);
}

// Of a kept connection: takes what TLS itself has to say, and notices when the other side has closed it.
void Connection::check_idle() {
  if (state_ == State::closed) {
    return;
  }
  unsigned char byte = 0;
  ERR_clear_error();
  const int result = SSL_read(ssl_.get(), &byte, 1);
  if (result > 0 || SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ) {
    disconnect();
  }
}

Time Connection::deadline() const noexcept {
  if (idle()) {
    return never;
  }
  const bool answering = state_ == State::sending || state_ == State::receiving;
  return answering ? deadline_ : std::min(deadline_, started_ + settings_.connect_timeout);
}

std::optional<Exchange> Connection::advance(Time now) {
  if (idle()) {
    check_idle();
    return std::nullopt;
  }
  Step next = Step::again;
  while (next == Step::again) {
    next = step();
  }
  if (next == Step::wait && now >= deadline()) {
    next = fail(Exchange::Outcome::timed_out, state_ == State::receiving || state_ == State::sending
                                                  ? "it did not answer in time"
                                                  : "a connection to it took too long");
  }
  if (next == Step::wait) {
    return std::nullopt;
  }
  std::optional<Exchange> result = std::move(exchange_);
  exchange_.reset();
  return result;
}

Connection::Step Connection::step() {
  switch (state_) {
    case State::closed:
      return connect();
    case State::connecting:
      return finish_connect();
    case State::handshake:
      return shake_hands();
    case State::sending:
      return send();
    case State::receiving:
      return receive();
  }
  return Step::finished;
}

Connection::Step Connection::connect() {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(settings_.host.c_str(), settings_.port.c_str(), &hints, &found);
  if (error != 0) {
    return fail(Exchange::Outcome::unreachable,
                "'" + settings_.host + "' cannot be found: " + ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
  std::vector<const addrinfo*> addresses;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    addresses.push_back(entry);
  }
  // Another address each time that one did not work.
  const addrinfo& address = *addresses[next_address_ % addresses.size()];
  ++next_address_;
  descriptor_ = ::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor_ < 0) {
    return fail(Exchange::Outcome::unreachable, std::strerror(errno));
  }
  const int on = 1;
  (void)::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  state_ = State::connecting;
  events_ = POLLOUT;
  if (::connect(descriptor_, address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) {
      return fail(Exchange::Outcome::unreachable, std::strerror(errno));
    }
    return Step::wait;
  }
  return Step::again;
}

Connection::Step Connection::finish_connect() {
  pollfd ready{descriptor_, POLLOUT, 0};
  if (::poll(&ready, 1, 0) == 0) {
    return Step::wait;
  }
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0) {
    return fail(Exchange::Outcome::unreachable, std::strerror(error != 0 ? error : errno));
  }
  ssl_.reset(SSL_new(tls_.get()));
  if (ssl_ == nullptr || SSL_set_fd(ssl_.get(), descriptor_) != 1) {
    return fail(Exchange::Outcome::unreachable, "OpenSSL has no memory");
  }
  in6_addr numeric{};
  const bool is_name = ::inet_pton(AF_INET, settings_.host.c_str(), &numeric) != 1 &&
                       ::inet_pton(AF_INET6, settings_.host.c_str(), &numeric) != 1;
  if (is_name) {
    (void)SSL_set_tlsext_host_name(ssl_.get(), settings_.host.c_str());
  }
  SSL_set_connect_state(ssl_.get());
  state_ = State::handshake;
  return Step::again;
}

// What a call into OpenSSL that did not succeed waits for.
Connection::Step Connection::wait_for(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      events_ = POLLIN;
      return Step::wait;
    case SSL_ERROR_WANT_WRITE:
      events_ = POLLOUT;
      return Step::wait;
    case SSL_ERROR_ZERO_RETURN:
      return fail(Exchange::Outcome::unreachable, "it closed the connection");
    case SSL_ERROR_SYSCALL:
      return fail(Exchange::Outcome::unreachable,
                  errno != 0 ? std::strerror(errno) : "it broke off the connection");
    default: {
      const long verification = SSL_get_verify_result(ssl_.get());
      const std::string reason = openssl_reason();
      return fail(
          Exchange::Outcome::unreachable,
          "TLS: " + (verification == X509_V_OK ? reason : X509_verify_cert_error_string(verification)));
    }
  }
}

Connection::Step Connection::shake_hands() {
  ERR_clear_error();
  errno = 0;
  const int result = SSL_do_handshake(ssl_.get());
  if (result != 1) {
    return wait_for(result);
  }
  ++handshakes_;
  const std::string wrong = kme_identity_error(ssl_.get(), settings_.kme_id);
  if (!wrong.empty()) {
    return fail(Exchange::Outcome::unreachable, wrong);
  }
  --next_address_;  // this address is good
  state_ = State::sending;
  return Step::again;
}

Connection::Step Connection::send() {
  while (sent_ < request_.size()) {
    ERR_clear_error();
    errno = 0;
    const std::size_t left = std::min<std::size_t>(request_.size() - sent_, INT_MAX);
    const int result = SSL_write(ssl_.get(), request_.data() + sent_, static_cast<int>(left));
    if (result <= 0) {
      return wait_for(result);
    }
    sent_ += static_cast<std::size_t>(result);
  }
  state_ = State::receiving;
  return Step::again;
}

Connection::Step Connection::receive() {
  Body& body = exchange_->body;
  const std::size_t room = body.memory.size() - body_slack;
  for (unsigned i = 0; i < reads_per_advance; ++i) {
    if (body.written == room || reader_.announced_length() > room) {
      return fail(Exchange::Outcome::malformed, "its answer is longer than what was asked for can be");
    }
    ERR_clear_error();
    errno = 0;
    const std::size_t left = std::min<std::size_t>(room - body.written, INT_MAX);
    const int result = SSL_read(ssl_.get(), body.memory.data() + body.written, static_cast<int>(left));
    ResponseReader::Progress progress = ResponseReader::Progress::more;
    if (result > 0) {
      body.written += static_cast<std::size_t>(result);
      progress = reader_.advance(body.memory.data(), body.written);
    } else if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_ZERO_RETURN && body.written != 0) {
      progress = reader_.closed();
    } else {
      return wait_for(result);
    }
    if (progress == ResponseReader::Progress::complete) {
      return finish();
    }
    if (progress == ResponseReader::Progress::malformed) {
      return fail(Exchange::Outcome::malformed, std::string("its answer has ") + reader_.reason());
    }
  }
  events_ = POLLIN | POLLOUT;  // there may be more already in OpenSSL's buffer: come back at once
  return Step::wait;
}

}  // namespace ssn::hw::etsi014
