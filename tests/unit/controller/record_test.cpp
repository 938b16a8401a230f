// SPDX-License-Identifier: BSD-3-Clause
#include "record.h"

#include <gtest/gtest.h>

#include <set>

#include "support.h"

namespace ssn::controller::test {
namespace {

ObjectRecord full_record() {
  ObjectRecord record;
  Object& object = record.object;
  object.id = ~std::uint64_t{0};
  object.owner = "alice";
  object.name = "caf\xc3\xa9";
  object.state = ObjectState::sealed;
  object.generation = 3;
  object.size = 12345;
  object.size_known = true;
  object.cell_bytes = 1344;
  object.cells = 10;
  object.layout.scheme = Scheme::ramp;
  object.layout.k = 3;
  object.layout.n = 2;
  object.layout.secret_blocks = 2;
  object.layout.holders.resize(2);
  object.layout.holders[0].node = "h1";
  object.layout.holders[1] = {"h2", "east", ShareState::failed, "disk full", ShareDamage::incomplete, "",
                              {},   false};
  object.layout.row_rule = RowRule::rotating;
  object.layout.cells_per_turn = 64;
  object.layout.quorum = 2;
  object.layout.minimum = 2;
  object.layout.reason = "because";
  object.layout.kept_rows = 2;
  object.layout.pad_rule = PadRule::domain_learns;
  object.layout.pad_reason = "it would learn";
  object.attempts = {{0, 4, 0}, {4, 6, 2}};
  object.protection = Protection::computational;
  object.minimum_protection = Protection::none;
  object.created_ms = 1;
  object.committed_ms = 2;
  object.ssa = "s";
  object.end_reason = "over";
  record.token[3] = 9;
  record.request_digest = std::string(32, '\x80');
  record.create_only = true;
  record.ended_ms = 77;
  record.job = 5;
  record.last_generation = 9;
  record.former = {"h9"};
  object.generation_ms = 300;
  record.refresh_failed_ms = 400;
  return record;
}

TEST(Record, ComesBackAsItWas) {
  const std::string key = keys::object(5);
  const ObjectRecord record = full_record();
  const std::string bytes = encode(key, record);
  const auto back = decode<ObjectRecord>(key, bytes);
  ASSERT_OK(back);
  EXPECT_EQ(encode(key, back.value()), bytes);
  EXPECT_EQ(back.value().object.layout.holders[1].trouble, "disk full");
  EXPECT_EQ(back.value().object.layout.holders[0].damage, std::nullopt);
  EXPECT_EQ(back.value().object.layout.holders[1].damage, ShareDamage::incomplete);
  EXPECT_EQ(back.value().object.attempts, record.object.attempts);
  EXPECT_EQ(back.value().object.id, record.object.id);
  NodeRecord node;
  node.registration.roles = {pki::Role::ssa, pki::Role::shareholder};
  node.registration.data_addresses = {"a", "b"};
  const auto node_back = decode<NodeRecord>("n", encode("n", node));
  ASSERT_OK(node_back);
  EXPECT_TRUE(node_back.value().registration.roles == node.registration.roles);
  EXPECT_EQ(node_back.value().registration.data_addresses.size(), 2U);
  AssociationRecord association{{"peer", 4, {{{}, true, 7, 8}}}, 9};
  const auto association_back = decode<AssociationRecord>("a", encode("a", association));
  ASSERT_OK(association_back);
  EXPECT_EQ(association_back.value().report, association.report);
}

void put(std::string& bytes, const std::string& text) {
  bytes += static_cast<char>(text.size());
  bytes += text;
}

// Its holder's state and trouble given.
std::string object_of_version_1(char state, const std::string& trouble) {
  std::string object{'\1', '\5'};  // version, id
  put(object, "alice");
  put(object, "a");
  object += std::string("\3\1\0\1\100\0", 6);  // committed, generation, size, known, cell, cells
  object += std::string("\1\2\1\1\1", 5);      // shamir, k, n, secret blocks, one holder
  put(object, "h1");
  put(object, "east");
  object += state;
  put(object, trouble);
  object += std::string("\1\100\1\1", 4);  // rotating, cells per turn, quorum, minimum
  put(object, "because");
  object += std::string("\0\2\0\1\2", 5);  // attempts, protections, created, committed
  put(object, "s");
  put(object, "");
  object += std::string(16, '\1');  // token
  put(object, "digest");
  object += std::string("\0\0", 2);  // create only, ended
  return object;
}

// As version 1 wrote them, byte by byte: a database of before labels and pad shares is read.
TEST(Record, OfTheVersionBeforeIsRead) {
  std::string node{'\1'};
  node += std::string(16, '\5');                // instance
  node += std::string(pki::roles_count, '\0');  // roles
  put(node, "192.0.2.1:7000");                  // agent
  node += '\1';                                 // one address
  put(node, "a");
  put(node, "east");               // domain
  put(node, "0.1");                // version
  node += std::string("\1\7", 2);  // out, registered
  const auto record = decode<NodeRecord>("n", with_checksum("n", node));
  ASSERT_OK(record);
  EXPECT_EQ(record.value().registration.labels[Label::site], "east");
  EXPECT_EQ(record.value().registration.labels[Label::key_manager], "");
  EXPECT_TRUE(record.value().registration.key_paths.empty());
  EXPECT_EQ(record.value().service, ServiceState::out_of_service);
  // Written again it has no such field: the network's configuration has it.
  const auto again = decode<NodeRecord>("n", encode("n", record.value()));
  ASSERT_OK(again);
  EXPECT_EQ(again.value().service, ServiceState::in_service);
  // The same bytes are no record of this version, nor of one to come.
  for (const char version : {'\0', '\2', '\3', '\4', '\5', '\6'}) {
    node[0] = version;
    EXPECT_TRUE(fails(decode<NodeRecord>("n", with_checksum("n", node)), Exit::integrity));
  }
  const auto known = decode<ObjectRecord>("o", with_checksum("o", object_of_version_1(1, "")));
  ASSERT_OK(known);
  EXPECT_EQ(known.value().object.ssa, "s");
  EXPECT_EQ(known.value().object.layout.row_rule, RowRule::rotating);
  EXPECT_EQ(known.value().object.layout.reason, "because");
  EXPECT_EQ(known.value().object.layout.kept_rows, 0U);
  EXPECT_EQ(known.value().object.layout.pad_rule, PadRule::undecided);
}

// What became of a share was a sentence.
TEST(Record, ALossOfBeforeIsAValue) {
  for (const ShareDamage damage :
       {ShareDamage::unknown, ShareDamage::missing, ShareDamage::incomplete, ShareDamage::damaged}) {
    const std::string object = object_of_version_1(2, std::string(trouble_of(damage)));
    const auto known = decode<ObjectRecord>("o", with_checksum("o", object));
    ASSERT_OK(known);
    const Holder& holder = known.value().object.layout.holders[0];
    EXPECT_EQ(holder.damage, damage);
    EXPECT_TRUE(is_lost(holder));
    EXPECT_EQ(is_missing(holder), damage == ShareDamage::missing);
  }
  const auto known = decode<ObjectRecord>("o", with_checksum("o", object_of_version_1(2, "disk full")));
  ASSERT_OK(known);
  EXPECT_FALSE(is_lost(known.value().object.layout.holders[0]));
}

// As version 2 wrote it: without what re-sharing needs.
TEST(Record, OfBeforeResharingIsRead) {
  ObjectRecord record = full_record();
  record.job = record.last_generation = 0;
  record.former.clear();
  record.object.generation_ms = record.refresh_failed_ms = 0;
  record.object.layout.holders.clear();  // they have more in this version
  std::string bytes = encode("o", record);
  // The checksum; job, last generation, no former holders; no class, and times of version 5.
  bytes.resize(bytes.size() - 8 - 6);
  bytes[0] = 2;
  const auto known = decode<ObjectRecord>("o", with_checksum("o", bytes));
  ASSERT_OK(known);
  EXPECT_EQ(known.value().ended_ms, 77U);
  EXPECT_EQ(encode("o", known.value()), encode("o", record));
}

TEST(Record, AJobComesBackAsItWas) {
  ReshareJob job;
  job.id = ~std::uint64_t{0};
  job.operation = ReshareOperation::redistribute;
  job.source = job.target = full_record().object.layout;
  job.attempts = full_record().object.attempts;
  job.step = ReshareStep::check;
  job.round = 7;
  job.from = {1, 2};
  job.bad = {3};
  job.runs = {{0, 1}, {64, 5}};
  job.computational = job.cancel = true;
  job.trouble = "why";
  const std::string key = keys::job(job.id);
  const auto back = decode<ReshareJob>(key, encode(key, job));
  ASSERT_OK(back);
  EXPECT_EQ(encode(key, back.value()), encode(key, job));
  EXPECT_EQ(back.value().runs, job.runs);
  EXPECT_EQ(back.value().step, job.step);
  const auto repair = decode<RepairRecord>("l", encode("l", RepairRecord{1, 2, 3, true}));
  ASSERT_OK(repair);
  EXPECT_EQ(repair.value().tries, 2U);
  EXPECT_TRUE(repair.value().held);
  const auto clock = decode<ClockRecord>("c", encode("c", ClockRecord{4, 5}));
  ASSERT_OK(clock);
  EXPECT_EQ(clock.value().wall_ms, 5U);
  const auto replacement =
      decode<ReplacementRecord>("s", encode("s", ReplacementRecord{"b", "why", 4, 5, 6, "t", 7, true}));
  ASSERT_OK(replacement);
  EXPECT_TRUE(replacement.value().automatic);
}

TEST(Record, EveryFlippedBitIsNoticed) {
  const std::string key = keys::object(5);
  const std::string good = encode(key, full_record());
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] ^= static_cast<char>(1U << bit % 8);
    ASSERT_TRUE(fails(decode<ObjectRecord>(key, bad), Exit::integrity)) << bit;
  }
  for (std::size_t length = 0; length < good.size(); ++length) {
    ASSERT_TRUE(fails(decode<ObjectRecord>(key, good.substr(0, length)), Exit::integrity)) << length;
  }
}

