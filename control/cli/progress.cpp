// SPDX-License-Identifier: BSD-3-Clause
#include "progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

namespace ssn::cli {
namespace {

constexpr auto first_after = std::chrono::milliseconds(500);  // short runs show nothing
constexpr auto interval = std::chrono::milliseconds(200);

}  // namespace

std::string format_bytes(std::uint64_t bytes) {
  constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) {
    return fmt::format("{} B", bytes);
  }
  double value = static_cast<double>(bytes);
  unsigned unit = 0;
  while (value >= 999.95 && unit < 6) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string format_duration(double seconds) {
  const auto whole = static_cast<std::uint64_t>(seconds < 0 ? 0 : seconds + 0.5);
  if (whole < 60) {
    return fmt::format("{} s", whole);
  }
  if (whole < 3600) {
    return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  }
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

std::string progress_line(const std::string& label, std::uint64_t bytes_done, std::uint64_t total,
                          double seconds) {
  std::string line = fmt::format("{} {}", label, format_bytes(bytes_done));
  const double rate = seconds > 0 ? static_cast<double>(bytes_done) / seconds : 0;
  if (total > 0) {
    const double part = static_cast<double>(bytes_done) / static_cast<double>(total);
    line += fmt::format(" of {}  {} %", format_bytes(total), static_cast<unsigned>(part * 100));
  }
  line += fmt::format("  {}/s", format_bytes(static_cast<std::uint64_t>(rate)));
  if (total > bytes_done && rate > 0) {
    line += fmt::format("  {} left", format_duration(static_cast<double>(total - bytes_done) / rate));
  }
  return line;
}

Progress::Progress(std::string label, bool quiet)
    : label_(std::move(label)),
      enabled_(!quiet && ::isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      next_(start_ + first_after) {}

void Progress::update(std::uint64_t bytes_done) {
  if (!enabled_) {
    return;
  }
  const Clock::time_point now = Clock::now();
  if (now < next_) {
    return;
  }
  next_ = now + interval;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  fmt::print(stderr, "\r{}{}{}\x1b[K", progress_line(label_, bytes_done, total_, seconds),
             note_.empty() ? "" : "  ", note_);
  std::fflush(stderr);
  shown_ = true;
}

void Progress::finish() {
  if (shown_) {
    fmt::print(stderr, "\r\x1b[K");
    std::fflush(stderr);
    shown_ = false;
  }
}

}  // namespace ssn::cli
