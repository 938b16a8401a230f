// SPDX-License-Identifier: BSD-3-Clause
#include "filler.h"

#include <fmt/core.h>

#include <random>

#include "catalogue.h"
#include "check.h"

namespace ssn::bench {
namespace {

using namespace ssn::controller;

constexpr std::size_t rows_at_once = 20'000;
constexpr std::uint64_t writes_of_an_owner = 200;

Registration registration_of(const std::string& node, pki::Role role) {
  Registration registration;
  registration.instance = {1};
  registration.roles = {role};
  registration.agent = "127.0.0.1:1";
  registration.labels[Label::site] = node;
  return registration;
}

Outcome start_nodes(Catalogue& catalogue, Now now, unsigned holders) {
  for (unsigned i = 0; i <= holders; ++i) {
    const std::string node = i == 0 ? ssa_name : holder_name(i);
    const pki::Role role = i == 0 ? pki::Role::ssa : pki::Role::shareholder;
    const auto known = catalogue.register_node(now, node, {role}, registration_of(node, role));
    if (!known.ok()) return known.error();
    Report report;
    report.instance = {1};
    report.capacity_bytes = std::uint64_t{1} << 50;
    if (const auto taken = catalogue.report(now, node, report); !taken.ok()) return taken.error();
  }
  return done;
}

class Filler {
 public:
  explicit Filler(Catalogue& catalogue, Now now) : catalogue_(catalogue), now_(now) {}

  Result<Object> begin(const std::string& owner, const std::string& name) {
    WriteRequest request;
    for (std::uint8_t& byte : request.token) byte = static_cast<std::uint8_t>(random_());
    request.name = name;
    request.size = object_bytes;
    Result<WriteTicket> ticket = catalogue_.begin_write(now_, owner, request);
    return ticket.ok() ? Result<Object>(std::move(ticket.value().object)) : ticket.error();
  }
  Outcome put(const std::string& owner, const std::string& name) {
    const Result<Object> object = begin(owner, name);
    if (!object.ok()) return object.error();
    const Layout& layout = object.value().layout;
    SealedReport seal;
    seal.key = object.value().key();
    seal.size = object_bytes;
    seal.cells = cells_for(object_bytes, object.value().cell_bytes, layout.secret_blocks);
    seal.attempts = {{0, seal.cells, 0}};
    seal.protection = Protection::computational;
    for (std::uint32_t i = 1; i <= layout.n; ++i)
      seal.shares.push_back({i, layout.holders[i - 1].node, true, ""});
    if (const auto sealed = catalogue_.sealed(now_, ssa_name, seal); !sealed.ok()) return sealed.error();
    const auto committed = catalogue_.commit(now_, owner, seal.key, false);
    return committed.ok() ? Outcome(done) : committed.error();
  }

 private:
  Catalogue& catalogue_;
  const Now now_;
  std::mt19937_64 random_{1};
};

Outcome copy(Database& from, Database& to) {
  Changes changes;
  Outcome copied = for_each_row(from, "", "", [&](const Row& row) {
    changes[row.key] = row.value;
    if (changes.size() < rows_at_once) return Outcome(done);
    Outcome committed = to.commit(changes);
    changes.clear();
    return committed;
  });
  return copied.ok() ? to.commit(changes) : copied;
}

}  // namespace

std::string holder_name(unsigned number) { return fmt::format("sae-{}", static_cast<char>('a' + number)); }

std::string object_name(std::uint64_t number) { return fmt::format("photos/{:08}.raw", number); }

Outcome fill(const Filling& filling) {
  const auto memory = make_memory_database();
  const Now now{1'700'000'000'000, 1000};
  Policy policy;  // nobody is down, and no lease over, only because the machine is busy
  policy.report_ms = 600'000;
  policy.lease_ms = 24 * 3'600'000;
  policy.writes_max = 100'000;
  std::mt19937_64 random{2};
  auto catalogue = Catalogue::open(
      *memory, policy,
      [&](std::uint8_t* out, std::size_t bytes) {
        for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<std::uint8_t>(random());
      },
      now);
  if (!catalogue.ok()) return catalogue.error();
  if (Outcome nodes = start_nodes(*catalogue.value(), now, filling.holders); !nodes.ok()) return nodes;
  Filler filler(*catalogue.value(), now);
  for (std::uint64_t i = 0; i < filling.objects; ++i) {
    if (Outcome put = filler.put("owner", object_name(i)); !put.ok()) return put;
  }
  for (std::uint64_t i = 0; i < filling.writes; ++i) {
    const auto begun = filler.begin(fmt::format("owner-{}", i / writes_of_an_owner), object_name(i));
    if (!begun.ok()) return begun.error();
  }
  const auto file = open_sqlite_database(filling.path);
  return file.ok() ? copy(*memory, *file.value()) : file.error();
}

}  // namespace ssn::bench
