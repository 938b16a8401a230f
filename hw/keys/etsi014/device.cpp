// SPDX-License-Identifier: BSD-3-Clause
// What others call, and the thread's loop. What the thread does with the key manager: jobs.cpp.
#include "device.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

namespace ssn::hw::etsi014 {
namespace {

constexpr std::size_t max_inbox_messages = 512;
constexpr std::size_t max_inbox_bytes = std::size_t{4} << 20;
constexpr std::size_t max_unsent = 64;
constexpr std::size_t max_peers = 256;
constexpr std::size_t max_closed = 1024;
// How often to look for room in rings that are full: nothing tells the thread, since release() makes no call.
constexpr Time idle_tick_least = 2;
constexpr Time idle_tick_most = 50;
constexpr Time unsent_retry = 5;

Time clock_now() noexcept {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Overwrites what calls that handled keys may have left on the stack.
[[gnu::noinline]] void wipe_stack() noexcept {
  std::uint8_t below[16384];
  ::explicit_bzero(below, sizeof below);
}

Error open_error(Exit code, std::string why, std::string where, std::string fix) {
  return {code, "cannot open a stream of the key device etsi014", std::move(why), std::move(where),
          std::move(fix)};
}

// Until it goes out of scope, no signal is delivered to this thread or those that it starts: a closed
// connection must not end the process (SIGPIPE), and the host's handlers are not ours to run.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    (void)::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { (void)::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

Result<std::unique_ptr<Device>> Device::open(const ssn_key_device_config& config) {
  Result<Settings> settings = read_settings(config);
  if (!settings.ok()) {
    return std::move(settings.error());
  }
  if (config.send_to_peer == nullptr) {
    return Error{Exit::usage, "cannot open the key device etsi014",
                 "it needs an authenticated channel to the peers, for the IDs of keys", "send_to_peer",
                 "use a host program that provides one"};
  }
  auto owned = std::make_unique<const Settings>(std::move(settings.value()));
  Result<LiveTls> tls = LiveTls::make(*owned);
  if (!tls.ok()) {
    return std::move(tls.error());
  }
  Result<BodyPool> pool = BodyPool::make(owned->connections, owned->body_bytes());
  if (!pool.ok()) {
    return std::move(pool.error());
  }
  std::uint64_t seed = 0;
  if (::getrandom(&seed, sizeof seed, 0) != static_cast<ssize_t>(sizeof seed)) {
    return system_error(errno, "cannot open the key device etsi014", "getrandom()");
  }
  const int wake_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd < 0) {
    return system_error(errno, "cannot open the key device etsi014", "eventfd()");
  }
  std::unique_ptr<Device> device(
      new Device(std::move(owned), std::move(tls.value()), std::move(pool.value()), wake_fd, seed, config));
  const SignalsBlocked blocked;
  device->thread_ = std::thread([raw = device.get()] { raw->run(); });
  return device;
}

Device::Device(std::unique_ptr<const Settings> settings, LiveTls tls, BodyPool exchange, int wake_fd,
               std::uint64_t seed, const ssn_key_device_config& config)
    : owned_settings_(std::move(settings)),
      settings_(*owned_settings_),
      tls_(std::move(tls)),
      send_to_peer_(config.send_to_peer),
      send_context_(config.send_context),
      wake_fd_(wake_fd),
      exchange_pool_(std::move(exchange)),
      jitter_(seed),
      unreachable_(settings_.retry_least, settings_.retry_most),
      idle_tick_(idle_tick_least) {
  for (std::size_t i = 0; i < settings_.connections; ++i) {
    slots_.push_back({std::make_unique<Connection>(settings_, tls_), {}});
  }
}

Device::~Device() {
  assert(streams_.empty());
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(inbox_mutex_);
      stopping_ = true;
    }
    wake();
    thread_.join();
  }
  ::close(wake_fd_);
}

void Device::wake() noexcept {
  const std::uint64_t one = 1;
  (void)!::write(wake_fd_, &one, sizeof one);
}

