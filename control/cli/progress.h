// SPDX-License-Identifier: BSD-3-Clause
// One line on the terminal that shows how far a command is.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace ssn::cli {

/// "1.5 GB", "320 B": decimal units, as disks and links are sold.
std::string format_bytes(std::uint64_t bytes);
/// "48 s", "3 min 05 s", "2 h 10 min".
std::string format_duration(double seconds);

/// Writes to standard error, only when that is a terminal and `quiet` is not set. Costs one clock read a
/// call.
class Progress {
 public:
  Progress(std::string label, bool quiet);
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// 0: not known, as for a pipe.
  void set_total(std::uint64_t bytes) noexcept { total_ = bytes; }
  /// Shown behind the line: what slows it on purpose.
  void set_note(std::string note) { note_ = std::move(note); }
  void update(std::uint64_t bytes_done);
  /// Removes the line.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;

  std::string label_;
  std::string note_;
  bool enabled_;
  bool shown_ = false;
  std::uint64_t total_ = 0;
  Clock::time_point start_;
  Clock::time_point next_;
};

/// The text of the line, for a test: "split 1.0 GB of 4.0 GB  25 %  500 MB/s  6 s left".
std::string progress_line(const std::string& label, std::uint64_t bytes_done, std::uint64_t total,
                          double seconds);

}  // namespace ssn::cli
