// SPDX-License-Identifier: BSD-3-Clause
#include "peer_link.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <thread>

#include "https_client.h"
#include "key_delivery.h"

namespace ssn::kme {
namespace {

constexpr std::string_view run_target = "/shareline/peer/v1/run";
constexpr std::string_view keys_target = "/shareline/peer/v1/keys";
constexpr std::chrono::milliseconds greeting_interval{1000};
constexpr std::chrono::milliseconds retry_interval{200};

HttpResponse refuse(int status, const char* why) { return error_response({status, why, {}}); }

}  // namespace

std::optional<std::size_t> PeerService::link_with(std::string_view caller, std::string_view name) const {
  const Configuration& configuration = network_.configuration();
  const std::optional<std::size_t> link = network_.find_link(name);
  if (!link) {
    return std::nullopt;
  }
  const std::array<std::size_t, 2>& ends = configuration.links[*link].sites;
  for (const std::size_t end : {0u, 1u}) {
    const SiteSettings& other = configuration.sites[ends[1 - end]];
    if (ends[end] == site_ && !other.served && other.id == caller) {
      return link;
    }
  }
  return std::nullopt;
}

HttpResponse PeerService::handle(const HttpRequest& request) {
  if (request.method != "POST") {
    return refuse(405, "only POST is defined here");
  }
  if (request.target == run_target) {
    const std::optional<RunMessage> message = parse_run(request.body);
    const std::optional<std::size_t> link = message ? link_with(request.caller, message->link) : std::nullopt;
    return link ? run(*link, message->nonce) : refuse(401, "");
  }
  if (request.target == keys_target) {
    const std::optional<KeysMessage> message =
        parse_keys(request.body, network_.configuration().limits.max_key_per_request);
    const std::optional<std::size_t> link = message ? link_with(request.caller, message->link) : std::nullopt;
    return link ? keys(*link, *message) : refuse(401, "");
  }
  return refuse(404, "there is no such resource");
}

HttpResponse PeerService::run(std::size_t link, const Nonce& nonce) {
  if (const Outcome begun = network_.peer_runs(link, nonce); !begun.ok()) {
    return refuse(503, "the KME is out of memory");
  }
  HttpResponse response;
  response.body = write_run({network_.configuration().links[link].name, network_.own_nonce()});
  return response;
}

// The slave SAE must be ours, the master theirs, and the size one that we could have been asked for.
HttpResponse PeerService::keys(std::size_t link, const KeysMessage& message) {
  const Limits& limits = network_.configuration().limits;
  const std::array<std::size_t, 2>& ends = network_.configuration().links[link].sites;
  const std::size_t other = ends[0] == site_ ? ends[1] : ends[0];
  const bool good = std::all_of(message.keys.begin(), message.keys.end(), [&](const Announcement& key) {
    return network_.knows(site_, key.slave) && network_.knows(other, key.master) && key.bits % 8 == 0 &&
           key.bits != 0 && key.bits <= limits.max_key_size;
  });
  if (!good) {
    return refuse(400, "keys that this KME cannot hold");
  }
  HttpResponse response;
  switch (network_.accept(link, message.run, message.keys)) {
    case Peer::Answer::accepted:
      response.body = "{}\n";
      return response;
    case Peer::Answer::full:
      return refuse(503, "too many keys wait for their slave SAE");
    case Peer::Answer::other_run:
    case Peer::Answer::unreachable:
      break;
  }
  return refuse(409, "keys of another run");
}

// One link to a site that another process serves: two HTTPS connections, so that greetings and announcements
// do not wait for each other, and a thread that greets.
class PeerLinks::Connection final : public Peer {
 public:
  Connection(Network& network, std::size_t link, HttpsClient greetings, HttpsClient announcements)
      : network_(network),
        link_(link),
        greetings_(std::move(greetings)),
        announcements_(std::move(announcements)) {}

  ~Connection() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  void run() {
    network_.set_peer(link_, *this);
    thread_ = std::thread([this] { greet_for_ever(); });
  }

  Answer announce(const std::string& link, const Run& run, const std::vector<Announcement>& keys) override {
    int status = 0;
    {
      const std::lock_guard lock(announcing_);  // the connection's; the other side never needs it
      status = announcements_.post(std::string(keys_target), write_keys(link, run, keys)).status;
    }
    switch (status) {
      case 200:
        return Answer::accepted;
      case 503:
        return Answer::full;
      case 409:
        greet_soon();
        return Answer::other_run;
      default:
        greet_soon();
        return Answer::unreachable;
    }
  }

 private:
  void greet_soon() {
    {
      const std::lock_guard lock(mutex_);
      soon_ = true;
    }
    changed_.notify_all();
  }

  bool greet() {
    const std::string& name = network_.configuration().links[link_].name;
    const HttpsClient::Answer answer =
        greetings_.post(std::string(run_target), write_run({name, network_.own_nonce()}));
    const std::optional<RunMessage> message = answer.status == 200 ? parse_run(answer.body) : std::nullopt;
    if (!message || message->link != name || !network_.peer_runs(link_, message->nonce).ok()) {
      network_.peer_lost(link_);
      return false;
    }
    return true;
  }

  void greet_for_ever() {
    for (;;) {
      const bool there = greet();
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, there ? greeting_interval : retry_interval,
                        [this] { return ending_ || soon_; });
      soon_ = false;
      if (ending_) {
        return;
      }
    }
  }

  Network& network_;
  std::size_t link_;
  HttpsClient greetings_;
  HttpsClient announcements_;
  std::mutex announcing_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool soon_ = false;
  bool ending_ = false;
  std::thread thread_;
};

Result<std::unique_ptr<PeerLinks>> PeerLinks::start(Network& network, const Identities& identities) {
  std::unique_ptr<PeerLinks> links(new PeerLinks());
  const Configuration& configuration = network.configuration();
  for (std::size_t i = 0; i < configuration.links.size(); ++i) {
    const LinkSettingsInFile& link = configuration.links[i];
    if (configuration.local(link)) {
      continue;
    }
    const std::size_t own = configuration.sites[link.sites[0]].served ? 0 : 1;
    const SiteSettings& there = configuration.sites[link.sites[1 - own]];
    const HttpsClient::Options options{there.peer_address, there.peer_port, there.id,
                                       identities[link.sites[own]], configuration.limits.request_s};
    Result<HttpsClient> greetings = HttpsClient::make(options);
    Result<HttpsClient> announcements = HttpsClient::make(options);
    if (!greetings.ok() || !announcements.ok()) {
      return greetings.ok() ? announcements.error() : greetings.error();
    }
    links->connections_.push_back(std::make_unique<Connection>(network, i, std::move(greetings.value()),
                                                               std::move(announcements.value())));
  }
  for (const std::unique_ptr<Connection>& connection : links->connections_) {
    connection->run();
  }
  return links;
}

PeerLinks::~PeerLinks() = default;

}  // namespace ssn::kme