TEST(Record, OfAnotherPlaceOrKindIsNoticed) {
  const std::string good = encode(keys::object(5), full_record());
  EXPECT_TRUE(fails(decode<ObjectRecord>(keys::object(6), good), Exit::integrity));
  EXPECT_TRUE(fails(decode<MetaRecord>(keys::object(5), good), Exit::integrity));
}

TEST(Request, NamesAreTextWithoutControls) {
  for (const char* const good : {"a", "a b/c", "caf\xc3\xa9", "\xf0\x9f\x98\x80"}) {
    EXPECT_TRUE(is_good_name(good)) << good;
  }
  for (const std::string& bad : std::vector<std::string>{
           std::string(), std::string("a\0b", 3), std::string("a\nb"), std::string("\x7f"),
           std::string("\xc2\x9b"), std::string("\xff"), std::string("\xc3"), std::string("\xed\xa0\x80"),
           std::string("\xc0\x80"), std::string(1025, 'a')}) {
    EXPECT_FALSE(is_good_name(bad)) << bad;
  }
  EXPECT_TRUE(is_good_name(std::string(1024, 'a')));
}

Result<Layout> layout(Scheme scheme, std::uint32_t k, std::uint32_t n, std::uint32_t blocks = 0,
                      std::uint32_t minimum = 0, std::uint32_t quorum = 0) {
  WriteRequest request;
  request.scheme = scheme;
  request.k = k;
  request.n = n;
  request.secret_blocks = blocks;
  request.minimum = minimum;
  request.quorum = quorum;
  return layout_for(request, Policy{});
}

