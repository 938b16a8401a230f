// SPDX-License-Identifier: BSD-3-Clause
#include "eal_log.h"

#include <rte_log.h>
#include <stdio.h>

#include <cerrno>
#include <deque>
#include <mutex>
#include <string>

namespace ssn::dataplane {
namespace {

constexpr std::size_t lines_kept = 64;
constexpr std::size_t longest_line = 1024;

// Benign, and said at every start or by every device of its kind.
constexpr std::string_view unimportant[] = {
    "Detected ",
    "Selected IOVA",
    "Multi-process socket",
    "VFIO support",
    "Probe PCI",
    "TELEMETRY: No legacy",
    "Static memory layout",
    "No free 1048576 kB hugepages",
    "No free 2048 kB hugepages",
    "No available 1048576 kB hugepages",
    "No available 2048 kB hugepages",
    "In-memory mode enabled",
    "Failed to register mp action callback: Operation not supported",
};

struct Capture {
  std::mutex mutex;
  Eal::Log log;
  std::string partial;
  std::deque<std::string> lines;  // the newest
  std::size_t count = 0;          // of all lines
  FILE* stream = nullptr;
};

Capture& capture() {
  static Capture the_one;
  return the_one;
}

bool is_unimportant(std::string_view line) {
  for (const std::string_view text : unimportant) {
    if (line.find(text) != std::string_view::npos) {
      return true;
    }
  }
  return false;
}

void take_line(Capture& to, std::string line) {
  if (line.empty() || is_unimportant(line)) {
    return;
  }
  if (to.log) {
    to.log(line);
  }
  ++to.count;
  to.lines.push_back(std::move(line));
  if (to.lines.size() > lines_kept) {
    to.lines.pop_front();
  }
}

ssize_t write_log(void* cookie, const char* text, size_t size) {
  Capture& to = *static_cast<Capture*>(cookie);
  const std::lock_guard lock(to.mutex);
  for (size_t i = 0; i < size; ++i) {
    if (text[i] == '\n' || to.partial.size() >= longest_line) {
      take_line(to, std::move(to.partial));
      to.partial.clear();
    }
    if (text[i] >= ' ') {
      to.partial += text[i];
    }
  }
  return static_cast<ssize_t>(size);
}

}  // namespace

Outcome capture_eal_log(Eal::Log log) {
  Capture& to = capture();
  {
    const std::lock_guard lock(to.mutex);
    to.log = std::move(log);
  }
  if (to.stream != nullptr) {
    return done;
  }
  cookie_io_functions_t functions{};
  functions.write = write_log;
  to.stream = ::fopencookie(&to, "w", functions);
  if (to.stream == nullptr || ::setvbuf(to.stream, nullptr, _IONBF, 0) != 0 ||
      ::rte_openlog_stream(to.stream) != 0) {
    return system_error(errno, "cannot listen to DPDK's log", "fopencookie");
  }
  // What is merely worth knowing in there does not concern our users.
  ::rte_log_set_global_level(RTE_LOG_WARNING);
  return done;
}

void release_eal_log() {
  Capture& to = capture();
  const std::lock_guard lock(to.mutex);
  to.log = nullptr;
}

std::size_t eal_log_mark() {
  Capture& from = capture();
  const std::lock_guard lock(from.mutex);
  return from.count;
}

std::string eal_log_since(std::size_t mark) {
  Capture& from = capture();
  const std::lock_guard lock(from.mutex);
  std::string text;
  const std::size_t first = from.count - from.lines.size();
  for (std::size_t i = mark > first ? mark - first : 0; i < from.lines.size(); ++i) {
    text += (text.empty() ? "" : "; ") + from.lines[i];
  }
  return text;
}

}  // namespace ssn::dataplane
