// SPDX-License-Identifier: BSD-3-Clause
#include "world.h"

#include <fmt/core.h>

#include <chrono>
#include <thread>

#include "ssn/protocol/wire_block.h"

namespace ssn::bench {
namespace {

using namespace dataplane;

constexpr std::chrono::milliseconds patience{5000};

// Frames of a block fill it; the MTUs leave room for both ends' headers.
std::string text_of(const WorldOptions& options) {
  std::string text = fmt::format(
      "[node]\nname = \"bench-a\"\nledger = \"none.ledger\"\n"
      "[eal]\nmemory = \"{} MiB\"\nfile_prefix = \"ssn-bench-pipeline\"\nmain_core = {}\n"
      "[workers]\ncores = \"{}\"\nidle = \"poll\"\n"
      "[[key_device]]\ndriver = \"memory\"\n[key_device.settings]\nseed = \"bench\"\n"
      "[[port]]\nname = \"client\"\ndevice = \"net_null0,no-rx=1\"\nmtu = {}\n",
      options.cell > 2048 ? 1024 : 512, options.main_core, options.core,
      std::max(1500U, options.frame_bytes()));
  std::string links;
  for (unsigned i = 1; i <= options.n; ++i) {
    text += fmt::format(
        "[[port]]\nname = \"link{}\"\ndevice = \"net_ring{}\"\nmtu = {}\n"
        "addresses = [\"10.0.{}.1/24\"]\n",
        i, i, std::max(1500U, options.cell + 104), i);
    links += fmt::format("[[peer.link]]\nport = \"link{}\"\nlocal = \"10.0.{}.1\"\nremote = \"10.0.{}.2\"\n",
                         i, i, i);
  }
  text += fmt::format("[[peer]]\nname = \"{}\"\n{}", World::peer_name, links);
  text += fmt::format(
      "[[stream]]\nid = 1\nport = \"client\"\npeer = \"{}\"\nscheme = \"{}\"\nk = {}\nn = {}\n"
      "cell = \"{} B\"\nrandom = \"{}\"\nshortage = \"wait\"\nlatency = \"20 us\"\n",
      World::peer_name, options.scheme, options.k, options.n, options.cell, options.random);
  return text;
}

Error failure(std::string what, std::string why) {
  return {Exit::failed, std::move(what), std::move(why), "the bench's own data plane",
          "see docs/dataplane.md"};
}

}  // namespace

std::uint32_t WorldOptions::frame_bytes() const noexcept {
  const std::uint32_t block = data_blocks() * cell - protocol::block_header_bytes;
  return block / data_blocks() - protocol::record_header_bytes;
}

Result<std::unique_ptr<World>> World::make(const WorldOptions& options, hw::KeyDevice& keys, Traffic& traffic,
                                           std::shared_ptr<Probe> probe) {
  std::unique_ptr<World> world(new World(options));
  if (Outcome outcome = world->configure(); !outcome.ok()) return outcome.error();
  if (Outcome outcome = world->engine_.open(world->configuration_, options.folder); !outcome.ok()) {
    return outcome.error();
  }
  if (!traffic.attach(world->engine_.ports())) {
    return failure("cannot make traffic", "DPDK takes no callbacks");
  }
  if (Outcome outcome = world->engine_.run(world->configuration_, options.core); !outcome.ok()) {
    return outcome.error();
  }
  if (Outcome outcome = world->make_wire(); !outcome.ok()) return outcome.error();
  if (Outcome outcome = world->build(std::move(probe)); !outcome.ok()) return outcome.error();
  if (Outcome outcome = world->connect(keys); !outcome.ok()) return outcome.error();
  return world;
}

Outcome World::configure() {
  Result<Configuration> read = Configuration::parse(text_of(options_), options_.folder + "/bench.toml");
  if (!read.ok()) return read.error();
  configuration_ = std::move(read.value());
  if (const kernels::Status status = kernels::select(kernels_); status != kernels::Status::ok) {
    return failure("cannot choose kernels", std::string(kernels::describe(status)));
  }
  Result<hw::OffloadDevice> device = hw::OffloadDevice::open({.driver = "cpu"});
  if (!device.ok()) return device.error();
  offload_ = std::move(device.value());
  return done;
}

Outcome World::make_wire() {
  Result<std::unique_ptr<HostPart>> host = HostPart::make(configuration_, engine_.all_ports(), nullptr);
  if (!host.ok()) return host.error();
  host_ = std::move(host.value());
  WireMode::Setup setup;
  setup.configuration = &configuration_;
  setup.implementation = kernels_;
  setup.device = options_.offload == "none" ? nullptr : &offload_;
  setup.host_link = [this](const std::string&, std::size_t link) { return host_->link(0, link); };
  setup.pool = [this](const std::string& port) { return engine_.ports().find(port)->pool; };
  setup.link_output = [this](GraphBuilder& graph) { return host_->link_output(graph); };
  setup.connect_udp = [this](GraphBuilder& graph, NodeHandle receive) {
    return host_->listen(graph, Configuration::default_udp_port, receive);
  };
  Result<std::unique_ptr<WireMode>> wire = WireMode::make(std::move(setup));
  if (!wire.ok()) return wire.error();
  wire_ = std::move(wire.value());
  return done;
}

Outcome World::build(std::shared_ptr<Probe> probe) {
  return engine_.install({[this](GraphBuilder& graph) { return host_->build(graph); },
                          [this](GraphBuilder& graph) { return wire_->build(graph); },
                          [probe](GraphBuilder& graph) { return Probe::build(graph, probe); }});
}

// Sender and receiver of this process agree on themselves.
Outcome World::connect(hw::KeyDevice& keys) {
  ConnectionLimits limits;
  limits.pad_ring_bytes = options_.pad_ring_bytes;
  ConnectionTerms terms;
  terms.peer = peer_name;
  terms.epoch = 1;
  terms.key_index = 1;
  terms.local_id = terms.peer_id = make_connection_id(0, 0, 4404);
  terms.longest_range = static_cast<std::uint32_t>(limits.pad_ring_bytes / 4);
  terms.peer_window = limits.window;
  terms.ksids[pads_out][0] = terms.ksids[pads_in][0] = 1;
  terms.ksids[tag_keys_out][0] = terms.ksids[tag_keys_in][0] = 2;
  terms.shortage = protocol::ShortagePolicy::wait;
  std::shared_ptr<RandomStream> random;
  if (options_.random == "stream" && options_.scheme != "rs") {
    Result<std::shared_ptr<RandomStream>> opened =
        RandomStream::open(keys, limits.pad_ring_bytes, limits.pages);
    if (!opened.ok()) return opened.error();
    random = std::move(opened.value());
  }
  Result<std::unique_ptr<Connection>> opened = Connection::open(keys, terms, limits, *kernels_, random);
  if (!opened.ok()) return opened.error();
  connection_ = std::move(opened.value());
  for (std::size_t i = 0; i < connection_streams; ++i) {
    connection_->marks(i).grant(std::uint64_t{1} << 62);
  }
  if (!wire_->attach(*connection_)) return failure("cannot attach the connection", wire_->trouble());
  connection_->permit_sending();
  return done;
}

protocol::WireStream World::stream() const {
  const StreamConfiguration& from = configuration_.streams.front();
  protocol::WireStream stream;
  stream.id = from.id;
  constexpr kernels::Scheme schemes[] = {kernels::Scheme::systematic, kernels::Scheme::classic,
                                         kernels::Scheme::ramp, kernels::Scheme::rs};
  stream.scheme = schemes[static_cast<std::size_t>(from.scheme)];
  stream.k = from.k;
  stream.n = from.n;
  stream.data_blocks = from.data_blocks;
  stream.cell_bytes = from.cell;
  return stream;
}

World::~World() {
  if (connection_ != nullptr && connection_->worker_data != nullptr && wire_->detach(*connection_)) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!connection_->has_let_go() && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    wire_->reap();
  }
  engine_.stop();
  wire_.reset();
  host_.reset();
  connection_.reset();
}

}  // namespace ssn::bench
