// SPDX-License-Identifier: BSD-3-Clause
#include "told_layouts.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <sstream>

#include "files.h"

namespace ssn::dataplane {
namespace {

constexpr const char* what = "cannot keep what was told of layouts";
constexpr std::size_t longest = std::size_t{256} << 20;
constexpr std::size_t nodes_max = 16;  // that one share ever lay on

roles::ReshareLayout without_nodes(roles::ReshareLayout layout) {
  layout.nodes.clear();
  return layout;
}

template <typename To>
bool narrow(std::uint64_t from, To& to) {
  to = static_cast<To>(from);
  return from <= std::numeric_limits<To>::max();
}

// "scheme k n L rule turn".
bool read_layout(std::istream& in, roles::ReshareLayout& layout) {
  std::uint64_t scheme = 0, k = 0, n = 0, blocks = 0, rule = 0, turn = 0;
  in >> scheme >> k >> n >> blocks >> rule >> turn;
  layout.scheme = static_cast<kernels::Scheme>(scheme);
  layout.row_rule = static_cast<roles::RowRule>(rule);
  return !in.fail() && scheme <= UINT8_MAX && rule <= UINT8_MAX && narrow(k, layout.k) &&
         narrow(n, layout.n) && narrow(blocks, layout.secret_blocks) && narrow(turn, layout.cells_per_turn);
}

}  // namespace

Result<ToldLayouts> ToldLayouts::open(std::string path, std::size_t most) {
  ToldLayouts told(std::move(path), most);
  if (Outcome outcome = told.read(); !outcome.ok()) return outcome.error();
  return told;
}

// Lines as they were added; written anew, so that it does not grow for ever.
Outcome ToldLayouts::read() {
  if (::access(path_.c_str(), F_OK) != 0 && errno == ENOENT) {
    return pki::replace_file(path_, "", 0600, what);
  }
  const Result<std::string> text = pki::read_file(path_, longest, false, what);
  if (!text.ok()) return text.error();
  // A line that was cut off was never answered for.
  std::istringstream lines(text.value().substr(0, text.value().rfind('\n') + 1));
  for (std::string line; std::getline(lines, line);) {
    if (take(line)) continue;
    return Error{Exit::integrity, what, fmt::format("the line \"{}\" is none of it", line.substr(0, 80)),
                 path_,
                 "restore the file; without it the controller could have this node help a second time"};
  }
  std::string all;
  for (const auto& [generation, told] : known_) all.append(line_of(generation, told));
  return pki::replace_file(path_, all, 0600, what);
}

bool ToldLayouts::take(const std::string& line) {
  std::istringstream in(line);
  Generation generation;
  std::uint64_t number = 0;
  std::string word;
  in >> generation.first >> number >> word;
  if (in.fail() || !narrow(number, generation.second)) return false;
  if (word == "gone") {
    known_.erase(generation);
    return true;
  }
  Told told;
  if (word != "has" || !read_layout(in, told.layout)) return false;
  std::uint64_t share = 0, node = 0;
  while (in >> share >> node) {
    if (share == 0 || share > UINT8_MAX) return false;
    told.nodes[static_cast<std::uint8_t>(share)].insert(node);
  }
  known_[generation] = std::move(told);
  return in.eof();
}

std::string ToldLayouts::line_of(const Generation& generation, const Told& told) {
  const roles::ReshareLayout& layout = told.layout;
  std::string line =
      fmt::format("{} {} has {} {} {} {} {} {}", generation.first, generation.second,
                  static_cast<unsigned>(layout.scheme), layout.k, layout.n, layout.secret_blocks,
                  static_cast<unsigned>(layout.row_rule), layout.cells_per_turn);
  for (const auto& [share, nodes] : told.nodes) {
    for (const std::uint64_t node : nodes) line.append(fmt::format(" {} {}", share, node));
  }
  return line.append("\n");
}

ToldLayouts::Judgement ToldLayouts::judge(const Generation& generation,
                                          const roles::ReshareLayout& layout) const {
  const auto found = known_.find(generation);
  if (found == known_.end()) return known_.size() < most_ ? Judgement::fits : Judgement::full;
  const Told& told = found->second;
  if (without_nodes(layout) != told.layout) return Judgement::contradicts;
  for (std::size_t i = 0; i < layout.nodes.size(); ++i) {
    for (const auto& [share, nodes] : told.nodes) {
      if (layout.nodes[i] == 0) break;
      const bool same = share == i + 1;
      if (!same && nodes.contains(layout.nodes[i])) return Judgement::repeated;
      if (same && !nodes.contains(layout.nodes[i]) && nodes.size() >= nodes_max) return Judgement::full;
    }
  }
  return Judgement::fits;
}

Outcome ToldLayouts::remember(const Generation& generation, const roles::ReshareLayout& layout) {
  const auto found = known_.find(generation);
  Told told = found != known_.end() ? found->second : Told{without_nodes(layout), {}};
  for (std::size_t i = 0; i < layout.nodes.size(); ++i) {
    if (layout.nodes[i] != 0) told.nodes[static_cast<std::uint8_t>(i + 1)].insert(layout.nodes[i]);
  }
  if (found != known_.end() && found->second == told) return done;
  std::string line = line_of(generation, told);
  line.pop_back();
  if (Outcome added = pki::append_line(path_, line, what); !added.ok()) return added;
  known_[generation] = std::move(told);
  return done;
}

Outcome ToldLayouts::forget(const Generation& generation) {
  if (!known_.contains(generation)) return done;
  const std::string line = fmt::format("{} {} gone", generation.first, generation.second);
  if (Outcome added = pki::append_line(path_, line, what); !added.ok()) return added;
  known_.erase(generation);
  return done;
}

std::map<std::uint8_t, std::set<std::uint64_t>> ToldLayouts::nodes_of(const Generation& generation) const {
  const auto found = known_.find(generation);
  return found == known_.end() ? std::map<std::uint8_t, std::set<std::uint64_t>>() : found->second.nodes;
}

}  // namespace ssn::dataplane
