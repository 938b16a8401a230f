// SPDX-License-Identifier: BSD-3-Clause
#include "peer_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "random_bytes.h"
#include "telling.h"

namespace ssn::dataplane {
namespace {

using protocol::Association;
using protocol::AssociationEvent;
using protocol::EpochAlarm;

constexpr std::chrono::seconds refresh_after{1};
constexpr std::chrono::milliseconds weighing_interval{100};
constexpr std::chrono::seconds stuck_after{5};
/// An epoch that lasted this long was no failure.
constexpr std::chrono::seconds lasting{10};

protocol::Contribution contribution() {
  protocol::Contribution fresh;
  draw_random(fresh);
  return fresh;
}

protocol::AssociationConfig association_config(const SessionContext& context, std::size_t index) {
  const KeyServiceConfiguration& configuration = context.configuration;
  protocol::AssociationConfig config;
  config.local = configuration.node;
  config.peer = configuration.peers[index].name;
  config.instance = context.instance;
  config.longest_range = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(protocol::pad_range_max, configuration.limits.pad_ring_bytes / 4));
  config.window = configuration.limits.window;
  for (std::uint32_t worker = 0; worker < configuration.workers; ++worker) {
    config.connections.push_back(
        make_connection_id(static_cast<std::uint32_t>(index), worker, context.drawn));
  }
  return config;
}

const char* meaning(AssociationEvent alarm) {
  switch (alarm) {
    case AssociationEvent::peer_rolled_back:
      return "the peer is behind what was seen of it: it was rolled back; it is in quarantine";
    case AssociationEvent::peer_cloned:
      return "there are two of the peer: it was cloned; it is in quarantine";
    case AssociationEvent::self_rolled_back:
      return "the peer has seen more of this node than this node knows: this node was rolled back";
    case AssociationEvent::self_cloned:
      return "the peer knows another instance of this node: this node was cloned";
    case AssociationEvent::refused_by_peer:
      return "the peer has this node in quarantine";
    case AssociationEvent::established:
    case AssociationEvent::ended:
      break;
  }
  return "";
}

std::string meaning(const Connection& connection) {
  switch (connection.failure()) {
    case ConnectionFailure::send_stream:
      return "the key device ended a stream that this node seals with";
    case ConnectionFailure::receive_stream:
      return "the key device ended a stream that this node opens with";
    case ConnectionFailure::random_stream:
      return "the key device ended the stream of random bytes";
    case ConnectionFailure::alarm:
      return fmt::format("worker {} saw what no honest peer sends: {}", connection.worker(),
                         name(connection.alarm()));
    case ConnectionFailure::none:
      break;
  }
  return "";
}

// A worker still writes to it. Memory that is never given back, and can be found by whoever looks for it.
void keep_for_good(std::unique_ptr<Connection> connection) {
  static std::mutex lock;
  static std::vector<Connection*>& kept = *new std::vector<Connection*>;
  const std::lock_guard guard(lock);
  kept.push_back(connection.release());
}

}  // namespace

PeerSession::PeerSession(SessionContext& context, std::size_t index, std::size_t device_index,
                         DeviceThread& device)
    : context_(&context),
      configuration_(&context.configuration.peers[index]),
      index_(index),
      device_index_(device_index),
      device_(&device),
      association_(context.ledger, association_config(context, index)),
      back_off_(context.configuration.back_off_least, context.configuration.back_off_most,
                context.drawn + static_cast<std::uint32_t>(index) + 1) {}

void PeerSession::send(PeerMessageKind kind, std::span<const std::uint8_t> bytes) {
  connected_ = context_->channel.send(configuration_->name, kind, bytes);
}

void PeerSession::send_session(SessionMessage::Type type) {
  const bool heard = type == SessionMessage::Type::ready && peer_ready_for_ == session_;
  send(PeerMessageKind::session, encode({type, heard, epoch_, session_, {}}));
}

bool PeerSession::is_current() const {
  const protocol::Agreement* const agreement = association_.agreement();
  return agreement != nullptr &&
         session_of(*agreement, context_->configuration.node, configuration_->name) == session_;
}

// ---- What the peer says.

void PeerSession::on_connected(Clock::time_point now) {
  connected_ = true;
  next_retry_ = now;
  told_.clear();
}

