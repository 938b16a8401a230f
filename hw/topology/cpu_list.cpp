// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <charconv>

#include "ssn/hw/topology.h"

namespace ssn::hw {
namespace {

constexpr unsigned number_max = 1U << 20;

// A number at the beginning of `text`, which is taken off.
bool take_number(std::string_view& text, unsigned& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number > number_max) {
    return false;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

Error bad_list(std::string_view text) {
  constexpr std::size_t shown = 60;
  return {Exit::usage, "cannot read a list of CPUs", "it is not of the form 0-3,8",
          std::string(text.substr(0, shown)), "write numbers and ranges with commas between them"};
}

}  // namespace

Result<std::vector<unsigned>> parse_cpu_list(std::string_view text) {
  const std::string_view all = text;
  std::vector<unsigned> cpus;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  while (!text.empty()) {
    unsigned first = 0;
    if (!take_number(text, first)) {
      return bad_list(all);
    }
    unsigned last = first;
    if (text.starts_with('-')) {
      text.remove_prefix(1);
      if (!take_number(text, last) || last < first) {
        return bad_list(all);
      }
    }
    if (cpus.size() + (last - first) >= cpu_list_max) {
      return bad_list(all);
    }
    for (unsigned cpu = first; cpu <= last; ++cpu) {
      cpus.push_back(cpu);
    }
    if (text.starts_with(',') && text.size() > 1) {
      text.remove_prefix(1);
    } else if (!text.empty()) {
      return bad_list(all);
    }
  }
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}

std::string format_cpu_list(std::vector<unsigned> cpus) {
  std::sort(cpus.begin(), cpus.end());
  std::string out;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t end = i;
    while (end + 1 < cpus.size() && cpus[end + 1] == cpus[end] + 1) {
      ++end;
    }
    out += out.empty() ? "" : ",";
    out += std::to_string(cpus[i]);
    if (end > i) {
      out += '-';
      out += std::to_string(cpus[end]);
    }
    i = end + 1;
  }
  return out;
}

}  // namespace ssn::hw
