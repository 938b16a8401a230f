// SPDX-License-Identifier: BSD-3-Clause
// The channel between key managers in different processes: HTTPS with mutual TLS on a port of its own, so
// that SAEs cannot keep key managers from talking to each other. Over it go nonces and key IDs, never keys.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "http_message.h"
#include "network.h"

namespace ssn::pki {
class LiveIdentity;
}

namespace ssn::kme {

/// Answers the key manager of another process at one site of ours. Thread-safe.
class PeerService {
 public:
  PeerService(Network& network, std::size_t site) : network_(network), site_(site) {}
  HttpResponse handle(const HttpRequest& request);

 private:
  HttpResponse run(std::size_t link, const Nonce& nonce);
  HttpResponse keys(std::size_t link, const struct KeysMessage& message);
  std::optional<std::size_t> link_with(std::string_view caller, std::string_view name) const;

  Network& network_;
  std::size_t site_;
};

/// Keeps up the connections to the key managers of other processes, as long as it lives: greets each once a
/// second, and tells the network who is there. Lets it announce keys through them.
class PeerLinks {
 public:
  /// What each site shows and whom it believes, by site; null where another process serves it.
  using Identities = std::vector<std::shared_ptr<pki::LiveIdentity>>;
  /// Starts the threads. `network` must outlive it.
  static Result<std::unique_ptr<PeerLinks>> start(Network& network, const Identities& identities);
  ~PeerLinks();

 private:
  class Connection;
  PeerLinks() noexcept = default;
  std::vector<std::unique_ptr<Connection>> connections_;
};

// ---- Messages (untrusted when they come in) --------------------------------------------------------------

struct RunMessage {
  std::string link;
  Nonce nonce{};
};
struct KeysMessage {
  std::string link;
  Run run{};
  std::vector<Announcement> keys;
};
std::string write_run(const RunMessage& message);
std::string write_keys(const std::string& link, const Run& run, const std::vector<Announcement>& keys);
std::optional<RunMessage> parse_run(std::string_view body);
/// At most `most` keys.
std::optional<KeysMessage> parse_keys(std::string_view body, std::size_t most);

}  // namespace ssn::kme
