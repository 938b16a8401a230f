// SPDX-License-Identifier: BSD-3-Clause
// The checks. Each adds at least one finding wherever what it looks at exists, `ok` included, so that a
// report shows what was looked at.
#pragma once

#include "ssn/hw/preflight.h"

namespace ssn::hw::preflight {

class Report {
 public:
  void ok(const char* id, std::string what) { add(id, Level::ok, std::move(what), "", ""); }
  void note(const char* id, std::string what, std::string why, std::string fix) {
    add(id, Level::note, std::move(what), std::move(why), std::move(fix));
  }
  void warning(const char* id, std::string what, std::string why, std::string fix) {
    add(id, Level::warning, std::move(what), std::move(why), std::move(fix));
  }
  void error(const char* id, std::string what, std::string why, std::string fix) {
    add(id, Level::error, std::move(what), std::move(why), std::move(fix));
  }
  std::vector<Finding> findings;

 private:
  void add(const char* id, Level level, std::string what, std::string why, std::string fix) {
    findings.push_back({id, level, std::move(what), std::move(why), std::move(fix)});
  }
};

struct Context {
  const SystemView& system;
  const PreflightWish& wish;
  Result<Machine> machine;
  Result<Plan> plan;
};

using Check = void (*)(const Context&, Report&);

// cpu.cpp
void check_kernels(const Context& context, Report& report);
void check_cores(const Context& context, Report& report);
void check_cpu_limit(const Context& context, Report& report);
// memory.cpp
void check_huge_pages(const Context& context, Report& report);
void check_left_huge_files(const Context& context, Report& report);
void check_locked_memory(const Context& context, Report& report);
void check_swap(const Context& context, Report& report);
void check_numa_balancing(const Context& context, Report& report);
void check_transparent_huge_pages(const Context& context, Report& report);
void check_memory_limit(const Context& context, Report& report);
// secrets.cpp
void check_core_dumps(const Context& context, Report& report);
void check_crash_dump(const Context& context, Report& report);
void check_ptrace(const Context& context, Report& report);
void check_entropy(const Context& context, Report& report);
void check_virtual_machine(const Context& context, Report& report);
// machine.cpp
void check_capabilities(const Context& context, Report& report);
void check_key_devices(const Context& context, Report& report);
void check_ports(const Context& context, Report& report);
void check_iommu(const Context& context, Report& report);
void check_clock_source(const Context& context, Report& report);
void check_clock_synchronised(const Context& context, Report& report);
// storage.cpp
void check_ledger(const Context& context, Report& report);
// certificates.cpp
void check_certificates(const Context& context, Report& report);

// text.cpp: what the kernel's files are made of.
std::string trim(std::string_view text);
std::vector<std::string> lines(std::string_view text);
std::vector<std::string> words(std::string_view text);
/// A whole decimal number.
std::optional<std::uint64_t> number(std::string_view text);
std::optional<std::uint64_t> number_in(const SystemView& system, const std::string& path);
/// Trimmed; empty where there is none.
std::string text_in(const SystemView& system, const std::string& path);
/// The value behind "Name:" in files like /proc/meminfo.
std::optional<std::string> field(std::string_view text, std::string_view name);
/// "256 MiB".
std::string show_bytes(std::uint64_t bytes);
/// As one word of a shell command.
std::string quoted(const std::string& path);
bool is_virtual_machine(const SystemView& system);
/// The folders of this process's cgroup from the innermost out, for a controller of version 1, or version 2.
std::vector<std::string> cgroup_folders(const SystemView& system, std::string_view controller);

/// Capability numbers of linux/capability.h.
enum class Capability : unsigned { net_admin = 12, net_raw = 13, ipc_lock = 14, sys_nice = 23 };
bool has(const SystemView& system, Capability capability);

}  // namespace ssn::hw::preflight
