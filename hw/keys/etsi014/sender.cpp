// SPDX-License-Identifier: BSD-3-Clause
#include "sender.h"

#include <algorithm>
#include <cassert>
#include <map>

namespace ssn::hw::etsi014 {

std::optional<KeyPlan> plan_keys(const KmeStatus& status, const Settings& settings, std::uint64_t room,
                                 std::uint64_t available_bits, unsigned caution) {
  const std::uint64_t limit = std::min<std::uint64_t>(room, settings.request_bytes);
  const std::uint64_t own_size = status.key_size / 8;
  const std::uint64_t least = status.min_key_size / 8 + (status.min_key_size % 8 != 0 ? 1 : 0);
  const std::uint64_t most = std::min<std::uint64_t>(status.max_key_size / 8, max_key_bytes);
  std::uint64_t size = std::min(most, limit);
  bool sized = caution < 2 && size != 0 && size >= least;
  if (sized && available_bits / 8 < size) {
    // Less than one key of that size: as much as there is, but not less than what is usual there.
    size = available_bits / 8;
    sized = size >= std::max(least, own_size) && size != 0;
  }
  if (!sized) {
    size = own_size;
  }
  if (size > limit || limit == 0) {
    return std::nullopt;
  }
  KeyPlan plan;
  plan.size = sized ? size * 8 : 0;
  plan.number = size == 0 ? 1 : limit / size;
  plan.number = std::min<std::uint64_t>(plan.number, settings.keys_per_request);
  plan.number = std::min(plan.number, std::max<std::uint64_t>(status.max_key_per_request, 1));
  if (size != 0) {
    plan.number = std::min(plan.number, available_bits / 8 / size);
  }
  plan.number = std::max<std::uint64_t>(plan.number >> std::min(caution, 16U), 1);
  plan.bytes = size == 0 ? limit : plan.number * size;
  return plan;
}

Sender::Sender(const Ksid& ksid, std::string peer, std::uint64_t instance, const Settings& settings,
               Delivery& delivery, BodyPool& pool, Jitter& jitter, Time now)
    : ksid_(ksid),
      peer_(std::move(peer)),
      instance_(instance),
      settings_(settings),
      delivery_(delivery),
      pool_(pool),
      jitter_(jitter),
      heard_at_(now) {
  add_batch({}, {}, 0, now);
}

Sender::~Sender() { drop_batches(); }

void Sender::drop_batches() noexcept {
  for (Batch& batch : batches_) {
    if (!batch.keys.empty()) {
      pool_.give_back(std::move(batch.body));
    }
  }
  batches_.clear();
  outstanding_ = 0;
}

std::uint64_t Sender::wanted() const noexcept {
  if (failed_ || !established_ || requesting_ || batches_.size() >= max_batches) {
    return 0;
  }
  const std::uint64_t capacity = std::min<std::uint64_t>(settings_.stock_bytes, delivery_.ring_bytes());
  const std::uint64_t taken = delivery_.held() + outstanding_;
  const std::uint64_t room = capacity > taken ? capacity - taken : 0;
  // In large blocks: not before there is room for one.
  return room >= std::min<std::uint64_t>(settings_.request_bytes, capacity / 4) ? room : 0;
}

void Sender::request_begun(const KeyPlan& plan) noexcept {
  assert(!requesting_);
  requesting_ = true;
  reserved_ = plan.bytes;
}

void Sender::request_failed() noexcept {
  requesting_ = false;
  reserved_ = 0;
}

void Sender::add_batch(std::vector<DeliveredKey> keys, Body body, std::uint64_t bytes, Time now) {
  Batch batch;
  batch.sequence = next_sequence_++;
  batch.bytes = bytes;
  Announcement announcement;
  for (const DeliveredKey& key : keys) {
    announcement.keys.push_back({key.id, static_cast<std::uint32_t>(key.bytes)});
  }
  batch.announcement = encode({ksid_, instance_, batch.sequence, std::move(announcement)});
  batch.keys = std::move(keys);
  batch.body = std::move(body);
  batch.resend_at = now;
  if (batches_.empty()) {
    heard_at_ = now;
  }
  outstanding_ += bytes;
  batches_.push_back(std::move(batch));
}

std::size_t Sender::deliver(KeyContainer container, Body body, KeyIdMemory& seen, Time now) {
  assert(requesting_);
  const std::uint64_t room = std::min(reserved_, delivery_.room() - outstanding_);
  request_failed();
  std::map<std::string, unsigned> occurrences;
  for (const DeliveredKey& key : container.keys) {
    ++occurrences[key.id.text];
  }
  std::vector<DeliveredKey> keys;
  std::uint64_t bytes = 0;
  for (DeliveredKey& key : container.keys) {
    const bool fresh = seen.fresh(key.id);
    if (fresh && occurrences[key.id.text] == 1 && key.bytes <= room - bytes) {
      bytes += key.bytes;
      keys.push_back(std::move(key));
    }
  }
  const std::size_t usable = keys.size();
  if (usable == 0 || failed_) {
    pool_.give_back(std::move(body));
    return usable;
  }
  add_batch(std::move(keys), std::move(body), bytes, now);
  return usable;
}

void Sender::send_end(End::Reason reason, Outbox& outbox) {
  outbox.push_back({peer_, encode({ksid_, instance_, 0, End{reason}})});
}

void Sender::fail(End::Reason reason, Outbox& outbox) {
  failed_ = true;
  drop_batches();
  delivery_.set_health(SSN_KEY_HEALTH_FAILED);
  send_end(reason, outbox);
}

// Appends the keys that the receiver has. False where the ends disagree.
bool Sender::lay_out(Batch& batch, Settled& settled) {
  const Answer& answer = *batch.answer;
  if (answer.got.size() != batch.keys.size() || answer.offset != delivery_.end()) {
    return false;
  }
  std::size_t got = 0;
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    const DeliveredKey& key = batch.keys[i];
    if (answer.got[i]) {
      // The text was checked when it arrived, and there was room: nothing else takes any.
      if (!delivery_.append(batch.body.data() + key.begin, key.length, key.bytes)) {
        return false;
      }
      ++got;
    }
  }
  if (!batch.keys.empty()) {
    ++settled.batches;
    settled.lossy += got < batch.keys.size() ? 1 : 0;
    settled.empty += got == 0 ? 1 : 0;
  }
  return true;
}

