// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "checks.h"

namespace ssn::hw::preflight {
namespace {

constexpr std::string_view blanks = " \t\r\n";

}  // namespace

std::string trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) {
    return "";
  }
  return std::string(text.substr(first, text.find_last_not_of(blanks) - first + 1));
}

std::vector<std::string> lines(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t at = text.find_first_not_of(blanks); at != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(blanks, at), text.size());
    out.emplace_back(text.substr(at, end - at));
    at = text.find_first_not_of(blanks, end);
  }
  return out;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc{} || end != last) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::uint64_t> number_in(const SystemView& system, const std::string& path) {
  return number(text_in(system, path));
}

std::string text_in(const SystemView& system, const std::string& path) {
  return trim(system.read(path).value_or(""));
}

std::optional<std::string> field(std::string_view text, std::string_view name) {
  for (const std::string& line : lines(text)) {
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos && trim(line.substr(0, colon)) == name) {
      return trim(std::string_view(line).substr(colon + 1));
    }
  }
  return std::nullopt;
}

std::string show_bytes(std::uint64_t bytes) {
  constexpr std::string_view units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  std::uint64_t value = bytes;
  while (value >= 10240 && unit + 1 < std::size(units)) {
    value /= 1024;
    ++unit;
  }
  while (value >= 1024 && value % 1024 == 0 && unit + 1 < std::size(units)) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{} {}", value, units[unit]);
}

std::string quoted(const std::string& path) {
  constexpr std::string_view plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:=@%";
  if (!path.empty() && path.find_first_not_of(plain) == std::string::npos) {
    return path;
  }
  std::string out = "'";
  for (const char c : path) {
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return out + "'";
}

bool is_virtual_machine(const SystemView& system) {
  const std::string flags = field(system.read("/proc/cpuinfo").value_or(""), "flags").value_or("");
  const std::vector<std::string> all = words(flags);
  return std::find(all.begin(), all.end(), "hypervisor") != all.end() ||
         !text_in(system, "/sys/hypervisor/type").empty();
}

std::vector<std::string> cgroup_folders(const SystemView& system, std::string_view controller) {
  std::string folder;
  std::string base;
  for (const std::string& line : lines(system.read("/proc/self/cgroup").value_or(""))) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) {
      continue;
    }
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const bool version_1 = controllers.find(fmt::format(",{},", controller)) != std::string::npos;
    if (version_1 || (controllers == ",," && base.empty())) {
      base = version_1 ? "/sys/fs/cgroup/" + std::string(controller) : "/sys/fs/cgroup";
      folder = line.substr(second + 1);
    }
  }
  std::vector<std::string> out;
  while (!base.empty()) {
    while (folder.ends_with('/')) {
      folder.pop_back();
    }
    out.push_back(base + folder);
    if (folder.empty()) {
      break;
    }
    folder.erase(folder.rfind('/') == std::string::npos ? 0 : folder.rfind('/'));
  }
  return out;
}

bool has(const SystemView& system, Capability capability) {
  const std::string text = field(system.read("/proc/self/status").value_or(""), "CapEff").value_or("");
  std::uint64_t mask = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, mask, 16);
  return error == std::errc{} && end == last && (mask >> static_cast<unsigned>(capability) & 1) != 0;
}

}  // namespace ssn::hw::preflight
