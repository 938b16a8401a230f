// SPDX-License-Identifier: BSD-3-Clause
#include "graph_drawing.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "text_table.h"

namespace ssn::cli {
namespace {

using agent::Graph;
using agent::GraphNode;

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string load(const GraphNode& node) {
  return node.calls == 0
             ? "idle"
             : fmt::format("{} packets, {} a call, {} cycles each",
                           format_count(static_cast<double>(node.packets)),
                           format_count(share(node.packets, node.calls)),
                           format_count(share(node.cycles, std::max<std::uint64_t>(node.packets, 1))));
}

bool is_drop(const GraphNode& node) { return node.name.starts_with("drop"); }

std::string dot_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string xml_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// A node's place in the picture.
struct Place {
  std::size_t layer = 0;
  std::size_t row = 0;
};

struct Layout {
  std::vector<Place> places;                               // by node
  std::vector<std::pair<std::size_t, std::size_t>> edges;  // by node, without those to nowhere
  std::size_t layers = 0;
  std::size_t rows = 0;
};

std::vector<std::pair<std::size_t, std::size_t>> edges_of(const Graph& graph) {
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    index.emplace(graph.nodes[i].name, i);
  }
  std::vector<std::pair<std::size_t, std::size_t>> edges;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const std::string& next : graph.nodes[i].next) {
      if (const auto to = index.find(next); to != index.end() && to->second != i) {
        edges.emplace_back(i, to->second);
      }
    }
  }
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  return edges;
}

// How far from a source each node is along the longest way without circles: edges that lead back, found by
// depth first search, do not count.
class Layers {
 public:
  Layers(std::size_t nodes, const std::vector<std::pair<std::size_t, std::size_t>>& edges)
      : next_(nodes), state_(nodes, State::unseen), layer_(nodes, 0) {
    std::vector<bool> has_before(nodes, false);
    for (const auto& [from, to] : edges) {
      next_[from].push_back(to);
      has_before[to] = true;
    }
    for (const bool sources : {true, false}) {  // then nodes that lie in circles only
      for (std::size_t i = 0; i < nodes; ++i) {
        if (state_[i] == State::unseen && has_before[i] != sources) {
          visit(i);
        }
      }
    }
    for (auto at = order_.rbegin(); at != order_.rend(); ++at) {
      for (const std::size_t to : next_[*at]) {
        if (position_[to] < position_[*at]) {
          layer_[to] = std::max(layer_[to], layer_[*at] + 1);
        }
      }
    }
  }
  std::size_t operator[](std::size_t node) const { return layer_[node]; }

 private:
  enum class State { unseen, open, closed };

  // Without recursion: the graph comes from elsewhere, and may be deep.
  void visit(std::size_t root) {
    position_.resize(next_.size());
    std::vector<std::pair<std::size_t, std::size_t>> stack{{root, 0}};
    state_[root] = State::open;
    while (!stack.empty()) {
      auto& [node, edge] = stack.back();
      if (edge < next_[node].size()) {
        const std::size_t to = next_[node][edge++];
        if (state_[to] == State::unseen) {
          state_[to] = State::open;
          stack.emplace_back(to, 0);
        }
        continue;
      }
      state_[node] = State::closed;
      position_[node] = order_.size();
      order_.push_back(node);
      stack.pop_back();
    }
  }

  std::vector<std::vector<std::size_t>> next_;
  std::vector<State> state_;
  std::vector<std::size_t> layer_;
  std::vector<std::size_t> order_;     // by the end of the visit
  std::vector<std::size_t> position_;  // in order_
};

// Within a layer, by the mean row of those that lead there: few lines cross. Drops below the others.
Layout lay_out(const Graph& graph) {
  Layout layout;
  layout.edges = edges_of(graph);
  const Layers layers(graph.nodes.size(), layout.edges);
  layout.places.resize(graph.nodes.size());
  std::vector<std::vector<std::size_t>> before(graph.nodes.size());
  for (const auto& [from, to] : layout.edges) {
    before[to].push_back(from);
  }
  std::map<std::size_t, std::vector<std::size_t>> by_layer;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    layout.places[i].layer = layers[i];
    by_layer[layers[i]].push_back(i);
  }
  for (auto& [layer, nodes] : by_layer) {
    std::map<std::size_t, double> weight;
    for (const std::size_t node : nodes) {
      double sum = 0;
      double count = 0;
      for (const std::size_t from : before[node]) {
        if (layout.places[from].layer < layer) {
          sum += static_cast<double>(layout.places[from].row);
          ++count;
        }
      }
      weight[node] = (count == 0 ? 0 : sum / count) + (is_drop(graph.nodes[node]) ? 1e6 : 0);
    }
    std::sort(nodes.begin(), nodes.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(weight[a], a) < std::pair(weight[b], b);
    });
    for (std::size_t row = 0; row < nodes.size(); ++row) {
      layout.places[nodes[row]].row = row;
    }
    layout.layers = std::max(layout.layers, layer + 1);
    layout.rows = std::max(layout.rows, nodes.size());
  }
  return layout;
}