TEST(Request, LayoutsKeepToTheirSchemes) {
  const auto standard = layout(Scheme::policy, 0, 0);
  ASSERT_OK(standard);
  EXPECT_EQ(standard.value().k, 3U);
  EXPECT_EQ(standard.value().n, 5U);
  EXPECT_EQ(standard.value().quorum, 4U);
  EXPECT_EQ(standard.value().minimum, 3U);
  EXPECT_EQ(secrecy_threshold(standard.value()), 2U);
  EXPECT_OK(layout(Scheme::shamir, 2, 255));
  EXPECT_OK(layout(Scheme::ramp, 5, 8, 2));
  EXPECT_EQ(secrecy_threshold(layout(Scheme::ramp, 5, 8, 2).value()), 3U);
  EXPECT_EQ(layout(Scheme::rs, 4, 6).value().secret_blocks, 4U);
  EXPECT_EQ(secrecy_threshold(layout(Scheme::rs, 4, 6).value()), 0U);
  for (const auto& bad :
       {layout(Scheme::shamir, 1, 3), layout(Scheme::shamir, 4, 3), layout(Scheme::shamir, 2, 256),
        layout(Scheme::shamir, 3, 5, 2), layout(Scheme::ramp, 3, 5, 3), layout(Scheme::ramp, 3, 255, 2),
        layout(Scheme::rs, 3, 5, 2), layout(static_cast<Scheme>(255), 3, 5),
        layout(Scheme::shamir, 3, 5, 0, 2), layout(Scheme::shamir, 3, 5, 0, 4, 3),
        layout(Scheme::shamir, 3, 5, 0, 3, 6)}) {
    EXPECT_TRUE(fails(bad, Exit::usage));
  }
}

