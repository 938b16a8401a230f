// SPDX-License-Identifier: BSD-3-Clause
// The emulated QKD network as its key managers see it: who may ask whom for keys, what the links have in
// stock, which keys wait where. Knows nothing of HTTP, sockets or threads of its own. Any thread may call it;
// no lock is held while another key manager is called, so that two of them can call each other.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "configuration.h"
#include "key_material.h"
#include "key_store.h"
#include "stream_source.h"

namespace ssn::kme {

/// An answer other than 200 of ETSI GS QKD 014. Status 401 has no body.
struct ApiError {
  int status = 400;
  std::string message;
  std::vector<std::pair<std::string, std::string>> details;
};

struct KeyStatus {
  std::string source_kme;
  std::string target_kme;
  std::uint64_t stored_key_count = 0;
  std::uint64_t hops = 1;
  bool link_up = true;
  std::uint64_t stock_bits = 0;
  std::uint64_t bits_per_second = 0;
};

/// A key that the other end of a link must know of before it is delivered here.
struct Announcement {
  KeyId id{};
  std::uint64_t bits = 0;
  std::string master;
  std::string slave;
};

/// The two nonces of one run of a link, in the order of its ends.
using Run = std::array<Nonce, 2>;

/// How to reach the key manager at the other end of a link that another process serves.
class Peer {
 public:
  virtual ~Peer() = default;
  enum class Answer { accepted, full, other_run, unreachable };
  /// Blocks for a bounded time. Called without any lock.
  virtual Answer announce(const std::string& link, const Run& run, const std::vector<Announcement>& keys) = 0;
};

struct LinkCounters {
  std::uint64_t keys_issued = 0;   ///< by enc_keys
  std::uint64_t keys_fetched = 0;  ///< by dec_keys
  std::uint64_t key_bits = 0;      ///< of issued keys
  std::uint64_t stream_bytes = 0;  ///< drawn for key streams, counted once for both ends
  std::uint64_t shortages = 0;     ///< requests that found too little
  std::uint64_t lost_bits = 0;     ///< drawn, but the other end did not learn of it
  std::uint64_t outages = 0;       ///< on command
};

struct LinkReport {
  std::string name;
  std::array<std::string, 2> sites;
  std::uint64_t bits_per_second = 0, stock_bits = 0, stock_limit_bits = 0, made_bits = 0, hops = 1;
  Microseconds latency = 0;
  bool up = true;
  bool remote = false;
  bool connected = true;  ///< to the process that serves the other end
  std::size_t streams = 0;
  LinkCounters counters;
};

struct SiteReport {
  std::string id;
  bool served = true;
  std::vector<std::string> sae;
  std::size_t waiting_keys = 0;
  std::uint64_t expired_keys = 0;
};

class Network {
 public:
  using Clock = std::function<Microseconds()>;
  using KeyAnswer = std::variant<KeyBatch, ApiError>;
  static constexpr std::size_t streams_max = std::size_t{1} << 20;

  /// `configuration` was checked by read_configuration().
  static Result<std::unique_ptr<Network>> make(Configuration configuration,
                                               const kernels::Implementation& implementation, Clock clock);
  ~Network();

  const Configuration& configuration() const noexcept { return configuration_; }
  const kernels::Implementation& implementation() const noexcept { return implementation_; }
  bool knows(std::size_t site, std::string_view sae) const;

  // ETSI GS QKD 014, sections 5.1 to 5.3. `caller` is an SAE of `site`.
  std::variant<KeyStatus, ApiError> status(std::size_t site, std::string_view slave);
  KeyAnswer enc_keys(std::size_t site, std::string_view caller, std::string_view slave, std::uint64_t number,
                     std::uint64_t bits);
  KeyAnswer dec_keys(std::size_t site, std::string_view caller, std::string_view master,
                     std::span<const KeyId> ids);
  /// 0: no link.
  std::uint64_t hops(std::size_t site, std::string_view other_sae) const;

  // Key streams of the key-manager NIC at a site. The network must outlive them.
  Result<std::unique_ptr<StreamSource>> open_stream(std::size_t site, const StreamProvider::Request& request);

  // Other processes.
  /// Of links to sites that other processes serve. Call before anything else.
  void set_peer(std::size_t link, Peer& peer);
  /// This process's own contribution to every run.
  const Nonce& own_nonce() const noexcept { return own_nonce_; }
  /// The process at the other end of `link` runs with this nonce; begins a new run where that is news.
  Outcome peer_runs(std::size_t link, const Nonce& nonce);
  void peer_lost(std::size_t link);
  Peer::Answer accept(std::size_t link, const Run& run, const std::vector<Announcement>& keys);

  // Control.
  std::optional<std::size_t> find_link(std::string_view name) const;
  void begin_outage(std::size_t link, Microseconds length);
  void end_outage(std::size_t link);
  void set_rate(std::size_t link, std::uint64_t bits_per_second);
  void drain(std::size_t link);
  std::vector<LinkReport> report_links();
  std::vector<SiteReport> report_sites();

 private:
  struct Link;
  struct Stream;
  struct StreamTable;
  class StreamEnd;
  friend class StreamEnd;

  Network(Configuration configuration, const kernels::Implementation& implementation, Clock clock);
  Outcome make_links();
  Microseconds now() const { return clock_(); }
  /// The link between `site` and the site of `sae`, and which end `site` is.
  struct Route {
    std::size_t link;
    std::size_t end;
    std::size_t other_site;
  };
  std::optional<Route> route(std::size_t site, std::string_view sae) const;
  std::optional<ApiError> reserve(Link& link, std::uint64_t number, std::uint64_t bits);
  std::vector<KeyStore::Entry> waiting(std::size_t link, std::uint64_t run,
                                       const std::vector<Announcement>& keys, Microseconds at) const;
  std::optional<ApiError> hand_over(const Route& route, std::uint64_t run, const Run& nonces,
                                    const std::vector<Announcement>& keys);
  Result<std::unique_ptr<StreamSource>> open_random();
  static void update_visible(Stream& stream, Microseconds at);
  static void note_drawn(Stream& stream, Microseconds latency, Microseconds at, std::uint64_t drawn);
  std::size_t grant(Stream& stream, std::size_t end, std::size_t bytes);
  std::uint64_t stream_level(Stream& stream, std::size_t end);
  bool stream_alive(const Stream& stream);
  void close_stream(Stream& stream, std::size_t end);

  Configuration configuration_;
  const kernels::Implementation& implementation_;
  Clock clock_;
  Nonce own_nonce_;
  mutable std::mutex mutex_;  // guards all that follows
  std::vector<std::unique_ptr<Link>> links_;
  std::vector<KeyStore> stores_;  // one per site
  std::unique_ptr<StreamTable> streams_;
};

/// The streams of one site, for its device model.
class SiteStreams final : public StreamProvider {
 public:
  SiteStreams(Network& network, std::size_t site) : network_(network), site_(site) {}
  Result<std::unique_ptr<StreamSource>> open(const Request& request) override {
    return network_.open_stream(site_, request);
  }

 private:
  Network& network_;
  std::size_t site_;
};

}  // namespace ssn::kme
