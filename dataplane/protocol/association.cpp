// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/association.h"

#include <algorithm>
#include <cassert>
#include <string_view>

#include "bytes.h"
#include "digest.h"
#include "planted_faults.h"

namespace ssn::protocol {
namespace {

// A queue that nobody empties does not grow: the newest messages matter.
constexpr std::size_t messages_max = 8;

/// KSID = first 16 bytes of SHA-256("ssn-ksid-1", transcript, epoch, sender's name, kind, worker). Both ends
/// contributed 32 random bytes to the transcript: neither alone, nor a replay of either, gives a KSID twice.
Ksid make_ksid(const Digest& transcript, std::uint64_t epoch, std::string_view sender, StreamKind kind,
               std::uint16_t worker) {
  std::vector<std::uint8_t> input;
  ByteWriter out(input);
  out.text("ssn-ksid-1");
  out.bytes(transcript);
  out.number(epoch, 8);
  out.text(sender);
  out.number(static_cast<std::uint64_t>(kind), 1);
  out.number(worker, 2);
  const Digest digest = sha256(input);
  Ksid ksid;
  std::copy_n(digest.begin(), ksid.size(), ksid.begin());
  return ksid;
}

Refusal refusal_of(AssociationEvent alarm) {
  switch (alarm) {
    case AssociationEvent::peer_rolled_back:
      return Refusal::you_rolled_back;
    case AssociationEvent::peer_cloned:
      return Refusal::you_are_cloned;
    case AssociationEvent::self_rolled_back:
      return Refusal::i_rolled_back;
    case AssociationEvent::self_cloned:
      return Refusal::i_am_cloned;
    default:
      return Refusal::quarantined;
  }
}

}  // namespace

Association::Association(Ledger& ledger, AssociationConfig config)
    : ledger_(&ledger), config_(std::move(config)) {
  assert(!config_.connections.empty() && config_.connections.size() <= workers_max);
  assert(config_.local == ledger.state().node && config_.peer != config_.local && !config_.peer.empty() &&
         config_.peer.size() <= node_name_max);
}

PeerRecord Association::record() const {
  const PeerRecord* const known = ledger_->peer(config_.peer);
  return known != nullptr ? *known : PeerRecord{};
}

void Association::send(const AssociationMessage& message) {
  messages_.push_back(encode(message));
  if (messages_.size() > messages_max) messages_.pop_front();
}

std::optional<std::vector<std::uint8_t>> Association::next_message() {
  if (messages_.empty()) return std::nullopt;
  std::vector<std::uint8_t> out = std::move(messages_.front());
  messages_.pop_front();
  return out;
}

std::optional<AssociationEvent> Association::next_event() {
  if (events_.empty()) return std::nullopt;
  const AssociationEvent out = events_.front();
  events_.pop_front();
  return out;
}

// Whatever epoch there is ends here.
void Association::stop() {
  if (state_ == State::established) events_.push_back(AssociationEvent::ended);
  if (const PeerRecord* known = ledger_->peer(config_.peer); known != nullptr && known->open) {
    ledger_->end_epoch(config_.peer);
  }
  messages_.clear();
  state_ = State::closed;
  fresh_ = false;
  peer_confirmed_ = false;
}

void Association::end() { stop(); }

void Association::quarantine(Quarantine reason) {
  condemn(reason == Quarantine::cloned ? AssociationEvent::peer_cloned : AssociationEvent::peer_rolled_back);
}

Outcome Association::start(const Contribution& contribution) {
  if (ledger_->failed()) {
    return Error{Exit::failed, "cannot associate with " + config_.peer, "the ledger can no longer be written",
                 "", "replace the disk and restart this node"};
  }
  if (ledger_->state().self_quarantine) {
    return Error{Exit::refused, "cannot associate with " + config_.peer,
                 "a peer proved that this node was rolled back or cloned", "",
                 "make sure that no copy of this node runs, then readmit it here and at its peers"};
  }
  if (record().quarantine != Quarantine::none) {
    return Error{Exit::refused, "cannot associate with " + config_.peer,
                 "it was rolled back or cloned, and is in quarantine", "",
                 "make sure that only one copy of it runs, then readmit it"};
  }
  if (!ledger_->has_room(config_.peer)) {
    return Error{Exit::refused, "cannot associate with " + config_.peer,
                 "the ledger holds " + std::to_string(peers_max) + " peers at most", "",
                 "forget peers that are gone"};
  }
  stop();
  begin(contribution, Digest{});
  return done;
}

// Builds the hello; it is sent when all that it states is on the disk.
void Association::begin(const Contribution& contribution, const Digest& answers) {
  const PeerRecord known = record();
  hello_ = Hello{};
  hello_.from = config_.local;
  hello_.to = config_.peer;
  hello_.instance = config_.instance;
  hello_.incarnation = ledger_->state().incarnation;
  hello_.attempt = ++attempt_;
  hello_.contribution = contribution;
  hello_.answers = answers;
  hello_.epoch = known.epoch;
  hello_.receiver_epoch = known.peer_epoch;
  hello_.receiver_incarnation = known.peer_incarnation;
  hello_.receiver_instance = known.peer_instance;
  hello_.longest_range = config_.longest_range;
  hello_.window = config_.window;
  hello_.connections = config_.connections;
  hello_.streams = known.streams;
  hello_bytes_ = encode(hello_);
  hello_digest_ = sha256(hello_bytes_);
  ticket_ = ledger_->everything();
  state_ = State::starting;
  advance();
}

Outcome Association::receive(std::span<const std::uint8_t> message, const Contribution& contribution) {
  Result<AssociationMessage> parsed = parse_association_message(message);
  if (!parsed.ok()) {
    parsed.error().where = config_.peer;
    return parsed.error();
  }
  if (Hello* const hello = std::get_if<Hello>(&parsed.value())) {
    on_hello(std::move(*hello), message, contribution);
  } else if (const Confirm* const confirm = std::get_if<Confirm>(&parsed.value())) {
    on_confirm(*confirm, contribution);
  } else {
    on_refused(std::get<Refused>(parsed.value()));
  }
  return done;
}

void Association::on_hello(Hello hello, std::span<const std::uint8_t> bytes,
                           const Contribution& contribution) {
  if (hello.from != config_.peer || hello.to != config_.local || ledger_->failed() ||
      !ledger_->has_room(config_.peer)) {
    ++dropped_;
    return;
  }
  if (ledger_->state().self_quarantine || record().quarantine != Quarantine::none) {
    send(Refused{Refusal::quarantined});
    return;
  }
  const Digest digest = sha256(bytes);
  if (heard_ && heard_->hello.instance == hello.instance && hello.attempt <= heard_->hello.attempt) {
    if (hello.attempt < heard_->hello.attempt) {
      ++dropped_;
    } else if (digest != heard_->digest) {
      condemn(AssociationEvent::peer_cloned);  // one instance makes each attempt once
    } else if (state_ == State::established) {
      send(Confirm{agreement_.epoch, transcript_, false});  // it lost ours
    } else if (state_ == State::agreeing || state_ == State::confirming) {
      stop();  // it lost our hello, which states an epoch that has passed
      begin(contribution, digest);
      fresh_ = true;
      advance();
    }
    return;
  }
  ledger_->settle(config_.peer);
  if (const auto alarm = judge(hello)) {
    condemn(*alarm);
    return;
  }
  // An answer to a hello that was given up meanwhile; the peer will answer the present one too.
  if (hello.answers != Digest{} && hello.answers != hello_digest_) {
    ++dropped_;
    return;
  }
  bool pending = state_ == State::starting || state_ == State::offered;
  if (!pending) {
    // Another answer to the present hello will do with it.
    const bool answer = state_ != State::closed && state_ != State::refused &&
                        hello.answers == hello_digest_ && hello.epoch >= record().epoch;
    stop();
    if (answer) state_ = State::offered;
    pending = answer;
  }
  note(hello);
  heard_ = Heard{std::move(hello), digest, {bytes.begin(), bytes.end()}};
  if (!pending) begin(contribution, digest);
  fresh_ = true;
  advance();
}

// What the peer states, against what this node knows; nothing where all is well.
std::optional<AssociationEvent> Association::judge(const Hello& hello) const {
  const PeerRecord known = record();
  const LedgerState& self = ledger_->state();
  if (hello.receiver_incarnation > self.incarnation || hello.receiver_epoch > known.epoch) {
    return AssociationEvent::self_rolled_back;
  }
  if (hello.receiver_incarnation == self.incarnation && hello.receiver_instance != config_.instance) {
    return AssociationEvent::self_cloned;
  }
  if (planted(PlantedFault::ignore_rollback)) return std::nullopt;
  if (hello.incarnation == known.peer_incarnation && hello.instance != known.peer_instance) {
    return AssociationEvent::peer_cloned;
  }
  if (hello.incarnation < known.peer_incarnation || hello.epoch < known.peer_epoch) {
    return AssociationEvent::peer_rolled_back;
  }
  return judge_marks(hello, known);
}

std::optional<AssociationEvent> Association::judge_marks(const Hello& hello, const PeerRecord& known) const {
  // Comparable only where both ends entered the epoch together. A peer whose operator readmitted this node
  // has forgotten its streams.
  if (!known.confirmed || hello.epoch != known.epoch || hello.streams.empty()) return std::nullopt;
  for (const StreamRecord& ours : known.streams) {
    const auto theirs =
        std::find_if(hello.streams.begin(), hello.streams.end(), [&](const StreamRecord& stream) {
          return stream.ksid == ours.ksid && stream.sender != ours.sender && stream.kind == ours.kind;
        });
    if (theirs == hello.streams.end()) return AssociationEvent::peer_cloned;
    if (ours.sender) {
      if (theirs->seen > ours.sent) return AssociationEvent::self_rolled_back;
      if (theirs->seen < ours.seen) return AssociationEvent::peer_rolled_back;
    } else if (theirs->sent < ours.seen || theirs->sent < ours.sent) {
      return AssociationEvent::peer_rolled_back;
    }
  }
  return std::nullopt;
}

void Association::condemn(AssociationEvent alarm) {
  stop();
  heard_.reset();
  if (alarm == AssociationEvent::self_rolled_back || alarm == AssociationEvent::self_cloned) {
    ledger_->quarantine_self();
  } else {
    ledger_->quarantine(
        config_.peer, alarm == AssociationEvent::peer_cloned ? Quarantine::cloned : Quarantine::rolled_back);
  }
  state_ = State::refused;
  events_.push_back(alarm);
  send(Refused{refusal_of(alarm)});
}

// The peer's word is kept: next time it must not be behind it.
void Association::note(const Hello& hello) {
  PeerRecord known = record();
  known.peer_epoch = hello.epoch;
  known.peer_incarnation = hello.incarnation;
  known.peer_instance = hello.instance;
  if (known.confirmed && hello.epoch == known.epoch) {
    for (StreamRecord& ours : known.streams) {
      for (const StreamRecord& theirs : hello.streams) {
        if (theirs.ksid != ours.ksid) continue;
        if (ours.sender) {
          ours.seen = std::max(ours.seen, theirs.seen);
        } else {
          ours.sent = std::max(ours.sent, theirs.sent);
        }
      }
    }
  }
  ledger_->note_peer(config_.peer, known);
}

void Association::advance() {
  if (ledger_->failed()) {
    if (state_ != State::closed && state_ != State::refused) stop();
    return;
  }
  if (state_ == State::starting && ledger_->durable() >= ticket_) {
    state_ = State::offered;
    messages_.push_back(hello_bytes_);
  }
  if (state_ == State::offered && fresh_) agree();
  if (state_ == State::agreeing && ledger_->durable() >= ticket_) {
    state_ = State::confirming;
    send(Confirm{agreement_.epoch, transcript_, false});
  }
  if (state_ == State::confirming && peer_confirmed_) establish();
}

// Both hellos are there: each end makes the same epoch of them.
void Association::agree() {
  const Hello& theirs = heard_->hello;
  const bool first = config_.local < config_.peer;
  std::vector<std::uint8_t> both(first ? hello_bytes_ : heard_->bytes);
  const std::vector<std::uint8_t>& second = first ? heard_->bytes : hello_bytes_;
  both.insert(both.end(), second.begin(), second.end());
  transcript_ = sha256(both);
  agreement_ = Agreement{};
  agreement_.epoch = std::max(hello_.epoch, theirs.epoch) + 1;
  agreement_.key_index = static_cast<std::uint16_t>(agreement_.epoch);
  agreement_.longest_range = std::min(hello_.longest_range, theirs.longest_range);
  agreement_.peer_window = theirs.window;
  agreement_.peer_connections = theirs.connections;
  const std::size_t workers = std::min(hello_.connections.size(), theirs.connections.size());
  agreement_.peer_connections.resize(workers);
  PeerRecord entered = record();
  entered.epoch = agreement_.epoch;
  entered.streams.clear();
  for (std::size_t i = 0; i < 4 * workers; ++i) {
    StreamRecord stream;
    stream.sender = i % 4 < 2;
    stream.kind = i % 2 == 0 ? StreamKind::pads : StreamKind::tag_keys;
    stream.worker = static_cast<std::uint16_t>(i / 4);
    stream.ksid = make_ksid(transcript_, agreement_.epoch, stream.sender ? config_.local : config_.peer,
                            stream.kind, stream.worker);
    entered.streams.push_back(stream);
  }
  agreement_.streams = entered.streams;
  const Result<LedgerTicket> ticket = ledger_->enter_epoch(config_.peer, std::move(entered));
  if (!ticket.ok()) {  // the ledger is full: nothing was agreed on
    ++dropped_;
    stop();
    return;
  }
  ticket_ = ticket.value();
  peer_confirmed_ = false;
  state_ = State::agreeing;
}

void Association::on_confirm(const Confirm& confirm, const Contribution& contribution) {
  const bool entered =
      state_ == State::agreeing || state_ == State::confirming || state_ == State::established;
  if (entered && confirm.epoch == agreement_.epoch && confirm.transcript == transcript_) {
    if (state_ == State::established) {
      if (confirm.again) send(Confirm{agreement_.epoch, transcript_, false});
      return;
    }
    peer_confirmed_ = true;
    advance();
    return;
  }
  ++dropped_;
  // Each entered an epoch, and not the same one: a hello was lost. One of the two begins again.
  if (state_ == State::confirming && config_.local > config_.peer) {
    send(Confirm{agreement_.epoch, transcript_, false});
  } else if (state_ == State::confirming ||
             (state_ == State::established && confirm.epoch >= agreement_.epoch)) {
    stop();
    begin(contribution, Digest{});
  }
}

void Association::establish() {
  PeerRecord known = record();
  known.peer_epoch = agreement_.epoch;
  known.confirmed = true;
  ledger_->note_peer(config_.peer, known);
  state_ = State::established;
  events_.push_back(AssociationEvent::established);
}

void Association::on_refused(const Refused& refused) {
  // The peer thinks worse of itself than of this node: it will not associate, but there is nothing to do
  // here.
  const bool of_us = refused.reason != Refusal::i_rolled_back && refused.reason != Refusal::i_am_cloned;
  if (state_ == State::refused) return;
  stop();
  state_ = State::refused;
  events_.push_back(of_us ? AssociationEvent::refused_by_peer : AssociationEvent::peer_rolled_back);
}

void Association::retry() {
  if (state_ == State::offered) {
    messages_.push_back(hello_bytes_);
    if (messages_.size() > messages_max) messages_.pop_front();
  } else if (state_ == State::confirming) {
    // Not the hello: it states the epoch before, and a peer that has restarted would call that a rollback.
    send(Confirm{agreement_.epoch, transcript_, true});
  }
}

}  // namespace ssn::protocol