void Device::describe(ssn_key_device_info& info) {
  const std::lock_guard lock(mutex_);
  info = {};
  // Nothing is claimed before the key manager has said what it is; no key is delivered before either.
  info.protection =
      status_seen_ && !emulator_ ? SSN_PROTECTION_INFORMATION_THEORETIC : SSN_PROTECTION_EMULATED;
  info.numa_node = -1;
  info.streams_max = streams_max;
  info.delivers_random = false;
  info.ring_bytes_min = ring_bytes_min;
  info.ring_bytes_max = ring_bytes_max;
  std::string identity = "ETSI GS QKD 014 KME " + (kme_.empty() ? settings_.kme_id : kme_);
  identity += !status_seen_ ? " (not yet heard)" : emulator_ ? " (EMULATOR)" : "";
  if (!last_failure_.empty()) {
    identity += "; last failure: " + last_failure_;
  }
  if (!tls_trouble_.empty()) {
    identity += "; changed certificates cannot be used: " + tls_trouble_;
  }
  const std::size_t length = std::min(identity.size(), sizeof info.identity - 1);
  std::memcpy(info.identity, identity.data(), length);
}

Outcome Device::check_request(const ssn_key_stream_request& request) const {
  if (request.role != SSN_KEY_SENDER && request.role != SSN_KEY_RECEIVER) {
    return open_error(Exit::usage, "ETSI GS QKD 014 delivers keys for two nodes only, no random bytes",
                      "role", "use another source of random bytes");
  }
  const std::uint64_t bytes = request.memory.bytes;
  if (request.memory.base == nullptr || bytes < ring_bytes_min || bytes > ring_bytes_max ||
      (bytes & (bytes - 1)) != 0) {
    return open_error(Exit::usage, "the ring is no power of two from 64 KiB to 1 TiB", "ring memory",
                      "choose such a size");
  }
  const std::string peer = request.peer == nullptr ? "" : request.peer;
  if (peer.empty() || peer.size() > SSN_PEER_NAME_MAX || peer == settings_.local_name) {
    return open_error(Exit::usage, "the peer must have a SAE ID of 1 to 255 characters, not this node's own",
                      "peer", "give the SAE ID of the other end");
  }
  if (streams_.size() >= streams_max) {
    return open_error(Exit::key_material, "256 streams are open already", settings_.authority(),
                      "close some");
  }
  Ksid ksid{};
  std::memcpy(ksid.data(), request.ksid, ksid.size());
  const bool open =
      std::any_of(streams_.begin(), streams_.end(), [&](const auto& stream) { return stream->ksid == ksid; });
  const bool closed =
      std::any_of(closed_.begin(), closed_.end(), [&](const auto& entry) { return entry.first == ksid; });
  if (open || closed) {
    return open_error(Exit::refused, "this KSID was opened before, and none may be opened twice", "KSID",
                      "agree on a fresh one with the peer");
  }
  return done;
}

Peer* Device::find_peer(const std::string& name) noexcept {
  const auto found =
      std::find_if(peers_.begin(), peers_.end(), [&](const auto& peer) { return peer->name == name; });
  return found == peers_.end() ? nullptr : found->get();
}

Result<Peer*> Device::make_peer(const std::string& name, bool sends) {
  Peer* peer = find_peer(name);
  if (peer == nullptr) {
    if (peers_.size() >= max_peers) {
      return open_error(Exit::key_material, "this device had 256 peers already", name,
                        "use a second device, or open this one anew");
    }
    peers_.push_back(std::make_unique<Peer>(name, settings_));
    peer = peers_.back().get();
  }
  if (sends && !peer->pool.has_value()) {
    Result<BodyPool> pool = BodyPool::make(settings_.batches, settings_.body_bytes());
    if (!pool.ok()) {
      return std::move(pool.error());
    }
    peer->pool.emplace(std::move(pool.value()));
  }
  return peer;
}

