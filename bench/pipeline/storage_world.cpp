// SPDX-License-Identifier: BSD-3-Clause
#include "storage_world.h"

#include <fmt/core.h>

#include <bit>

#include "../../dataplane/storage/storage_counters.h"
#include "storage_nodes.h"
#include "tools.h"

namespace ssn::bench {
namespace {

using namespace dataplane;

constexpr const char* name_of_all = "bench";  // sender and receiver of all key streams
constexpr std::uint16_t key_index = 1;
constexpr std::uint16_t owner_udp_port = 40000;

std::string text_of(const StorageOptions& options) {
  const std::uint32_t mtu = std::max(1500U, options.cell + 104);
  std::string text = fmt::format(
      "[node]\nname = \"ssa\"\nledger = \"none.ledger\"\n"
      "[eal]\nmemory = \"{} MiB\"\nfile_prefix = \"ssn-bench-storage\"\nmain_core = {}\n"
      "[workers]\ncores = \"{}\"\nidle = \"poll\"\n"
      "[[key_device]]\ndriver = \"memory\"\n[key_device.settings]\nseed = \"bench\"\n"
      "[agent]\nlisten = \"127.0.0.1:1\"\ncertificate = \"none\"\nkey = \"none\"\nca = \"none\"\n"
      "[controller]\naddress = \"127.0.0.1:2\"\n[ssa]\nport = \"owners\"\nowners = 1\n"
      "[[port]]\nname = \"owners\"\ndevice = \"net_null0,no-rx=1\"\nmtu = {}\n"
      "addresses = [\"10.0.0.1/24\"]\n",
      options.cell > 2048 ? 320 : 128, options.main_core, options.core, mtu);
  for (unsigned i = 1; i <= options.n; ++i) {
    text += fmt::format(
        "[[port]]\nname = \"link{0}\"\ndevice = \"net_null{0},no-rx=1\"\nmtu = {1}\n"
        "addresses = [\"10.0.{0}.1/24\"]\n",
        i, mtu);
  }
  for (unsigned i = 1; i <= options.n; ++i) {
    text += fmt::format(
        "[[peer]]\nname = \"holder-{0}\"\nagent = \"127.0.0.1:3\"\n[[peer.link]]\nport = \"link{0}\"\n"
        "local = \"10.0.{0}.1\"\nremote = \"10.0.{0}.2\"\n",
        i);
  }
  return text;
}

Error failure(std::string what, std::string why) {
  return {Exit::failed, std::move(what), std::move(why), "the bench's own SSA", "see docs/storage.md"};
}

}  // namespace

Result<std::unique_ptr<StorageWorld>> StorageWorld::make(const StorageOptions& options) {
  std::unique_ptr<StorageWorld> world(new StorageWorld(options));
  if (Outcome outcome = world->configure(); !outcome.ok()) return outcome.error();
  if (Outcome outcome = world->engine_.open(world->configuration_, options.folder); !outcome.ok()) {
    return outcome.error();
  }
  if (Outcome outcome = world->engine_.run(world->configuration_, options.core); !outcome.ok()) {
    return outcome.error();
  }
  if (Outcome outcome = world->make_storage(); !outcome.ok()) return outcome.error();
  if (Outcome outcome = world->make_ends(); !outcome.ok()) return outcome.error();
  return world;
}

Outcome StorageWorld::configure() {
  Result<Configuration> read = Configuration::parse(text_of(options_), options_.folder + "/bench.toml");
  if (!read.ok()) return read.error();
  configuration_ = std::move(read.value());
  if (const kernels::Status status = kernels::select(kernels_); status != kernels::Status::ok) {
    return failure("cannot choose kernels", std::string(kernels::describe(status)));
  }
  Result<hw::KeyDevice> opened =
      hw::KeyDevice::open({.driver = "memory", .local_name = name_of_all, .settings = {{"seed", "bench"}}});
  if (!opened.ok()) return opened.error();
  keys_ = std::move(opened.value());
  return done;
}

// As StorageMode makes a worker of an SSA.
Outcome StorageWorld::make_storage() {
  storage_ = std::make_shared<StorageWorker>();
  StorageWorker& worker = *storage_;
  worker.source.open(engine_.eal().packets());
  for (hw::SecretBuffer* const memory : {&worker.seal_memory, &worker.open_memory}) {
    Result<hw::SecretBuffer> made =
        hw::SecretBuffer::make(protocol::OneTimeCheck::memory_bytes, hw::SecretBuffer::Locking::required);
    if (!made.ok()) return made.error();
    *memory = std::move(made.value());
  }
  worker.sealer.emplace(*kernels_, worker.packets, worker.seal_memory);
  worker.opener.emplace(*kernels_, worker.packets, worker.table, worker.open_memory);
  worker.peers.resize(configuration_.peers.size());
  worker.finished.resize(configuration_.peers.size());
  ssa_options_ = ssa_options(configuration_, packets_of(engine_.eal().packets()));
  ssa_options_.surplus = options_.surplus;
  SsaRole::Setup setup;
  setup.options = ssa_options_;
  setup.implementation = kernels_;
  Result<std::unique_ptr<SsaRole>> role = SsaRole::make(setup, worker);
  if (!role.ok()) return role.error();
  role_ = role.value().get();
  worker.role = std::move(role.value());
  Result<std::shared_ptr<RandomStream>> random =
      RandomStream::open(keys_, options_.random_ring_bytes, hw::RingMemory::Pages::huge_if_available);
  if (!random.ok()) return random.error();
  random_ = std::move(random.value());
  return done;
}

Outcome StorageWorld::make_ends() {
  PortEnd::Setup setup;
  setup.worker = &engine_.worker();
  setup.implementation = kernels_;
  setup.cell_bytes = options_.cell;
  setup.port = engine_.ports().find("owners");
  setup.ssa_address = {10, 0, 0, 1};
  setup.address = {10, 0, 0, 2};
  setup.ssa_udp_port = configuration_.ssa.udp_port;
  setup.udp_port = owner_udp_port;
  owner_ = std::make_unique<OwnerEnd>(setup, ssa_options_.window, options_.blocks);
  if (Outcome outcome = owner_->attach(); !outcome.ok()) return outcome;
  for (unsigned i = 1; i <= options_.n; ++i) {
    setup.port = engine_.ports().find(fmt::format("link{}", i));
    setup.ssa_address[2] = setup.address[2] = static_cast<std::uint8_t>(i);
    setup.ssa_udp_port = setup.udp_port = Configuration::default_udp_port;
    holders_.push_back(std::make_unique<HolderEnd>(setup, options_.blocks));
    if (Outcome outcome = holders_.back()->attach(); !outcome.ok()) return outcome;
  }
  return done;
}

// As StorageMode builds a worker's part of the graph.
Outcome StorageWorld::build_storage(GraphBuilder& graph) {
  storage_->thread = &graph.worker();
  storage_->host = host_->worker(graph);
  const auto state = std::make_shared<StorageNode>(StorageNode{storage_});
  const NodeHandle receive = graph.add(storage_receive_type, "storage", state);
  const NodeHandle step = graph.add(storage_step_type, "storage", state);
  for (const std::uint16_t udp_port : {Configuration::default_udp_port, configuration_.ssa.udp_port}) {
    if (Outcome outcome = host_->listen(graph, udp_port, receive); !outcome.ok()) return outcome;
  }
  graph.connect(receive, storage_receive_handoff, graph.handoff("storage"));
  graph.connect(step, storage_step_link, host_->link_output(graph));
  return done;
}

Outcome StorageWorld::build(const std::shared_ptr<Probe>& probe) {
  Result<std::unique_ptr<HostPart>> host = HostPart::make(configuration_, engine_.all_ports(), nullptr);
  if (!host.ok()) return host.error();
  host_ = std::move(host.value());
  if (Outcome outcome =
          engine_.install({[this](GraphBuilder& graph) { return host_->build(graph); },
                           [this](GraphBuilder& graph) { return build_storage(graph); },
                           [probe](GraphBuilder& graph) { return Probe::build(graph, probe); }});
      !outcome.ok()) {
    return outcome;
  }
  for (unsigned i = 0; i < options_.n; ++i) {
    if (Outcome outcome = connect(i); !outcome.ok()) return outcome;
  }
  return done;
}

// Both ends of an association; one has the streams of the other, exchanged.
Outcome StorageWorld::connect(unsigned holder) {
  ConnectionLimits limits;
  limits.pad_ring_bytes = options_.pad_ring_bytes;
  ConnectionTerms terms;
  terms.peer = name_of_all;
  terms.peer_index = static_cast<std::uint16_t>(holder);
  terms.epoch = 1;
  terms.key_index = key_index;
  terms.local_id = make_connection_id(holder, 0, 4404);
  terms.peer_id = make_connection_id(holder, 0, 4405);
  terms.longest_range = static_cast<std::uint32_t>(limits.pad_ring_bytes / 4);
  terms.peer_window = limits.window;
  terms.shortage = protocol::ShortagePolicy::wait;
  for (std::size_t i = 0; i < connection_streams; ++i) {
    terms.ksids[i][0] = static_cast<std::uint8_t>(holder + 1);
    terms.ksids[i][1] = static_cast<std::uint8_t>(i + 1);
  }
  Result<std::unique_ptr<Connection>> ours = Connection::open(keys_, terms, limits, *kernels_, random_);
  std::swap(terms.local_id, terms.peer_id);
  std::swap(terms.ksids[pads_out], terms.ksids[pads_in]);
  std::swap(terms.ksids[tag_keys_out], terms.ksids[tag_keys_in]);
  Result<std::unique_ptr<Connection>> theirs = Connection::open(keys_, terms, limits, *kernels_);
  if (!ours.ok() || !theirs.ok()) return ours.ok() ? theirs.error() : ours.error();
  for (std::size_t i = 0; i < connection_streams; ++i) {
    ours.value()->marks(i).grant(std::uint64_t{1} << 62);
    theirs.value()->marks(i).grant(std::uint64_t{1} << 62);
  }
  ours.value()->permit_sending();
  theirs.value()->permit_sending();
  connections_.push_back(std::move(ours.value()));
  Connection& connection = *connections_.back();
  auto channel = std::make_unique<StorageChannel>();
  channel->worker = storage_.get();
  channel->id = connection.terms().local_id;
  channel->number = connection.terms().peer_index;
  channel->link = host_->link(holder, 0);
  channel->connection = &connection;
  protocol::ChannelOptions options;
  options.sender.packet_bytes = options_.cell + static_cast<std::uint32_t>(protocol::overhead_bytes);
  options.sender.packets = std::bit_floor(std::clamp<std::uint32_t>(terms.peer_window, 1024, 16384));
  options.sender.peer_pad_ring_bytes = connection.memory(pads_out).bytes;
  channel->channel =
      std::make_unique<protocol::Channel>(options, connection.send_keys(), *connection.receiving().keys[0],
                                          *storage_->sealer, storage_->source, channel_begins_ns());
  channels_.push_back(std::move(channel));
  bool attached = false;
  on_worker(engine_.worker(), [&] {
    holders_[holder]->connect(std::move(theirs.value()), connection);
    attached = storage_->attach(*channels_.back());
  });
  return attached ? Outcome(done) : Outcome(failure("cannot attach a connection", "its place is taken"));
}

roles::ObjectLayout StorageWorld::layout() const {
  roles::ObjectLayout layout;
  layout.k = options_.k;
  layout.n = options_.n;
  layout.cell_bytes = options_.cell;
  for (unsigned i = 0; i < options_.n; ++i) layout.holders.push_back(static_cast<std::uint16_t>(i));
  return layout;
}

// As OwnerSessions equips one; the keys are no secrets here.
Outcome StorageWorld::make_session(bool writes, std::unique_ptr<protocol::SessionKeys>& owners) {
  using protocol::SessionKeys;
  session_ = std::make_unique<OwnerSession>();
  session_->writes = writes;
  Result<HostGuest> guest =
      host_->host().make_guest({engine_.ports().find("owners")->id, configuration_.ssa.address,
                                configuration_.ssa.udp_port, *parse_ip_address("10.0.0.2"), owner_udp_port});
  if (!guest.ok()) return guest.error();
  session_->guest = std::move(guest.value());
  std::vector<std::uint8_t> keys[2];
  for (unsigned way = 0; way < 2; ++way) {
    keys[way].resize(SessionKeys::max_keys_bytes);
    for (std::size_t i = 0; i < keys[way].size(); ++i) {
      keys[way][i] = static_cast<std::uint8_t>(i * 37 + way * 101 + sessions_ * 11);
    }
  }
  StorageChannel& channel = session_->channel;
  channel.worker = storage_.get();
  channel.owner = session_.get();
  channel.link = storage_->host->guest_link(0);
  channel.id = make_connection_id(first_owner_place, 0, ++sessions_);
  const std::uint32_t owners_id = make_connection_id(0, 0, sessions_);
  Result<std::unique_ptr<SessionKeys>> ours = SessionKeys::make(
      {.send_connection_id = owners_id, .receive_connection_id = channel.id, .key_index = key_index}, keys[0],
      keys[1]);
  Result<std::unique_ptr<SessionKeys>> theirs = SessionKeys::make(
      {.send_connection_id = channel.id, .receive_connection_id = owners_id, .key_index = key_index}, keys[1],
      keys[0]);
  if (!ours.ok() || !theirs.ok()) return ours.ok() ? theirs.error() : ours.error();
  channel.keys = std::move(ours.value());
  owners = std::move(theirs.value());
  protocol::ChannelOptions options;
  options.sender.packets = 4096;
  options.sender.packet_bytes = options_.cell + static_cast<std::uint32_t>(protocol::overhead_bytes);
  channel.channel =
      std::make_unique<protocol::Channel>(options, channel.keys->send(), channel.keys->receive(),
                                          *storage_->sealer, storage_->source, channel_begins_ns());
  return done;
}

Outcome StorageWorld::open_session(bool writes) {
  close_session();
  std::unique_ptr<protocol::SessionKeys> owners;
  if (Outcome outcome = make_session(writes, owners); !outcome.ok()) return outcome;
  const roles::ObjectKey key{1, 1};
  if (writes) {
    Result<roles::SsaWritePointer> write = roles::make_write({key, layout(), 0}, ssa_options_);
    if (!write.ok()) return write.error();
    session_->write = std::move(write.value());
  } else {
    roles::ReadOrder order;
    order.key = key;
    order.layout = layout();
    order.cells = options_.blocks;
    order.attempts = {{0, 0}};
    for (unsigned i = 1; i <= options_.n; ++i) order.shares.push_back(static_cast<std::uint8_t>(i));
    Result<roles::SsaReadPointer> read = roles::make_read(order, ssa_options_);
    if (!read.ok()) return read.error();
    session_->read = std::move(read.value());
  }
  on_worker(engine_.worker(), [&] {
    role_->open(*session_, engine_.worker().now_ns());
    if (session_->opened) owner_->connect(std::move(owners), engine_.worker().now_ns());
  });
  return session_->opened ? Outcome(done) : Outcome(failure("cannot open a session", "the role refuses it"));
}

void StorageWorld::close_session() {
  if (session_ == nullptr) return;
  owner_->set_mode(OwnerEnd::Mode::idle);
  on_worker(engine_.worker(), [&] {
    owner_->disconnect();
    if (session_->opened) role_->close(*session_, engine_.worker().now_ns());
  });
  session_.reset();
}

protocol::WireStream StorageWorld::stream() const {
  protocol::WireStream stream;
  stream.id = 1;
  stream.k = options_.k;
  stream.n = options_.n;
  stream.cell_bytes = options_.cell;
  return stream;
}

std::uint64_t StorageWorld::wrong() const {
  std::uint64_t sum = owner_->wrong() + owner_->dropped();
  for (const auto& each : holders_) sum += each->wrong() + each->dropped();
  return sum;
}

std::string StorageWorld::trouble() const {
  std::string text = fmt::format("owner: {} wrong, {} not opened", owner_->wrong(), owner_->dropped());
  for (std::size_t i = 0; i < holders_.size(); ++i) {
    text += fmt::format("; shareholder {}: {}, {}", i + 1, holders_[i]->wrong(), holders_[i]->dropped());
  }
  const roles::SsaCounters& of = counters();
  return text + fmt::format("; blocks refused {}, not given {}; cells split again {}, shares lost {}",
                            of.blocks_refused, of.blocks_not_given, of.cells_split_again, of.shares_lost);
}

StorageWorld::~StorageWorld() {
  if (engine_.runs()) {
    close_session();
    engine_.clear();
    on_worker(engine_.worker(), [this] {
      for (const auto& each : channels_) storage_->detach(*each, engine_.worker().now_ns());
    });
  }
  engine_.stop();
  holders_.clear();
  owner_.reset();
  channels_.clear();
  storage_.reset();
  host_.reset();
  connections_.clear();
}

}  // namespace ssn::bench
