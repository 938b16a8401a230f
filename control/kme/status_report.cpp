// SPDX-License-Identifier: BSD-3-Clause
#include "status_report.h"

#include <fmt/core.h>

#include "json.h"

namespace ssn::kme {
namespace {

using cli::JsonWriter;

std::string scaled(double value, const char* unit) {
  const char* const prefixes[] = {"", "k", "M", "G", "T", "P"};
  std::size_t i = 0;
  for (; value >= 1000 && i + 1 < std::size(prefixes); ++i) {
    value /= 1000;
  }
  return i == 0 ? fmt::format("{:.0f} {}", value, unit)
                : fmt::format("{:.2f} {}{}", value, prefixes[i], unit);
}

std::string bits(std::uint64_t value) { return scaled(static_cast<double>(value), "bit"); }

std::string rate(std::uint64_t bits_per_second) {
  return bits_per_second == 0 ? "unlimited" : scaled(static_cast<double>(bits_per_second), "bit/s");
}

const char* state(const LinkReport& link) {
  return !link.connected ? "no peer" : (link.up ? "up" : "OUTAGE");
}

void write_link(JsonWriter& json, const LinkReport& link) {
  json.begin_object().member("name", link.name).key("sites").begin_array();
  json.value(link.sites[0]).value(link.sites[1]).end_array();
  json.member("up", link.up)
      .member("other_process", link.remote)
      .member("connected", link.connected)
      .member("bits_per_second", link.bits_per_second)
      .member("stock_bits", link.stock_bits)
      .member("stock_limit_bits", link.stock_limit_bits)
      .member("made_bits", link.made_bits)
      .member("latency_us", link.latency)
      .member("hops", link.hops)
      .member("open_stream_ends", static_cast<std::uint64_t>(link.streams))
      .member("keys_issued", link.counters.keys_issued)
      .member("keys_fetched", link.counters.keys_fetched)
      .member("key_bits", link.counters.key_bits)
      .member("stream_bytes", link.counters.stream_bytes)
      .member("shortages", link.counters.shortages)
      .member("lost_bits", link.counters.lost_bits)
      .member("outages_on_command", link.counters.outages)
      .end_object();
}

void write_answers(JsonWriter& json, const KeyDelivery& delivery) {
  json.key("answers").begin_object();
  for (std::size_t method = 0; method < KeyDelivery::method_names.size(); ++method) {
    json.key(KeyDelivery::method_names[method]).begin_object();
    for (std::size_t code = 0; code < KeyDelivery::status_codes.size(); ++code) {
      json.member(std::to_string(KeyDelivery::status_codes[code]),
                  delivery.answers(static_cast<KeyDelivery::Method>(method), code));
    }
    json.end_object();
  }
  json.end_object();
}

void write_site(JsonWriter& json, const StatusReport& report, std::size_t i) {
  const SiteReport& site = report.sites[i];
  json.begin_object().member("id", site.id).member("served", site.served);
  json.member("port", std::uint64_t{report.ports[i]}).key("sae").begin_array();
  for (const std::string& sae : site.sae) {
    json.value(sae);
  }
  json.end_array();
  json.member("waiting_keys", static_cast<std::uint64_t>(site.waiting_keys))
      .member("expired_keys", site.expired_keys);
  if (report.deliveries[i] != nullptr) {
    write_answers(json, *report.deliveries[i]);
  }
  if (const NicReport& nic = report.nics[i]; nic.present) {
    json.key("kmnic")
        .begin_object()
        .member("socket", nic.socket)
        .member("connections", nic.connections)
        .member("streams", nic.streams)
        .member("delivered_bytes", nic.delivered_bytes)
        .member("redelivered_blocks", nic.redelivered_blocks)
        .member("faults", nic.faults)
        .end_object();
  }
  json.end_object();
}

}  // namespace

std::string status_document(const StatusReport& report) {
  JsonWriter json;
  json.begin_object().member("schema", "ssn.kme.status/1").member("ok", true).key("error").null();
  json.member("emulator", true).member("name", report.name).key("links").begin_array();
  for (const LinkReport& link : report.links) {
    write_link(json, link);
  }
  json.end_array().key("sites").begin_array();
  for (std::size_t i = 0; i < report.sites.size(); ++i) {
    write_site(json, report, i);
  }
  json.end_array().end_object();
  return json.text();
}

std::string status_text(const StatusReport& report) {
  std::string text = fmt::format("{} (EMULATED key managers: no protection)\n\n", report.name);
  text += fmt::format("{:<24} {:<8} {:>14} {:>12} {:>12} {:>8} {:>12} {:>9}\n", "LINK", "STATE", "RATE",
                      "STOCK", "OF", "KEYS", "STREAMED", "SHORTAGES");
  for (const LinkReport& link : report.links) {
    text +=
        fmt::format("{:<24} {:<8} {:>14} {:>12} {:>12} {:>8} {:>12} {:>9}\n", link.name, state(link),
                    rate(link.bits_per_second), bits(link.stock_bits), bits(link.stock_limit_bits),
                    link.counters.keys_issued, scaled(static_cast<double>(link.counters.stream_bytes), "B"),
                    link.counters.shortages);
  }
  text += fmt::format("\n{:<24} {:>6} {:>8} {:>10} {:>10} {:>10} {:>13}\n", "SITE", "PORT", "WAITING",
                      "ENC_KEYS", "DEC_KEYS", "REFUSED", "KMNIC STREAMS");
  for (std::size_t i = 0; i < report.sites.size(); ++i) {
    const SiteReport& site = report.sites[i];
    const KeyDelivery* const delivery = report.deliveries[i];
    if (delivery == nullptr) {
      text += fmt::format("{:<24} served by another process\n", site.id);
      continue;
    }
    std::uint64_t refused = 0;
    for (std::size_t method = 0; method < KeyDelivery::method_names.size(); ++method) {
      for (std::size_t code = 1; code < KeyDelivery::status_codes.size(); ++code) {
        refused += delivery->answers(static_cast<KeyDelivery::Method>(method), code);
      }
    }
    text += fmt::format("{:<24} {:>6} {:>8} {:>10} {:>10} {:>10} {:>13}\n", site.id, report.ports[i],
                        site.waiting_keys, delivery->answers(KeyDelivery::Method::enc_keys, 0),
                        delivery->answers(KeyDelivery::Method::dec_keys, 0), refused, report.nics[i].streams);
  }
  return text;
}

}  // namespace ssn::kme