Result<Stream*> Device::open_stream(const ssn_key_stream_request& request, const ssn_key_driver* driver) {
  const std::lock_guard lock(mutex_);
  Outcome good = check_request(request);
  if (!good.ok()) {
    return std::move(good.error());
  }
  const bool sends = request.role == SSN_KEY_SENDER;
  Result<Peer*> peer = make_peer(request.peer, sends);
  if (!peer.ok()) {
    return std::move(peer.error());
  }
  std::uint64_t instance = 0;
  if (::getrandom(&instance, sizeof instance, 0) != static_cast<ssize_t>(sizeof instance)) {
    return system_error(errno, "cannot open a stream of the key device etsi014", "getrandom()");
  }
  auto stream =
      std::make_unique<Stream>(static_cast<std::uint8_t*>(request.memory.base), request.memory.bytes);
  stream->driver = driver;
  stream->ring = static_cast<std::uint8_t*>(request.memory.base);
  stream->ring_bytes = request.memory.bytes;
  stream->role = request.role;
  stream->health = SSN_KEY_HEALTH_STARVED;
  stream->device = this;
  stream->id = next_id_++;
  stream->peer = peer.value();
  std::memcpy(stream->ksid.data(), request.ksid, stream->ksid.size());
  const std::string& name = peer.value()->name;
  if (sends) {
    stream->sender = std::make_unique<Sender>(stream->ksid, name, instance | 1, settings_, stream->delivery,
                                              *peer.value()->pool, jitter_, clock_now());
  } else {
    stream->receiver = std::make_unique<Receiver>(stream->ksid, name, settings_, stream->delivery, jitter_);
  }
  streams_.push_back(std::move(stream));
  wake();
  return streams_.back().get();
}

void Device::close_stream(Stream* stream) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(streams_.begin(), streams_.end(),
                                    [&](const auto& entry) { return entry.get() == stream; });
    assert(found != streams_.end());
    if (stream->sender != nullptr) {
      stream->sender->close(outbox_);
    } else {
      stream->receiver->close(outbox_);
    }
    stream->delivery.erase_unpublished();
    closed_.emplace_back(stream->ksid, stream->peer->name);
    if (closed_.size() > max_closed) {
      closed_.pop_front();
    }
    streams_.erase(found);
  }
  wake();
}

ssn_status Device::peer_message(const char* peer, std::span<const std::uint8_t> bytes) {
  if (peer == nullptr || bytes.empty() || bytes.size() > SSN_KEY_PEER_MESSAGE_MAX ||
      std::strlen(peer) > SSN_PEER_NAME_MAX) {
    return SSN_INVALID;
  }
  {
    const std::lock_guard lock(inbox_mutex_);
    if (inbox_.size() >= max_inbox_messages || inbox_bytes_ + bytes.size() > max_inbox_bytes) {
      return SSN_AGAIN;
    }
    inbox_.push_back({peer, Bytes(bytes.begin(), bytes.end())});
    inbox_bytes_ += bytes.size();
  }
  wake();
  return SSN_OK;
}

// ---- The thread -----------------------------------------------------------------------------------------

void Device::run() {
  (void)::pthread_setname_np(::pthread_self(), "ssn-etsi014");
  try {
    bool stop = false;
    while (true) {
      const Time until = work(stop);
      send();
      if (stop) {
        break;
      }
      wait(until);
      advance();
    }
  } catch (const std::exception& exception) {  // no memory
    const std::lock_guard lock(mutex_);
    last_failure_ = exception.what();
    for (const auto& stream : streams_) {
      stream->delivery.set_health(SSN_KEY_HEALTH_FAILED);
    }
  }
  for (Slot& slot : slots_) {
    slot.connection.reset();  // with the body of a request under way
  }
}

// One round of everything that touches streams. Gives when the next one is due.
Time Device::work(bool& stop) {
  const std::lock_guard lock(mutex_);
  const Time now = clock_now();
  for (auto& [job, exchange] : ended_) {
    finish(job, std::move(exchange), now);
  }
  if (!ended_.empty()) {
    ended_.clear();
    wipe_stack();
  }
  tls_trouble_ = tls_.trouble();
  receive_messages(now);
  tick(now);
  schedule(now);
  unsent_.insert(unsent_.end(), std::make_move_iterator(outbox_.begin()),
                 std::make_move_iterator(outbox_.end()));
  outbox_.clear();
  const std::lock_guard inbox_lock(inbox_mutex_);
  stop = stopping_;
  return inbox_.empty() ? next_timer(now) : now;
}

// Messages that the channel does not take now wait a little; the oldest give way, they will be repeated.
void Device::send() {
  Outbox rest;
  for (OutgoingMessage& message : unsent_) {
    const ssn_status status =
        send_to_peer_(send_context_, message.peer.c_str(), message.bytes.data(), message.bytes.size());
    if (status == SSN_AGAIN) {
      rest.push_back(std::move(message));
    }
  }
  const std::size_t surplus = rest.size() > max_unsent ? rest.size() - max_unsent : 0;
  rest.erase(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(surplus));
  unsent_ = std::move(rest);
}

