// SPDX-License-Identifier: BSD-3-Clause
// What network.cpp and key_streams.cpp share, and nobody else sees.
#pragma once

#include <deque>
#include <map>

#include "network.h"

namespace ssn::kme {

struct Network::Link {
  Link(const LinkSettingsInFile& from, LinkSecret link_secret, bool served_here, Microseconds at)
      : settings(from), secret(std::move(link_secret)), local(served_here), model(from.model, at) {}

  LinkSettingsInFile settings;
  LinkSecret secret;
  bool local;
  LinkModel model;
  Peer* peer = nullptr;
  std::shared_ptr<const LinkSecret> session;  // of the current run; null while there is none
  Run nonces{};
  std::uint64_t run = 0;
  bool connected = false;
  std::size_t streams = 0;  // open ends
  LinkCounters counters;
};

// Both ends of one key stream, where this process serves both.
struct Network::Stream {
  // Up to `offset` the end that did not draw the bytes may read from `ready` on.
  struct Mark {
    std::uint64_t offset;
    Microseconds ready;
  };

  std::size_t link = 0;
  std::uint64_t run = 0;
  Ksid ksid{};
  std::array<std::string, 2> sae;  // sender, receiver
  std::array<bool, 2> opened{};
  std::array<bool, 2> closed{};
  std::array<std::uint64_t, 2> offset{};
  std::uint64_t drawn = 0;    // from the link
  std::uint64_t visible = 0;  // of that, known at both ends
  std::deque<Mark> marks;     // beyond `visible`
  bool starved = false;       // the last request found too little
};

struct Network::StreamTable {
  std::map<Ksid, std::shared_ptr<Stream>> streams;  // null: over, and never again
};

}  // namespace ssn::kme
