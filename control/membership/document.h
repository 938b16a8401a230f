// SPDX-License-Identifier: BSD-3-Clause
// Who belongs to a storage network, and the floors below which nobody goes, whatever a controller says:
// DESIGN 8. A TOML text (ssn.membership/1, docs/membership.md) that operators sign as it is, byte for byte:
// signatures.h. Plain values; one thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/hw/result.h"
#include "types.h"

namespace ssn::membership {

inline constexpr std::size_t document_max = std::size_t{256} << 10;  ///< bytes
inline constexpr std::size_t nodes_max = 512;

/// What shareholders may do to make shares anew; a set of bits. A check makes nothing, and is always
/// permitted.
enum Resharing : std::uint8_t {
  no_resharing = 0,
  exchange = 1,
  repair = 2,
  refresh = 4,
  redistribute = 8,
};

struct Node {
  std::string name;                         ///< SAE ID at its key manager, and common name of its certificate
  pki::Role role = pki::Role::shareholder;  ///< ssa or shareholder
  /// SHA-256 of its certificate's SubjectPublicKeyInfo, 64 hexadecimal digits in lower case: a renewed
  /// certificate keeps it.
  std::string key;
  std::string domain;  ///< whose nodes fail, or fall, together; empty: not known
};

struct Floor {
  std::uint32_t minimum_t = 1;        ///< shares that tell nothing, of all that is written or made anew
  std::uint32_t minimum_domains = 1;  ///< that the shares of a generation lie in
  /// Of shares: their random blocks, and what carries them between nodes. How data came to an SSA is not in
  /// it.
  controller::Protection protection = controller::Protection::computational;
  std::vector<controller::Scheme> schemes;  ///< that are permitted; not empty
  std::uint8_t resharing = no_resharing;    ///< operations that are permitted
};

struct Document {
  std::string network;
  std::uint64_t serial = 0;  ///< from 1: of two documents of a network the one with the higher one counts
  std::int64_t from = 0;     ///< seconds since 1970: it holds from then
  std::int64_t until = 0;    ///< ... and no longer than this
  Floor floor;
  std::vector<Node> nodes;  ///< at least one; names and keys are different ones
  std::string digest;       ///< SHA-256 of the text, 64 hexadecimal digits in lower case

  /// Null: it is not listed.
  const Node* node(std::string_view name) const noexcept;
};

/// `file` stands for the text in messages. usage: what is wrong, with line and column.
Result<Document> parse(std::string_view text, const std::string& file);

/// "exchange, repair", "none".
std::string names_of(std::uint8_t resharing);
/// What `after` changes, a line each for people; empty: nothing but serial and times.
std::vector<std::string> differences(const Document& before, const Document& after);

/// "2026-11-23T08:00:00Z".
std::string time_text(std::int64_t seconds);
/// SHA-256, as hexadecimal digits in lower case.
std::string digest_of(std::string_view bytes);
/// Of the public key of a certificate: Node::key.
std::string key_of(const X509& certificate);

}  // namespace ssn::membership
