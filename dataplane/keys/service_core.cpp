// SPDX-License-Identifier: BSD-3-Clause
#include "service_core.h"

#include <pthread.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "random_bytes.h"

namespace ssn::dataplane {
namespace {

/// While something is under way that nobody will tell of.
constexpr std::chrono::milliseconds busy_tick{1};
/// While pads are used: marks have to run ahead of them, so at most as long as half an extent lasts at so
/// many bytes in a nanosecond.
constexpr std::chrono::milliseconds moving_tick{4};
constexpr std::uint64_t fastest_stream = 16;
/// While connections are open and nothing moves.
constexpr std::chrono::milliseconds idle_tick{10};
constexpr std::chrono::milliseconds counts_as_moving{100};
constexpr std::chrono::milliseconds slow_sync{100};
/// A ledger thread that waits for its disk is not waited for.
constexpr std::chrono::milliseconds report_patience{250};

std::chrono::nanoseconds moving_tick_of(std::uint64_t extent) {
  const std::chrono::nanoseconds lasts(extent / 2 / fastest_stream);
  return std::clamp<std::chrono::nanoseconds>(lasts, busy_tick, moving_tick);
}

std::uint32_t draw_number() {
  std::array<std::uint8_t, 4> bytes{};
  draw_random(bytes);
  return std::uint32_t{bytes[0]} | std::uint32_t{bytes[1]} << 8 | std::uint32_t{bytes[2]} << 16 |
         std::uint32_t{bytes[3]} << 24;
}

protocol::InstanceId draw_instance() {
  protocol::InstanceId id{};
  draw_random(id);
  return id;
}

}  // namespace

KeyService::Core::Core(KeyServiceConfiguration configuration, ledger::FileLedger ledger, PeerChannel& channel,
                       ConnectionSink& sink, const kernels::Implementation& implementation)
    : configuration_(std::move(configuration)),
      ledger_(std::move(ledger)),
      moving_tick_(moving_tick_of(configuration_.ledger_extent)),
      channel_(&channel),
      implementation_(&implementation),
      events_(configuration_.observer),
      context_{configuration_, ledger_.ledger(), channel, sink, events_, draw_instance(), draw_number()},
      gate_(std::make_shared<Gate>()),
      random_(configuration_.workers, configuration_.random_ring_bytes, configuration_.limits.pages,
              [this]() -> std::shared_ptr<hw::KeyDevice> {
                for (const std::unique_ptr<DeviceThread>& device : devices_) {
                  if (device->usable() && device->report().info.delivers_random) return device->device();
                }
                return nullptr;
              }),
      inbox_(configuration_.peers.size()) {
  gate_->channel = &channel;
}

KeyService::Core::~Core() {
  static_cast<void>(stop(std::chrono::seconds(2)));
  const std::lock_guard guard(gate_->lock);
  gate_->channel = nullptr;
}

hw::KeyDevice::SendToPeer KeyService::Core::send_to_peer() {
  return [gate = gate_](const char* peer, std::span<const std::uint8_t> message) {
    const std::lock_guard guard(gate->lock);
    const bool sent =
        gate->channel != nullptr && gate->channel->send(peer, PeerMessageKind::key_device, message);
    return sent ? SSN_OK : SSN_AGAIN;
  };
}

Outcome KeyService::Core::prepare() {
  for (std::size_t i = 0; i < configuration_.devices.size(); ++i) {
    DeviceThread::Options options;
    options.index = i;
    options.configuration = configuration_.devices[i];
    options.node = configuration_.node;
    options.send_to_peer = send_to_peer();
    options.limits = configuration_.limits;
    options.implementation = implementation_;
    options.random = &random_;
    options.back_off_least = configuration_.back_off_least;
    options.back_off_most = configuration_.back_off_most;
    options.seed = context_.drawn + static_cast<std::uint32_t>(i) + 1;
    options.tell = [this](DeviceResult result) { inbox_.put(std::move(result)); };
    devices_.push_back(std::make_unique<DeviceThread>(std::move(options)));
    if (Outcome tried = devices_.back()->try_first(); !tried.ok()) return tried;
  }
  for (std::size_t i = 0; i < configuration_.peers.size(); ++i) {
    const std::string& name = configuration_.peers[i].name;
    const Result<std::size_t> device = hw::key_device_for(configuration_.devices, name, configuration_.file);
    if (!device.ok()) return device.error();
    index_of_[name] = i;
    sessions_.push_back(
        std::make_unique<PeerSession>(context_, i, device.value(), *devices_[device.value()]));
  }
  publish_report();
  return check_random();
}

// Only where all devices are known: one that is not there yet may deliver random bytes.
Outcome KeyService::Core::check_random() const {
  const auto wanted = std::find_if(configuration_.peers.begin(), configuration_.peers.end(),
                                   [](const KeyPeerConfiguration& peer) { return peer.random; });
  if (wanted == configuration_.peers.end()) return done;
  for (const std::unique_ptr<DeviceThread>& device : devices_) {
    if (!device->usable() || device->report().info.delivers_random) return done;
  }
  return Error{Exit::usage, "cannot get random bytes for streams with " + wanted->name,
               "none of the key devices delivers random bytes", configuration_.file,
               "take random = \"drbg\" for the streams, which makes their secrecy computational"};
}

void KeyService::Core::start(PeerReceiver& receiver) {
  assert(!running_);
  running_ = true;
  for (const std::unique_ptr<DeviceThread>& device : devices_) device->start();
  thread_ = std::thread([this] { run(); });
  channel_->listen(&receiver);
}

Outcome KeyService::Core::stop(std::chrono::milliseconds patience) {
  if (running_) {
    channel_->listen(nullptr);
    deadline_ = Clock::now() + patience;
    stopping_.store(true, std::memory_order_release);
    inbox_.wake();
    thread_.join();
    for (const std::unique_ptr<DeviceThread>& device : devices_) device->stop();
    running_ = false;
  }
  if (abandoned_ == 0) return done;
  return Error{Exit::temporary, "cannot give up all key streams",
               std::to_string(abandoned_) + " connections are still held by workers", "",
               "nothing: their memory is erased when this process ends; report this, with the event log"};
}

// ---- Any thread.

void KeyService::Core::on_connected(const std::string& peer) {
  if (const auto found = index_of_.find(peer); found != index_of_.end()) {
    inbox_.put_connected(found->second);
  }
}

void KeyService::Core::on_message(const std::string& peer, PeerMessageKind kind,
                                  std::span<const std::uint8_t> bytes) {
  const auto found = index_of_.find(peer);
  if (found == index_of_.end() || bytes.size() > peer_message_max) return;
  switch (kind) {
    case PeerMessageKind::association:
    case PeerMessageKind::session:
      inbox_.put_message({found->second, kind, {bytes.begin(), bytes.end()}});
      return;
    case PeerMessageKind::key_device:
      // Past the ledger thread: a slow disk does not hold up key delivery.
      if (const std::shared_ptr<hw::KeyDevice> device =
              devices_[sessions_[found->second]->device_index()]->device()) {
        static_cast<void>(device->peer_message(peer, bytes));
      }
      return;
  }
}

std::uint32_t KeyService::Core::connection_id(std::size_t peer, std::uint16_t worker) const noexcept {
  return make_connection_id(static_cast<std::uint32_t>(peer), worker, context_.drawn);
}

Outcome KeyService::Core::readmit(const std::string& peer) {
  const auto found = index_of_.find(peer);
  if (found == index_of_.end()) {
    return Error{Exit::not_found, "cannot readmit " + peer, "no such peer is configured", configuration_.file,
                 "name one of the [[peer]] tables"};
  }
  inbox_.put(Readmit{found->second});
  return done;
}

KeyReport KeyService::Core::report() {
  std::unique_lock guard(report_lock_);
  if (running_ && !stopping_) {
    const std::uint64_t before = reports_;
    report_wanted_.store(true, std::memory_order_release);
    inbox_.wake();
    report_made_.wait_for(guard, report_patience, [&] { return reports_ != before; });
  }
  KeyReport report = report_;
  guard.unlock();
  for (const std::unique_ptr<DeviceThread>& device : devices_) report.devices.push_back(device->report());
  return report;
}

// ---- The ledger thread.

void KeyService::Core::publish_report() {
  KeyReport report;
  const protocol::LedgerState& state = ledger_.ledger().state();
  report.node = state.node;
  report.incarnation = state.incarnation;
  report.self_quarantine = state.self_quarantine;
  report.ledger_failed = ledger_.ledger().failed();
  report.ledger_syncs_slow = slow_syncs_;
  for (const std::unique_ptr<PeerSession>& session : sessions_) report.peers.push_back(session->report());
  report.events.assign(events_.events().begin(), events_.events().end());
  {
    const std::lock_guard guard(report_lock_);
    report_ = std::move(report);
    ++reports_;
  }
  report_made_.notify_all();
}

void KeyService::Core::handle_device(DeviceResult result, Clock::time_point now) {
  if (OpenedConnections* const opened = std::get_if<OpenedConnections>(&result)) {
    PeerSession& session = *sessions_[opened->peer];
    session.on_opened(std::move(*opened), now);
  } else if (const ClosedConnections* const closed = std::get_if<ClosedConnections>(&result)) {
    sessions_[closed->peer]->on_closed(*closed);
  } else {
    const DeviceNews& news = std::get<DeviceNews>(result);
    const std::string& driver = configuration_.devices[news.device].driver;
    if (news.open) {
      events_.add(KeyEvent::Kind::device_opened, driver, 0, devices_[news.device]->report().info.identity);
    } else {
      events_.add(KeyEvent::Kind::device_failed, driver, 0, news.error.what + ": " + news.error.why);
    }
  }
}

void KeyService::Core::handle(Letter letter, Clock::time_point now) {
  if (const PeerConnected* const connected = std::get_if<PeerConnected>(&letter)) {
    sessions_[connected->peer]->on_connected(now);
  } else if (const PeerMessage* const message = std::get_if<PeerMessage>(&letter)) {
    sessions_[message->peer]->on_message(message->kind, message->bytes, now);
  } else if (const Readmit* const readmit = std::get_if<Readmit>(&letter)) {
    sessions_[readmit->peer]->readmit(now);
  } else if (std::holds_alternative<ReadmitSelf>(letter)) {
    ledger_.ledger().readmit_self();
    events_.add(KeyEvent::Kind::readmitted, "", 0, "this node, by an operator");
    suspended_ = false;
    for (const std::unique_ptr<PeerSession>& session : sessions_) session->resume(now);
  } else {
    handle_device(std::move(std::get<DeviceResult>(letter)), now);
  }
}

bool KeyService::Core::step_sessions(Clock::time_point now) {
  bool busy = false;
  for (const std::unique_ptr<PeerSession>& session : sessions_) busy = session->step(now) || busy;
  // One peer has proved that this node is not what it should be: it has nothing with any of them.
  if (ledger_.ledger().state().self_quarantine && !std::exchange(suspended_, true)) {
    for (const std::unique_ptr<PeerSession>& session : sessions_) session->suspend();
    busy = true;
  }
  return busy;
}

void KeyService::Core::write_ledger() {
  const Clock::time_point begin = Clock::now();
  const Outcome written = ledger_.step();
  if (Clock::now() - begin >= slow_sync) ++slow_syncs_;
  if (!written.ok() && !std::exchange(told_ledger_, true)) {
    events_.add(KeyEvent::Kind::ledger_failed, "", 0,
                written.error().what + ": " + written.error().why +
                    "; nothing is sealed until this node was restarted with a good disk");
  }
}

// What became durable goes on at once, and what it leads to is written at once.
bool KeyService::Core::step() {
  constexpr int rounds = 8;
  protocol::Ledger& ledger = ledger_.ledger();
  bool busy = step_sessions(Clock::now());
  for (int round = 0; round < rounds; ++round) {
    const protocol::LedgerTicket before = ledger.durable();
    const bool failed = ledger.failed();
    write_ledger();
    if (ledger.durable() == before && ledger.failed() == failed) break;
    busy = step_sessions(Clock::now());
  }
  return busy;
}

bool KeyService::Core::all_idle() const {
  return std::all_of(sessions_.begin(), sessions_.end(),
                     [](const std::unique_ptr<PeerSession>& session) { return session->idle(); });
}

KeyService::Core::Clock::time_point KeyService::Core::next_look(bool busy, Clock::time_point now) {
  Clock::time_point next = Clock::time_point::max();
  std::uint64_t progress = 0;
  bool open = false;
  for (const std::unique_ptr<PeerSession>& session : sessions_) {
    next = std::min(next, session->next_timer());
    progress += session->progress();
    open = open || !session->idle();
  }
  if (progress != last_progress_) {
    last_progress_ = progress;
    moved_at_ = now;
  }
  const bool moving = open && now - moved_at_ < counts_as_moving;
  if (busy) return now + busy_tick;
  if (moving) return now + moving_tick_;
  if (open) return std::min(next, now + idle_tick);
  return next;
}

void KeyService::Core::run() {
  (void)::pthread_setname_np(::pthread_self(), "ssn-ledger");
  bool told_to_end = false;
  Clock::time_point until = Clock::now();
  for (;;) {
    std::vector<Letter> letters = inbox_.take(until);
    const Clock::time_point now = Clock::now();
    for (Letter& letter : letters) handle(std::move(letter), now);
    const bool stopping = stopping_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < sessions_.size(); ++i) {
      sessions_[i]->count_dropped(inbox_.take_dropped(i));
      if (stopping && !told_to_end) sessions_[i]->shut_down();
    }
    told_to_end = stopping;
    const bool busy = step();
    if (report_wanted_.exchange(false, std::memory_order_acquire)) publish_report();
    if (stopping && (all_idle() || now >= deadline_)) break;
    until = next_look(busy || stopping, Clock::now());
  }
  for (const std::unique_ptr<PeerSession>& session : sessions_) abandoned_ += session->abandon();
  write_ledger();
  publish_report();
}

}  // namespace ssn::dataplane