void PeerSession::on_message(PeerMessageKind kind, std::span<const std::uint8_t> bytes,
                             Clock::time_point now) {
  if (shutting_down_) return;
  connected_ = true;
  if (kind == PeerMessageKind::session) {
    on_session(bytes, now);
    return;
  }
  // Without a key device no epoch is of use. The peer says it again.
  if (association_.state() == Association::State::closed && !device_->usable()) return;
  if (const Outcome taken = association_.receive(bytes, contribution()); !taken.ok()) {
    ++messages_dropped_;
    last_error_ = taken.error();
  }
  pump(now);
}

void PeerSession::on_session(std::span<const std::uint8_t> bytes, Clock::time_point now) {
  const Result<SessionMessage> read = parse_session_message(bytes);
  if (!read.ok()) {
    ++messages_dropped_;
    last_error_ = read.error();
    return;
  }
  const SessionMessage& message = read.value();
  if (message.type == SessionMessage::Type::ready) {
    peer_ready_for_ = message.session;
    if (message.heard) peer_heard_for_ = message.session;
    if (streams_ == Streams::open && message.session == session_ && ours_ready_ && !message.heard) {
      send_session(SessionMessage::Type::ready);
    }
    return;
  }
  if (message.type == SessionMessage::Type::sent) {
    on_positions(message);
    return;
  }
  const protocol::Agreement* const agreement = association_.agreement();
  if (agreement != nullptr &&
      session_of(*agreement, context_->configuration.node, configuration_->name) == message.session) {
    association_.end();
    next_start_ = back_off_.failed(now);  // the peer begins again when it can
    pump(now);
  }
}

void PeerSession::on_positions(const SessionMessage& message) {
  if (streams_ != Streams::open || message.session != session_) return;
  for (Held& held : held_) {
    if (held.connection->worker() < message.positions.size()) {
      const SessionMessage::Position& position = message.positions[held.connection->worker()];
      held.connection->peer_has_sent(position.pads, position.tag_keys);
    }
  }
}

// Messages to the channel, events to whom they concern.
void PeerSession::pump(Clock::time_point now) {
  while (const std::optional<std::vector<std::uint8_t>> message = association_.next_message()) {
    send(PeerMessageKind::association, *message);
    next_retry_ = now + context_->configuration.retry;
  }
  while (const std::optional<AssociationEvent> event = association_.next_event()) on_event(*event);
}

void PeerSession::on_event(AssociationEvent event) {
  if (event == AssociationEvent::established) {
    ++epochs_entered_;
    blocked_ = false;
  } else if (protocol::is_alarm(event)) {
    ++alarms_;
    context_->events.add(KeyEvent::Kind::alarm, configuration_->name, epoch_, meaning(event));
  }
}

// ---- Connections follow the association.

void PeerSession::follow(Clock::time_point now) {
  switch (streams_) {
    case Streams::none:
      if (const protocol::Agreement* const agreement = association_.agreement(); agreement != nullptr) {
        request(*agreement);
      }
      return;
    case Streams::opening:
      if (!is_current()) cancelled_->store(true, std::memory_order_relaxed);
      return;
    case Streams::open:
      if (!is_current()) begin_close(now);
      return;
    case Streams::closing:
      continue_close(now);
      return;
    case Streams::erasing:
      return;
  }
}

void PeerSession::request(const protocol::Agreement& agreement) {
  const KeyServiceConfiguration& configuration = context_->configuration;
  session_ = session_of(agreement, configuration.node, configuration_->name);
  epoch_ = agreement.epoch;
  ours_ready_ = false;
  running_ = false;
  told_.clear();
  known_after_ = 0;
  cancelled_ = std::make_shared<std::atomic<bool>>(false);
  OpenTask task{index_, session_, {}, configuration_->random, cancelled_};
  for (std::size_t worker = 0; worker < agreement.peer_connections.size(); ++worker) {
    ConnectionTerms terms;
    terms.peer = configuration_->name;
    terms.peer_index = static_cast<std::uint16_t>(index_);
    terms.worker = static_cast<std::uint16_t>(worker);
    terms.epoch = agreement.epoch;
    terms.key_index = agreement.key_index;
    terms.local_id = make_connection_id(static_cast<std::uint32_t>(index_),
                                        static_cast<std::uint32_t>(worker), context_->drawn);
    terms.peer_id = agreement.peer_connections[worker];
    terms.longest_range = agreement.longest_range;
    terms.peer_window = agreement.peer_window;
    for (std::size_t i = 0; i < connection_streams; ++i) {
      terms.ksids[i] = agreement.streams[connection_streams * worker + i].ksid;
    }
    terms.shortage = configuration_->shortage;
    terms.permit_computational = configuration_->permit_computational;
    task.terms.push_back(std::move(terms));
  }
  streams_ = Streams::opening;
  device_->open(std::move(task));
}

