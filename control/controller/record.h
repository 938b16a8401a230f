// SPDX-License-Identifier: BSD-3-Clause
// Records of the catalogue as bytes: a version, the fields in order, and a checksum over key and content, so
// that a damaged or misplaced record is noticed. Whatever the bytes are, reading ends and takes no more
// memory than a few times their length.
//
// Numbers are little-endian base 128; text and lists have their length first. To add a field: raise the
// version, read it only from that version on (since()), and raise the schema of the database, so that older
// programs say at start that they cannot read it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reshare.h"
#include "ssn/hw/result.h"
#include "types.h"

namespace ssn::controller {

struct ObjectRecord {
  Object object;  ///< without what is filled in for answers
  Bytes16 token{};
  std::string request_digest;  ///< of the BeginWrite that made it
  bool create_only = false;
  std::uint64_t ended_ms = 0;
  std::uint64_t job = 0;              ///< that makes its shares anew; 0: none does
  std::uint64_t last_generation = 0;  ///< the highest one that was ever begun; numbers are not used again
  /// Had a share of this generation, or were to have one, and are no holders now: they never get another.
  std::vector<std::string> former;
  std::uint64_t refresh_failed_ms = 0;  ///< when a renewal was undone, by the catalogue's clock; 0: none was
};

struct NodeRecord {
  Registration registration;
  std::uint64_t registered_ms = 0;
  /// Of a record of before version 5; from then on the network's configuration says it.
  ServiceState service = ServiceState::in_service;
};

struct AssociationRecord {
  AssociationReport report;
  std::uint64_t reported_ms = 0;
};

/// What an owner has: for limits.
struct OwnerRecord {
  std::uint64_t objects = 0;        ///< committed
  std::uint64_t writes = 0;         ///< open
  std::uint64_t bytes = 0;          ///< of data in objects
  std::uint64_t writing_bytes = 0;  ///< of data in open writes, as far as they said how much
};

struct MetaRecord {
  Bytes16 catalogue{};
  std::uint64_t next_event = 1;
  std::uint64_t term = 0;      ///< of the controller that orders re-sharing: one more at each start
  bool bytes_counted = false;  ///< records of owners say bytes
  std::uint64_t next_account = 1;
  bool indexed = false;  ///< objects that are short of shares, and generations by age, are in their indices
};

/// The catalogue's clock, and the wall clock at that time.
struct ClockRecord {
  std::uint64_t clock_ms = 0;
  std::uint64_t wall_ms = 0;
};

/// An object that is short of shares. Times are the catalogue's clock's.
struct RepairRecord {
  std::uint64_t since_ms = 0;
  std::uint32_t tries = 0;     ///< that were undone
  std::uint64_t tried_ms = 0;  ///< the latest one of them
  bool held = false;           ///< somebody cancelled it: not by itself
};

/// A node whose shares go to others, object by object.
struct ReplacementRecord {
  std::string to;  ///< empty: whoever is best
  std::string reason;
  std::uint64_t after = 0;    ///< objects up to this one were looked at
  std::uint64_t started = 0;  ///< jobs
  std::uint64_t left = 0;     ///< objects of this pass that it still held
  std::string trouble;        ///< why the latest one could not be begun with
  std::uint64_t begun_ms = 0;
  bool automatic = false;  ///< ends when the node is back
};

/// An id or a number: of names, tokens, holdings.
struct NumberRecord {
  std::uint64_t number = 0;
};

/// Whether the bytes are what was written under `key`; not what they say. Integrity where they are not.
Outcome check(std::string_view key, std::string_view bytes);

// As bytes under `key`, and back: integrity where they are not what was written there.
std::string encode(std::string_view key, const ObjectRecord& record);
std::string encode(std::string_view key, const NodeRecord& record);
std::string encode(std::string_view key, const AssociationRecord& record);
std::string encode(std::string_view key, const OwnerRecord& record);
std::string encode(std::string_view key, const MetaRecord& record);
std::string encode(std::string_view key, const NumberRecord& record);
std::string encode(std::string_view key, const Event& record);
std::string encode(std::string_view key, const ReshareJob& record);
std::string encode(std::string_view key, const ReplacementRecord& record);
std::string encode(std::string_view key, const Alarm& record);
std::string encode(std::string_view key, const ConfigurationVersion& record);
std::string encode(std::string_view key, const Account& record);
std::string encode(std::string_view key, const ClockRecord& record);
std::string encode(std::string_view key, const RepairRecord& record);
template <typename Record>
Result<Record> decode(std::string_view key, std::string_view bytes);

/// A record's bytes from its version and fields: adds the checksum. For tests of what no checksum excludes.
std::string with_checksum(std::string_view key, std::string_view body);

/// SHA-256 of all that a BeginWrite says: the same token must come with the same request.
std::string digest_of(const WriteRequest& request);

}  // namespace ssn::controller
