// SPDX-License-Identifier: BSD-3-Clause
#include "shown_text.h"

#include <algorithm>
#include <ctime>

namespace ssn::cli {

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    if (end > 0) items.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return items;
}

std::string join_list(const std::vector<std::string>& items, std::string_view between) {
  std::string text;
  for (const std::string& item : items) {
    if (!text.empty()) text += between;
    text += item;
  }
  return text;
}

std::string shown_time(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  char text[64] = "-";
  if (seconds != 0 && ::gmtime_r(&time, &parts) != nullptr) {
    (void)std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  }
  return text;
}

}  // namespace ssn::cli