Sender::Settled Sender::on_message(const PeerMessage& message, Time now, Outbox& outbox) {
  Settled settled;
  if (failed_ || message.instance != instance_ || std::holds_alternative<Announcement>(message.content)) {
    return settled;
  }
  heard_at_ = now;
  if (std::holds_alternative<End>(message.content)) {
    failed_ = true;
    drop_batches();
    delivery_.set_health(SSN_KEY_HEALTH_FAILED);
    return settled;
  }
  const auto found = std::find_if(batches_.begin(), batches_.end(), [&](const Batch& batch) {
    return batch.sequence == message.sequence && batch.sent;
  });
  if (found == batches_.end()) {
    return settled;  // answered before, or never asked
  }
  const Answer& answer = std::get<Answer>(message.content);
  if (!answer.done) {
    found->resend_at = now + jitter_.spread(1000);
    return settled;
  }
  if (!found->answer.has_value()) {
    found->answer = answer;
  }
  while (!batches_.empty() && batches_.front().answer.has_value()) {
    Batch& batch = batches_.front();
    if (!lay_out(batch, settled)) {
      fail(End::Reason::disagreement, outbox);
      break;
    }
    if (delivery_.publish(now)) {
      delivery_.set_health(SSN_KEY_HEALTH_OK);
    }
    established_ = true;
    outstanding_ -= batch.bytes;
    if (!batch.keys.empty()) {
      pool_.give_back(std::move(batch.body));
    }
    batches_.pop_front();
  }
  return settled;
}

void Sender::tick(Time now, Outbox& outbox) {
  for (Batch& batch : batches_) {
    if (!batch.answer.has_value() && now >= batch.resend_at) {
      batch.sent = true;
      batch.resend_at = now + batch.repeat.failed(jitter_);
      outbox.push_back({peer_, batch.announcement});
    }
  }
}

void Sender::close(Outbox& outbox) {
  if (!failed_) {
    fail(End::Reason::closed, outbox);
  }
}

bool Sender::peer_silent(Time now) const noexcept {
  return !failed_ && !batches_.empty() && now - heard_at_ >= settings_.peer_timeout;
}

std::size_t Sender::outstanding() const noexcept {
  std::size_t count = requesting_ ? 1 : 0;
  for (const Batch& batch : batches_) {
    count += batch.keys.empty() ? 0 : 1;
  }
  return count;
}

Time Sender::next_timer() const noexcept {
  Time next = never;
  for (const Batch& batch : batches_) {
    next = batch.answer.has_value() ? next : std::min(next, batch.resend_at);
  }
  return next;
}

}  // namespace ssn::hw::etsi014
