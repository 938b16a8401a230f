// SPDX-License-Identifier: BSD-3-Clause
// Whether what another domain says has a shape that can be kept and shown.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "domain_types.h"
#include "request.h"

namespace ssn::controller {
namespace {

constexpr std::size_t program_max = 128;

Error wrong(std::string why, const char* where, const char* fix) {
  return {Exit::refused, "cannot take what the other domain says", std::move(why), where, fix};
}

bool is_printable(const std::string& text, std::size_t longest) {
  return text.size() <= longest &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

bool is_name(const std::string& text, std::size_t longest) {
  return !text.empty() && is_printable(text, longest);
}

bool is_good(const LentNode& node) {
  const auto label = [](const std::string& text) { return text.empty() || is_good_label(text); };
  const auto address = [](const std::string& text) { return is_printable(text, address_max); };
  return is_name(node.name, pki::common_name_max) &&
         std::all_of(node.labels.values.begin(), node.labels.values.end(), label) && address(node.agent) &&
         node.data_addresses.size() <= addresses_max &&
         std::all_of(node.data_addresses.begin(), node.data_addresses.end(), address);
}

}  // namespace

Outcome check(const DomainStatement& statement) {
  if (!is_name(statement.from, label_max) || !is_name(statement.to, label_max)) {
    return wrong("a name of a domain is no text of 1 to 64 bytes", "from, to", "say both domains' names");
  }
  if (!statement.program.empty() && !is_good_name(statement.program, program_max)) {
    return wrong("the version of its program is not up to 128 bytes of UTF-8", "program", "shorten it");
  }
  if (statement.instance == Bytes16{} || statement.number == 0) {
    return wrong("its instance or number is missing", "instance, number",
                 "send 16 random bytes, and 1 and up");
  }
  if (statement.nodes.size() > lent_nodes_max || statement.alarms.size() > lent_alarms_max) {
    return wrong(fmt::format("{} nodes and {} alarms are the most", lent_nodes_max, lent_alarms_max),
                 "nodes, alarms", "lend fewer");
  }
  std::set<std::string> names;
  for (const LentNode& node : statement.nodes) {
    if (!is_good(node) || !names.insert(node.name).second) {
      return wrong("a node is there twice, or its name, labels or addresses are none", "nodes",
                   "see what it is called there: ssn nodes");
    }
  }
  for (const LentAlarm& alarm : statement.alarms) {
    if (!is_good_label(alarm.type) || !names.contains(alarm.node)) {
      return wrong("an alarm is about no node that is lent", "alarms",
                   "report this as a bug of the other side");
    }
  }
  return done;
}

bool is_good_address(std::string_view address) noexcept {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view host = address.substr(0, colon);
  unsigned port = 0;
  const char* const end = address.data() + address.size();
  const auto [last, problem] = std::from_chars(address.data() + colon + 1, end, port);
  if (problem != std::errc() || last != end || port == 0 || port > 65535) return false;
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const std::string_view inside = bracketed ? host.substr(1, host.size() - 2) : host;
  return std::all_of(inside.begin(), inside.end(), [&](char c) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return word || c == '.' || (bracketed ? c == ':' : c == '-');
  });
}

}  // namespace ssn::controller
