// SPDX-License-Identifier: BSD-3-Clause
// What the programs of this folder share: options, folders, errors, and running something on a worker.
#pragma once

#include <errno.h>
#include <fmt/core.h>
#include <stdlib.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>

#include "probe.h"
#include "ssn/dataplane/worker.h"
#include "ssn/hw/result.h"

namespace ssn::bench {

[[noreturn]] inline void stop(const Error& error) {
  fmt::print(stderr, "{}: {}: {} ({})\n  {}\n", ::program_invocation_short_name, error.what, error.why,
             error.where, error.fix);
  std::_Exit(1);
}

inline bool read_number(std::string_view text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

/// Runs a function on the worker, between two walks.
template <typename Function>
void on_worker(dataplane::Worker& worker, Function function) {
  dataplane::Ticket ticket = 0;
  const dataplane::Command command{[](void* argument) { (*static_cast<Function*>(argument))(); }, &function};
  if (!worker.post(command, &ticket)) {
    stop({Exit::failed, "cannot run a command on the worker", "its inbox is full",
          fmt::format("worker {}", worker.index()), "give it a core that nothing else runs on"});
  }
  while (!worker.wait(ticket, std::chrono::milliseconds(1000))) {
  }
}

template <typename Condition>
bool eventually(Condition condition, std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

inline void print_side(const char* name, const Probe::Result& side) {
  fmt::print(
      "\"{}\": {{\"cycles\": {:.1f}, \"between\": {:.1f}, \"windows\": {}, \"blocks\": {}, \"nodes\": [",
      name, side.cycles, side.between, side.windows, side.blocks);
  bool first = true;
  for (const Probe::Node& node : side.nodes) {
    fmt::print("{}{{\"name\": \"{}\", \"cycles\": {:.1f}, \"packets\": {:.3f}, \"burst\": {:.1f}}}",
               first ? "" : ", ", node.name, node.cycles, node.packets, node.burst);
    first = false;
  }
  fmt::print("]}}");
}

/// A folder of its own, gone at the end.
class Folder {
 public:
  Folder() : path_((std::filesystem::temp_directory_path() / "ssn-bench-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) {
      stop({Exit::failed, "cannot make a folder for run-time files", path_, "", "set TMPDIR"});
    }
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

}  // namespace ssn::bench
