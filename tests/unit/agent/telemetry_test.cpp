// SPDX-License-Identifier: BSD-3-Clause
// Asks through DPDK's telemetry socket, of an EAL without huge pages, devices and privileges.
#include "ssn/dataplane/telemetry.h"

#include <gtest/gtest.h>
#include <rte_eal.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "fake_agent_source.h"

namespace ssn::agent::test {
namespace {

class Telemetry : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string folder = testing::TempDir() + "telemetry-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    ::setenv("RUNTIME_DIRECTORY", folder.c_str(), 1);
    // EAL moves the arguments about, so they are kept apart from what it gets.
    static std::vector<std::string> arguments = {"telemetry-test",
                                                 "--no-huge",
                                                 "-m",
                                                 "32",
                                                 "--no-pci",
                                                 "--no-shconf",
                                                 "--file-prefix=t",
                                                 "--lcores=0@" + std::to_string(::sched_getcpu()),
                                                 "--log-level=error"};
    std::vector<char*> pointers;
    for (std::string& argument : arguments) {
      pointers.push_back(argument.data());
    }
    ASSERT_TRUE(register_telemetry().ok());
    ASSERT_GE(rte_eal_init(static_cast<int>(pointers.size()), pointers.data()), 0);
  }
  static void TearDownTestSuite() {
    rte_eal_cleanup();
    std::filesystem::remove_all(folder_);
  }

  static std::string ask(const std::string& question) {
    const std::string path = folder_ + "/dpdk/t/dpdk_telemetry.v2";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << path;
    std::string answer(16'384, '\0');
    EXPECT_GT(::recv(fd, answer.data(), answer.size(), 0), 0) << "the banner";
    EXPECT_GT(::send(fd, question.data(), question.size(), 0), 0);
    const ssize_t got = ::recv(fd, answer.data(), answer.size(), 0);
    ::close(fd);
    answer.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return answer;
  }

  static bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

  inline static std::string folder_;
  ssn::test::FakeAgentSource source_;
};

TEST_F(Telemetry, ServesStatusAndCounters) {
  serve_telemetry(source_);
  const std::string status = ask("/ssn/status");
  EXPECT_TRUE(has(status, "\"node\":\"sae-a\"")) << status;
  EXPECT_TRUE(has(status, "\"stream/1\":\"! waiting for keys\"")) << status;
  const std::string all = ask("/ssn/counters");
  EXPECT_TRUE(has(all, "\"drop/bad_tag\":3")) << all;
  EXPECT_TRUE(has(all, "\"keys/sae_b/stock\":")) << all;
  const std::string some = ask("/ssn/counters,node/wire_pack");
  EXPECT_TRUE(has(some, "\"node/wire_pack/calls\":")) << some;
  EXPECT_FALSE(has(some, "drop")) << some;
  stop_telemetry();
  EXPECT_TRUE(has(ask("/ssn/status"), "null"));
}

TEST_F(Telemetry, ManyCountersComeInPages) {
  source_.more_counters = 250;
  serve_telemetry(source_);
  std::size_t found = 0;
  std::size_t next = 0;
  for (int pages = 1;; ++pages) {
    ASSERT_LE(pages, 3);
    const std::string answer = ask("/ssn/counters,test.," + std::to_string(next));
    for (std::size_t at = answer.find("test/"); at != std::string::npos; at = answer.find("test/", at + 1)) {
      ++found;
    }
    ASSERT_EQ(answer.back(), '}') << "whole";
    const std::size_t more = answer.find("\"next\":");
    if (more == std::string::npos) {
      break;
    }
    next = std::stoul(answer.substr(more + 7));
  }
  EXPECT_EQ(found, 250U);
  EXPECT_TRUE(has(ask("/ssn/counters,test.,x"), "null"));
  EXPECT_FALSE(has(ask("/ssn/counters,test.,100000"), "test/"));
  stop_telemetry();
}

TEST(TelemetryNames, AreWhatDpdkTakes) {
  EXPECT_EQ(telemetry_name("link.sae-b:1.packets"), "link/sae_b_1/packets");
  EXPECT_LT(telemetry_name(std::string(500, 'x')).size(), 128U);
}

}  // namespace
}  // namespace ssn::agent::test
