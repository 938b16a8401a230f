// SPDX-License-Identifier: BSD-3-Clause
#include "key_channel.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <thread>

#include "progress.h"

namespace ssn::cli {
namespace {

// Enough that a device is rarely waited for, and small enough to be locked by an ordinary user.
constexpr std::uint64_t pad_ring_bytes = std::uint64_t{4} << 20;
constexpr std::uint64_t tag_ring_bytes = std::uint64_t{256} << 10;
constexpr std::chrono::microseconds nap{200};

std::uint64_t ring_bytes(std::uint64_t wanted, const ssn_key_device_info& info) {
  return std::bit_floor(std::clamp(wanted, std::bit_ceil(info.ring_bytes_min), info.ring_bytes_max));
}

Outcome make_locked(hw::SecretBuffer& buffer, std::size_t bytes) {
  Result<hw::SecretBuffer> made = hw::SecretBuffer::make(bytes, hw::SecretBuffer::Locking::required);
  if (!made.ok()) {
    return made.error();
  }
  buffer = std::move(made.value());
  return done;
}

bool poll_both(protocol::StreamEnd& pads, protocol::StreamEnd& tags, bool all) noexcept {
  bool well = true;
  for (protocol::StreamEnd* const end : {&pads, &tags}) {
    well &= end->poll() != SSN_FAILED;
    end->give_back(all);
  }
  return well;
}

}  // namespace

Outcome KeyChannel::open_streams(const NodeConfiguration& node, ssn_key_role role) {
  const Result<const hw::KeyDeviceConfiguration*> chosen = node.device_for(names_.peer);
  if (!chosen.ok()) {
    return chosen.error();
  }
  Result<hw::KeyDevice> device = hw::KeyDevice::open(
      {.driver = chosen.value()->driver, .local_name = node.name, .settings = chosen.value()->settings});
  if (!device.ok()) {
    return device.error();
  }
  device_ = std::move(device.value());
  info_ = device_.info();
  Result<hw::KeyStream> pads =
      device_.open_stream(role, names_.pads, names_.peer, ring_bytes(pad_ring_bytes, info_));
  if (!pads.ok()) {
    return pads.error();
  }
  pad_stream_ = std::move(pads.value());
  Result<hw::KeyStream> tag_keys =
      device_.open_stream(role, names_.tag_keys, names_.peer, ring_bytes(tag_ring_bytes, info_));
  if (!tag_keys.ok()) {
    return tag_keys.error();
  }
  tag_stream_ = std::move(tag_keys.value());
  if (Outcome outcome = make_locked(tag_memory_, protocol::TagKeys::memory_bytes); !outcome.ok()) {
    return outcome;
  }
  return make_locked(check_memory_, protocol::OneTimeCheck::memory_bytes);
}

// An epoch of its own for each file: its streams are never used again, whatever happens to this process.
Outcome KeyChannel::open_ledger(const NodeConfiguration& node, ssn_key_role role) {
  Result<ledger::FileLedger> opened =
      ledger::FileLedger::open(node.ledger, node.name, ledger::FileLedger::Create::if_missing);
  if (!opened.ok()) {
    return opened.error();
  }
  ledger_.emplace(std::move(opened.value()));
  protocol::Ledger& ledger = ledger_->ledger();
  const protocol::PeerRecord* const known = ledger.peer(names_.peer);
  if (known != nullptr && known->quarantine != protocol::Quarantine::none) {
    return Error{Exit::refused, "cannot exchange anything with " + names_.peer,
                 "it is quarantined: it was rolled back or cloned", node.ledger,
                 "find out what happened to it before its keys are trusted again"};
  }
  protocol::PeerRecord record = known != nullptr ? *known : protocol::PeerRecord{};
  ++record.epoch;
  const bool sender = role == SSN_KEY_SENDER;
  record.streams = {{.ksid = names_.pads, .kind = protocol::StreamKind::pads, .sender = sender},
                    {.ksid = names_.tag_keys, .kind = protocol::StreamKind::tag_keys, .sender = sender}};
  const Result<protocol::LedgerTicket> entered = ledger.enter_epoch(names_.peer, std::move(record));
  if (!entered.ok()) {
    return entered.error();
  }
  if (Outcome outcome = ledger_->step(); !outcome.ok()) {
    return outcome;
  }
  ledger.attach(names_.peer, 0, pad_marks_);
  ledger.attach(names_.peer, 1, tag_marks_);
  return done;
}

Outcome KeyChannel::end_epoch() {
  ledger_->ledger().end_epoch(names_.peer);
  return ledger_->step();
}

Error KeyChannel::shortage(const char* why, const char* fix) const {
  const hw::KeyStream& stream = pad_stream_.health() != SSN_KEY_HEALTH_OK ? pad_stream_ : tag_stream_;
  return {Exit::key_material, "cannot get keys with " + names_.peer,
          fmt::format("{} ({} delivered)", why, format_bytes(stream.end())), device_.driver_name(), fix};
}

Outcome KeyChannel::refill(bool progressed, std::chrono::milliseconds patience) {
  if (!poll(!progressed)) {
    return shortage("the key manager has ended the key streams",
                    "look at the key manager's log, then run the command again: it takes fresh keys");
  }
  if (Outcome outcome = ledger_->step(); !outcome.ok()) {
    return outcome;
  }
  const Clock::time_point now = Clock::now();
  if (progressed) {
    last_progress_ = now;
    return done;
  }
  if (now - last_progress_ > patience) {
    return shortage("no keys came in time",
                    "look at the stock and rate of the link, or allow more time with --wait");
  }
  std::this_thread::sleep_for(nap);
  return done;
}

Result<std::unique_ptr<SendChannel>> SendChannel::open(const NodeConfiguration& node,
                                                       const StreamNames& names, std::uint32_t connection_id,
                                                       const kernels::Implementation& implementation) {
  std::unique_ptr<SendChannel> channel(new SendChannel(names));
  if (Outcome outcome = channel->open_ledger(node, SSN_KEY_SENDER); !outcome.ok()) {
    return outcome.error();
  }
  if (Outcome outcome = channel->open_streams(node, SSN_KEY_SENDER); !outcome.ok()) {
    return outcome.error();
  }
  channel->pads_.emplace(*channel->pad_stream_.get(), channel->pad_marks_);
  channel->tags_.emplace(*channel->tag_stream_.get(), channel->tag_marks_, implementation,
                         channel->tag_memory_);
  channel->sealer_.emplace(implementation, channel->counters_, channel->check_memory_);
  channel->keys_.connection_id = connection_id;
  channel->keys_.policy = protocol::ShortagePolicy::wait;
  channel->keys_.pads = &*channel->pads_;
  channel->keys_.tags = &*channel->tags_;
  return channel;
}

bool SendChannel::poll(bool all) noexcept { return poll_both(*pads_, *tags_, all); }

std::size_t SendChannel::seal(std::span<protocol::Cell* const> cells) { return sealer_->seal(keys_, cells); }

Result<KeyAccounts> SendChannel::close() {
  pads_->end();
  tags_->end();
  if (Outcome outcome = end_epoch(); !outcome.ok()) {
    return outcome.error();
  }
  return KeyAccounts{pads_->account(), tags_->account()};
}

Result<std::unique_ptr<ReceiveChannel>> ReceiveChannel::open(const NodeConfiguration& node,
                                                             const StreamNames& names,
                                                             std::uint32_t connection_id,
                                                             const kernels::Implementation& implementation) {
  std::unique_ptr<ReceiveChannel> channel(new ReceiveChannel(names));
  if (Outcome outcome = channel->open_ledger(node, SSN_KEY_RECEIVER); !outcome.ok()) {
    return outcome.error();
  }
  if (Outcome outcome = channel->open_streams(node, SSN_KEY_RECEIVER); !outcome.ok()) {
    if (outcome.error().code == Exit::refused) {
      outcome.error().fix = "a sealed file can be opened once; have it sealed again";
    }
    return outcome.error();
  }
  if (Outcome outcome =
          make_locked(channel->history_memory_, protocol::PacketHistory::memory_bytes(window_packets));
      !outcome.ok()) {
    return outcome.error();
  }
  channel->pads_.emplace(*channel->pad_stream_.get(), channel->pad_marks_);
  channel->tags_.emplace(*channel->tag_stream_.get(), channel->tag_marks_, implementation,
                         channel->tag_memory_, window_packets);
  channel->history_.emplace(window_packets, channel->pad_stream_.ring_bytes(), channel->history_memory_);
  channel->opener_.emplace(implementation, channel->counters_, channel->table_, channel->check_memory_);
  channel->keys_.pads = &*channel->pads_;
  channel->keys_.tags = &*channel->tags_;
  channel->keys_.history = &*channel->history_;
  channel->connection_.id = connection_id;
  channel->connection_.keys[0] = &channel->keys_;
  const bool added = channel->table_.add(channel->connection_);
  assert(added);
  static_cast<void>(added);
  return channel;
}

bool ReceiveChannel::poll(bool all) noexcept { return poll_both(*pads_, *tags_, all); }

void ReceiveChannel::open_packets(std::span<protocol::Cell* const> cells) { opener_->open(cells); }

Result<KeyAccounts> ReceiveChannel::close() {
  pads_->end();
  tags_->end();
  if (Outcome outcome = end_epoch(); !outcome.ok()) {
    return outcome.error();
  }
  return KeyAccounts{pads_->account(), tags_->account()};
}

}  // namespace ssn::cli
