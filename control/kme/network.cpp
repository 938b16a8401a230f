// SPDX-License-Identifier: BSD-3-Clause
#include "network.h"

#include <algorithm>
#include <cassert>

#include "network_state.h"

namespace ssn::kme {
namespace {

constexpr Microseconds second = 1'000'000;

ApiError bad_request(std::string message) { return {400, std::move(message), {}}; }

ApiError unknown_sae(std::string_view sae) {
  return {400, "no QKD link to the SAE", {{"SAE_ID", std::string(sae)}}};
}

bool lists(const SiteSettings& site, std::string_view sae) {
  return std::find(site.sae.begin(), site.sae.end(), sae) != site.sae.end();
}

}  // namespace

Network::Network(Configuration configuration, const kernels::Implementation& implementation, Clock clock)
    : configuration_(std::move(configuration)),
      implementation_(implementation),
      clock_(std::move(clock)),
      own_nonce_(fresh_nonce()),
      streams_(std::make_unique<StreamTable>()) {
  stores_.assign(configuration_.sites.size(), KeyStore(configuration_.limits.max_key_count));
}

Network::~Network() = default;

Result<std::unique_ptr<Network>> Network::make(Configuration configuration,
                                               const kernels::Implementation& implementation, Clock clock) {
  std::erase_if(configuration.links, [&](const LinkSettingsInFile& link) {
    return !configuration.sites[link.sites[0]].served && !configuration.sites[link.sites[1]].served;
  });
  std::unique_ptr<Network> network(new Network(std::move(configuration), implementation, std::move(clock)));
  if (Outcome made = network->make_links(); !made.ok()) {
    return made.error();
  }
  return network;
}

Outcome Network::make_links() {
  for (const LinkSettingsInFile& settings : configuration_.links) {
    Result<LinkSecret> secret =
        settings.secret_file.empty() ? LinkSecret::random() : LinkSecret::from_file(settings.secret_file);
    if (!secret.ok()) {
      return secret.error();
    }
    const bool local = configuration_.local(settings);
    links_.push_back(std::make_unique<Link>(settings, std::move(secret.value()), local, now()));
    if (local) {
      if (Outcome begun = peer_runs(links_.size() - 1, own_nonce_); !begun.ok()) {
        return begun;
      }
    }
  }
  return done;
}

bool Network::knows(std::size_t site, std::string_view sae) const {
  return lists(configuration_.sites[site], sae);
}

std::optional<Network::Route> Network::route(std::size_t site, std::string_view sae) const {
  for (std::size_t link = 0; link < links_.size(); ++link) {
    const std::array<std::size_t, 2>& ends = links_[link]->settings.sites;
    for (const std::size_t end : {0u, 1u}) {
      if (ends[end] == site && lists(configuration_.sites[ends[1 - end]], sae)) {
        return Route{link, end, ends[1 - end]};
      }
    }
  }
  return std::nullopt;
}

std::uint64_t Network::hops(std::size_t site, std::string_view other_sae) const {
  const std::lock_guard lock(mutex_);
  const std::optional<Route> way = route(site, other_sae);
  return way ? links_[way->link]->settings.hops : 0;
}

std::variant<KeyStatus, ApiError> Network::status(std::size_t site, std::string_view slave) {
  const std::lock_guard lock(mutex_);
  const std::optional<Route> way = route(site, slave);
  if (!way) {
    return unknown_sae(slave);
  }
  Link& link = *links_[way->link];
  KeyStatus status;
  status.source_kme = configuration_.sites[site].id;
  status.target_kme = configuration_.sites[way->other_site].id;
  status.stock_bits = link.model.stock_bits(now());
  status.stored_key_count =
      std::min(status.stock_bits / configuration_.limits.key_size, configuration_.limits.max_key_count);
  status.hops = link.settings.hops;
  status.link_up = link.model.up(now());
  status.bits_per_second = link.model.bits_per_second();
  return status;
}

// Takes the bits of `number` keys from the stock, or says why not.
std::optional<ApiError> Network::reserve(Link& link, std::uint64_t number, std::uint64_t bits) {
  const std::string& name = link.settings.name;
  if (link.session == nullptr || !link.connected) {
    ++link.counters.shortages;
    return ApiError{503, "the KME of the slave SAE does not answer", {{"link", name}}};
  }
  const std::uint64_t wanted = number * bits;
  if (!link.model.draw(now(), wanted)) {
    ++link.counters.shortages;
    return ApiError{503,
                    "not enough key in stock",
                    {{"link", name},
                     {"stock_bits", std::to_string(link.model.stock_bits(now()))},
                     {"requested_bits", std::to_string(wanted)},
                     {"link_state", link.model.up(now()) ? "up" : "outage"}}};
  }
  return std::nullopt;
}

std::vector<KeyStore::Entry> Network::waiting(std::size_t link, std::uint64_t run,
                                              const std::vector<Announcement>& keys, Microseconds at) const {
  std::vector<KeyStore::Entry> entries;
  entries.reserve(keys.size());
  const Microseconds ready = at + links_[link]->settings.latency;
  for (const Announcement& key : keys) {
    entries.emplace_back(key.id, WaitingKey{link, run, key.bits, key.master, key.slave, ready,
                                            ready + configuration_.limits.key_lifetime_s * second});
  }
  return entries;
}

// Tells the other end of the keys; they exist from then on.
std::optional<ApiError> Network::hand_over(const Route& way, std::uint64_t run, const Run& nonces,
                                           const std::vector<Announcement>& keys) {
  Link& link = *links_[way.link];
  Peer::Answer answer = Peer::Answer::accepted;
  if (!link.local) {
    answer = link.peer->announce(link.settings.name, nonces, keys);
  }
  const std::lock_guard lock(mutex_);
  if (link.local && !stores_[way.other_site].add(waiting(way.link, run, keys, now()), now())) {
    answer = Peer::Answer::full;
  }
  const std::uint64_t bits = keys.size() * keys.front().bits;
  if (answer == Peer::Answer::accepted && link.run == run) {
    link.counters.keys_issued += keys.size();
    link.counters.key_bits += bits;
    return std::nullopt;
  }
  ++link.counters.shortages;
  if (answer == Peer::Answer::full) {  // refused as a whole: nobody has them
    link.model.put_back(now(), bits);
    return ApiError{
        503, "too many keys wait for their slave SAE", {{"KME_ID", configuration_.sites[way.other_site].id}}};
  }
  link.counters.lost_bits += bits;
  return ApiError{503, "the KME of the slave SAE does not answer", {{"link", link.settings.name}}};
}

Network::KeyAnswer Network::enc_keys(std::size_t site, std::string_view caller, std::string_view slave,
                                     std::uint64_t number, std::uint64_t bits) {
  assert(number >= 1 && bits >= 8 && bits % 8 == 0);
  Result<KeyBatch> batch = KeyBatch::make(number);
  if (!batch.ok()) {
    return ApiError{503, "the KME is out of memory", {}};
  }
  std::optional<Route> way;
  std::shared_ptr<const LinkSecret> session;
  std::uint64_t run = 0;
  Run nonces{};
  {
    const std::lock_guard lock(mutex_);
    way = route(site, slave);
    if (!way) {
      return unknown_sae(slave);
    }
    Link& link = *links_[way->link];
    if (std::optional<ApiError> refused = reserve(link, number, bits)) {
      return *refused;
    }
    session = link.session;
    run = link.run;
    nonces = link.nonces;
  }
  std::vector<Announcement> keys;
  for (std::uint64_t i = 0; i < number; ++i) {
    keys.push_back({fresh_key_id(), bits, std::string(caller), std::string(slave)});
    batch.value().add(keys.back().id, bits, *session, caller, slave);
  }
  if (std::optional<ApiError> refused = hand_over(*way, run, nonces, keys)) {
    return *refused;
  }
  return std::move(batch.value());
}

Network::KeyAnswer Network::dec_keys(std::size_t site, std::string_view caller, std::string_view master,
                                     std::span<const KeyId> ids) {
  assert(!ids.empty());
  Result<KeyBatch> batch = KeyBatch::make(ids.size());
  if (!batch.ok()) {
    return ApiError{503, "the KME is out of memory", {}};
  }
  std::vector<KeyStore::Entry> taken;
  std::vector<std::shared_ptr<const LinkSecret>> sessions;
  {
    const std::lock_guard lock(mutex_);
    switch (stores_[site].take(ids, master, caller, now(), taken)) {
      case KeyStore::Answer::not_allowed:
        return ApiError{401, "", {}};
      case KeyStore::Answer::not_found:
        return bad_request("one or more keys specified are not found on KME");
      case KeyStore::Answer::ok:
        break;
    }
    for (const auto& [id, key] : taken) {
      Link& link = *links_[key.link];
      assert(key.run == link.run);  // earlier runs were dropped when this one began
      sessions.push_back(link.session);
      ++link.counters.keys_fetched;
    }
  }
  for (std::size_t i = 0; i < taken.size(); ++i) {
    const WaitingKey& key = taken[i].second;
    batch.value().add(taken[i].first, key.bits, *sessions[i], key.master, key.slave);
  }
  return std::move(batch.value());
}

void Network::set_peer(std::size_t link, Peer& peer) {
  assert(!links_[link]->local);
  links_[link]->peer = &peer;
}

Outcome Network::peer_runs(std::size_t index, const Nonce& nonce) {
  const std::lock_guard lock(mutex_);
  Link& link = *links_[index];
  const std::size_t own = configuration_.sites[link.settings.sites[0]].served ? 0 : 1;
  Run nonces{};
  nonces[own] = own_nonce_;
  nonces[1 - own] = nonce;
  link.connected = true;
  if (link.session != nullptr && nonces == link.nonces) {
    return done;
  }
  Result<LinkSecret> session = link.secret.session(link.settings.name, nonces[0], nonces[1]);
  if (!session.ok()) {
    link.connected = false;
    return session.error();
  }
  link.session = std::make_shared<const LinkSecret>(std::move(session.value()));
  link.nonces = nonces;
  ++link.run;
  for (KeyStore& store : stores_) {
    store.drop_runs_before(index, link.run);
  }
  return done;
}

void Network::peer_lost(std::size_t link) {
  const std::lock_guard lock(mutex_);
  links_[link]->connected = false;
}

Peer::Answer Network::accept(std::size_t index, const Run& run, const std::vector<Announcement>& keys) {
  const std::lock_guard lock(mutex_);
  Link& link = *links_[index];
  if (link.session == nullptr || run != link.nonces) {
    return Peer::Answer::other_run;
  }
  const std::size_t own = configuration_.sites[link.settings.sites[0]].served ? 0 : 1;
  if (!stores_[link.settings.sites[own]].add(waiting(index, link.run, keys, now()), now())) {
    return Peer::Answer::full;
  }
  for (const Announcement& key : keys) {
    link.model.note_drawn(now(), key.bits);
  }
  return Peer::Answer::accepted;
}

std::optional<std::size_t> Network::find_link(std::string_view name) const {
  for (std::size_t i = 0; i < links_.size(); ++i) {
    if (links_[i]->settings.name == name) {
      return i;
    }
  }
  return std::nullopt;
}

void Network::begin_outage(std::size_t link, Microseconds length) {
  const std::lock_guard lock(mutex_);
  links_[link]->model.begin_outage(now(), length);
  ++links_[link]->counters.outages;
}

void Network::end_outage(std::size_t link) {
  const std::lock_guard lock(mutex_);
  links_[link]->model.end_outage(now());
}

void Network::set_rate(std::size_t link, std::uint64_t bits_per_second) {
  const std::lock_guard lock(mutex_);
  links_[link]->model.set_rate(now(), bits_per_second);
}

void Network::drain(std::size_t link) {
  const std::lock_guard lock(mutex_);
  links_[link]->model.drain(now());
}

std::vector<LinkReport> Network::report_links() {
  const std::lock_guard lock(mutex_);
  std::vector<LinkReport> reports;
  for (const std::unique_ptr<Link>& link : links_) {
    LinkReport report;
    report.name = link->settings.name;
    for (const std::size_t end : {0u, 1u}) {
      report.sites[end] = configuration_.sites[link->settings.sites[end]].id;
    }
    report.bits_per_second = link->model.bits_per_second();
    report.stock_bits = link->model.stock_bits(now());
    report.stock_limit_bits = link->model.stock_bits_limit();
    report.made_bits = link->model.made_bits(now());
    report.hops = link->settings.hops;
    report.latency = link->settings.latency;
    report.up = link->model.up(now());
    report.remote = !link->local;
    report.connected = link->connected;
    report.streams = link->streams;
    report.counters = link->counters;
    reports.push_back(report);
  }
  return reports;
}

std::vector<SiteReport> Network::report_sites() {
  const std::lock_guard lock(mutex_);
  std::vector<SiteReport> reports;
  for (std::size_t i = 0; i < stores_.size(); ++i) {
    const SiteSettings& site = configuration_.sites[i];
    reports.push_back({site.id, site.served, site.sae, stores_[i].size(), stores_[i].expired()});
  }
  return reports;
}

}  // namespace ssn::kme
