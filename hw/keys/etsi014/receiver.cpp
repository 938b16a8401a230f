// SPDX-License-Identifier: BSD-3-Clause
#include "receiver.h"

#include <algorithm>
#include <cassert>

namespace ssn::hw::etsi014 {
namespace {

// Failed requests that one batch may cost before what is left of it is dropped.
constexpr unsigned max_refusals = 32;
// How much longer than for a key that is not there a key manager is waited for that does not answer.
constexpr Time patience = 15;

}  // namespace

void Receiver::reply(std::uint64_t sequence, Answer answer, Outbox& outbox) {
  outbox.push_back({peer_, encode({ksid_, instance_, sequence, std::move(answer)})});
}

void Receiver::fail(End::Reason reason, std::uint64_t instance, Outbox& outbox) {
  failed_ = true;
  work_.reset();
  pending_.clear();
  delivery_.set_health(SSN_KEY_HEALTH_FAILED);
  if (instance != 0) {
    outbox.push_back({peer_, encode({ksid_, instance, 0, End{reason}})});
  }
}

void Receiver::close(Outbox& outbox) {
  if (!failed_) {
    fail(End::Reason::closed, instance_, outbox);
  }
}

void Receiver::on_message(const PeerMessage& message, KeyIdMemory& seen, Time now, Outbox& outbox) {
  if (std::holds_alternative<Announcement>(message.content)) {
    if (instance_ == 0) {
      instance_ = message.instance;
    }
    if (message.instance != instance_ || failed_) {
      const End::Reason reason = failed_ ? End::Reason::closed : End::Reason::other_instance;
      outbox.push_back({peer_, encode({ksid_, message.instance, 0, End{reason}})});
      return;
    }
    on_announcement(message, seen, now, outbox);
  } else if (std::holds_alternative<End>(message.content) && !failed_ && message.instance == instance_) {
    fail(End::Reason::closed, 0, outbox);
  }
}

void Receiver::on_announcement(const PeerMessage& message, KeyIdMemory& seen, Time now, Outbox& outbox) {
  const Announcement& announcement = std::get<Announcement>(message.content);
  const std::uint64_t sequence = message.sequence;
  const Announcement* known = nullptr;
  const Bytes* answer = nullptr;
  if (sequence < next_sequence_) {
    const std::uint64_t back = next_sequence_ - sequence;
    if (back > answers_.size()) {
      return;  // answered long ago: a late copy
    }
    const auto& kept = answers_[answers_.size() - static_cast<std::size_t>(back)];
    known = &kept.first;
    answer = &kept.second;
  } else if (work_.has_value() && work_->sequence == sequence) {
    known = &work_->announcement;
  } else if (const auto found = pending_.find(sequence); found != pending_.end()) {
    known = &found->second;
  } else if (sequence - next_sequence_ >= window) {
    return;
  }
  if (known != nullptr && *known != announcement) {
    fail(End::Reason::disagreement, instance_, outbox);
    return;
  }
  if (answer != nullptr) {
    outbox.push_back({peer_, *answer});
    return;
  }
  if (known == nullptr) {
    pending_.emplace(sequence, announcement);
    start_next(seen, outbox);
    if (work_.has_value() && work_->sequence == sequence) {
      work_->retry_at = now;
    }
    return;  // the answer follows, the sender need not hear before it repeats
  }
  reply(sequence, {false, 0, std::vector<bool>(announcement.keys.size())}, outbox);
}

// Begins with the next batch where it is there. Keys whose ID occurred before are dropped at once.
void Receiver::start_next(KeyIdMemory& seen, Outbox& outbox) {
  while (!work_.has_value() && !failed_) {
    const auto found = pending_.find(next_sequence_);
    if (found == pending_.end()) {
      return;
    }
    work_.emplace();
    work_->sequence = found->first;
    work_->announcement = std::move(found->second);
    work_->offset = delivery_.end();
    pending_.erase(found);
    for (const Announcement::Key& key : work_->announcement.keys) {
      work_->keys.push_back(seen.fresh(key.id) ? KeyState::open : KeyState::missing);
    }
    if (!settled()) {
      return;
    }
    finish_if_settled(seen, outbox);
  }
}

bool Receiver::settled() const noexcept {
  return std::find(work_->keys.begin(), work_->keys.end(), KeyState::open) == work_->keys.end();
}

void Receiver::finish_if_settled(KeyIdMemory& seen, Outbox& outbox) {
  if (!work_.has_value() || !settled()) {
    return;
  }
  Answer answer{true, work_->offset, {}};
  for (const KeyState state : work_->keys) {
    answer.got.push_back(state == KeyState::got);
  }
  reply(work_->sequence, std::move(answer), outbox);
  answers_.emplace_back(std::move(work_->announcement), outbox.back().bytes);
  if (answers_.size() > answers_kept) {
    answers_.pop_front();
  }
  work_.reset();
  ++next_sequence_;
  start_next(seen, outbox);
}

std::vector<KeyId> Receiver::wanted(Time now, std::uint64_t max_per_request, KeyIdMemory& seen,
                                    Outbox& outbox) {
  std::vector<KeyId> ids;
  full_ = false;
  if (failed_ || requesting_ || !work_.has_value() || now < work_->retry_at) {
    return ids;
  }
  const std::uint64_t room = delivery_.room();
  const std::size_t most = std::min({work_->most, settings_.keys_per_request,
                                     static_cast<std::size_t>(std::max<std::uint64_t>(max_per_request, 1))});
  std::uint64_t bytes = 0;
  work_->group.clear();
  for (std::size_t i = 0; i < work_->keys.size() && ids.size() < most; ++i) {
    if (work_->keys[i] != KeyState::open) {
      continue;
    }
    const Announcement::Key& key = work_->announcement.keys[i];
    if (key.bytes > settings_.request_bytes || key.bytes > delivery_.ring_bytes()) {
      work_->keys[i] = KeyState::missing;  // never fits here
      continue;
    }
    if (bytes + key.bytes > settings_.request_bytes || bytes + key.bytes > room) {
      full_ = ids.empty();
      break;
    }
    bytes += key.bytes;
    ids.push_back(key.id);
    work_->group.push_back(i);
  }
  if (ids.empty()) {
    finish_if_settled(seen, outbox);
  }
  return ids;
}

// Lays out one key. False where it is not there exactly once, with the announced size, in valid base64.
bool Receiver::take(const Announcement::Key& key, const KeyContainer& container, const Body& body) noexcept {
  const DeliveredKey* found = nullptr;
  for (const DeliveredKey& delivered : container.keys) {
    if (delivered.id.text == key.id.text) {
      if (found != nullptr) {
        return false;
      }
      found = &delivered;
    }
  }
  return found != nullptr && found->bytes == key.bytes &&
         delivery_.append(body.data() + found->begin, found->length, found->bytes);
}

void Receiver::on_keys(const KeyContainer& container, const Body& body, KeyIdMemory& seen, Time now,
                       Outbox& outbox) {
  requesting_ = false;
  if (failed_ || !work_.has_value()) {
    return;
  }
  for (const std::size_t index : work_->group) {
    const bool got = take(work_->announcement.keys[index], container, body);
    work_->keys[index] = got ? KeyState::got : KeyState::missing;
  }
  work_->group.clear();
  work_->most = std::min(work_->most * 2, max_keys_per_batch);
  work_->give_up_at = never;
  work_->retry_at = now;
  work_->wait.succeeded();
  if (delivery_.publish(now)) {
    delivery_.set_health(SSN_KEY_HEALTH_OK);
  }
  finish_if_settled(seen, outbox);
}

void Receiver::drop_rest() noexcept {
  std::replace(work_->keys.begin(), work_->keys.end(), KeyState::open, KeyState::missing);
}

void Receiver::on_refusal(Refusal refusal, KeyIdMemory& seen, Time now, Outbox& outbox) {
  requesting_ = false;
  if (failed_ || !work_.has_value() || work_->group.empty()) {
    return;
  }
  delivery_.count_asked_again();
  const std::vector<std::size_t> group = std::move(work_->group);
  work_->group.clear();
  work_->split_at = std::min(work_->split_at, now + settings_.key_wait);
  work_->give_up_at = std::min(work_->give_up_at, now + patience * std::max<Time>(settings_.key_wait, 1000));
  work_->retry_at = now + work_->wait.failed(jitter_);
  if (now >= work_->give_up_at) {
    drop_rest();
  } else if (refusal == Refusal::answered && now >= work_->split_at) {
    // One unknown ID fails a whole request: look for it with ever smaller ones.
    ++work_->refusals;
    work_->retry_at = now;
    if (work_->refusals >= max_refusals) {
      drop_rest();
    } else if (group.size() == 1) {
      work_->keys[group.front()] = KeyState::missing;
    } else {
      work_->most = group.size() / 2;
    }
  }
  finish_if_settled(seen, outbox);
}

Time Receiver::next_timer() const noexcept {
  return work_.has_value() && !requesting_ && !full_ ? work_->retry_at : never;
}

}  // namespace ssn::hw::etsi014
