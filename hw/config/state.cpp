// SPDX-License-Identifier: BSD-3-Clause
#include "state.h"

#include <fmt/core.h>

#include <algorithm>
#include <tuple>

#include "ssn/hw/nearest.h"

namespace ssn::hw {
namespace {

std::string list(const std::vector<std::string>& words) {
  constexpr std::size_t shown = 12;
  std::string out;
  for (std::size_t i = 0; i < words.size() && i < shown; ++i) {
    out += i == 0 ? "" : ", ";
    out += words[i];
  }
  return words.size() > shown ? out + ", ..." : out;
}

}  // namespace

ConfigState::ConfigState(ConfigNode root, std::string file) : root_(std::move(root)), file_(std::move(file)) {
  if (const std::size_t slash = file_.rfind('/'); slash != std::string::npos) {
    folder_ = file_.substr(0, slash + 1);
  }
  visit(root_);
}

const ConfigNode* ConfigState::ask(const ConfigNode* table, std::string_view key) {
  if (table == nullptr) {
    return nullptr;
  }
  known_[table].emplace(key);
  for (const ConfigNode& member : table->members) {
    if (member.key == key) {
      return &member;
    }
  }
  return nullptr;
}

void ConfigState::visit(const ConfigNode& table) { known_.try_emplace(&table); }

void ConfigState::note(ConfigPosition position, std::string why, std::string fix) {
  if (findings_.size() >= Config::errors_max) {
    return;
  }
  findings_.push_back({position, Error{Exit::usage, "cannot use the configuration", std::move(why),
                                       place(file_, position), std::move(fix)}});
}

void ConfigState::note_unknown(const ConfigNode& member, const std::string& table_name,
                               const std::set<std::string, std::less<>>& known) {
  const std::vector<std::string> candidates(known.begin(), known.end());
  const std::string meant = nearest(member.key, candidates);
  std::string fix = "remove it";
  if (!meant.empty()) {
    fix = fmt::format("did you mean {}?", meant);
  } else if (!candidates.empty()) {
    fix = "remove it; known there: " + list(candidates);
  }
  const std::string where = table_name.empty() ? "" : fmt::format(" in [{}]", table_name);
  note(member.position, fmt::format("{} is not a known key{}", member.key, where), std::move(fix));
}

void ConfigState::find_unknown(const ConfigNode& table, const std::string& name) {
  const auto visited = known_.find(&table);
  if (visited == known_.end()) {
    return;  // asked for as something else, which was an error already
  }
  for (const ConfigNode& member : table.members) {
    if (!visited->second.contains(member.key)) {
      note_unknown(member, name, visited->second);
      continue;
    }
    const std::string inner = name.empty() ? member.key : name + "." + member.key;
    if (member.kind == ConfigNode::Kind::table) {
      find_unknown(member, inner);
    }
    for (const ConfigNode& item : member.items) {
      find_unknown(item, inner);
    }
  }
}

Outcome ConfigState::finish() {
  find_unknown(root_, "");
  std::sort(findings_.begin(), findings_.end(), [](const Finding& a, const Finding& b) {
    return std::tie(a.position.line, a.position.column, a.error.why) <
           std::tie(b.position.line, b.position.column, b.error.why);
  });
  for (Finding& finding : findings_) {
    sorted_.push_back(std::move(finding.error));
  }
  findings_.clear();
  if (sorted_.empty()) {
    return done;
  }
  return sorted_.front();
}

}  // namespace ssn::hw
