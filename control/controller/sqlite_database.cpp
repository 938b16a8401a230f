// SPDX-License-Identifier: BSD-3-Clause
// The only file that knows SQLite. One table of keys and values; write-ahead log, synced by log_sync.h.
#include <fcntl.h>
#include <fmt/core.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <mutex>

#include "database.h"
#include "log_sync.h"

namespace ssn::controller {
namespace {

constexpr const char* what_open = "cannot open the database";
constexpr int application = 0x53534e43;  // "SSNC"
// From 2 on: the same table, with records of that version (record.cpp), which an older program does not know.
constexpr int schema = 5;

struct Finalize {
  void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

Exit code_of(int result) {
  switch (result & 0xFF) {
    case SQLITE_FULL:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
      return Exit::temporary;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Exit::integrity;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Exit::refused;
    default:
      return Exit::failed;
  }
}

std::string fix_of(int result) {
  switch (result & 0xFF) {
    case SQLITE_FULL:
      return "make room on the disk; then it goes on by itself";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "end the other process that has it open";
    case SQLITE_NOMEM:
      return "free memory";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return "keep the file for inquiry and restore it from a copy: docs/controller.md";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
      return "see that the folder is there and this user may write to it and to the file";
    default:
      return "look at the disk and at the kernel's messages, then start again";
  }
}

class SqliteDatabase final : public Database {
 public:
  explicit SqliteDatabase(std::string path) : path_(std::move(path)) {}
  ~SqliteDatabase() override {
    get_.reset();
    scan_.reset();
    scan_to_end_.reset();
    put_.reset();
    erase_.reset();
    begin_.reset();
    commit_.reset();
    rollback_.reset();
    sqlite3_close(connection_);
  }
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  Outcome open();

  Result<std::optional<std::string>> get(std::string_view key) override;
  Result<std::vector<Row>> scan(std::string_view from, std::string_view to, std::size_t limit) override;
  Outcome commit(const Changes& changes) override;
  std::uint64_t commits() const override { return log_.written(); }
  Outcome sync(std::uint64_t commits) override;
  Outcome adopt() override;
  std::string trouble() const override {
    const std::lock_guard lock(mutex_);
    return trouble_.empty() ? log_.trouble() : trouble_;
  }

 private:
  Error error(const char* what, int result) const {
    const int system = sqlite3_system_errno(connection_);
    std::string why = sqlite3_errstr(result);
    if ((result & 0xFF) == SQLITE_IOERR || (result & 0xFF) == SQLITE_CANTOPEN) {
      why += fmt::format(" ({}, system error {})", result, system);
    }
    return {code_of(result), what, std::move(why), path_, fix_of(result)};
  }
  Outcome run(const char* what, const char* sql) {
    const int result = sqlite3_exec(connection_, sql, nullptr, nullptr, nullptr);
    return result == SQLITE_OK ? Outcome(done) : Outcome(error(what, result));
  }
  Result<std::int64_t> number(const char* sql);
  Outcome check_file();
  Outcome set_up();
  Outcome make_schema();
  Outcome check_schema(std::int64_t version);
  Outcome check_contents();
  Outcome prepare(Statement& into, const char* sql);
  int apply(const Changes& changes);

  static void bind(sqlite3_stmt* statement, int at, std::string_view bytes) {
    // Never null: an empty blob is a value.
    sqlite3_bind_blob64(statement, at, bytes.empty() ? "" : bytes.data(), bytes.size(), SQLITE_STATIC);
  }
  static std::string column(sqlite3_stmt* statement, int at) {
    const void* const bytes = sqlite3_column_blob(statement, at);
    const int length = sqlite3_column_bytes(statement, at);
    return bytes == nullptr ? std::string()
                            : std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(length));
  }
  static int step_once(sqlite3_stmt* statement) {
    const int result = sqlite3_step(statement);
    sqlite3_reset(statement);
    return result == SQLITE_DONE ? SQLITE_OK : result;
  }

