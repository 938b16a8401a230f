// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/session_keys.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string>
#include <utility>

#include "ssn/hw/secret_buffer.h"
#include "ssn/protocol/pad_stream.h"
#include "ssn/protocol/stream_marks.h"

namespace ssn::protocol {
namespace {

/// A key a granule: that is where a sender of D takes them.
constexpr std::size_t ring_bytes = SessionKeys::max_keys_bytes / SessionKeys::key_bytes * pad_granule;
static_assert(SessionKeys::key_bytes <= pad_granule && ring_bytes == 4096);

// Everything was delivered before the first poll, and nothing will come again.
ssn_status poll(ssn_key_stream* stream) {
  stream->health = SSN_KEY_HEALTH_FAILED;
  return SSN_FAILED;
}

void release(ssn_key_stream* stream, std::uint64_t offset) { stream->released = offset; }

void read_statistics(const ssn_key_stream* stream, ssn_key_stream_statistics* out) {
  *out = {};
  out->delivered = stream->end;
}

const ssn_key_driver& driver() {
  static const ssn_key_driver made = [] {
    ssn_key_driver out{};
    out.abi = SSN_KEY_DEVICE_ABI;
    out.name = "session";
    out.description = "keys that came over mutual TLS";
    out.poll = poll;
    out.release = release;
    out.read_statistics = read_statistics;
    return out;
  }();
  return made;
}

ssn_key_stream stream_of(ssn_key_role role, std::uint8_t* ring, std::span<const std::uint8_t> keys) {
  ssn_key_stream out{};
  out.driver = &driver();
  out.ring = ring;
  out.ring_bytes = ring_bytes;
  out.role = role;
  for (std::size_t at = 0; at < keys.size(); at += SessionKeys::key_bytes) {
    std::memcpy(ring + out.end, keys.data() + at, SessionKeys::key_bytes);
    out.end += pad_granule;
  }
  return out;
}

Error unusable(std::string why) {
  return {Exit::failed, "cannot make the keys of a session", std::move(why), "the keys that the SSA returned",
          "open the session anew; if it happens again, SSA and client are of different versions"};
}

bool is_keys(std::span<const std::uint8_t> bytes) {
  return !bytes.empty() && bytes.size() % SessionKeys::key_bytes == 0 &&
         bytes.size() <= SessionKeys::max_keys_bytes;
}

}  // namespace

struct SessionKeys::Parts {
  Parts(hw::SecretBuffer locked, const SessionKeysOptions& options, std::span<const std::uint8_t> send_keys,
        std::span<const std::uint8_t> receive_keys)
      : memory(std::move(locked)),
        out(stream_of(SSN_KEY_SENDER, memory.data(), send_keys)),
        in(stream_of(SSN_KEY_RECEIVER, memory.data() + ring_bytes, receive_keys)),
        pads_out(out, marks[0]),
        pads_in(in, marks[1]) {
    marks[0].grant(ring_bytes);  // nothing of it is used twice: it is fresh, and ends with the process
    (void)pads_out.poll();
    (void)pads_in.poll();
    send.connection_id = options.send_connection_id;
    receive.key_index = send.key_index = options.key_index;
    send.policy = ShortagePolicy::aes_256_gcm;
    send.pads = &pads_out;
    send.cipher_only = true;
    receive.pads = &pads_in;
    connection.id = options.receive_connection_id;
    connection.keys[0] = &receive;
  }

  hw::SecretBuffer memory;
  ssn_key_stream out;
  ssn_key_stream in;
  StreamMarks marks[2];
  PadSender pads_out;
  PadReceiver pads_in;
  std::unique_ptr<GcmSender> gcm_out;
  std::unique_ptr<GcmReceiver> gcm_in;
  SendKeys send;
  ReceiveKeys receive;
  ReceiveConnection connection;
};

SessionKeys::SessionKeys(std::unique_ptr<Parts> parts) noexcept : parts_(std::move(parts)) {}

SessionKeys::~SessionKeys() { end(); }

Result<std::unique_ptr<SessionKeys>> SessionKeys::make(const SessionKeysOptions& options,
                                                       std::span<const std::uint8_t> send_keys,
                                                       std::span<const std::uint8_t> receive_keys) {
  if (!is_keys(send_keys) || !is_keys(receive_keys)) {
    return unusable("they are not 1 to 64 keys of 32 bytes for each direction");
  }
  if (CRYPTO_memcmp(send_keys.data(), receive_keys.data(), key_bytes) == 0) {
    return unusable("both directions have the same key");
  }
  if (options.send_connection_id == 0 || options.receive_connection_id == 0) {
    return unusable("a connection has the id 0");
  }
  Result<hw::SecretBuffer> memory =
      hw::SecretBuffer::make(2 * ring_bytes, hw::SecretBuffer::Locking::required);
  if (!memory.ok()) return memory.error();
  Result<std::unique_ptr<GcmSender>> out = GcmSender::make(options.first_number);
  if (!out.ok()) return out.error();
  Result<std::unique_ptr<GcmReceiver>> in = GcmReceiver::make(options.window);
  if (!in.ok()) return in.error();
  auto parts = std::make_unique<Parts>(std::move(memory.value()), options, send_keys, receive_keys);
  parts->gcm_out = std::move(out.value());
  parts->gcm_in = std::move(in.value());
  parts->send.gcm = parts->gcm_out.get();
  parts->receive.gcm = parts->gcm_in.get();
  return std::unique_ptr<SessionKeys>(new SessionKeys(std::move(parts)));
}

SendKeys& SessionKeys::send() noexcept { return parts_->send; }
ReceiveKeys& SessionKeys::receive() noexcept { return parts_->receive; }
ReceiveConnection& SessionKeys::connection() noexcept { return parts_->connection; }

void SessionKeys::end() noexcept {
  parts_->receive.ended = true;
  parts_->gcm_out->end();
  parts_->gcm_in->end();
  parts_->pads_out.end();
  parts_->pads_in.end();
}

}  // namespace ssn::protocol
