// SPDX-License-Identifier: BSD-3-Clause
#include "process.h"

#include <algorithm>

namespace ssn::sim {

using namespace protocol;

namespace {

Ledger open_ledger(Recorder& recorder, const CrashDisk& disk, const std::string& name, std::uint64_t extent) {
  Result<Ledger> ledger = Ledger::open(name, disk.image(), extent);
  if (ledger.ok()) return std::move(ledger.value());
  recorder.violation("the ledger cannot be read after a crash: " + ledger.error().why);
  return std::move(Ledger::open(name, Ledger::initial_image(name), extent).value());
}

std::optional<hw::OffloadDevice> open_device(Recorder& recorder, const OffloadPlan& plan) {
  if (plan.driver.empty()) return {};
  Result<hw::OffloadDevice> device = hw::OffloadDevice::open({plan.driver, plan.settings});
  if (device.ok()) return std::move(device.value());
  recorder.violation("the offload driver " + plan.driver + " cannot be opened: " + device.error().why);
  return {};
}

}  // namespace

Process::Process(const WorldParts& parts, std::size_t at, std::uint64_t numbered, CrashDisk& on,
                 TestRandom seeded)
    : node(at),
      number(numbered),
      random(seeded),
      disk(on),
      ledger(open_ledger(*parts.recorder, on, parts.plan->nodes[at].name, parts.plan->extent)),
      parts_(parts),
      device_(open_device(*parts.recorder, parts.plan->nodes[at].offload)) {
  make_peers();
}

// Connections use the device and the codes.
Process::~Process() { peers.clear(); }

void Process::make_peers() {
  const Plan& plan = *parts_.plan;
  InstanceId instance;
  random.fill(instance.data(), instance.size());
  for (std::size_t i = 0; i < plan.streams.size(); ++i) {
    const StreamPlan& stream = plan.streams[i];
    if (stream.a != node && stream.b != node) continue;
    const std::size_t other = stream.a == node ? stream.b : stream.a;
    Result<std::unique_ptr<StreamCode>> code = StreamCode::make(stream.wire, device());
    if (!code.ok()) {
      parts_.recorder->violation("a stream cannot be made: " + code.error().why);
      continue;
    }
    codes_[i] = std::move(code.value());
    Peer* known = peer(other);
    if (known == nullptr) {
      known = &peers.emplace_back();
      known->node = other;
      known->association = std::make_unique<Association>(
          ledger, AssociationConfig{plan.nodes[node].name,
                                    plan.nodes[other].name,
                                    instance,
                                    static_cast<std::uint32_t>(plan.d_ring / 4),
                                    static_cast<std::uint32_t>(Connection::window),
                                    {connection_id(node, other)}});
    }
    known->streams.push_back(i);
  }
}

Process::Peer* Process::peer(std::size_t other) {
  const auto found =
      std::find_if(peers.begin(), peers.end(), [other](const Peer& each) { return each.node == other; });
  return found == peers.end() ? nullptr : &*found;
}

Contribution Process::contribution() {
  Contribution out;
  random.fill(out.data(), out.size());
  return out;
}

bool Process::associating() const {
  return std::any_of(peers.begin(), peers.end(), [](const Peer& each) {
    const Association::State state = each.association->state();
    return state != Association::State::closed && state != Association::State::established;
  });
}

void Process::open(Peer& to) {
  const Plan& plan = *parts_.plan;
  const kernels::Implementation& implementation = test::chosen_implementation();
  std::vector<LocalStream> streams;
  for (const std::size_t at : to.streams) {
    LocalStream local;
    local.context.plan = &plan.streams[at];
    local.context.code = codes_.at(at).get();
    local.context.implementation = &implementation;
    local.context.offload = &plan.nodes[node].offload;
    local.context.device = device();
    local.context.recorder = parts_.recorder;
    local.context.marks = parts_.marks;
    const std::size_t direction = plan.streams[at].a == node ? 0 : 1;
    local.in = (*parts_.books)[2 * at + direction].get();
    local.out = (*parts_.books)[2 * at + 1 - direction].get();
    streams.push_back(local);
  }
  to.connection = std::make_unique<Connection>(*to.association->agreement(), connection_id(node, to.node),
                                               plan, streams, random);
  for (std::size_t i = 0; i < 4; ++i) {
    ledger.attach(plan.nodes[to.node].name, i, to.connection->marks(i));
  }
}

void Process::handle_events() {
  for (Peer& each : peers) {
    while (const auto event = each.association->next_event()) {
      if (*event == AssociationEvent::established) {
        parts_.marks->hit("epoch entered");
        open(each);
        continue;
      }
      ledger.detach(parts_.plan->nodes[each.node].name);
      each.connection.reset();
      if (is_alarm(*event)) {
        parts_.recorder->violation("a false alarm of an association: " +
                                   std::to_string(static_cast<int>(*event)));
      }
    }
  }
}

void Process::arrive(std::span<const std::uint8_t> packet, std::uint64_t now) {
  PacketHeader header;
  if (parse_header(packet.data(), packet.size(), header) != DropReason::none) return;
  for (Peer& each : peers) {
    if (connection_id(node, each.node) != header.connection_id) continue;
    if (each.connection == nullptr) {
      parts_.marks->hit("packet of another epoch");
    } else if (each.connection->key_index() != header.key_index) {
      parts_.marks->hit("drop: unknown_key_index");
    } else {
      each.connection->arrive(packet, header.placement.object, now);
    }
    return;
  }
  parts_.marks->hit("drop: unknown_connection");
}

}  // namespace ssn::sim
