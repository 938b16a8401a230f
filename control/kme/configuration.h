// SPDX-License-Identifier: BSD-3-Clause
// What an emulated QKD network consists of, as read from the configuration file (docs/kme.md).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "link_model.h"
#include "ssn/hw/result.h"

namespace ssn::kme {

/// What ETSI GS QKD 014 status tells, in its words, and what protects the key manager itself.
struct Limits {
  std::uint64_t key_size = 256;  ///< bits, like the other sizes
  std::uint64_t min_key_size = 64;
  std::uint64_t max_key_size = 8'388'608;
  std::uint64_t max_key_per_request = 128;
  std::uint64_t max_key_count = 100'000;  ///< also of keys that wait for their slave SAE, per site
  std::uint64_t key_lifetime_s = 3600;    ///< how long a key waits for its slave SAE
  std::uint64_t max_body_bytes = 1 << 20;
  std::uint64_t connections = 64;  ///< served at a time, per site; others wait
  std::uint64_t idle_s = 60;       ///< until a connection without requests is closed
  std::uint64_t request_s = 5;     ///< until a peer that neither sends nor takes is given up
};

struct SiteSettings {
  std::string id;  ///< KME ID, also the common name of its certificate
  std::string listen = "127.0.0.1";
  unsigned port = 0;  ///< 0: any that is free
  std::string certificate;
  std::string key;
  std::vector<std::string> sae;
  std::string kmnic_socket;  ///< empty: no key-manager NIC at this site
  bool served = true;        ///< by this process
  std::string peer_address;  ///< where the key managers of other processes find this one
  unsigned peer_port = 0;    ///< 0: no other process is needed
};

struct LinkSettingsInFile {
  std::string name;
  std::array<std::size_t, 2> sites{};  ///< indices into Configuration::sites
  LinkSettings model;
  Microseconds latency = 0;
  std::uint64_t hops = 1;
  std::string secret_file;  ///< empty: a fresh secret each time, which works within one process only
};

struct Configuration {
  static constexpr std::size_t sites_max = 256;
  static constexpr std::size_t links_max = 1024;
  static constexpr std::size_t sae_max = 1024;  ///< per site

  std::string name = "test network";
  std::string ca;
  std::string crl;            ///< what the authorities in `ca` revoked; empty: nobody is looked up
  bool tls_1_3_only = false;  ///< of SAEs; the standard permits 1.2. Key managers among themselves: always
  std::string control_socket;
  Limits limits;
  std::vector<SiteSettings> sites;
  std::vector<LinkSettingsInFile> links;

  bool local(const LinkSettingsInFile& link) const {
    return sites[link.sites[0]].served && sites[link.sites[1]].served;
  }
};

/// With `only`, ".ID" of the first of them is put behind the control socket's name: each process has its own.
/// Relative paths in the file are relative to its folder. `only` names the sites that this process serves;
/// empty: all.
Result<Configuration> read_configuration(const std::string& path, const std::vector<std::string>& only);

}  // namespace ssn::kme
