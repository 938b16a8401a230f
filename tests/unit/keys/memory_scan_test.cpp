// SPDX-License-Identifier: BSD-3-Clause
// After two nodes have exchanged packets and stopped, no key byte is left in this process, which had both of
// them and their key-manager NIC: no pad, no hash key, no mask.
#include "memory_scanner.h"

#include "../kmnic/key_source.h"
#include "device_model.h"
#include "setup.h"

namespace ssn::dataplane_test {
namespace {

using kmnic_test::key_byte;

TEST_F(TwoNodes, NoKeyIsLeftInMemory) {
  SKIP_WHERE_INSTRUMENTED();
  const auto valve = std::make_shared<kmnic_test::Valve>();
  kme::DeviceModel::Options options;
  options.socket_path = file("kmnic.sock");
  options.provider = std::make_shared<kmnic_test::TestProvider>(valve);
  Result<kme::DeviceModel> model = kme::DeviceModel::start(std::move(options));
  ASSERT_TRUE(model.ok()) << model.error().why;
  world.channels.connect("alice", "bob");
  std::vector<std::unique_ptr<TestNode>> nodes;
  for (const auto& [name, peer] : {std::pair{"alice", "bob"}, std::pair{"bob", "alice"}}) {
    KeyServiceConfiguration changed = configuration(name, {peer});
    changed.devices = {{.driver = "kmnic", .peers = {}, .settings = {{"socket", file("kmnic.sock")}}}};
    changed.peers[0].shortage = protocol::ShortagePolicy::aes_256_gcm;
    nodes.push_back(node(std::move(changed)));
  }
  ASSERT_TRUE(flows(*nodes[0], *nodes[1], 500));

  const auto report = nodes[0]->peer("bob");
  ASSERT_EQ(report.connections.size(), 1U);
  test::Wanted wanted;
  std::vector<std::uint8_t> bytes;
  const dataplane::ConnectionTerms terms = nodes[0]->terms();
  // Masks are 16 bytes, which is what the scanner looks for at least; all that can have been delivered so
  // far.
  for (const protocol::Ksid& ksid : terms.ksids) {
    bytes.resize(std::size_t{4} << 20);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = key_byte(ksid, i);
    wanted.add(bytes.data(), bytes.size());
    std::fill(bytes.begin(), bytes.end(), std::uint8_t{0});
  }
  const auto scanner = std::make_unique<test::Scanner>();
  EXPECT_GT(scanner->count(wanted), 1000U) << "the positive control is not found";
  finish({nodes[0].get(), nodes[1].get()});
  for (const auto& peer : {nodes[0]->peer("bob"), nodes[1]->peer("alice")}) {
    for (const protocol::KeyAccount& account : peer.finished.accounts) EXPECT_GT(account.fetched, 0U);
  }
  model.value().stop();
  EXPECT_EQ(scanner->count(wanted), 0U) << scanner->where();
}

}  // namespace
}  // namespace ssn::dataplane_test
