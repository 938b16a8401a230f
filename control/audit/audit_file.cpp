// SPDX-License-Identifier: BSD-3-Clause
#include "audit_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdio>

#include "ssn/hw/file_names.h"

namespace ssn::audit {
namespace {

constexpr const char* what_write = "cannot write the audit log";
constexpr const char* what_read = "cannot read the audit log";
constexpr std::size_t piece = std::size_t{256} << 10;            // read at once
constexpr std::uint64_t looked_at_max = std::uint64_t{8} << 20;  // in one call of read_decisions()
constexpr unsigned files_max = 1000;

std::string numbered(const std::string& path, unsigned number) {
  return number == 0 ? path : fmt::format("{}.{}", path, number);
}

// At most `most` bytes from there; shorter at the end.
Result<std::string> read_at(int fd, std::uint64_t from, std::size_t most, const std::string& path) {
  std::string text(most, '\0');
  std::size_t got = 0;
  while (got < most) {
    const ssize_t bytes = ::pread(fd, text.data() + got, most - got, static_cast<off_t>(from + got));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return system_error(errno, what_read, path);
    if (bytes == 0) break;
    got += static_cast<std::size_t>(bytes);
  }
  text.resize(got);
  return text;
}

Result<std::uint64_t> size_of(int fd, const std::string& path) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return system_error(errno, what_read, path);
  return static_cast<std::uint64_t>(status.st_size);
}

// The first record that begins at `from` or behind it; number 0: there is none.
struct Found {
  std::uint64_t at = 0;
  std::uint64_t number = 0;
};
Result<Found> first_from(int fd, std::uint64_t from, const std::string& path) {
  std::uint64_t at = from == 0 ? 0 : from - 1;
  bool at_line = from == 0;
  for (;;) {
    const Result<std::string> text = read_at(fd, at, line_max, path);
    if (!text.ok()) return text.error();
    if (text.value().empty()) return Found{at, 0};
    std::size_t begin = 0;
    while (begin < text.value().size()) {
      const std::size_t end = text.value().find('\n', begin);
      if (at_line) {
        const std::uint64_t number = number_of(std::string_view(text.value()).substr(begin, end - begin));
        if (number != 0) return Found{at + begin, number};
      }
      at_line = end != std::string::npos;
      if (!at_line) break;
      begin = end + 1;
    }
    if (begin == 0) return Found{at + text.value().size(), 0};  // longer than any of ours
    at += begin;
    if (text.value().size() < line_max) return Found{at, 0};
    at_line = true;
  }
}

// Where the records behind `after` begin: numbers ascend.
Result<std::uint64_t> place_of(int fd, std::uint64_t size, std::uint64_t after, const std::string& path) {
  std::uint64_t low = 0;
  std::uint64_t high = size;
  while (high - low > line_max) {
    const std::uint64_t middle = low + (high - low) / 2;
    const Result<Found> found = first_from(fd, middle, path);
    if (!found.ok()) return found.error();
    if (found.value().number == 0 || found.value().number > after) {
      high = middle;
    } else {
      low = middle;
    }
  }
  return low;
}

// Of the last record of a file; 0: there is none in its last piece.
Result<std::uint64_t> last_number(int fd, const std::string& path) {
  const Result<std::uint64_t> size = size_of(fd, path);
  if (!size.ok()) return size.error();
  const std::uint64_t from = size.value() - std::min<std::uint64_t>(size.value(), 2 * line_max);
  const Result<std::string> text = read_at(fd, from, 2 * line_max, path);
  if (!text.ok()) return text.error();
  std::uint64_t last = 0;
  for (std::size_t begin = 0; begin < text.value().size();) {
    last = std::max(last, number_of(std::string_view(text.value()).substr(begin)));
    const std::size_t end = text.value().find('\n', begin);
    begin = end == std::string::npos ? text.value().size() : end + 1;
  }
  return last;
}

// Oldest first. Opened at once, so that a rotation meanwhile moves names and not what is read.
struct Open {
  hw::FileDescriptor fd;
  std::uint64_t first = 0;
};
Result<std::vector<Open>> open_all(const std::string& path) {
  std::vector<Open> all;
  unsigned missing = 0;
  for (unsigned number = 0; number < files_max && missing < 2; ++number) {
    const std::string name = numbered(path, number);
    hw::FileDescriptor fd(::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    missing = fd.is_open() || errno != ENOENT ? 0 : missing + 1;
    if (missing != 0) continue;  // one may: a rotation that a crash cut off
    if (!fd.is_open()) return system_error(errno, what_read, name);
    const Result<Found> found = first_from(fd.get(), 0, name);
    if (!found.ok()) return found.error();
    if (found.value().number != 0) all.push_back({std::move(fd), found.value().number});
  }
  std::sort(all.begin(), all.end(), [](const Open& a, const Open& b) { return a.first < b.first; });
  return all;
}

// Takes records of one file into the page; `budget` is what may still be looked at.
Outcome read_file(int fd, const std::string& path, const DecisionFilter& filter, std::size_t limit,
                  std::uint64_t& budget, DecisionPage& page) {
  const Result<std::uint64_t> size = size_of(fd, path);
  if (!size.ok()) return size.error();
  Result<std::uint64_t> at = place_of(fd, size.value(), page.next, path);
  if (!at.ok()) return at.error();
  bool whole = at.value() == 0;  // else the first line may be the end of one
  for (std::uint64_t place = at.value(); !page.more;) {
    const Result<std::string> text = read_at(fd, place, piece, path);
    if (!text.ok()) return text.error();
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = text.value().find('\n', begin)) != std::string::npos; begin = end + 1) {
      const std::string_view line = std::string_view(text.value()).substr(begin, end - begin);
      const std::uint64_t number = number_of(line);
      const bool known = number != 0 && number <= page.next;
      const bool partial = !std::exchange(whole, true);
      if (known || (partial && number == 0)) continue;
      if (page.decisions.size() == limit || budget < line.size()) {
        page.more = true;
        return done;
      }
      budget -= line.size();
      Result<Decision> decision = decision_of(line);
      if (!decision.ok()) {
        ++page.damaged;
        continue;
      }
      page.next = decision.value().number;
      if (passes(decision.value(), filter)) page.decisions.push_back(std::move(decision.value()));
    }
    // What has no end is being written, or is no line of ours.
    if (begin == 0) return done;
    place += begin;
  }
  return done;
}

}  // namespace