void Device::wait(Time until) {
  std::vector<pollfd> descriptors = {{wake_fd_, POLLIN, 0}};
  const Time now = clock_now();
  if (!unsent_.empty()) {
    until = std::min(until, now + unsent_retry);
  }
  for (const Slot& slot : slots_) {
    const Connection& connection = *slot.connection;
    until = std::min(until, connection.deadline());
    if (!connection.idle() && connection.descriptor() < 0) {
      until = now;  // just begun
    }
    if (connection.descriptor() >= 0) {
      until = std::min(until, tls_.next_look());  // who is connected may be revoked
      descriptors.push_back({connection.descriptor(), connection.events(), 0});
    }
  }
  const Time wait = std::clamp<Time>(until - now, 0, 60000);
  (void)::poll(descriptors.data(), descriptors.size(), static_cast<int>(wait));
  std::uint64_t count = 0;
  (void)!::read(wake_fd_, &count, sizeof count);
}

void Device::advance() {
  const Time now = clock_now();
  if (tls_.look(now)) {
    for (Slot& slot : slots_) slot.connection->renew();
  }
  for (Slot& slot : slots_) {
    std::optional<Exchange> ended = slot.connection->advance(now);
    if (ended.has_value()) {
      ended_.emplace_back(slot.job, std::move(*ended));
    }
  }
  wipe_stack();
}

void Device::receive_messages(Time now) {
  std::deque<Incoming> messages;
  {
    const std::lock_guard lock(inbox_mutex_);
    messages.swap(inbox_);
    inbox_bytes_ = 0;
  }
  for (const Incoming& incoming : messages) {
    dispatch(incoming, now);
  }
}

void Device::dispatch(const Incoming& incoming, Time now) {
  const std::optional<PeerMessage> message = decode(incoming.bytes);
  if (!message.has_value()) {
    return;
  }
  const auto found = std::find_if(streams_.begin(), streams_.end(), [&](const auto& stream) {
    return stream->ksid == message->ksid && stream->peer->name == incoming.peer;
  });
  if (found == streams_.end()) {
    const bool was_open =
        std::find(closed_.begin(), closed_.end(), std::pair(message->ksid, incoming.peer)) != closed_.end();
    if (was_open && !std::holds_alternative<End>(message->content)) {
      outbox_.push_back(
          {incoming.peer, encode({message->ksid, message->instance, 0, End{End::Reason::closed}})});
    }
    return;
  }
  Stream& stream = **found;
  if (stream.sender != nullptr) {
    settle(stream, stream.sender->on_message(*message, now, outbox_), now);
  } else {
    stream.receiver->on_message(*message, seen_, now, outbox_);
  }
}

void Device::settle(Stream& stream, const Sender::Settled& settled, Time now) {
  Peer& peer = *stream.peer;
  for (std::size_t i = 0; i < settled.batches; ++i) {
    peer.batch_settled(i < settled.lossy);
  }
  if (settled.empty != 0) {
    peer.raise_caution();
    peer.enc_not_before = now + peer.enc_retry.failed(jitter_);
    set_health(stream, SSN_KEY_HEALTH_STARVED);
  } else if (settled.batches != 0) {
    peer.enc_retry.succeeded();
  }
}

Time Device::next_timer(Time now) {
  Time next = std::max(not_before_, now + idle_tick_most);
  bool full = false;
  for (const auto& stream : streams_) {
    const Peer& peer = *stream->peer;
    next = std::min(next, peer.status_under_way ? never : std::max(peer.status_due, not_before_));
    if (stream->sender != nullptr) {
      next = std::min(next, stream->sender->next_timer());
      full = full || (!stream->sender->failed() && stream->sender->wanted() == 0);
      if (stream->sender->wanted() != 0) {
        const Time due = std::max(peer.enc_not_before, not_before_);
        next = due > now ? std::min(next, due) : next;  // otherwise it waits for something else
      }
    } else {
      full = full || stream->receiver->full();
      next = std::min(next, std::max(stream->receiver->next_timer(), not_before_));
    }
  }
  if (streams_.empty()) {
    return never;
  }
  if (full) {
    next = std::min(next, now + idle_tick_);
    idle_tick_ = std::min(idle_tick_ * 2, idle_tick_most);
  }
  return std::max(next, now + 1);
}

}  // namespace ssn::hw::etsi014