constexpr unsigned box_width = 230;
constexpr unsigned box_height = 44;
constexpr unsigned step_x = box_width + 70;
constexpr unsigned step_y = box_height + 22;
constexpr unsigned margin = 20;

unsigned left(const Place& place) { return margin + static_cast<unsigned>(place.layer) * step_x; }
unsigned top(const Place& place) { return margin + 24 + static_cast<unsigned>(place.row) * step_y; }

std::string svg_edge(const Place& from, const Place& to, bool busy) {
  const unsigned x1 = left(from) + box_width;
  const unsigned y1 = top(from) + box_height / 2;
  const unsigned x2 = left(to);
  const unsigned y2 = top(to) + box_height / 2;
  const unsigned bend = 35;
  return fmt::format("<path d=\"M{},{} C{},{} {},{} {},{}\" class=\"{}\"/>\n", x1, y1, x1 + bend, y1,
                     x2 > bend ? x2 - bend : 0, y2, x2, y2, busy ? "busy" : "still");
}

}  // namespace

std::string draw_text(const Graph& graph) {
  TextTable table({"NODE", "CALLS>", "PACKETS>", "A CALL>", "CYCLES EACH>", "TO"});
  for (const GraphNode& node : graph.nodes) {
    std::string next;
    for (const std::string& name : node.next) {
      next += (next.empty() ? "" : " ") + name;
    }
    const double packets = static_cast<double>(node.packets);
    table.add({node.name, format_count(static_cast<double>(node.calls)), format_count(packets),
               format_count(share(node.packets, node.calls)),
               node.packets == 0 ? "" : format_count(share(node.cycles, node.packets)), next});
  }
  return fmt::format("worker {}\n{}\n", graph.worker, table.text());
}

std::string draw_dot(const Graph& graph) {
  std::string out = fmt::format(
      "digraph \"worker {}\" {{\n  rankdir=LR;\n  node [shape=box, fontname=sans];\n", graph.worker);
  for (const GraphNode& node : graph.nodes) {
    out += fmt::format("  \"{}\" [label=\"{}\\n{}\"{}];\n", dot_text(node.name), dot_text(node.name),
                       load(node), is_drop(node) ? ", style=dashed" : "");
    for (const std::string& next : node.next) {
      out += fmt::format("  \"{}\" -> \"{}\";\n", dot_text(node.name), dot_text(next));
    }
  }
  return out + "}\n";
}

std::string draw_svg(const Graph& graph) {
  const Layout layout = lay_out(graph);
  const std::size_t width = 2 * margin + std::max<std::size_t>(layout.layers, 1) * step_x;
  const std::size_t height = 2 * margin + 24 + std::max<std::size_t>(layout.rows, 1) * step_y;
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n"
      "<style>text{{font:12px sans-serif}} .name{{font-weight:bold}} rect{{fill:#eef3fa;stroke:#456}} "
      ".drop rect{{fill:#fff;stroke:#a55;stroke-dasharray:4}} path{{fill:none;stroke:#456}} "
      "path.still{{stroke:#bbb}}</style>\n<rect width=\"{0}\" height=\"{1}\" "
      "style=\"fill:#fff;stroke:none\"/>\n"
      "<text x=\"{2}\" y=\"{2}\">worker {3}</text>\n",
      width, height, margin, graph.worker);
  for (const auto& [from, to] : layout.edges) {
    const bool busy = graph.nodes[from].packets != 0 && graph.nodes[to].packets != 0;
    out += svg_edge(layout.places[from], layout.places[to], busy);
  }
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const GraphNode& node = graph.nodes[i];
    out += fmt::format(
        "<g{4}><rect x=\"{0}\" y=\"{1}\" width=\"{5}\" height=\"{6}\" rx=\"5\"/><text class=\"name\" "
        "x=\"{7}\" "
        "y=\"{8}\">{2}</text><text x=\"{7}\" y=\"{9}\">{3}</text></g>\n",
        left(layout.places[i]), top(layout.places[i]), xml_text(node.name), xml_text(load(node)),
        is_drop(node) ? " class=\"drop\"" : "", box_width, box_height, left(layout.places[i]) + 8,
        top(layout.places[i]) + 18, top(layout.places[i]) + 36);
  }
  return out + "</svg>\n";
}

}  // namespace ssn::cli
