// SPDX-License-Identifier: BSD-3-Clause
#include "rate_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "text_table.h"

namespace ssn::cli {
namespace {

using Kind = agent::Counter::Kind;
using Row = RateTable::Row;

// What a group of counters is called; first those that people look for first.
struct Group {
  const char* prefix;
  const char* title;
};
constexpr Group groups[] = {{"stream", "STREAM"}, {"link", "LINK"},     {"port", "PORT"}, {"keys", "KEYS"},
                            {"node", "NODE"},     {"worker", "WORKER"}, {"drop", "DROP"}};

// "stream.1.bytes_in" -> "stream", "1", "bytes_in". Names of peers may have dots.
struct Parts {
  std::string group;
  std::string row;
  std::string column;
};
Parts take_apart(const std::string& name) {
  const std::size_t first = name.find('.');
  const std::size_t last = name.rfind('.');
  if (first == std::string::npos) {
    return {"", name, "count"};
  }
  if (first == last) {
    return {name.substr(0, first), name.substr(first + 1), "count"};
  }
  return {name.substr(0, first), name.substr(first + 1, last - first - 1), name.substr(last + 1)};
}

struct Grid {
  std::map<std::string, std::map<std::string, const Row*>> rows;
  std::set<std::string> columns;
};

double shown(const Row& row) {
  return row.kind == Kind::gauge ? static_cast<double>(row.value) : row.per_second;
}

std::string cell(const Row* row) {
  if (row == nullptr) {
    return "";
  }
  return row->kind == Kind::gauge ? fmt::format("={}", format_count(static_cast<double>(row->value)))
                                  : format_count(row->per_second);
}

// As many tables as fit side by side into the width, one below the other.
std::string grid_text(const std::string& title, const Grid& grid, std::size_t width) {
  std::size_t name_width = title.size();
  for (const auto& [name, row] : grid.rows) {
    name_width = std::max(name_width, name.size());
  }
  std::string out;
  for (auto column = grid.columns.begin(); column != grid.columns.end();) {
    std::vector<std::string> chosen;
    for (std::size_t used = name_width; column != grid.columns.end(); ++column) {
      used += 2 + std::max<std::size_t>(column->size(), 7);
      if (!chosen.empty() && used > width) {
        break;
      }
      chosen.push_back(*column);
    }
    std::vector<std::string> titles{title};
    for (const std::string& name : chosen) {
      titles.push_back(name + ">");
    }
    TextTable table(std::move(titles));
    for (const auto& [name, cells] : grid.rows) {
      std::vector<std::string> line{name};
      for (const std::string& wanted : chosen) {
        const auto found = cells.find(wanted);
        line.push_back(cell(found == cells.end() ? nullptr : found->second));
      }
      table.add(std::move(line));
    }
    out += table.text() + "\n";
  }
  return out;
}

const Row* find(const std::map<std::string, const Row*>& cells, const char* column) {
  const auto found = cells.find(column);
  return found == cells.end() ? nullptr : found->second;
}

// Nodes of the graph: what a packet costs in each, those first that cost most.
std::string node_text(const Grid& grid) {
  struct Node {
    std::string name;
    double packets, calls, cycles;
  };
  std::vector<Node> nodes;
  double all = 0;
  for (const auto& [name, cells] : grid.rows) {
    const auto rate = [&](const char* column) {
      const Row* const row = find(cells, column);
      return row == nullptr ? 0 : row->per_second;
    };
    nodes.push_back({name, rate("packets"), rate("calls"), rate("cycles")});
    all += nodes.back().cycles;
  }
  std::erase_if(nodes, [](const Node& node) { return node.calls == 0; });
  std::sort(nodes.begin(), nodes.end(), [](const Node& a, const Node& b) {
    return std::pair(b.cycles, std::string_view(a.name)) < std::pair(a.cycles, std::string_view(b.name));
  });
  TextTable table({"NODE", "packets>", "calls>", "a call>", "cycles each>", "share>"});
  for (const Node& node : nodes) {
    table.add({node.name, format_count(node.packets), format_count(node.calls),
               format_count(node.packets / node.calls),
               node.packets > 0 ? format_count(node.cycles / node.packets) : "",
               fmt::format("{:.1f} %", all > 0 ? 100 * node.cycles / all : 0)});
  }
  return table.empty() ? "" : table.text() + "\n";
}

std::string drop_text(const Grid& grid) {
  TextTable table({"DROP", "a second>", "ever>"});
  for (const auto& [name, cells] : grid.rows) {
    for (const auto& [column, row] : cells) {
      if (row->value != 0) {
        table.add({column == "count" ? name : name + "." + column, format_count(row->per_second),
                   format_count(static_cast<double>(row->value))});
      }
    }
  }
  return table.empty() ? "" : table.text() + "\n";
}

std::string group_text(const std::string& name, const std::string& title, const Grid& grid,
                       std::size_t width) {
  return name == "node" ? node_text(grid) : name == "drop" ? drop_text(grid) : grid_text(title, grid, width);
}

}  // namespace

void RateTable::update(const client::CounterUpdate& update) {
  before_ns_ = now_ns_;
  now_ns_ = update.time_ns;
  for (auto& [name, value] : values_) {
    value.before = value.now;
  }
  for (const agent::Counter& counter : update.counters) {
    const auto [at, fresh] = values_.try_emplace(counter.name);
    at->second.kind = counter.kind;
    at->second.now = counter.value;
    if (fresh) {
      at->second.before = update.complete ? counter.value : 0;
    }
  }
}

double RateTable::seconds() const noexcept {
  return before_ns_ == 0 || now_ns_ <= before_ns_ ? 0 : static_cast<double>(now_ns_ - before_ns_) / 1e9;
}

std::vector<RateTable::Row> RateTable::rows() const {
  std::vector<Row> rows;
  for (const auto& [name, value] : values_) {
    const double change = static_cast<double>(value.now) - static_cast<double>(value.before);
    rows.push_back({name, value.kind, value.now, has_rates() ? change / seconds() : 0});
  }
  return rows;
}

std::string RateTable::text(std::size_t width) const {
  const std::vector<Row> all = rows();
  std::map<std::string, Grid> grids;
  std::set<std::pair<std::string, std::string>> used;  // columns with something in them
  for (const Row& row : all) {
    const Parts parts = take_apart(row.name);
    if (shown(row) != 0) {
      used.emplace(parts.group, parts.column);
    }
  }
  for (const Row& row : all) {
    const Parts parts = take_apart(row.name);
    Grid& grid = grids[parts.group];
    grid.rows[parts.row][parts.column] = &row;
    if (used.contains({parts.group, parts.column})) {
      grid.columns.insert(parts.column);
    }
  }
  std::string out;
  for (const Group& group : groups) {
    if (const auto found = grids.find(group.prefix); found != grids.end()) {
      out += group_text(found->first, group.title, found->second, width);
      grids.erase(found);
    }
  }
  for (const auto& [name, grid] : grids) {
    out += group_text(name, name, grid, width);
  }
  return out;
}

}  // namespace ssn::cli
