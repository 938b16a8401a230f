// SPDX-License-Identifier: BSD-3-Clause
#include "peer_message.h"

#include <fmt/core.h>

#include "messages.h"
#include "peering.pb.h"

namespace ssn::agent {
namespace {

constexpr std::size_t shown_name_max = 128;

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

Result<std::variant<Hello, PeerPayload>> PeerReader::take(const api::PeerMessage& message) {
  using Taken = std::variant<Hello, PeerPayload>;
  const auto wrong = [&](std::string why) {
    return Error{Exit::integrity, "cannot understand the peer", std::move(why), peer_,
                 "use programs of the same version at both ends"};
  };
  if (message.content_case() == api::PeerMessage::kHello) {
    const api::PeerHello& hello = message.hello();
    if (greeted_) {
      return wrong("it said hello twice");
    }
    if (hello.version() != peer_version) {
      return wrong(fmt::format("it speaks version {}, this node version {}", hello.version(), peer_version));
    }
    if (hello.node() != peer_) {
      return wrong(fmt::format("it says that it is {}", clean_text(hello.node(), shown_name_max)));
    }
    greeted_ = true;
    return Taken(Hello{});
  }
  if (!greeted_) {
    return wrong("it did not say hello first");
  }
  PeerPayload payload;
  switch (message.content_case()) {
    case api::PeerMessage::kAssociation:
      payload = {dataplane::PeerMessageKind::association, bytes_of(message.association())};
      break;
    case api::PeerMessage::kSession:
      payload = {dataplane::PeerMessageKind::session, bytes_of(message.session())};
      break;
    case api::PeerMessage::kKeyDevice:
      payload = {dataplane::PeerMessageKind::key_device, bytes_of(message.key_device())};
      break;
    default:
      return wrong("it sent a message of an unknown kind");
  }
  if (payload.bytes.size() > dataplane::peer_message_max) {
    return wrong(fmt::format("it sent a message of {} bytes", payload.bytes.size()));
  }
  return Taken(payload);
}

void write_hello(const std::string& node, api::PeerMessage& message) {
  api::PeerHello& hello = *message.mutable_hello();
  hello.set_version(peer_version);
  hello.set_node(node);
  hello.set_program(SSN_VERSION);
}

void write_payload(dataplane::PeerMessageKind kind, std::span<const std::uint8_t> bytes,
                   api::PeerMessage& message) {
  const auto* const text = reinterpret_cast<const char*>(bytes.data());
  switch (kind) {
    case dataplane::PeerMessageKind::association:
      message.set_association(text, bytes.size());
      break;
    case dataplane::PeerMessageKind::session:
      message.set_session(text, bytes.size());
      break;
    case dataplane::PeerMessageKind::key_device:
      message.set_key_device(text, bytes.size());
      break;
  }
}

}  // namespace ssn::agent
