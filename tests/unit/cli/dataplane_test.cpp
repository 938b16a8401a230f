// SPDX-License-Identifier: BSD-3-Clause
// What `ssn dataplane` shows: tables of rates and pictures of graphs.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "graph_drawing.h"
#include "rate_table.h"
#include "text_table.h"

namespace ssn::cli {
namespace {

using agent::Counter;

TEST(FormatCount, HasThreeDigits) {
  const std::pair<double, const char*> cases[] = {
      {0, "0"},          {7, "7"},          {0.5, "0.50"},      {999, "999"},       {1000, "1.00 k"},
      {12345, "12.3 k"}, {999499, "999 k"}, {999999, "1.00 M"}, {1.5e18, "1.50 E"}, {-2500, "-2.50 k"}};
  for (const auto& [value, text] : cases) {
    EXPECT_EQ(format_count(value), text) << value;
  }
}

TEST(TextTableTest, ColumnsLineUp) {
  TextTable table({"NAME", "VALUE>", ""});
  table.add({"\xc3\xa4", "1", "x"});
  table.add({"longer", "1000", ""});
  EXPECT_EQ(table.text(), "NAME    VALUE\n\xc3\xa4           1  x\nlonger   1000\n");
}

TEST(RateTableTest, RatesNeedTwoSnapshots) {
  RateTable table;
  table.update({1'000'000'000, true, {{"stream.1.in", 100, Counter::Kind::counter}}});
  EXPECT_FALSE(table.has_rates());
  table.update({3'000'000'000,
                false,
                {{"stream.1.in", 500, Counter::Kind::counter}, {"stream.2.in", 10, Counter::Kind::counter}}});
  ASSERT_TRUE(table.has_rates());
  EXPECT_DOUBLE_EQ(table.seconds(), 2);
  const std::vector<RateTable::Row> rows = table.rows();
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_DOUBLE_EQ(rows[0].per_second, 200);
  EXPECT_DOUBLE_EQ(rows[1].per_second, 5) << "one that is new began at zero";
  table.update({4'000'000'000, false, {}});
  EXPECT_DOUBLE_EQ(table.rows()[0].per_second, 0) << "what is left out did not change";
  EXPECT_EQ(table.rows()[0].value, 500U);
}

TEST(RateTableTest, GroupsAreTables) {
  RateTable table;
  table.update({1'000'000'000, true, {}});
  table.update({2'000'000'000,
                false,
                {{"drop.bad_tag", 7, Counter::Kind::counter},
                 {"drop.never", 0, Counter::Kind::counter},
                 {"keys.sae.b.stock", 5000, Counter::Kind::gauge},
                 {"node.cheap.calls", 10, Counter::Kind::counter},
                 {"node.cheap.cycles", 100, Counter::Kind::counter},
                 {"node.cheap.packets", 100, Counter::Kind::counter},
                 {"node.dear.calls", 10, Counter::Kind::counter},
                 {"node.dear.cycles", 900, Counter::Kind::counter},
                 {"node.dear.packets", 100, Counter::Kind::counter},
                 {"node.idle.calls", 0, Counter::Kind::counter},
                 {"stream.1.in", 300, Counter::Kind::counter},
                 {"stream.1.nothing", 0, Counter::Kind::counter},
                 {"stream.2.in", 1, Counter::Kind::counter}}});
  EXPECT_EQ(table.text(80),
            "STREAM   in\n1       300\n2         1\n\n"
            "KEYS     stock\nsae.b  =5.00 k\n\n"
            "NODE   packets  calls  a call  cycles each   share\n"
            "dear       100     10      10            9  90.0 %\n"
            "cheap      100     10      10            1  10.0 %\n\n"
            "DROP     a second  ever\nbad_tag         7     7\n\n");
}

TEST(RateTableTest, WideGroupsAreBroken) {
  RateTable table;
  table.update({1'000'000'000, true, {}});
  client::CounterUpdate update{2'000'000'000, false, {}};
  for (int i = 0; i < 20; ++i) {
    update.counters.push_back({"port.client.column_" + std::to_string(10 + i), 1, Counter::Kind::counter});
  }
  table.update(update);
  const std::string text = table.text(60);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    EXPECT_LE(end - at, 60U);
    at = end + 1;
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_NE(text.find("column_" + std::to_string(10 + i)), std::string::npos);
  }
}

agent::Graph graph() {
  return {3,
          {{"port_rx", {"parse", "drop-short"}, 10, 320, 6400},
           {"parse", {"port_tx", "parse", "port_rx", "gone"}, 10, 320, 6400},  // circles, and to nowhere
           {"port_tx", {}, 10, 320, 6400},
           {"drop-short", {}, 0, 0, 0}}};
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

TEST(GraphDrawing, SvgHasLayers) {
  const std::string svg = draw_svg(graph());
  EXPECT_EQ(count(svg, "<g"), 4U);
  EXPECT_EQ(count(svg, "<path "), 4U) << "not those to itself and to nowhere";
  const auto x_of = [&](const std::string& name) {
    const std::size_t text = svg.find(fmt::format(">{}<", name));
    const std::size_t box = svg.rfind("<rect x=\"", text);
    return std::stoul(svg.substr(box + 9));
  };
  EXPECT_LT(x_of("port_rx"), x_of("parse"));
  EXPECT_LT(x_of("parse"), x_of("port_tx"));
  EXPECT_EQ(x_of("parse"), x_of("drop-short"));
}

TEST(GraphDrawing, NamesAreQuoted) {
  agent::Graph odd{0, {{"a\"<b>&\\", {}, 1, 1, 1}}};
  EXPECT_NE(draw_svg(odd).find(">a&quot;&lt;b&gt;&amp;\\<"), std::string::npos);
  EXPECT_NE(draw_dot(odd).find("\"a\\\"<b>&\\\\\""), std::string::npos);
}

TEST(GraphDrawing, TextShowsWhatACallDid) {
  EXPECT_EQ(
      draw_text(graph()).substr(0, 160).find("worker 3\nNODE        CALLS  PACKETS  A CALL  CYCLES EACH  TO\n"
                                             "port_rx        10      320      32           20  parse"),
      0U)
      << draw_text(graph());
}

TEST(GraphDrawing, NothingAndMuch) {
  EXPECT_TRUE(draw_svg({}).ends_with("</svg>\n"));
  agent::Graph chain;
  for (int i = 0; i < 3000; ++i) {
    chain.nodes.push_back({fmt::format("n{}", i), {fmt::format("n{}", i + 1)}, 1, 1, 1});
  }
  EXPECT_EQ(count(draw_svg(chain), "<path "), 2999U);
}

}  // namespace
}  // namespace ssn::cli
