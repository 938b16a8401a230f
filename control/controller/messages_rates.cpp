// SPDX-License-Identifier: BSD-3-Clause
// What sessions keep to, who has some, and what nodes say of their keys.
#include "controller.pb.h"
#include "messages.h"

namespace ssn::controller {
namespace {

// What this version does not know becomes no enumerator: nobody may take it for "any".
template <typename Enum>
Enum any_of(int number) {
  return static_cast<Enum>(number < 0 || number > 255 ? 255 : number);
}

}  // namespace

void write(const RateLimit& from, v1::RateLimit& to) {
  to.set_write_bytes_per_second(from.write_bytes_per_second);
  to.set_read_bytes_per_second(from.read_bytes_per_second);
  to.set_burst_bytes(from.burst_bytes);
}

RateLimit read(const v1::RateLimit& from) {
  return {from.write_bytes_per_second(), from.read_bytes_per_second(), from.burst_bytes()};
}

void write(const SessionRules& from, v1::SessionRules& to) {
  write(from.owner_rate, *to.mutable_owner_rate());
  write(from.class_rate, *to.mutable_class_rate());
  to.set_random(static_cast<v1::RandomDemand>(from.keys.random));
  to.set_shortage(static_cast<v1::ShortageDemand>(from.keys.shortage));
}

SessionRules read(const v1::SessionRules& from) {
  return {read(from.owner_rate()),
          read(from.class_rate()),
          {any_of<RandomDemand>(from.random()), any_of<ShortageDemand>(from.shortage())}};
}

void write(const PeerReport& from, v1::PeerReport& to) {
  to.set_peer(from.peer);
  to.set_connected(from.connected);
  to.set_pad_bytes(from.pad_bytes);
  to.set_pad_bytes_per_second(from.pad_bytes_per_second);
  to.set_round_trip_us(from.round_trip_us);
}

PeerReport read(const v1::PeerReport& from) {
  return {from.peer(), from.connected(), from.pad_bytes(), from.pad_bytes_per_second(), from.round_trip_us()};
}

void write_rates(const Report& from, v1::ReportRequest& to) {
  for (const RateUse& use : from.rates) {
    v1::RateUse& out = *to.add_rates();
    out.set_of_class(use.of_class);
    out.set_name(use.name);
    out.set_slowed(use.slowed);
  }
  to.set_random(static_cast<v1::RandomSource>(from.key_settings.random));
  to.set_shortage(static_cast<v1::KeyShortage>(from.key_settings.shortage));
  for (const PeerReport& peer : from.peers) write(peer, *to.add_peers());
}

void read_rates(const v1::ReportRequest& from, Report& to) {
  for (const v1::RateUse& use : from.rates()) {
    to.rates.push_back({use.of_class(), use.name(), use.slowed()});
  }
  to.key_settings = {any_of<RandomSource>(from.random()), any_of<KeyShortage>(from.shortage())};
  for (const v1::PeerReport& peer : from.peers()) to.peers.push_back(read(peer));
}

void write(const ReportAnswer& from, v1::ReportAnswer& to) {
  to.set_report_ms(from.report_ms);
  for (const ObjectKey& key : from.remove) {
    write(key, *to.add_remove());
  }
  for (const ObjectKey& key : from.ended) {
    write(key, *to.add_ended());
  }
  for (const RateLimit& rate : from.rates) {
    write(rate, *to.add_rates());
  }
}

ReportAnswer read(const v1::ReportAnswer& from) {
  ReportAnswer to;
  to.report_ms = from.report_ms();
  for (const v1::ObjectKey& key : from.remove()) {
    to.remove.push_back(read(key));
  }
  for (const v1::ObjectKey& key : from.ended()) {
    to.ended.push_back(read(key));
  }
  for (const v1::RateLimit& rate : from.rates()) {
    to.rates.push_back(read(rate));
  }
  return to;
}

}  // namespace ssn::controller
