// SPDX-License-Identifier: BSD-3-Clause
// What agents, their peers and their clients are sent: whatever the bytes are, the result is within its
// limits, fit for a terminal, and can be drawn. The first byte chooses which of the messages it is.
#include <cmath>

#include "certificate.h"
#include "credentials.h"
#include "fuzz_input.h"
#include "graph_drawing.h"
#include "messages.h"
#include "operation.pb.h"
#include "peer_message.h"
#include "peering.pb.h"
#include "rate_table.h"

namespace {

using namespace ssn::agent;
using ssn::test::require;

void check_text(const std::string& text) {
  require(text.size() <= 4096, "text beyond its limit");
  require(clean_text(text, text.size()) == text, "text that is not clean");
}

void check_peer(std::string_view bytes) {
  api::PeerMessage message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return;
  }
  PeerReader reader("sae-b");
  const auto first = reader.take(message);
  require(!first.ok() || std::holds_alternative<Hello>(first.value()),
          "something else came before the hello");
  require(!first.ok() || (message.hello().node() == "sae-b" && message.hello().version() == peer_version),
          "a hello of somebody else");
  api::PeerMessage hello;
  write_hello("sae-b", hello);
  PeerReader greeted("sae-b");
  require(greeted.take(hello).ok(), "our own hello");
  const auto taken = greeted.take(message);
  if (taken.ok()) {
    const PeerPayload& payload = std::get<PeerPayload>(taken.value());
    require(payload.bytes.size() <= ssn::dataplane::peer_message_max, "a payload beyond its limit");
    api::PeerMessage again;
    write_payload(payload.kind, payload.bytes, again);
    require(again.content_case() == message.content_case(), "another kind");
  }
}

void check_graphs(std::string_view bytes) {
  api::Graphs message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return;
  }
  const std::vector<Graph> graphs = read(message);
  api::Graphs again;
  write(graphs, again);
  require(again.graphs_size() == message.graphs_size(), "graphs got lost");
  for (const Graph& graph : graphs) {
    require(!ssn::cli::draw_text(graph).empty(), "no text");
    require(ssn::cli::draw_dot(graph).ends_with("}\n"), "no dot");
    require(ssn::cli::draw_svg(graph).ends_with("</svg>\n"), "no SVG");
  }
}

void check_counters(std::string_view bytes) {
  ssn::cli::RateTable table;
  for (const std::string_view part : {bytes.substr(0, bytes.size() / 2), bytes.substr(bytes.size() / 2)}) {
    api::CounterSnapshot message;
    if (message.ParseFromArray(part.data(), static_cast<int>(part.size()))) {
      table.update({message.time_ns(), message.complete(), read(message)});
    }
  }
  for (const auto& row : table.rows()) {
    check_text(row.name);
    require(std::isfinite(row.per_second), "no rate");
  }
  static_cast<void>(table.text(80));
}

template <typename Message>
void check_answer(std::string_view bytes) {
  Message message;
  if (message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    const auto once = read(message);
    Message again;
    write(once, again);
    Message third;
    write(read(again), third);
    require(again.SerializeAsString() == third.SerializeAsString(), "cleaning is not done at once");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 8) {
    case 0:
      check_peer(bytes);
      break;
    case 1:
      check_graphs(bytes);
      break;
    case 2:
      check_counters(bytes);
      break;
    case 3:
      check_answer<api::Status>(bytes);
      break;
    case 4:
      check_answer<api::SwapResult>(bytes);
      break;
    case 5:
      check_answer<api::TraceHops>(bytes);
      break;
    case 6: {
      const std::string name = ssn::pki::holder_of(bytes).name;
      require(name.size() <= ssn::pki::common_name_max, "a name beyond its limit");
      require(name.find_first_of(std::string_view("\0 \n\x7f", 4)) == std::string::npos,
              "a name that is none");
      break;
    }
    default:
      check_text(clean_text(bytes, 4096));
      static_cast<void>(ssn::pki::target_of(std::string(bytes.substr(0, 300))));
  }
  return 0;
}