void PeerSession::on_opened(OpenedConnections result, Clock::time_point now) {
  const bool wanted = is_current();
  if (!result.connections.ok()) {
    streams_ = Streams::none;
    if (!wanted) return;
    const Error& error = result.connections.error();
    context_->events.add(KeyEvent::Kind::device_failed, configuration_->name, epoch_,
                         error.what + ": " + error.why);
    give_up(error, now);
    return;
  }
  Connections& connections = result.connections.value();
  if (!wanted) {
    streams_ = Streams::erasing;
    device_->close({index_, std::move(connections)});
    return;
  }
  held_.clear();
  for (std::unique_ptr<Connection>& connection : connections) {
    for (std::size_t i = 0; i < connection_streams; ++i) {
      context_->ledger.attach(configuration_->name, connection_streams * connection->worker() + i,
                              connection->marks(i));
    }
    held_.push_back({.connection = std::move(connection)});
  }
  streams_ = Streams::open;
  last_error_ = {};
}

void PeerSession::begin_close(Clock::time_point now) {
  // Also where the peer ended it: then it knows, and does not care.
  send_session(SessionMessage::Type::ended);
  context_->ledger.detach(configuration_->name);
  context_->events.add(KeyEvent::Kind::ended, configuration_->name, epoch_,
                       running_ ? "its streams are over" : "it was over before both ends were ready");
  if (running_) protection_ = std::min(protection_, device_->report().info.protection);
  if (running_ && now - running_since_ >= lasting) back_off_.succeeded();
  running_ = false;
  closing_since_ = now;
  told_stuck_ = false;
  streams_ = Streams::closing;
  continue_close(now);
}

void PeerSession::continue_close(Clock::time_point now) {
  bool all = true;
  for (Held& held : held_) {
    if (!held.attached) continue;
    if (!held.detaching) held.detaching = context_->sink.detach(*held.connection);
    all = all && held.connection->has_let_go();
  }
  if (!all) {
    if (now - closing_since_ >= stuck_after && !std::exchange(told_stuck_, true)) {
      context_->events.add(KeyEvent::Kind::stuck, configuration_->name, epoch_,
                           "a worker does not let go of its connection");
    }
    return;
  }
  for (Held& held : held_) {
    if (held.attached) context_->sink.released(*held.connection);
  }
  CloseTask task{index_, {}};
  for (Held& held : held_) task.connections.push_back(std::move(held.connection));
  held_.clear();
  streams_ = Streams::erasing;
  device_->close(std::move(task));
}

void PeerSession::on_closed(const ClosedConnections& result) {
  for (std::size_t i = 0; i < connection_streams; ++i) {
    protocol::KeyAccount& sum = finished_.accounts[i];
    const protocol::KeyAccount& part = result.finished.accounts[i];
    sum.fetched += part.fetched;
    sum.used += part.used;
    sum.kept += part.kept;
    sum.discarded += part.discarded;
    sum.left += part.left;
  }
  finished_.streams += result.finished.streams;
  ++epochs_ended_;
  streams_ = Streams::none;
}

std::size_t PeerSession::abandon() {
  std::size_t count = 0;
  for (Held& held : held_) {
    if (held.attached && !held.connection->has_let_go()) {
      keep_for_good(std::move(held.connection));
      ++count;
    }
  }
  held_.clear();
  return count;
}

// ---- While they are open.

bool PeerSession::attach_all(Clock::time_point now) {
  bool all = true;
  for (Held& held : held_) {
    if (!held.attached) {
      held.attached = context_->sink.attach(*held.connection);
      held.snapshot_at = now;
    }
    all = all && held.attached;
  }
  return all;
}

