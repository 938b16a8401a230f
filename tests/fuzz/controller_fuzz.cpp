// SPDX-License-Identifier: BSD-3-Clause
// What the controller is sent, and what its database may hold: whatever the bytes are, a request that is
// taken is within its limits, and a record is read back as it was or refused. The first byte chooses which of
// them it is.
#include <set>

#include "controller.pb.h"
#include "fuzz_input.h"
#include "messages.h"
#include "network_document.h"
#include "record.h"
#include "request.h"

namespace {

using namespace ssn::controller;
using ssn::test::require;

template <typename Message>
bool parse(std::string_view bytes, Message& message) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

void check_write(std::string_view bytes) {
  ssn::controller::v1::BeginWriteRequest message;
  if (!parse(bytes, message)) {
    return;
  }
  const WriteRequest request = read(message);
  if (!check(request).ok()) {
    return;
  }
  require(is_good_name(request.name) && request.name.size() <= name_max, "a bad name was taken");
  const auto layout = layout_for(request, Policy{});
  if (!layout.ok()) {
    return;
  }
  const Layout& made = layout.value();
  require(made.k >= 1 && made.k <= made.n && made.n <= shares_max, "k and n");
  require(made.k <= made.minimum && made.minimum <= made.quorum && made.quorum <= made.n, "quorum");
  require(made.scheme == Scheme::rs || secrecy_threshold(made) >= 1, "shares that reveal something alone");
  require(made.scheme != Scheme::policy && made.scheme <= Scheme::rs, "a scheme that is none");
  require(digest_of(request).size() == 32, "digest");
}

void check_sealed(std::string_view bytes) {
  ssn::controller::v1::SealedRequest message;
  if (!parse(bytes, message)) {
    return;
  }
  const SealedReport report = read(message);
  Object object;
  object.cell_bytes = 64;
  object.layout.k = 2;
  object.layout.n = 3;
  object.layout.holders.resize(3);
  for (std::size_t i = 0; i < 3; ++i) {
    object.layout.holders[i].node = std::string(1, static_cast<char>('a' + i));
  }
  if (!check(report, object).ok()) {
    return;
  }
  std::uint64_t next = 0;
  for (const AttemptRun& run : report.attempts) {
    require(run.first_cell == next && run.cells != 0, "runs with a hole");
    next += run.cells;
  }
  require(next == report.cells && next == cells_for(report.size, 64, 1), "cells");
  std::set<std::uint32_t> shares;
  for (const ShareSeal& seal : report.shares) {
    require(seal.share >= 1 && seal.share <= 3 && shares.insert(seal.share).second, "shares");
  }
}

void check_node(std::string_view bytes) {
  ssn::controller::v1::RegisterRequest registration;
  if (parse(bytes, registration)) {
    const Registration asked = read(registration);
    const ssn::pki::Roles roles = {ssn::pki::Role::shareholder};
    require(!check(asked, roles).ok() || asked.roles == roles, "a role that the certificate has not");
  }
  ssn::controller::v1::ReportRequest report;
  if (parse(bytes, report)) {
    const Report asked = read(report);
    require(!check(asked).ok() || asked.associations.size() <= associations_max,
            "a report beyond its limits");
  }
  ssn::controller::v1::Object object;
  if (parse(bytes, object)) {
    ssn::controller::v1::Object again;
    write(read(object), again);
    ssn::controller::v1::Object third;
    write(read(again), third);
    require(again.SerializeAsString() == third.SerializeAsString(), "an object changes on its way");
  }
}

template <typename Record>
void check_record(std::string_view bytes) {
  const auto record = decode<Record>("key", with_checksum("key", bytes));
  if (record.ok()) {
    const auto again = decode<Record>("key", encode("key", record.value()));
    require(again.ok() && encode("key", again.value()) == encode("key", record.value()), "a record changes");
  }
  require(!decode<Record>("key", bytes).ok() || bytes.size() > 8, "a record without a checksum");
}

// A text that is good can be numbered, and says the same; written anew from what it says it says the same,
// too.
void check_document(std::string_view bytes) {
  const NetworkDocument document = read_network_document(bytes, "text");
  if (!document.problems.empty()) {
    for (const ssn::Error& problem : document.problems) {
      require(!problem.why.empty() && !problem.fix.empty(), "a problem without a reason or a way out");
    }
    return;
  }
  const auto numbered = with_version(std::string(bytes), 7);
  const NetworkDocument again = read_network_document(numbered.ok() ? numbered.value() : bytes, "text");
  require(again.problems.empty() && differences_of(document.policy, again.policy).empty(), "numbered");
  require(!numbered.ok() || again.version == 7, "another number");
  const std::string canonical = network_document_of(document.policy);
  const NetworkDocument written = read_network_document(canonical, "text");
  require(canonical.size() > configuration_max ||
              (written.problems.empty() && differences_of(document.policy, written.policy).empty()),
          "what is written says something else");
  const auto service = with_service(std::string(bytes), "h1", ServiceState::standby);
  require(
      !service.ok() || read_network_document(service.value(), "text").policy.deployment.services.at("h1") ==
                           ServiceState::standby,
      "a service state that is not there");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 16) {
    case 0:
      check_write(bytes);
      break;
    case 1:
      check_sealed(bytes);
      break;
    case 2:
      check_node(bytes);
      break;
    case 3:
      check_record<ObjectRecord>(bytes);
      break;
    case 4:
      check_record<NodeRecord>(bytes);
      break;
    case 5:
      check_record<AssociationRecord>(bytes);
      break;
    case 6:
      check_record<Event>(bytes);
      break;
    case 8:
      check_document(bytes);
      break;
    case 9:
      check_record<ConfigurationVersion>(bytes);
      break;
    case 10:
      check_record<Account>(bytes);
      break;
    default:
      require(is_good_name(bytes, 100) == (is_good_name(bytes) && bytes.size() <= 100), "names");
  }
  return 0;
}
