// SPDX-License-Identifier: BSD-3-Clause
// Other domains, each with its controller, and what two controllers tell each other over SSN-Cx
// (Y.3808, 11.2): docs/exchange.md. Plain structures, as in control/api/exchange.proto; for the controller
// and its clients.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/hw/result.h"
#include "types.h"

namespace ssn::controller {

inline constexpr std::uint32_t exchange_version = 1;
inline constexpr std::size_t domains_max = 16;
inline constexpr std::size_t lent_nodes_max = 512;  ///< to one domain
inline constexpr std::size_t lent_alarms_max = 1024;

/// What operators have agreed with those of another domain: [[domain]] of the network's configuration.
struct DomainAgreement {
  std::string controller;                ///< address of its controller
  std::string identity;                  ///< common name of that one's certificate
  std::vector<std::string> lends;        ///< our shareholders that it may see and use
  std::vector<std::string> lends_sites;  ///< and those that stand there, says the operator
  std::uint64_t lends_bytes = 0;         ///< that its shares may take up there
  bool uses = false;                     ///< we mean to use what it lends
  bool operator==(const DomainAgreement&) const = default;
};

struct LentNode {
  std::string name;
  Labels labels;
  ServiceState service = ServiceState::in_service;
  bool up = false;
  bool read_only = false;
  std::uint64_t free_bytes = 0;
  std::string agent;
  std::vector<std::string> data_addresses;
};

struct LentAlarm {
  std::string type;
  std::string node;
  alarms::Severity severity = alarms::Severity::none;
  std::uint64_t raised_ms = 0;  ///< by the clock of the one who tells it
};

/// What one controller tells another one.
struct DomainStatement {
  std::uint32_t version = 0;
  std::string from;
  std::string to;
  std::string program;
  Bytes16 instance{};
  std::uint64_t number = 0;
  Bytes16 catalogue{};
  bool uses = false;
  std::uint64_t lends_bytes = 0;
  std::vector<LentNode> nodes;
  std::vector<LentAlarm> alarms;
};

/// Enumerators have the numbers of the protocol: never change one.
enum class DomainCondition : std::uint8_t { waiting, good, mismatch, unreachable };
std::string_view name(DomainCondition condition) noexcept;  ///< "waiting", ...

struct DomainView {
  std::string name;
  DomainAgreement agreement;
  DomainCondition condition = DomainCondition::waiting;
  std::string trouble;
  bool heard = false;
  std::uint64_t silent_ms = 0;    ///< since it was heard
  std::uint64_t refused = 0;      ///< calls in its name
  std::vector<std::string> lent;  ///< our shareholders that it sees
  DomainStatement theirs;         ///< the latest that was taken
};

struct DomainPage {
  std::string own;  ///< what we are called; empty: this controller speaks to none
  std::vector<DomainView> domains;
};

/// Limits and shape of what another domain says; refused: it is nonsense.
Outcome check(const DomainStatement& statement);
/// "192.0.2.1:7101", "[2001:db8::1]:7101", "name.example:7101".
bool is_good_address(std::string_view address) noexcept;

}  // namespace ssn::controller