bool PeerSession::failed(Connection& connection, Clock::time_point now) {
  if (connection.failure() == ConnectionFailure::none) return false;
  const Error error{connection.failure() == ConnectionFailure::alarm ? Exit::integrity : Exit::temporary,
                    "cannot go on with " + configuration_->name, meaning(connection),
                    device_->report().driver,
                    "a new epoch begins by itself; look at the key manager's log if this comes back"};
  const EpochAlarm alarm = connection.alarm();
  if (connection.failure() != ConnectionFailure::alarm) {
    give_up(error, now);
    return true;
  }
  context_->events.add(KeyEvent::Kind::alarm, configuration_->name, epoch_, error.why);
  if (alarm == EpochAlarm::keys_differ) {
    ++alarms_;
    give_up(error, now);  // the key managers disagree: that is no copy of the peer
  } else {
    last_error_ = error;
    association_.quarantine(protocol::Quarantine::cloned);
    pump(now);
  }
  return true;
}

void PeerSession::look_after(Clock::time_point now) {
  if (streams_ != Streams::open) return;
  const bool attached = attach_all(now);
  bool served = attached;
  for (Held& held : held_) {
    if (!held.attached) continue;
    if (failed(*held.connection, now)) return;
    const std::uint64_t snapshots = held.connection->snapshots();
    served = served && snapshots != 0;
    if (snapshots != held.snapshots) {
      held.snapshots = snapshots;
      held.snapshot_at = now;
    } else if (now - held.snapshot_at >= refresh_after && context_->sink.refresh(*held.connection)) {
      held.snapshot_at = now;
    }
  }
  if (served && !ours_ready_) {
    ours_ready_ = true;
    tell_ready(now);
  }
  settle_readiness(now);
  tell_positions(now);
  weigh(now);
}

void PeerSession::tell_ready(Clock::time_point now) {
  send_session(SessionMessage::Type::ready);
  next_retry_ = now + context_->configuration.retry;
}

void PeerSession::settle_readiness(Clock::time_point now) {
  if (!ours_ready_) return;
  const bool peer_ready = peer_ready_for_ == session_;
  if (peer_ready && !running_) {
    for (Held& held : held_) held.connection->permit_sending();
    running_ = true;
    running_since_ = now;
    context_->events.add(KeyEvent::Kind::established, configuration_->name, epoch_,
                         fmt::format("{} connections are open", held_.size()));
  }
  if ((!peer_ready || peer_heard_for_ != session_) && now >= next_retry_) tell_ready(now);
}

// So that a receiver that missed too much finds its place again: Connection::service.
void PeerSession::tell_positions(Clock::time_point now) {
  if (!running_ || now < next_telling_) return;
  std::vector<SessionMessage::Position> positions(held_.size());
  for (Held& held : held_) {
    positions[held.connection->worker()] = {held.connection->marks(pads_out).progress(),
                                            held.connection->marks(tag_keys_out).progress()};
  }
  next_telling_ = now + telling_interval;
  if (!is_due(positions, told_, now - told_at_, context_->configuration.limits)) return;
  send(PeerMessageKind::session, encode({SessionMessage::Type::sent, false, epoch_, session_, positions}));
  // A message that was lost is made up for by the next one, even if nothing moves any more.
  if (connected_) told_ = std::move(positions);
  told_at_ = now;
}

// A device may know its class only once it has delivered keys.
void PeerSession::weigh(Clock::time_point now) {
  if (!running_ || now < next_weighing_) return;
  next_weighing_ = now + weighing_interval;
  const KeyDeviceReport device = device_->report();
  if (known_after_ == 0) {
    for (const Held& held : held_) {
      const std::optional<ConnectionSnapshot> numbers = held.connection->snapshot();
      if (!numbers || numbers->streams[pads_out].account.fetched == 0) return;
    }
    known_after_ = device.info_reads + 1;  // one may be under way
    return;
  }
  if (device.info_reads <= known_after_) return;
  for (Held& held : held_) {
    held.connection->weigh(device.info.protection);
    protection_ = std::min(protection_, held.connection->protection());
  }
}

// ---- Beginning and giving up.

void PeerSession::give_up(Error error, Clock::time_point now) {
  last_error_ = std::move(error);
  const bool had_streams = streams_ == Streams::open;
  association_.end();
  next_start_ = back_off_.failed(now);
  pump(now);
  if (!had_streams) send_session(SessionMessage::Type::ended);
}

