// SPDX-License-Identifier: BSD-3-Clause
// A catalogue on SQLite whose process is killed at random moments, again and again. Before each change the
// process says what it is about to do, after it what came of it; so what must be there is known, and what may
// be.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <sstream>

#include "catalogue.h"
#include "support.h"

namespace ssn::controller::test {
namespace {

constexpr int kills = 60;
constexpr const char* owner = "alice";

void say(int fd, const std::string& line) {
  const std::string text = line + "\n";
  if (::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    ::_exit(1);
  }
}

// Works until it is killed. Lines: "+ NAME ID" before a commit, "- NAME" before a removal, "." when it is
// durable.
[[noreturn]] void work(const std::string& path, std::uint64_t seed, int fd) {
  const auto database = open_sqlite_database(path);
  if (!database.ok()) {
    say(fd, "! " + describe(database.error()));
    ::_exit(1);
  }
  World world(*database.value(), seed);
  world.start_nodes();
  std::mt19937_64 random(seed);
  for (;;) {
    const std::string name(1, static_cast<char>('a' + random() % 6));
    switch (random() % 4) {
      case 0: {
        if (!world->stat(world.now, owner, name).ok()) {
          break;
        }
        say(fd, "- " + name);
        if (const auto removed = world->remove(world.now, owner, name, 0); !removed.ok()) {
          say(fd, "! " + describe(removed.error()));
        }
        say(fd, ".");
        break;
      }
      case 1:
        world.obey();
        break;
      default: {
        const auto ticket = world->begin_write(world.now, owner, world.request(name));
        if (!ticket.ok()) {
          say(fd, "! " + describe(ticket.error()));
          break;
        }
        const Object& object = ticket.value().object;
        if (random() % 5 == 0) {
          static_cast<void>(world->abort(world.now, owner, object.key()));
          break;
        }
        static_cast<void>(world->sealed(world.now, "s", World::seal(object, 5)));
        say(fd, fmt::format("+ {} {}", name, object.id));
        if (const auto committed = world->commit(world.now, owner, object.key(), false); !committed.ok()) {
          say(fd, "! " + describe(committed.error()));
        }
        say(fd, ".");
      }
    }
  }
}

// What must be there; and one change that may be there or not.
struct Expected {
  std::map<std::string, std::uint64_t> now;
  std::map<std::string, std::uint64_t> next;  // if the pending change is there
  std::string trouble;

  void take(const std::string& lines) {
    std::istringstream in(lines.substr(0, lines.rfind('\n') + 1));
    for (std::string kind; in >> kind;) {
      std::string name;
      if (kind == "+") {
        std::uint64_t id = 0;
        in >> name >> id;
        next[name] = id;
      } else if (kind == "-") {
        in >> name;
        next.erase(name);
      } else if (kind == ".") {
        now = next;
      } else {
        std::getline(in, trouble);
      }
    }
  }
};

std::map<std::string, std::uint64_t> listed(World& world) {
  const auto page = world->list(world.now, owner, "", "", 1000);
  EXPECT_OK(page);
  std::map<std::string, std::uint64_t> found;
  for (const ObjectSummary& object : page.value().objects) {
    found[object.name] = object.id;
    const auto whole = world->stat(world.now, owner, object.name);
    EXPECT_OK(whole);
    EXPECT_EQ(whole.value().state, ObjectState::committed);
    EXPECT_EQ(count_of(whole.value().layout, ShareState::sealed), 5U);
  }
  return found;
}

// Indices, counts and orders agree with the objects: nothing is half there.
void check_whole(Database& database) {
  std::uint64_t committed = 0;
  std::uint64_t open = 0;
  std::set<std::string> holdings;
  std::set<std::string> removals;
  const auto rows = database.scan("o", keys::end_of("o"), 1'000'000);
  ASSERT_OK(rows);
  for (const Row& row : rows.value()) {
    const auto record = decode<ObjectRecord>(row.key, row.value);
    ASSERT_OK(record);
    const Object& object = record.value().object;
    const bool named = object.state == ObjectState::committed;
    const bool writing = object.state == ObjectState::writing || object.state == ObjectState::sealed;
    committed += named ? 1 : 0;
    open += writing ? 1 : 0;
    EXPECT_EQ(database.get(keys::open(object.id)).value().has_value(), writing);
    for (const Holder& holder : object.layout.holders) {
      if (holder.state != ShareState::erased) {
        holdings.insert(keys::holding(holder.node, object.key()));
      }
      if (object.state == ObjectState::deleting && holder.state != ShareState::erased) {
        removals.insert(keys::removal(holder.node, object.key()));
      }
    }
  }
  const auto names_of = [&](const std::string& prefix) {
    std::set<std::string> found;
    const auto all = database.scan(prefix, keys::end_of(prefix), 1'000'000);
    EXPECT_OK(all);
    for (const Row& row : all.value()) {
      found.insert(row.key);
    }
    return found;
  };
  EXPECT_EQ(names_of("h"), holdings);
  EXPECT_EQ(names_of("d"), removals);
  EXPECT_EQ(names_of("N").size(), committed);
  const std::string key = keys::owner(owner);
  const auto counted = database.get(key);
  ASSERT_OK(counted);
  if (counted.value()) {
    const auto record = decode<OwnerRecord>(key, *counted.value());
    ASSERT_OK(record);
    EXPECT_EQ(record.value().objects, committed);
    EXPECT_EQ(record.value().writes, open);
  }
}

TEST(Kill, WhatWasAnsweredIsThereAndNothingIsHalf) {
  Folder folder;
  const std::string path = folder.path("db");
  const std::uint64_t first = seed();
  std::mt19937_64 random(first);
  Expected expected;
  std::uint64_t changes = 0;
  for (int kill = 0; kill < kills; ++kill) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(ends[0]);
      work(path, first + static_cast<std::uint64_t>(kill), ends[1]);
    }
    ::close(ends[1]);
    // After so many of its lines, and a moment more: somewhere in the next change.
    const std::size_t lines = random() % 12;
    std::string said;
    char part[4096];
    while (static_cast<std::size_t>(std::count(said.begin(), said.end(), '\n')) < lines) {
      const ssize_t got = ::read(ends[0], part, 1);
      if (got <= 0) {
        break;
      }
      said.push_back(part[0]);
    }
    ::usleep(static_cast<useconds_t>(random() % 3000));
    ::kill(child, SIGKILL);
    for (ssize_t got = 0; (got = ::read(ends[0], part, sizeof part)) > 0;) {
      said.append(part, static_cast<std::size_t>(got));
    }
    ::close(ends[0]);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    expected.take(said);
    changes += static_cast<std::uint64_t>(std::count(said.begin(), said.end(), '.'));
    ASSERT_EQ(expected.trouble, "");
    const auto database = open_sqlite_database(path);
    ASSERT_OK(database);
    World world(*database.value(), random());
    const auto found = listed(world);
    ASSERT_TRUE(found == expected.now || found == expected.next) << "kill " << kill << " seed " << first;
    expected.now = expected.next = found;
    ASSERT_NO_FATAL_FAILURE(check_whole(*database.value())) << "kill " << kill;
  }
  EXPECT_GT(changes, 30U);
}

}  // namespace
}  // namespace ssn::controller::test
