// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/connection.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "ring_size.h"

namespace ssn::dataplane {
namespace {

Outcome make_locked(hw::SecretBuffer& buffer, std::size_t bytes) {
  Result<hw::SecretBuffer> made = hw::SecretBuffer::make(bytes, hw::SecretBuffer::Locking::required);
  if (!made.ok()) {
    return made.error();
  }
  buffer = std::move(made.value());
  return done;
}

StreamReport report_of(const protocol::StreamEnd& end, const hw::KeyStream& stream) noexcept {
  StreamReport report;
  report.account = end.account();
  report.statistics = stream.statistics();
  report.available = end.ended() ? 0 : stream.available();
  report.health = stream.health();
  return report;
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(hw::KeyDevice& device, ConnectionTerms terms,
                                                     const ConnectionLimits& limits,
                                                     const kernels::Implementation& implementation,
                                                     std::shared_ptr<RandomStream> random) {
  std::unique_ptr<Connection> connection(new Connection(std::move(terms)));
  if (Outcome opened = connection->open_streams(device, limits); !opened.ok()) {
    return opened.error();
  }
  if (Outcome made = connection->make_ends(limits, implementation); !made.ok()) {
    return made.error();
  }
  if (Outcome made = connection->make_computational(); !made.ok()) {
    return made.error();
  }
  connection->random_ = std::move(random);
  connection->weigh(device.info().protection);
  return connection;
}

Outcome Connection::open_streams(hw::KeyDevice& device, const ConnectionLimits& limits) {
  const ssn_key_device_info info = device.info();
  for (std::size_t i = 0; i < connection_streams; ++i) {
    const bool pads = i == pads_out || i == pads_in;
    const std::uint64_t bytes = ring_size(pads ? limits.pad_ring_bytes : limits.tag_ring(), info);
    if (i == tag_keys_in && bytes < std::uint64_t{limits.window} * 2 * protocol::mask_bytes) {
      return Error{Exit::usage, "cannot open key streams with " + peer(),
                   "a ring of " + std::to_string(bytes) + " bytes holds too few tag keys for a window of " +
                       std::to_string(limits.window) + " packets",
                   device.driver_file(), "choose a smaller window, or a key device with larger rings"};
    }
    Result<hw::KeyStream> stream =
        device.open_stream(i < pads_in ? SSN_KEY_SENDER : SSN_KEY_RECEIVER, terms_.ksids[i], peer(), bytes,
                           {.pages = limits.pages});
    if (!stream.ok()) {
      return stream.error();
    }
    streams_[i] = std::move(stream.value());
  }
  return done;
}

Outcome Connection::make_ends(const ConnectionLimits& limits, const kernels::Implementation& implementation) {
  for (hw::SecretBuffer* const memory : {&send_tag_memory_, &receive_tag_memory_}) {
    if (Outcome made = make_locked(*memory, protocol::TagKeys::memory_bytes); !made.ok()) {
      return made;
    }
  }
  if (Outcome made = make_locked(history_memory_, protocol::PacketHistory::memory_bytes(limits.window));
      !made.ok()) {
    return made;
  }
  send_pads_.emplace(*streams_[pads_out].get(), marks_[pads_out]);
  send_tags_.emplace(*streams_[tag_keys_out].get(), marks_[tag_keys_out], implementation, send_tag_memory_);
  receive_pads_.emplace(*streams_[pads_in].get(), marks_[pads_in]);
  receive_tags_.emplace(*streams_[tag_keys_in].get(), marks_[tag_keys_in], implementation,
                        receive_tag_memory_, limits.window);
  history_.emplace(limits.window, streams_[pads_in].ring_bytes(), history_memory_);
  send_.connection_id = terms_.peer_id;
  send_.key_index = terms_.key_index;
  send_.policy = terms_.shortage;
  send_.pads = &*send_pads_;
  send_.tags = &*send_tags_;
  receive_.key_index = terms_.key_index;
  receive_.pads = &*receive_pads_;
  receive_.tags = &*receive_tags_;
  receive_.history = &*history_;
  receive_connection_.id = terms_.local_id;
  receive_connection_.keys[0] = &receive_;
  return done;
}

Outcome Connection::make_computational() {
  if (terms_.shortage == protocol::ShortagePolicy::aes_256_gcm) {
    Result<std::unique_ptr<protocol::GcmSender>> sender = protocol::GcmSender::make();
    if (!sender.ok()) {
      return sender.error();
    }
    gcm_sender_ = std::move(sender.value());
    send_.gcm = gcm_sender_.get();
  }
  if (terms_.permit_computational || terms_.shortage == protocol::ShortagePolicy::aes_256_gcm) {
    Result<std::unique_ptr<protocol::GcmReceiver>> receiver = protocol::GcmReceiver::make();
    if (!receiver.ok()) {
      return receiver.error();
    }
    gcm_receiver_ = std::move(receiver.value());
    receive_.gcm = gcm_receiver_.get();
  }
  return done;
}

Connection::~Connection() = default;

// The first failure counts.
void Connection::fail(ConnectionFailure failure) noexcept {
  if (failure_.load(std::memory_order_relaxed) == ConnectionFailure::none) {
    failure_.store(failure, std::memory_order_release);
  }
}

void Connection::service(std::uint64_t now_ns) noexcept {
  if (receive_.ended) {
    alarm_.store(receive_.alarm, std::memory_order_release);
    fail(ConnectionFailure::alarm);
  }
  const bool sends = send_pads_->poll() != SSN_FAILED && send_tags_->poll() != SSN_FAILED;
  const bool receives = receive_pads_->poll() != SSN_FAILED && receive_tags_->poll() != SSN_FAILED;
  if (!sends) fail(ConnectionFailure::send_stream);
  if (!receives) fail(ConnectionFailure::receive_stream);
  if (!receive_.ended) {
    catch_up_.advance(*receive_pads_, *receive_tags_, peer_pads_.load(std::memory_order_relaxed),
                      peer_tag_keys_.load(std::memory_order_relaxed), now_ns);
  }
  send_pads_->give_back();
  send_tags_->give_back();
  receive_pads_->give_back();
  receive_tags_->give_back();
  if (random_) {
    random_->service();
    if (random_->failed()) fail(ConnectionFailure::random_stream);
  }
  if (published_.count() == 0 || now_ns - published_ns_ >= snapshot_ns) {
    published_ns_ = now_ns;
    publish();
  }
}

// Not of the random stream, which the worker may be using for other connections.
ConnectionSnapshot Connection::numbers() const noexcept {
  ConnectionSnapshot numbers;
  numbers.streams[pads_out] = report_of(*send_pads_, streams_[pads_out]);
  numbers.streams[tag_keys_out] = report_of(*send_tags_, streams_[tag_keys_out]);
  numbers.streams[pads_in] = report_of(*receive_pads_, streams_[pads_in]);
  numbers.streams[tag_keys_in] = report_of(*receive_tags_, streams_[tag_keys_in]);
  numbers.sent_next = send_tags_->next();
  numbers.received_next = receive_tags_->seen();
  numbers.skips = catch_up_.skips();
  return numbers;
}

void Connection::publish() noexcept {
  ConnectionSnapshot all = numbers();
  if (random_) all.random = random_->report();
  published_.publish(all);
}

void Connection::let_go() noexcept { let_go_.store(true, std::memory_order_release); }

ConnectionSnapshot Connection::close() noexcept {
  send_pads_->end();
  send_tags_->end();
  receive_pads_->end();
  receive_tags_->end();
  history_->erase();
  if (gcm_sender_) gcm_sender_->end();
  if (gcm_receiver_) gcm_receiver_->end();
  return numbers();
}

}  // namespace ssn::dataplane