void PeerSession::start(Clock::time_point now) {
  if (const Outcome started = association_.start(contribution()); !started.ok()) {
    last_error_ = started.error();
    blocked_ = true;
    context_->events.add(
        started.error().code == Exit::refused ? KeyEvent::Kind::alarm : KeyEvent::Kind::ended,
        configuration_->name, 0, last_error_.what + ": " + last_error_.why);
  }
  pump(now);
}

void PeerSession::run_timers(Clock::time_point now) {
  switch (association_.state()) {
    case Association::State::closed:
      if (!shutting_down_ && !blocked_ && now >= next_start_ && device_->usable()) start(now);
      return;
    case Association::State::offered:
    case Association::State::confirming:
      if (now >= next_retry_) {
        association_.retry();
        next_retry_ = now + context_->configuration.retry;
        pump(now);
      }
      return;
    case Association::State::starting:
    case Association::State::agreeing:
    case Association::State::established:
    case Association::State::refused:
      return;
  }
}

void PeerSession::readmit(Clock::time_point now) {
  if (shutting_down_ || !context_->ledger.has_room(configuration_->name)) return;
  association_.end();
  context_->ledger.readmit(configuration_->name);
  context_->events.add(KeyEvent::Kind::readmitted, configuration_->name, 0, "by an operator");
  resume(now);
}

void PeerSession::suspend() {
  blocked_ = true;
  if (association_.state() != Association::State::refused) association_.end();
}

void PeerSession::resume(Clock::time_point now) {
  if (association_.state() == Association::State::refused) association_.end();
  blocked_ = false;
  next_start_ = now;
}

void PeerSession::shut_down() {
  shutting_down_ = true;
  association_.end();
}

bool PeerSession::step(Clock::time_point now) {
  association_.advance();
  pump(now);
  look_after(now);
  run_timers(now);
  follow(now);
  const bool waiting = streams_ == Streams::closing || (streams_ == Streams::open && !ours_ready_);
  const Association::State state = association_.state();
  return waiting || state == Association::State::starting || state == Association::State::agreeing;
}

std::uint64_t PeerSession::progress() const noexcept {
  std::uint64_t sum = 0;
  for (const Held& held : held_) {
    for (std::size_t i = 0; i < connection_streams; ++i) sum += held.connection->marks(i).progress();
  }
  return sum;
}

PeerSession::Clock::time_point PeerSession::next_timer() const noexcept {
  switch (association_.state()) {
    case Association::State::closed:
      return shutting_down_ || blocked_ || !device_->usable() ? Clock::time_point::max() : next_start_;
    case Association::State::offered:
    case Association::State::confirming:
      return next_retry_;
    case Association::State::established:
      return streams_ == Streams::open && peer_heard_for_ != session_ ? next_retry_
                                                                      : Clock::time_point::max();
    case Association::State::starting:
    case Association::State::agreeing:
    case Association::State::refused:
      break;
  }
  return Clock::time_point::max();
}

PeerKeyReport PeerSession::report() const {
  PeerKeyReport report;
  report.name = configuration_->name;
  report.device = static_cast<std::uint32_t>(device_index_);
  report.state = association_.state();
  report.connected = connected_;
  report.epochs_entered = epochs_entered_;
  report.epochs_ended = epochs_ended_;
  report.alarms = alarms_;
  report.messages_dropped = messages_dropped_ + association_.dropped();
  report.protection = protection_;
  report.finished = finished_;
  report.last_error = last_error_;
  if (const protocol::PeerRecord* const record = context_->ledger.peer(configuration_->name)) {
    report.epoch = record->epoch;
    report.quarantine = record->quarantine;
  }
  for (const Held& held : held_) {
    const Connection& connection = *held.connection;
    ConnectionReport each;
    each.worker = connection.worker();
    each.local_id = connection.terms().local_id;
    each.peer_id = connection.terms().peer_id;
    each.protection = connection.protection();
    each.sending = connection.sending_permitted();
    each.numbers = connection.snapshot().value_or(ConnectionSnapshot{});
    report.connections.push_back(each);
  }
  return report;
}

}  // namespace ssn::dataplane
