// SPDX-License-Identifier: BSD-3-Clause
// A bad network between two UDP sockets on loopback: loses, repeats, overtakes and damages packets, by seed.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "ssn/dataplane/ip_address.h"
#include "ssn/hw/file_descriptor.h"
#include "test_random.h"

namespace ssn::test {

/// Chances of 1000, for each packet and direction.
struct RelayOptions {
  unsigned lost = 0;
  unsigned repeated = 0;
  unsigned overtaken = 0;  ///< held back until a few more have passed
  unsigned damaged = 0;
};

/// A thread of its own.
class UdpRelay {
 public:
  /// Between `near` and `far`; whoever talks to front() talks to `far`, and the other way round.
  UdpRelay(const dataplane::IpEndpoint& near, const dataplane::IpEndpoint& far, const RelayOptions& options,
           std::uint64_t seed);
  ~UdpRelay();
  UdpRelay(const UdpRelay&) = delete;
  UdpRelay& operator=(const UdpRelay&) = delete;

  const dataplane::IpEndpoint& front() const { return front_.local; }
  const dataplane::IpEndpoint& back() const { return back_.local; }
  std::uint64_t passed() const { return passed_; }
  std::uint64_t lost() const { return lost_; }
  /// Nothing passes any more, or again.
  void cut(bool is_cut) { cut_ = is_cut; }

 private:
  struct Side {
    hw::FileDescriptor fd;
    dataplane::IpEndpoint local;
    dataplane::IpEndpoint peer;
    Bytes held;  // overtaken by the next ones
    unsigned passing = 0;
  };

  void run();
  void pass(Side& from, Side& to);
  void forward(Side& to, Bytes packet);

  const RelayOptions options_;
  TestRandom random_;
  Side front_;
  Side back_;
  std::atomic<std::uint64_t> passed_{0};
  std::atomic<std::uint64_t> lost_{0};
  std::atomic<bool> cut_{false};
  std::atomic<bool> end_{false};
  std::thread thread_;
};

}  // namespace ssn::test