TEST(Request, CellsCoverTheSize) {
  EXPECT_EQ(cells_for(0, 64, 1), 0U);
  EXPECT_EQ(cells_for(1, 64, 1), 1U);
  EXPECT_EQ(cells_for(128, 64, 2), 1U);
  EXPECT_EQ(cells_for(129, 64, 2), 2U);
  EXPECT_EQ(cells_for(~std::uint64_t{0}, 64, 1), std::uint64_t{1} << 58);
}

std::vector<Candidate> candidates(const std::vector<std::string>& domains) {
  std::vector<Candidate> all;
  for (std::size_t i = 0; i < domains.size(); ++i) {
    all.push_back({numbered("h", i), domains[i], {}, 1'000'000, {}, ""});
  }
  return all;
}

Layout shamir(std::uint32_t k, std::uint32_t n) {
  Layout layout;
  layout.k = k;
  layout.n = n;
  return layout;
}

// For many objects: different nodes, no domain with more than reveal nothing, as many domains as there are.
TEST(Placement, SpreadsOverDomains) {
  const auto nodes = candidates({"a", "a", "a", "b", "b", "c", ""});
  for (std::uint64_t object = 1; object <= 500; ++object) {
    const auto placed = place(shamir(3, 5), {object, 100}, nodes);
    ASSERT_OK(placed);
    std::set<std::string> names;
    std::map<std::string, int> domains;
    for (const Holder& holder : placed.value().holders) {
      names.insert(holder.node);
      ++domains[holder.domain.empty() ? holder.node : holder.domain];
    }
    EXPECT_EQ(names.size(), 5U);
    EXPECT_EQ(domains.size(), 4U);
    for (const auto& [domain, count] : domains) {
      EXPECT_LE(count, 2) << domain;
    }
  }
}

TEST(Placement, RefusesWhatWouldRevealTooMuch) {
  EXPECT_TRUE(
      fails(place(shamir(3, 5), {1, 0}, candidates({"a", "a", "a", "b", "b", "b"})), Exit::temporary));
  EXPECT_OK(place(shamir(3, 4), {1, 0}, candidates({"a", "a", "a", "b", "b", "b"})));
  Layout code = shamir(2, 3);
  code.scheme = Scheme::rs;
  code.secret_blocks = 2;
  EXPECT_OK(place(code, {1, 0}, candidates({"a", "a", "a"})));
}

TEST(Placement, LeavesOutWhoCannotAndSaysSo) {
  auto nodes = candidates({"", "", "", "", "", ""});
  nodes[0].excluded = "down";
  const auto placed = place(shamir(3, 5), {1, 100}, nodes);
  ASSERT_OK(placed);
  EXPECT_NE(placed.value().reason.find("h0 is down"), std::string::npos) << placed.value().reason;
  for (const Holder& holder : placed.value().holders) {
    EXPECT_NE(holder.node, "h0");
  }
  nodes[1].free_bytes = 99;
  const auto few = place(shamir(3, 5), {1, 100}, nodes);
  ASSERT_TRUE(fails(few, Exit::temporary));
  EXPECT_NE(few.error().why.find("h1 is full"), std::string::npos) << few.error().why;
}

TEST(Placement, FollowsFreeRoom) {
  auto nodes = candidates({"", "", "", ""});
  nodes[0].free_bytes *= 3;
  std::map<std::string, int> first;
  for (std::uint64_t object = 1; object <= 6000; ++object) {
    ++first[place(shamir(2, 2), {object, 0}, nodes).value().holders[0].node];
  }
  EXPECT_NEAR(first["h0"], 3000, 200);
  EXPECT_NEAR(first["h1"], 1000, 150);
}

}  // namespace
}  // namespace ssn::controller::test
