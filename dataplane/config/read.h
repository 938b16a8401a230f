// SPDX-License-Identifier: BSD-3-Clause
// The parts of reading a configuration. Each notes its errors in the Config that its tables belong to.
#pragma once

#include <algorithm>
#include <array>

#include "ssn/dataplane/configuration.h"
#include "ssn/hw/config.h"

namespace ssn::dataplane {

/// The value of an enumeration whose names are `words`, in its order.
template <typename Enumeration, std::size_t size>
Enumeration choose(const hw::ConfigTable& table, std::string_view key,
                   const std::array<std::string_view, size>& words, Enumeration otherwise) {
  const std::string word = table.choice(key, words, std::string(words[static_cast<std::size_t>(otherwise)]));
  const auto found = std::find(words.begin(), words.end(), word);
  return found == words.end() ? otherwise : static_cast<Enumeration>(found - words.begin());
}

inline constexpr std::array<std::string_view, 2> random_words{"stream", "drbg"};
inline constexpr std::array<std::string_view, 3> shortage_words{"refuse", "wait", "aes-256-gcm"};
inline constexpr std::array<std::string_view, 2> role_words{"ssa", "shareholder"};

// read_process.cpp
void read_process(const hw::ConfigTable& root, Configuration& configuration);

// read_ports.cpp
void read_ports(const hw::ConfigTable& root, Configuration& configuration);
void read_bridges(const hw::ConfigTable& root, Configuration& configuration);

// read_streams.cpp; the ports are there.
void read_peers(const hw::ConfigTable& root, Configuration& configuration);
void read_streams(const hw::ConfigTable& root, Configuration& configuration);

// read_storage.cpp; before read_peers(), and after it.
void read_storage(const hw::ConfigTable& root, Configuration& configuration);
void check_storage(const hw::ConfigTable& root, const Configuration& configuration);

/// "host:port" or "[IPv6]:port".
bool good_endpoint(std::string_view text) noexcept;
/// The names of all ports as "client, link1", for messages.
std::string port_names(const Configuration& configuration);

}  // namespace ssn::dataplane
