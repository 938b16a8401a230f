// SPDX-License-Identifier: BSD-3-Clause
// What the device's thread asks its key manager, and what it makes of the answers.
#include <algorithm>
#include <cassert>

#include "device.h"

namespace ssn::hw::etsi014 {
namespace {

constexpr Time idle_tick_least = 2;

}  // namespace

Stream* Device::find(std::uint64_t id) noexcept {
  const auto found =
      std::find_if(streams_.begin(), streams_.end(), [id](const auto& stream) { return stream->id == id; });
  return found == streams_.end() ? nullptr : found->get();
}

std::string Device::path_of(const std::string& peer, const char* verb) const {
  return settings_.path + "/api/v1/keys/" + percent_encoded(peer) + "/" + verb;
}

void Device::set_health(Stream& stream, ssn_key_health health) {
  if (health == SSN_KEY_HEALTH_STARVED) {
    stream.delivery.count_starved();
  } else if (health == SSN_KEY_HEALTH_STALLED) {
    stream.delivery.count_stalled();
  }
  stream.delivery.set_health(health);
}

std::size_t Device::outstanding(const Peer& peer) const {
  std::size_t count = 0;
  for (const auto& stream : streams_) {
    count += stream->peer == &peer && stream->sender != nullptr ? stream->sender->outstanding() : 0;
  }
  return count;
}

void Device::tick(Time now) {
  for (const auto& stream : streams_) {
    if (stream->sender == nullptr) {
      continue;
    }
    stream->sender->tick(now, outbox_);
    if (stream->sender->peer_silent(now) && stream->delivery.health() != SSN_KEY_HEALTH_STALLED) {
      set_health(*stream, SSN_KEY_HEALTH_STALLED);
      last_failure_ = "peer " + stream->peer->name + " does not answer";
    }
  }
}

// ---- Requests -------------------------------------------------------------------------------------------

// Gives each idle connection something to do; streams take turns.
void Device::schedule(Time now) {
  if (now < not_before_ || streams_.empty()) {
    return;
  }
  for (Slot& slot : slots_) {
    if (!slot.connection->idle()) {
      continue;
    }
    for (std::size_t tried = 0; tried < streams_.size(); ++tried) {
      turn_ = (turn_ + 1) % streams_.size();
      if (schedule_stream(*streams_[turn_], slot, now)) {
        break;
      }
    }
  }
}

bool Device::schedule_stream(Stream& stream, Slot& slot, Time now) {
  const bool over = stream.sender != nullptr ? stream.sender->failed() : stream.receiver->failed();
  if (over) {
    return false;
  }
  if (!stream.peer->status_under_way && now >= stream.peer->status_due) {
    return schedule_status(*stream.peer, slot, now);
  }
  if (!stream.peer->status.has_value()) {
    return false;  // its limits, and whether it is an emulator, are not known yet
  }
  return stream.sender != nullptr ? schedule_enc(stream, slot, now) : schedule_dec(stream, slot, now);
}

void Device::start(Slot& slot, Job job, Request request, Body body, Time now) {
  slot.job = std::move(job);
  slot.connection->start(request, std::move(body), now);
}

bool Device::schedule_status(Peer& peer, Slot& slot, Time now) {
  peer.status_under_way = true;
  start(slot, {Job::Kind::status, peer.name, 0}, {"GET", path_of(peer.name, "status"), ""},
        exchange_pool_.take(), now);
  return true;
}

bool Device::schedule_enc(Stream& stream, Slot& slot, Time now) {
  Peer& peer = *stream.peer;
  const std::uint64_t room = stream.sender->wanted();
  if (room == 0 || now < peer.enc_not_before || peer.pool->empty() || outstanding(peer) >= peer.window) {
    return false;
  }
  const KmeStatus& status = *peer.status;
  const std::uint64_t block = std::min<std::uint64_t>(room, settings_.request_bytes);
  if (peer.available_bits / 8 < block) {
    peer.status_due = std::min(peer.status_due, peer.status_at + peer.low_wait);
  }
  if (peer.available_bits < std::max<std::uint64_t>(status.key_size, 1)) {
    // It says that it has nothing. Some always do: one key is tried, after a pause.
    peer.probe_armed = !peer.probe_armed;
    if (peer.probe_armed) {
      set_health(stream, SSN_KEY_HEALTH_STARVED);
      peer.enc_not_before = now + peer.enc_retry.failed(jitter_);
      return false;
    }
  }
  const std::optional<KeyPlan> plan = plan_keys(status, settings_, room, peer.available_bits, peer.caution);
  if (!plan.has_value()) {
    return false;
  }
  stream.sender->request_begun(*plan);
  idle_tick_ = idle_tick_least;
  std::string json =
      key_request_json(plan->number, plan->size, settings_.extension_mandatory, settings_.extension_optional);
  start(slot, {Job::Kind::enc_keys, peer.name, stream.id},
        {"POST", path_of(peer.name, "enc_keys"), std::move(json)}, peer.pool->take(), now);
  return true;
}

bool Device::schedule_dec(Stream& stream, Slot& slot, Time now) {
  const std::vector<KeyId> ids =
      stream.receiver->wanted(now, stream.peer->status->max_key_per_request, seen_, outbox_);
  if (ids.empty()) {
    return false;
  }
  stream.receiver->request_begun();
  idle_tick_ = idle_tick_least;
  start(slot, {Job::Kind::dec_keys, stream.peer->name, stream.id},
        {"POST", path_of(stream.peer->name, "dec_keys"), key_ids_json(ids)}, exchange_pool_.take(), now);
  return true;
}

// ---- Answers --------------------------------------------------------------------------------------------

void Device::finish(const Job& job, Exchange exchange, Time now) {
  const bool got_through =
      exchange.outcome == Exchange::Outcome::answered || exchange.outcome == Exchange::Outcome::malformed;
  if (got_through) {
    unreachable_.succeeded();
  } else if (!exchange.before_answer) {
    unreachable(exchange, now);
  }
  if (exchange.outcome != Exchange::Outcome::answered || exchange.status != 200) {
    job_failed(job, exchange, now);
    return;
  }
  switch (job.kind) {
    case Job::Kind::status:
      finish_status(job, exchange, now);
      break;
    case Job::Kind::enc_keys:
      finish_enc(job, exchange, now);
      break;
    case Job::Kind::dec_keys:
      finish_dec(job, exchange, now);
      break;
  }
}

// The key manager as a whole: nothing is asked of it for a while.
void Device::unreachable(const Exchange& exchange, Time now) {
  not_before_ = std::max(not_before_, now + unreachable_.failed(jitter_));
  last_failure_ = exchange.why;
  for (const auto& stream : streams_) {
    set_health(*stream, SSN_KEY_HEALTH_STALLED);
  }
}

// One request that gave nothing. What the key manager says by 503 is that it has no keys at present.
void Device::job_failed(const Job& job, Exchange& exchange, Time now) {
  const bool answered = exchange.outcome == Exchange::Outcome::answered;
  const bool heard = answered || exchange.outcome == Exchange::Outcome::malformed;
  if (heard) {
    const std::string message = answered ? json_.error_message(exchange.body) : exchange.why;
    last_failure_ = answered ? "HTTP " + std::to_string(exchange.status) : "";
    last_failure_ += (answered && !message.empty() ? ": " : "") + message;
  }
  const bool no_keys = answered && exchange.status == 503;
  Stream* const stream = find(job.stream);
  Peer& peer = *find_peer(job.peer);
  if (job.kind == Job::Kind::enc_keys) {
    peer.pool->give_back(std::move(exchange.body));
  } else {
    exchange_pool_.give_back(std::move(exchange.body));
  }
  if (stream != nullptr && heard) {
    set_health(*stream,
               no_keys || job.kind == Job::Kind::dec_keys ? SSN_KEY_HEALTH_STARVED : SSN_KEY_HEALTH_STALLED);
  }
  if (job.kind == Job::Kind::status) {
    peer.status_under_way = false;
    peer.status_due = now + (exchange.before_answer ? 0 : peer.status_retry.failed(jitter_));
    for (const auto& entry : streams_) {
      if (entry->peer == &peer && heard) {
        set_health(*entry, no_keys ? SSN_KEY_HEALTH_STARVED : SSN_KEY_HEALTH_STALLED);
      }
    }
  } else if (job.kind == Job::Kind::enc_keys) {
    if (heard) {
      peer.raise_caution();
      peer.enc_not_before = now + peer.enc_retry.failed(jitter_);
    }
    if (stream != nullptr) {
      stream->sender->request_failed();
    }
  } else if (stream != nullptr) {
    const bool known = heard && !no_keys;
    stream->receiver->on_refusal(known ? Refusal::answered : Refusal::no_answer, seen_, now, outbox_);
  }
}

void Device::finish_status(const Job& job, Exchange& exchange, Time now) {
  Result<KmeStatus> status = json_.status(exchange.body);
  if (!status.ok()) {
    exchange.outcome = Exchange::Outcome::malformed;
    exchange.why = status.error().why;
    job_failed(job, exchange, now);
    return;
  }
  exchange_pool_.give_back(std::move(exchange.body));
  Peer& peer = *find_peer(job.peer);
  peer.status_under_way = false;
  emulator_ = emulator_ || status.value().emulator;
  status_seen_ = true;
  kme_ = status.value().source_kme;
  peer.status_received(std::move(status.value()), now, settings_.status_interval, settings_.request_bytes);
  for (const auto& stream : streams_) {
    if (stream->peer == &peer) {
      stream->delivery.set_level(peer.available_bits == UINT64_MAX ? UINT64_MAX : peer.available_bits / 8);
    }
  }
}

void Device::finish_enc(const Job& job, Exchange& exchange, Time now) {
  Result<KeyContainer> container = json_.keys(exchange.body);
  Stream* const stream = find(job.stream);
  if (!container.ok() || stream == nullptr) {
    exchange.outcome = Exchange::Outcome::malformed;
    exchange.why = container.ok() ? "the stream was closed meanwhile" : container.error().why;
    job_failed(job, exchange, now);
    return;
  }
  Peer& peer = *stream->peer;
  emulator_ = emulator_ || container.value().emulator;
  std::uint64_t bytes = 0;
  for (const DeliveredKey& key : container.value().keys) {
    bytes += key.bytes;
  }
  peer.drew(bytes);
  if (stream->sender->deliver(std::move(container.value()), std::move(exchange.body), seen_, now) == 0) {
    last_failure_ = "the key manager gave no usable key";
    peer.raise_caution();
    peer.enc_not_before = now + peer.enc_retry.failed(jitter_);
    set_health(*stream, SSN_KEY_HEALTH_STARVED);
  }
}

void Device::finish_dec(const Job& job, Exchange& exchange, Time now) {
  Result<KeyContainer> container = json_.keys(exchange.body);
  Stream* const stream = find(job.stream);
  if (!container.ok() || stream == nullptr) {
    exchange.outcome = Exchange::Outcome::malformed;
    exchange.why = container.ok() ? "the stream was closed meanwhile" : container.error().why;
    job_failed(job, exchange, now);
    return;
  }
  emulator_ = emulator_ || container.value().emulator;
  stream->receiver->on_keys(container.value(), exchange.body, seen_, now, outbox_);
  exchange_pool_.give_back(std::move(exchange.body));
}

}  // namespace ssn::hw::etsi014
