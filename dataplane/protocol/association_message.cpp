// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/association_message.h"

#include <cassert>

#include "bytes.h"
#include "stream_record.h"

namespace ssn::protocol {
namespace {

constexpr std::uint32_t magic = 0x53534e41;  // "SSNA"
enum MessageType : std::uint8_t { hello_type = 1, confirm_type = 2, refused_type = 3 };

void write(ByteWriter& out, const Hello& hello) {
  assert(hello.connections.size() <= workers_max && hello.streams.size() <= peer_streams_max);
  out.text(hello.from);
  out.text(hello.to);
  out.bytes(hello.instance);
  out.number(hello.incarnation, 8);
  out.number(hello.attempt, 8);
  out.bytes(hello.contribution);
  out.bytes(hello.answers);
  out.number(hello.epoch, 8);
  out.number(hello.receiver_epoch, 8);
  out.number(hello.receiver_incarnation, 8);
  out.bytes(hello.receiver_instance);
  out.number(hello.longest_range, 4);
  out.number(hello.window, 4);
  out.number(hello.connections.size(), 2);
  for (const std::uint32_t id : hello.connections) out.number(id, 4);
  write_streams(out, hello.streams);
}

void write(ByteWriter& out, const Confirm& confirm) {
  out.number(confirm.epoch, 8);
  out.bytes(confirm.transcript);
  out.number(confirm.again ? 1 : 0, 1);
}

void write(ByteWriter& out, const Refused& refused) {
  out.number(static_cast<std::uint64_t>(refused.reason), 1);
}

Error malformed(const char* why) {
  return {Exit::integrity, "cannot associate with the peer", std::string("its message is malformed: ") + why,
          "", "run the same version of Shareline at both ends"};
}

Result<AssociationMessage> read_hello(ByteReader& in) {
  Hello hello;
  hello.from = in.text();
  hello.to = in.text();
  hello.instance = in.bytes<16>();
  hello.incarnation = in.number(8);
  hello.attempt = in.number(8);
  hello.contribution = in.bytes<32>();
  hello.answers = in.bytes<32>();
  hello.epoch = in.number(8);
  hello.receiver_epoch = in.number(8);
  hello.receiver_incarnation = in.number(8);
  hello.receiver_instance = in.bytes<16>();
  hello.longest_range = static_cast<std::uint32_t>(in.number(4));
  hello.window = static_cast<std::uint32_t>(in.number(4));
  const auto connections = static_cast<std::size_t>(in.number(2));
  if (!in.ok() || connections == 0 || connections > workers_max) return malformed("its workers");
  for (std::size_t i = 0; i < connections; ++i) {
    hello.connections.push_back(static_cast<std::uint32_t>(in.number(4)));
  }
  if (!read_streams(in, hello.streams)) return malformed("its streams");
  if (in.left() != 0 || hello.from.empty() || hello.to.empty() || hello.incarnation == 0 ||
      hello.attempt == 0 || hello.epoch >= UINT64_MAX / 2) {
    return malformed("a field is out of range");
  }
  return AssociationMessage(std::move(hello));
}

}  // namespace

std::vector<std::uint8_t> encode(const AssociationMessage& message) {
  std::vector<std::uint8_t> out;
  ByteWriter writer(out);
  writer.number(magic, 4);
  writer.number(association_version, 1);
  writer.number(message.index() + 1, 1);
  std::visit([&](const auto& each) { write(writer, each); }, message);
  assert(out.size() <= association_message_max);
  return out;
}

Result<AssociationMessage> parse_association_message(std::span<const std::uint8_t> bytes) {
  ByteReader in(bytes);
  const std::uint64_t found = in.number(4);
  const std::uint64_t version = in.number(1);
  const std::uint64_t type = in.number(1);
  if (!in.ok() || found != magic || bytes.size() > association_message_max) return malformed("its head");
  if (version != association_version) {
    return Error{Exit::refused, "cannot associate with the peer",
                 "it speaks version " + std::to_string(version) +
                     " of the association messages, and this is " + std::to_string(association_version),
                 "", "run the same version of Shareline at both ends"};
  }
  if (type == hello_type) return read_hello(in);
  if (type == confirm_type) {
    Confirm confirm;
    confirm.epoch = in.number(8);
    confirm.transcript = in.bytes<32>();
    const std::uint64_t again = in.number(1);
    if (!in.ok() || in.left() != 0 || again > 1) return malformed("its length");
    confirm.again = again == 1;
    return AssociationMessage(confirm);
  }
  if (type == refused_type) {
    const std::uint64_t reason = in.number(1);
    if (!in.ok() || in.left() != 0 || reason < 1 ||
        reason > static_cast<std::uint64_t>(Refusal::quarantined)) {
      return malformed("its reason");
    }
    return AssociationMessage(Refused{static_cast<Refusal>(reason)});
  }
  return malformed("its type");
}

}  // namespace ssn::protocol
