// SPDX-License-Identifier: BSD-3-Clause
// Packets from the network: any bytes, and true packets with any bytes changed. Whatever was not sealed as it
// is must be dropped, leave accounts and windows as they were, and end no epoch. Payload readers take any
// bytes, and what they accept is what they would write.
#include <algorithm>
#include <cstring>
#include <memory>

#include "fuzz_input.h"
#include "packet_ends.h"
#include "ssn/protocol/requests.h"

namespace {

namespace protocol = ssn::protocol;
using protocol::OpenResult;
using ssn::test::Bytes;
using ssn::test::FuzzInput;
using ssn::test::PacketEnds;
using ssn::test::require;

void read_payloads(const Bytes& payload) {
  Bytes written(protocol::max_acknowledgement_bytes);
  protocol::Acknowledgement acknowledgement;
  if (protocol::read_acknowledgement(payload, acknowledgement)) {
    written.resize(protocol::write_acknowledgement(acknowledgement, written.data()));
    require(written == payload, "an acknowledgement has two forms");
  }
  if (const auto order = protocol::read_keep_order(payload)) {
    require(order->bytes() >= 64 && order->bytes() <= protocol::max_order_bytes, "a keep order has no size");
    protocol::write_order(*order, written.data());
    require(std::memcmp(written.data(), payload.data(), protocol::keep_order_fields) == 0,
            "a keep order has two forms");
  }
  if (const auto order = protocol::read_mask_order(payload)) {
    protocol::write_order(*order, written.data());
    require(std::memcmp(written.data(), payload.data(), protocol::mask_order_fields) == 0,
            "a mask order has two forms");
  }
  if (const auto answer = protocol::read_pad_gone(payload)) {
    protocol::write_pad_gone(*answer, written.data());
    require(std::memcmp(written.data(), payload.data(), payload.size()) == 0, "an answer has two forms");
  }
}

void require_same(const Bytes& payload, const Bytes& written, std::size_t length) {
  require(payload.size() == length && std::equal(payload.begin(), payload.end(), written.begin()),
          "a message has two forms");
}

void read_messages(const Bytes& payload) {
  Bytes written(protocol::max_seal_order_bytes);
  if (const auto request = protocol::read_read_request(payload)) {
    protocol::write_read_request(*request, written.data());
    require_same(payload, written, protocol::read_request_bytes);
  }
  if (const auto order = protocol::read_delete_order(payload)) {
    protocol::write_delete_order(*order, written.data());
    require_same(payload, written, protocol::delete_order_bytes);
  }
  const std::uint32_t first =
      payload.size() < 28 ? 0 : protocol::load_big<std::uint32_t>(payload.data() + 24);
  protocol::SealOrder seal;
  if (protocol::read_seal_order(payload, first, seal)) {
    require_same(payload, written, protocol::write_seal_order(seal, written.data()));
  }
  if (const auto answer = protocol::read_answer(payload)) {
    protocol::write_answer(*answer, written.data());
    require_same(payload, written, protocol::answer_bytes);
  }
  if (const auto ping = protocol::read_ping(payload)) {
    protocol::write_ping(*ping, written.data());
    require_same(payload, written, protocol::ping_bytes);
  }
  if (const auto challenge = protocol::read_challenge(payload)) {
    protocol::write_challenge(*challenge, written.data());
    require_same(payload, written, protocol::challenge_bytes);
  }
}

PacketEnds& ends() {
  static const std::unique_ptr<PacketEnds> made = [] {
    ssn::test::EndsOptions options;
    options.d_ring = 1 << 16;
    options.a_ring = 1 << 14;
    options.window = 256;
    options.gcm = true;
    auto out = std::make_unique<PacketEnds>(options);
    out->deliver(1 << 16, 1 << 14);
    Bytes plain;
    require(out->open_one(out->seal_one(64, plain)) == OpenResult::opened, "the first packet was lost");
    return out;
  }();
  return *made;
}

/// A packet that was sealed once and never sent: only the changed ones arrive.
const Bytes& sealed(bool computational) {
  static const Bytes pad = [] {
    Bytes plain;
    return ends().seal_one(192, plain);
  }();
  static const Bytes cipher = [] {
    PacketEnds& both = ends();
    both.out.prepare(0, 192, both.random);
    protocol::PacketHeader header = both.out[0].header;
    header.connection_id = both.options.connection_id;
    header.key_index = both.options.key_index;
    require(both.gcm_out->ready(ssn::test::chosen_implementation(), both.pads_out) == protocol::Take::ok &&
                both.gcm_out->seal(header, both.out[0].packet(), both.out.plaintext(0), 192),
            "the cipher did not seal");
    return both.out.packet(0);
  }();
  return computational ? cipher : pad;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  const unsigned kind = input.byte() % 4;
  if (kind == 0) {
    const Bytes payload = input.bytes(std::min<std::size_t>(input.left(), 4096));
    read_payloads(payload);
    read_messages(payload);
    return 0;
  }
  Bytes packet;
  bool changed = true;
  if (kind == 1) {
    packet = input.bytes(std::min<std::size_t>(input.left(), 20000));
  } else {
    const Bytes& original = sealed(kind == 3);
    packet = original;
    while (!input.empty()) {
      std::uint8_t& byte = packet[input.below(static_cast<unsigned>(packet.size()))];
      byte = static_cast<std::uint8_t>(byte ^ input.byte());
      if (input.byte() == 255) packet.resize(1 + input.below(static_cast<unsigned>(packet.size())));
    }
    changed = packet != original;
  }
  if (!changed || packet.size() > 16448) return 0;
  PacketEnds& both = ends();
  const std::uint64_t used = both.pads_in.account().used + both.tags_in.account().used;
  const OpenResult result = both.open_one(packet);
  require(result == OpenResult::dropped, "a packet that nobody sealed was opened");
  require(both.in[0].reason != protocol::DropReason::none, "a drop has no reason");
  require(used == both.pads_in.account().used + both.tags_in.account().used, "a forgery used keys");
  require(!both.receive.ended && both.balanced(), "a forgery changed something");
  return 0;
}
