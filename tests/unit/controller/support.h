// SPDX-License-Identifier: BSD-3-Clause
// A catalogue with nodes on any database, and a database that fails when it is told to.
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>

#include "catalogue.h"

namespace ssn::controller::test {

inline std::string describe(const Error& error) {
  return fmt::format("{} {}: {} ({})", static_cast<int>(error.code), error.what, error.why, error.where);
}

// "h1", ...
template <typename Number>
std::string numbered(const char* name, Number number) {
  return fmt::format("{}{}", name, number);
}

#define ASSERT_OK(result)                                         \
  do {                                                            \
    const auto& ssn_result = (result);                            \
    ASSERT_TRUE(ssn_result.ok()) << describe(ssn_result.error()); \
  } while (false)
#define EXPECT_OK(result)                                         \
  do {                                                            \
    const auto& ssn_result = (result);                            \
    EXPECT_TRUE(ssn_result.ok()) << describe(ssn_result.error()); \
  } while (false)

template <typename T>
testing::AssertionResult fails(const Result<T>& result, Exit code) {
  if (result.ok()) {
    return testing::AssertionFailure() << "it worked";
  }
  const Error& error = result.error();
  if (error.code != code || error.what.empty() || error.why.empty() || error.fix.empty()) {
    return testing::AssertionFailure() << describe(error);
  }
  return testing::AssertionSuccess();
}

// The test program's main() prints it.
inline std::uint64_t seed() {
  const char* const given = std::getenv("SSN_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : 1;
}

class Folder {
 public:
  Folder() {
    name_ = testing::TempDir() + "controller-XXXXXX";
    EXPECT_NE(::mkdtemp(name_.data()), nullptr);
  }
  ~Folder() { std::filesystem::remove_all(name_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string path(const std::string& name) const { return name_ + "/" + name; }

 private:
  std::string name_;
};

// Passes on to another one; the nth commit from now fails, before it is done or, as after a lost answer,
// after.
class FaultyDatabase final : public Database {
 public:
  explicit FaultyDatabase(Database& below) : below_(below) {}

  void fail_commit(unsigned after, bool applied) {
    countdown_ = after;
    applied_ = applied;
  }
  bool failed() const { return failed_; }

  Result<std::optional<std::string>> get(std::string_view key) override { return below_.get(key); }
  Result<std::vector<Row>> scan(std::string_view from, std::string_view to, std::size_t limit) override {
    return below_.scan(from, to, limit);
  }
  Outcome commit(const Changes& changes) override {
    if (countdown_ != 0 && --countdown_ == 0) {
      failed_ = true;
      if (applied_) {
        EXPECT_OK(below_.commit(changes));
      }
      return Error{Exit::temporary, "cannot write the database", "the test wants it so", "", "try again"};
    }
    return below_.commit(changes);
  }
  std::uint64_t commits() const override { return below_.commits(); }
  Outcome sync(std::uint64_t commits) override { return below_.sync(commits); }
  Outcome adopt() override { return below_.adopt(); }
  std::string trouble() const override { return below_.trouble(); }

 private:
  Database& below_;
  unsigned countdown_ = 0;
  bool applied_ = false;
  bool failed_ = false;
};

// Time that tests move, nodes "h1" to "h7" and SSA "s", which report when told.
class World {
 public:
  World(Database& database, std::uint64_t random_seed, Policy policy = {})
      : database_(database), policy_(policy), random_(random_seed) {
    restart();
  }

  // As after a crash: all that is in memory is gone.
  void restart() {
    catalogue_.reset();
    auto opened = Catalogue::open(
        database_, policy_,
        [this](std::uint8_t* out, std::size_t bytes) {
          for (std::size_t i = 0; i < bytes; ++i) {
            out[i] = static_cast<std::uint8_t>(random_());
          }
        },
        now);
    ASSERT_OK(opened);
    catalogue_ = std::move(opened.value());
  }

  void start_nodes() {
    for (int i = 1; i <= 7; ++i) {
      start(numbered("h", i), pki::Role::shareholder);
    }
    start("s", pki::Role::ssa);
  }
  void start(const std::string& node, pki::Role role, const std::string& domain = "") {
    Registration registration;
    registration.instance = instance_of(node);
    registration.roles = {role};
    registration.agent = "192.0.2.1:7000";
    registration.data_addresses = {"192.0.2.1:4711"};
    registration.labels[Label::site] = domain;
    ASSERT_OK(catalogue_->register_node(now, node, {role}, registration));
    ASSERT_OK(report(node));
  }
  static Bytes16 instance_of(const std::string& node) {
    Bytes16 instance{};
    instance[0] = 1;
    std::copy(node.begin(), node.end(), instance.begin() + 1);
    return instance;
  }
  static Report report_of(const std::string& node) {
    Report report;
    report.instance = instance_of(node);
    report.capacity_bytes = std::uint64_t{1} << 40;
    return report;
  }
  Result<ReportAnswer> report(const std::string& node, Report report) {
    return catalogue_->report(now, node, report);
  }
  Result<ReportAnswer> report(const std::string& node) { return report(node, report_of(node)); }
  void report_all() {
    for (int i = 1; i <= 7; ++i) {
      ASSERT_OK(report(numbered("h", i)));
    }
    ASSERT_OK(report("s"));
  }

  WriteRequest request(const std::string& name) {
    WriteRequest request;
    for (std::uint8_t& byte : request.token) {
      byte = static_cast<std::uint8_t>(random_() | 1U);
    }
    request.name = name;
    request.size = 10'000;
    return request;
  }
  static SealedReport seal(const Object& object, std::uint32_t shares) {
    SealedReport report;
    report.key = object.key();
    report.size = 10'000;
    report.cells = cells_for(report.size, object.cell_bytes, object.layout.secret_blocks);
    report.attempts = {{0, report.cells, 0}};
    report.protection = Protection::computational;
    for (std::uint32_t i = 1; i <= shares; ++i) {
      report.shares.push_back({i, object.layout.holders[i - 1].node, true, ""});
    }
    return report;
  }
  // A committed object.
  Object put(const std::string& owner, const std::string& name) {
    const auto ticket = catalogue_->begin_write(now, owner, request(name));
    EXPECT_OK(ticket);
    const Object& object = ticket.value().object;
    EXPECT_OK(catalogue_->sealed(now, "s", seal(object, 5)));
    const auto committed = catalogue_->commit(now, owner, object.key(), false);
    EXPECT_OK(committed);
    return committed.value().object;
  }
  // All nodes carry out what they are ordered.
  void obey() {
    for (int i = 1; i <= 7; ++i) {
      const std::string node = numbered("h", i);
      const auto orders = report(node);
      ASSERT_OK(orders);
      Report done = report_of(node);
      done.removed = orders.value().remove;
      ASSERT_OK(report(node, done));
    }
  }
  void pass(std::uint64_t ms) {
    now.wall_ms += ms;
    now.monotonic_ms += ms;
  }

  Catalogue& operator*() { return *catalogue_; }
  Catalogue* operator->() { return catalogue_.get(); }

  Now now{1'700'000'000'000, 5'000};

 private:
  Database& database_;
  const Policy policy_;
  std::mt19937_64 random_;
  std::unique_ptr<Catalogue> catalogue_;
};

}  // namespace ssn::controller::test