  const std::string path_;
  mutable std::mutex mutex_;
  sqlite3* connection_ = nullptr;
  Statement get_, scan_, scan_to_end_, put_, erase_, begin_, commit_, rollback_;
  LogSync log_;
  std::string trouble_;
  bool older_ = false;  // it has a schema of before
};

// Made by us before SQLite sees it, so that nobody else can read it at any moment.
Outcome SqliteDatabase::check_file() {
  const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
  if (fd < 0) {
    return system_error(errno, what_open, path_);
  }
  struct stat status{};
  const bool known = ::fstat(fd, &status) == 0;
  const int number = errno;
  ::close(fd);
  if (!known) {
    return system_error(number, what_open, path_);
  }
  if (!S_ISREG(status.st_mode)) {
    return Error{Exit::refused, what_open, "it is not a regular file", path_, "choose another path"};
  }
  if ((status.st_mode & 077) != 0) {
    return Error{Exit::refused, what_open, "other users may read or write it", path_,
                 fmt::format("chmod 600 {}", path_)};
  }
  return done;
}

Result<std::int64_t> SqliteDatabase::number(const char* sql) {
  Statement statement;
  if (Outcome prepared = prepare(statement, sql); !prepared.ok()) {
    return prepared.error();
  }
  const int result = sqlite3_step(statement.get());
  if (result != SQLITE_ROW) {
    return error(what_open, result);
  }
  return sqlite3_column_int64(statement.get(), 0);
}

Outcome SqliteDatabase::prepare(Statement& into, const char* sql) {
  sqlite3_stmt* made = nullptr;
  const int result = sqlite3_prepare_v3(connection_, sql, -1, SQLITE_PREPARE_PERSISTENT, &made, nullptr);
  into.reset(made);
  return result == SQLITE_OK ? Outcome(done) : Outcome(error(what_open, result));
}

Outcome SqliteDatabase::make_schema() {
  return run(what_open, fmt::format("BEGIN IMMEDIATE;"
                                    "CREATE TABLE record(key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL)"
                                    " STRICT, WITHOUT ROWID;"
                                    "PRAGMA application_id={};PRAGMA user_version={};COMMIT;",
                                    application, schema)
                            .c_str());
}

Outcome SqliteDatabase::check_schema(std::int64_t version) {
  const Result<std::int64_t> whose = number("PRAGMA application_id");
  if (!whose.ok()) {
    return whose.error();
  }
  if (whose.value() != application) {
    return Error{Exit::refused, what_open, "it is a database of another program", path_,
                 "choose another path"};
  }
  if (version < 1 || version > schema) {
    return Error{Exit::refused, what_open,
                 fmt::format("it has schema {}, this program knows {}", version, schema), path_,
                 "use a program of the version that wrote it, or a newer one"};
  }
  older_ = version != schema;
  return check_contents();
}

// Records keep their version until they are written again.
Outcome SqliteDatabase::adopt() {
  const std::lock_guard lock(mutex_);
  if (!older_) {
    return done;
  }
  Outcome adopted = run(what_open, fmt::format("PRAGMA user_version={}", schema).c_str());
  older_ = !adopted.ok();
  if (adopted.ok()) log_.note_written();
  return adopted;
}

Outcome SqliteDatabase::check_contents() {
  Statement statement;
  if (Outcome prepared = prepare(statement, "PRAGMA integrity_check(1)"); !prepared.ok()) {
    return prepared;
  }
  const int result = sqlite3_step(statement.get());
  if (result != SQLITE_ROW) {
    return error(what_open, result);
  }
  const std::string verdict = column(statement.get(), 0);
  if (verdict != "ok") {
    return Error{Exit::integrity, what_open, fmt::format("it is damaged: {}", verdict), path_,
                 fix_of(SQLITE_CORRUPT)};
  }
  return done;
}

Outcome SqliteDatabase::set_up() {
  // Alone: no other process may write. NORMAL: SQLite syncs the head of a log that begins anew, and around
  // checkpoints; what FULL adds, a sync of the log behind each commit, is made for several at a time.
  if (Outcome set = run(what_open,
                        "PRAGMA locking_mode=EXCLUSIVE;PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;"
                        "PRAGMA trusted_schema=OFF;PRAGMA cell_size_check=ON;"
                        "PRAGMA temp_store=MEMORY;PRAGMA cache_size=-65536;PRAGMA mmap_size=0;");
      !set.ok()) {
    return set;
  }
  const Result<std::int64_t> version = number("PRAGMA user_version");
  if (!version.ok()) {
    return version.error();
  }
  const Result<std::int64_t> tables = number("SELECT count(*) FROM sqlite_schema");
  if (!tables.ok()) {
    return tables.error();
  }
  const bool fresh = version.value() == 0 && tables.value() == 0;
  if (Outcome ready = fresh ? make_schema() : check_schema(version.value()); !ready.ok()) {
    return ready;
  }
  const std::pair<Statement*, const char*> statements[] = {
      {&get_, "SELECT value FROM record WHERE key=?1"},
      {&scan_, "SELECT key,value FROM record WHERE key>=?1 AND key<?3 ORDER BY key LIMIT ?2"},
      {&scan_to_end_, "SELECT key,value FROM record WHERE key>=?1 ORDER BY key LIMIT ?2"},
      {&put_, "INSERT INTO record(key,value) VALUES(?1,?2) ON CONFLICT(key) DO UPDATE SET value=?2"},
      {&erase_, "DELETE FROM record WHERE key=?1"},
      {&begin_, "BEGIN IMMEDIATE"},
      {&commit_, "COMMIT"},
      {&rollback_, "ROLLBACK"}};
  for (const auto& [statement, sql] : statements) {
    if (Outcome prepared = prepare(*statement, sql); !prepared.ok()) {
      return prepared;
    }
  }
  return done;
}

Outcome SqliteDatabase::open() {
  if (Outcome checked = check_file(); !checked.ok()) {
    return checked;
  }
  const int result =
      sqlite3_open_v2(path_.c_str(), &connection_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  if (result != SQLITE_OK) {
    return error(what_open, result);
  }
  if (Outcome ready = set_up(); !ready.ok()) {
    return ready;
  }
  // Its name is the same for as long as the database is open.
  if (const int number = log_.open(path_ + "-wal"); number != 0) {
    return system_error(number, what_open, path_ + "-wal");
  }
  log_.note_written();  // what making or repairing it wrote
  return sync(log_.written());
}

Outcome SqliteDatabase::sync(std::uint64_t commits) {
  const std::string failed = log_.wait(commits);
  if (failed.empty()) {
    return done;
  }
  return Error{Exit::failed, "cannot write the database", failed, path_ + "-wal", fix_of(SQLITE_IOERR)};
}

Result<std::optional<std::string>> SqliteDatabase::get(std::string_view key) {
  const std::lock_guard lock(mutex_);
  bind(get_.get(), 1, key);
  const int result = sqlite3_step(get_.get());
  std::optional<std::string> value;
  if (result == SQLITE_ROW) {
    value = column(get_.get(), 0);
  }
  sqlite3_reset(get_.get());
  if (result != SQLITE_ROW && result != SQLITE_DONE) {
    return error("cannot read the database", result);
  }
  return value;
}

Result<std::vector<Row>> SqliteDatabase::scan(std::string_view from, std::string_view to, std::size_t limit) {
  const std::lock_guard lock(mutex_);
  sqlite3_stmt* const statement = to.empty() ? scan_to_end_.get() : scan_.get();
  bind(statement, 1, from);
  sqlite3_bind_int64(statement, 2, static_cast<sqlite3_int64>(limit));
  if (!to.empty()) {
    bind(statement, 3, to);
  }
  std::vector<Row> rows;
  int result = sqlite3_step(statement);
  for (; result == SQLITE_ROW; result = sqlite3_step(statement)) {
    rows.push_back({column(statement, 0), column(statement, 1)});
  }
  sqlite3_reset(statement);
  if (result != SQLITE_DONE) {
    return error("cannot read the database", result);
  }
  return rows;
}

int SqliteDatabase::apply(const Changes& changes) {
  int result = step_once(begin_.get());
  for (auto change = changes.begin(); result == SQLITE_OK && change != changes.end(); ++change) {
    sqlite3_stmt* const statement = change->second ? put_.get() : erase_.get();
    bind(statement, 1, change->first);
    if (change->second) {
      bind(statement, 2, *change->second);
    }
    result = step_once(statement);
  }
  return result == SQLITE_OK ? step_once(commit_.get()) : result;
}

Outcome SqliteDatabase::commit(const Changes& changes) {
  for (const auto& [key, value] : changes) {
    assert(!key.empty() && key.size() <= key_max && (!value || value->size() <= value_max));
  }
  const std::lock_guard lock(mutex_);
  constexpr const char* what = "cannot write the database";
  if (const std::string trouble = trouble_.empty() ? log_.trouble() : trouble_; !trouble.empty()) {
    return Error{Exit::failed, what, trouble, path_, fix_of(SQLITE_IOERR)};
  }
  const int result = apply(changes);
  if (result == SQLITE_OK) {
    log_.note_written();
    return done;
  }
  const Error failure = error(what, result);
  if (sqlite3_get_autocommit(connection_) == 0) {
    step_once(rollback_.get());
  }
  // What the kernel made of pages that it could not write nobody knows: a later sync may lie.
  if (failure.code == Exit::failed || failure.code == Exit::integrity) {
    trouble_ = fmt::format("an earlier write failed: {}", failure.why);
  }
  return failure;
}

}  // namespace

Result<std::unique_ptr<Database>> open_sqlite_database(const std::string& path) {
  auto database = std::make_unique<SqliteDatabase>(path);
  if (Outcome opened = database->open(); !opened.ok()) {
    return opened.error();
  }
  return std::unique_ptr<Database>(std::move(database));
}

}  // namespace ssn::controller
