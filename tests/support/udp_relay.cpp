// SPDX-License-Identifier: BSD-3-Clause
#include "udp_relay.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace ssn::test {
namespace {

void require(bool ok, const char* what) {
  if (ok) return;
  std::perror(what);
  std::abort();
}

sockaddr_in address_of(const dataplane::IpEndpoint& endpoint) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(endpoint.port);
  std::memcpy(&out.sin_addr, endpoint.address.bytes.data(), 4);
  return out;
}

}  // namespace

UdpRelay::UdpRelay(const dataplane::IpEndpoint& near, const dataplane::IpEndpoint& far,
                   const RelayOptions& options, std::uint64_t seed)
    : options_(options), random_(seed) {
  front_.peer = near;
  back_.peer = far;
  for (Side* const side : {&front_, &back_}) {
    side->fd = hw::FileDescriptor(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in local = address_of({*dataplane::parse_ip_address("127.0.0.1"), 0});
    sockaddr_in peer = address_of(side->peer);
    socklen_t length = sizeof local;
    auto* const at = reinterpret_cast<sockaddr*>(&local);
    require(::bind(side->fd.get(), at, length) == 0, "bind");
    require(::connect(side->fd.get(), reinterpret_cast<sockaddr*>(&peer), sizeof peer) == 0, "connect");
    require(::getsockname(side->fd.get(), at, &length) == 0, "getsockname");
    side->local = {*dataplane::parse_ip_address("127.0.0.1"), ntohs(local.sin_port)};
  }
  thread_ = std::thread([this] { run(); });
}

UdpRelay::~UdpRelay() {
  end_ = true;
  thread_.join();
}

void UdpRelay::run() {
  while (!end_) {
    pollfd both[] = {{front_.fd.get(), POLLIN, 0}, {back_.fd.get(), POLLIN, 0}};
    if (::poll(both, 2, 5) == 0) {  // nothing comes that could overtake
      for (Side* const side : {&front_, &back_}) {
        if (!side->held.empty()) forward(*side, std::exchange(side->held, {}));
      }
    }
    pass(front_, back_);
    pass(back_, front_);
  }
}

void UdpRelay::pass(Side& from, Side& to) {
  Bytes packet(65536);
  for (;;) {
    const ssize_t bytes = ::recv(from.fd.get(), packet.data(), packet.size(), 0);
    if (bytes <= 0) return;
    Bytes one(packet.begin(), packet.begin() + bytes);
    const auto happens = [&](unsigned chance) { return random_.below(1000) < chance; };
    if (cut_ || happens(options_.lost)) {
      ++lost_;
      continue;
    }
    if (happens(options_.damaged)) one[random_.below(one.size())] ^= random_.nonzero_byte();
    if (happens(options_.repeated)) forward(to, one);
    if (to.held.empty() && happens(options_.overtaken)) {
      to.held = std::move(one);
      to.passing = random_.between(1, 20);
      continue;
    }
    forward(to, std::move(one));
    if (!to.held.empty() && --to.passing == 0) forward(to, std::exchange(to.held, {}));
  }
}

// A full queue, or nobody there any more, is one more packet that is lost.
void UdpRelay::forward(Side& to, Bytes packet) {
  ++(::send(to.fd.get(), packet.data(), packet.size(), 0) >= 0 ? passed_ : lost_);
}

}  // namespace ssn::test