Result<DecisionPage> read_decisions(const std::string& path, const DecisionFilter& filter,
                                    std::uint64_t after, std::size_t limit) {
  const Result<std::vector<Open>> all = open_all(path);
  if (!all.ok()) return all.error();
  DecisionPage page;
  page.next = after;
  std::uint64_t budget = looked_at_max;
  for (std::size_t i = 0; i < all.value().size() && !page.more; ++i) {
    if (i + 1 < all.value().size() && all.value()[i + 1].first <= page.next + 1) continue;
    const Outcome read = read_file(all.value()[i].fd.get(), path, filter, limit, budget, page);
    if (!read.ok()) return read.error();
  }
  return page;
}

Result<AuditFile> AuditFile::open(AuditFileRules rules) {
  assert(!rules.path.empty() && rules.files >= 2 && rules.files <= files_max);
  AuditFile file(std::move(rules));
  if (Outcome opened = file.reopen(); !opened.ok()) return opened.error();
  for (unsigned number = 0; number < file.rules_.files && file.last_ == 0; ++number) {
    const std::string name = numbered(file.rules_.path, number);  // FILE itself is empty after a rotation
    const hw::FileDescriptor fd(::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.is_open() && errno == ENOENT) continue;
    if (!fd.is_open()) return system_error(errno, what_write, name);
    const Result<std::uint64_t> last = last_number(fd.get(), name);
    if (!last.ok()) return last.error();
    file.last_ = last.value();
  }
  return file;
}

Outcome AuditFile::reopen() {
  const std::string& path = rules_.path;
  fd_ = hw::FileDescriptor(
      ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!fd_.is_open()) return system_error(errno, what_write, path);
  struct stat status{};
  if (::fstat(fd_.get(), &status) != 0) return system_error(errno, what_write, path);
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 0077) != 0) {
    fd_.close();
    return Error{Exit::refused, what_write,
                 !S_ISREG(status.st_mode) ? "it is no regular file" : "others than this user may read it",
                 path, "name another file, or give it to this user with mode 0600"};
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
  if (size_ == 0) return done;
  // A line that a crash cut off is no record; the next one begins behind it.
  char last = 0;
  if (::pread(fd_.get(), &last, 1, static_cast<off_t>(size_ - 1)) != 1) {
    return system_error(errno, what_write, path);
  }
  if (last != '\n' && ::write(fd_.get(), "\n", 1) != 1) return system_error(errno, what_write, path);
  size_ += last != '\n' ? 1 : 0;
  return done;
}

// The oldest goes, unless a name is free: one that failed half-way is gone on with, and pushes nothing out.
Outcome AuditFile::rotate() {
  fd_.close();
  unsigned free = 1;
  while (free < rules_.files - 1 && ::access(numbered(rules_.path, free).c_str(), F_OK) == 0) ++free;
  for (unsigned number = free; number != 0; --number) {
    const std::string from = numbered(rules_.path, number - 1);
    const std::string to = numbered(rules_.path, number);
    if (::rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT) {
      return system_error(errno, what_write, to);
    }
  }
  if (Outcome opened = reopen(); !opened.ok()) return opened;
  const int synced = hw::sync_directory(hw::directory_of(rules_.path));
  return synced == 0 ? Outcome(done) : Outcome(system_error(synced, what_write, rules_.path));
}

Outcome AuditFile::append(std::string_view line, std::uint64_t number) {
  assert(line.size() <= line_max && line.ends_with('\n'));
  if (!fd_.is_open()) {
    if (Outcome opened = reopen(); !opened.ok()) return opened;
  }
  if (doubtful_ || (size_ != 0 && size_ + line.size() > rules_.bytes_max)) {
    if (Outcome rotated = rotate(); !rotated.ok()) return rotated;
    doubtful_ = false;
  }
  std::size_t written = 0;
  while (written < line.size()) {
    const ssize_t bytes = ::write(fd_.get(), line.data() + written, line.size() - written);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) {
      const int problem = bytes < 0 ? errno : ENOSPC;
      if (written != 0 && ::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) fd_.close();
      return system_error(problem, what_write, rules_.path);
    }
    written += static_cast<std::size_t>(bytes);
  }
  size_ += line.size();
  last_ = number;
  return done;
}

Outcome AuditFile::sync() {
  if (!fd_.is_open() || ::fdatasync(fd_.get()) == 0) return done;
  const int problem = errno;
  doubtful_ = true;  // fsync tells once only: what it says of this file later means nothing
  return system_error(problem, what_write, rules_.path);
}

}  // namespace ssn::audit
