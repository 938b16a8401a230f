// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/core.h>

#include "checks.h"

namespace ssn::hw::preflight {
namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * 1024;

struct HugePages {
  std::string folder;  // of the kernel's files about them
  std::uint64_t total = 0;
  std::uint64_t free = 0;
};

// 2 MiB pages: what RingMemory asks for. Those of the node where the kernel tells them apart.
std::optional<HugePages> huge_pages(const SystemView& system, int node) {
  for (const std::string& folder :
       {fmt::format("/sys/devices/system/node/node{}/hugepages/hugepages-2048kB", node),
        std::string("/sys/kernel/mm/hugepages/hugepages-2048kB")}) {
    const std::optional<std::uint64_t> total = number_in(system, folder + "/nr_hugepages");
    const std::optional<std::uint64_t> free = number_in(system, folder + "/free_hugepages");
    if (total && free) {
      return HugePages{folder, *total, *free};
    }
  }
  return std::nullopt;
}

}  // namespace

void check_huge_pages(const Context& context, Report& report) {
  constexpr const char* id = "memory.huge-pages";
  const int node = context.plan.ok() ? context.plan.value().node : 0;
  const std::uint64_t wanted = (context.wish.huge_bytes + 2 * mib - 1) / (2 * mib);
  const std::optional<HugePages> pages = huge_pages(context.system, node);
  if (!pages) {
    report.note(id, "this kernel has no huge pages of 2 MiB",
                "normal pages serve, with more misses in the TLB", "use a kernel with CONFIG_HUGETLBFS");
    return;
  }
  if (pages->free >= wanted) {
    report.ok(id, fmt::format("{} of {} huge pages free on node {}", pages->free, pages->total, node));
    return;
  }
  report.warning(
      id, fmt::format("{} huge pages of 2 MiB are free on node {}, {} are wanted", pages->free, node, wanted),
      "packets and key rings on normal pages cost time at every access, and DPDK needs --no-huge",
      fmt::format("echo {} > {}/nr_hugepages", pages->total + wanted - pages->free, pages->folder));
}

void check_left_huge_files(const Context& context, Report& report) {
  constexpr const char* id = "memory.left-files";
  std::vector<std::string> left;
  for (const std::string& name : context.system.list("/dev/hugepages")) {
    if (name.find("map_") != std::string::npos) {
      left.push_back("/dev/hugepages/" + name);
    }
  }
  if (left.empty()) {
    report.ok(id, "no files of ended programs hold huge pages");
    return;
  }
  report.warning(
      id, fmt::format("{} files are in /dev/hugepages, such as {}", left.size(), left.front()),
      "a DPDK program that ended hard left them: they hold memory, with pads and shares in it, for good",
      "fuser /dev/hugepages/*map_* || rm /dev/hugepages/*map_*");
}

void check_locked_memory(const Context& context, Report& report) {
  constexpr const char* id = "memory.locked";
  const std::uint64_t limit = context.system.locked_memory_limit();
  const std::uint64_t wanted = context.wish.locked_bytes;
  if (has(context.system, Capability::ipc_lock)) {
    report.ok(id, "CAP_IPC_LOCK: any amount of memory may be locked");
  } else if (limit == SystemView::unlimited || limit >= wanted) {
    report.ok(id, limit == SystemView::unlimited ? "any amount of memory may be locked"
                                                 : show_bytes(limit) + " of memory may be locked");
  } else {
    report.error(
        id, fmt::format("{} of memory may be locked, {} are needed", show_bytes(limit), show_bytes(wanted)),
        "pads live in locked memory only, so that they never reach a swap device",
        fmt::format("echo '* - memlock {}' > /etc/security/limits.d/ssn.conf, then log in anew; "
                    "in a systemd unit: LimitMEMLOCK={}",
                    wanted / kib, wanted));
  }
}

void check_swap(const Context& context, Report& report) {
  constexpr const char* id = "memory.swap";
  const std::vector<std::string> table = lines(context.system.read("/proc/swaps").value_or(""));
  if (table.size() < 2) {
    report.ok(id, "no swap");
    return;
  }
  const std::vector<std::string> first = words(table[1]);
  report.warning(
      id, fmt::format("swap is on ({})", first.empty() ? "unknown" : first[0]),
      "what is not locked, such as data on its way, may be written to it and stays there; hibernation "
      "writes locked memory as well",
      "swapoff -a && sed -i '/\\sswap\\s/s/^/#/' /etc/fstab");
}

void check_numa_balancing(const Context& context, Report& report) {
  constexpr const char* id = "memory.numa-balancing";
  if (!context.machine.ok() || context.machine.value().nodes.size() < 2) {
    return;
  }
  if (number_in(context.system, "/proc/sys/kernel/numa_balancing").value_or(0) == 0) {
    report.ok(id, "the kernel does not move memory between nodes");
    return;
  }
  report.warning(id, "the kernel moves memory between nodes (numa_balancing)",
                 "it unmaps memory to see who uses it, and workers stop at each such page",
                 "sysctl -w kernel.numa_balancing=0");
}

void check_transparent_huge_pages(const Context& context, Report& report) {
  constexpr const char* id = "memory.transparent-huge-pages";
  const std::string file = "/sys/kernel/mm/transparent_hugepage/enabled";
  const std::string state = text_in(context.system, file);
  if (state.find("[always]") == std::string::npos) {
    report.ok(id,
              state.empty() ? "no transparent huge pages" : "transparent huge pages only where asked for");
    return;
  }
  report.note(id, "transparent huge pages are always on",
              "the kernel compacts memory while programs wait for it: latency has outliers",
              "echo madvise > " + file);
}

void check_memory_limit(const Context& context, Report& report) {
  constexpr const char* id = "memory.limit";
  constexpr std::uint64_t programs = 512 * mib;  // code, heaps, page tables
  const std::uint64_t needed = context.wish.locked_bytes + context.wish.huge_bytes + programs;
  for (const std::string& folder : cgroup_folders(context.system, "memory")) {
    for (const char* const name : {"/memory.max", "/memory.limit_in_bytes"}) {
      const std::optional<std::uint64_t> limit = number_in(context.system, folder + name);
      if (limit && *limit < needed) {
        report.error(id,
                     fmt::format("the cgroup may use {} of memory, {} are needed", show_bytes(*limit),
                                 show_bytes(needed)),
                     "the kernel kills the data plane when it goes beyond, and its pads are lost",
                     fmt::format("echo {} > {}", needed, quoted(folder + name)));
        return;
      }
    }
  }
  const std::vector<std::string> free =
      words(field(context.system.read("/proc/meminfo").value_or(""), "MemAvailable").value_or(""));
  const std::optional<std::uint64_t> available = free.empty() ? std::nullopt : number(free[0]);
  if (available && *available * kib < needed) {
    report.error(
        id,
        fmt::format("{} of memory are free, {} are needed", show_bytes(*available * kib), show_bytes(needed)),
        "the data plane takes its memory at its start and fails without it",
        "stop other programs, or give the machine more memory");
    return;
  }
  report.ok(id, "enough memory, and no limit of the cgroup below what is needed");
}

}  // namespace ssn::hw::preflight
