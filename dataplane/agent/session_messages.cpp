// SPDX-License-Identifier: BSD-3-Clause
#include "session_messages.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <limits>

#include "call_error.h"
#include "session.pb.h"
#include "ssn/dataplane/ip_address.h"

namespace ssn::agent {
namespace {

constexpr std::size_t name_max = 256;
constexpr std::size_t text_max = 1000;
constexpr int holders_max = 255;

std::string as_text(const hw::SecretBuffer& key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}

Result<hw::SecretBuffer> take_key(std::string& bytes) {
  Result<hw::SecretBuffer> key = hw::SecretBuffer::make(bytes.size());
  if (key.ok()) {
    std::copy(bytes.begin(), bytes.end(), key.value().data());
  }
  OPENSSL_cleanse(bytes.data(), bytes.size());
  bytes.clear();
  return key;
}

Error wrong_request(std::string why, std::string where) {
  return {Exit::usage, "cannot open a session", std::move(why), std::move(where),
          "use programs of the same version"};
}

const char* trouble_of(const api::Session& message) {
  const std::size_t keys[] = {message.key_to_ssa().size(), message.key_to_owner().size()};
  if (message.session() == 0 || message.connection_id() == 0) {
    return "it has no number";
  }
  if (!dataplane::parse_ip_endpoint(message.data_address())) {
    return "its data address is none";
  }
  if (message.key_index() > std::numeric_limits<std::uint16_t>::max() || keys[0] == 0 || keys[1] == 0 ||
      std::max(keys[0], keys[1]) > session_key_bytes_max) {
    return "it has no keys that can be used";
  }
  if (message.block_bytes() == 0 || message.block_bytes() > block_bytes_max ||
      message.block_bytes() % 64 != 0 || message.secret_blocks() == 0 || message.secret_blocks() > 255 ||
      message.window_blocks() == 0) {
    return "its blocks are of no size that there is";
  }
  return nullptr;
}

}  // namespace

void write(const SessionRequest& request, api::OpenSessionRequest& message) {
  message.set_object(request.key.object);
  message.set_generation(request.key.generation);
  message.set_data_address(request.data_address);
  message.set_connection_id(request.connection_id);
}

Result<SessionRequest> read(const api::OpenSessionRequest& message) {
  SessionRequest request;
  request.key = {message.object(), message.generation()};
  request.connection_id = message.connection_id();
  const std::string shown = pki::clean_text(message.data_address(), name_max);
  const auto endpoint = dataplane::parse_ip_endpoint(message.data_address());
  // The wire has 32 bits for the generation.
  if (request.key.object == 0 || request.key.generation == 0 ||
      request.key.generation > std::numeric_limits<std::uint32_t>::max()) {
    return wrong_request("it names no object", "");
  }
  if (!endpoint || endpoint->address.is_multicast() || endpoint->address.is_unspecified() ||
      endpoint->address.is_broadcast()) {
    return wrong_request("the data address is none to which packets can be sent", shown);
  }
  if (request.connection_id == 0) {
    return wrong_request("it names no connection", "");
  }
  request.data_address = format(*endpoint);
  return request;
}

void write(const Session& session, api::Session& message) {
  message.set_session(session.session);
  message.set_data_address(session.data_address);
  message.set_connection_id(session.connection_id);
  message.set_key_index(session.key_index);
  message.set_key_to_ssa(as_text(session.key_to_ssa));
  message.set_key_to_owner(as_text(session.key_to_owner));
  message.set_block_bytes(session.block_bytes);
  message.set_secret_blocks(session.secret_blocks);
  message.set_window_blocks(session.window_blocks);
  message.set_idle_ms(session.idle_ms);
  message.set_size(session.size);
  message.set_blocks(session.blocks);
  message.set_bytes_per_second(session.bytes_per_second);
  message.set_rate_of(pki::clean_text(session.rate_of, name_max));
}

Result<Session> read(api::Session& message) {
  const char* const trouble = trouble_of(message);
  Session session;
  Result<hw::SecretBuffer> to_ssa = take_key(*message.mutable_key_to_ssa());
  Result<hw::SecretBuffer> to_owner = take_key(*message.mutable_key_to_owner());
  if (trouble != nullptr) {
    return Error{Exit::integrity, "cannot use the session", trouble, "", "use programs of the same version"};
  }
  for (const auto* const key : {&to_ssa, &to_owner}) {
    if (!key->ok()) {
      return key->error();
    }
  }
  session.session = message.session();
  session.data_address = message.data_address();
  session.connection_id = message.connection_id();
  session.key_index = static_cast<std::uint16_t>(message.key_index());
  session.key_to_ssa = std::move(to_ssa.value());
  session.key_to_owner = std::move(to_owner.value());
  session.block_bytes = message.block_bytes();
  session.secret_blocks = message.secret_blocks();
  session.window_blocks = message.window_blocks();
  session.idle_ms = message.idle_ms();
  session.size = message.size();
  session.blocks = message.blocks();
  session.bytes_per_second = message.bytes_per_second();
  session.rate_of = pki::clean_text(message.rate_of(), name_max);
  return session;
}

void write(const WriteStatus& status, api::WriteStatus& message) {
  message.set_state(status.state == WriteState::sealing    ? api::WRITE_STATE_SEALING
                    : status.state == WriteState::sealed   ? api::WRITE_STATE_SEALED
                    : status.state == WriteState::degraded ? api::WRITE_STATE_DEGRADED
                                                           : api::WRITE_STATE_FAILED);
  message.set_why(pki::clean_text(status.why, text_max));
  message.set_sealed(status.sealed);
  message.set_quorum(status.quorum);
  message.set_minimum(status.minimum);
  for (const HolderStatus& holder : status.holders) {
    api::HolderStatus& out = *message.add_holders();
    out.set_share(holder.share);
    out.set_node(pki::clean_text(holder.node, name_max));
    out.set_state(holder.state == HolderStatus::State::sealed   ? api::HOLDER_STATE_SEALED
                  : holder.state == HolderStatus::State::failed ? api::HOLDER_STATE_FAILED
                                                                : api::HOLDER_STATE_WRITING);
    out.set_trouble(pki::clean_text(holder.trouble, text_max));
  }
}

WriteStatus read(const api::WriteStatus& message) {
  WriteStatus status;
  status.state = message.state() == api::WRITE_STATE_SEALING    ? WriteState::sealing
                 : message.state() == api::WRITE_STATE_SEALED   ? WriteState::sealed
                 : message.state() == api::WRITE_STATE_DEGRADED ? WriteState::degraded
                                                                : WriteState::failed;
  status.why = pki::clean_text(message.why(), text_max);
  status.sealed = message.sealed();
  status.quorum = message.quorum();
  status.minimum = message.minimum();
  for (int i = 0; i < std::min(message.holders_size(), holders_max); ++i) {
    const api::HolderStatus& in = message.holders(i);
    status.holders.push_back({in.share(), pki::clean_text(in.node(), name_max),
                              in.state() == api::HOLDER_STATE_SEALED   ? HolderStatus::State::sealed
                              : in.state() == api::HOLDER_STATE_FAILED ? HolderStatus::State::failed
                                                                       : HolderStatus::State::writing,
                              pki::clean_text(in.trouble(), text_max)});
  }
  return status;
}

}  // namespace ssn::agent
