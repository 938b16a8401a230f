// SPDX-License-Identifier: BSD-3-Clause
// The settings of the driver; README.md lists them.
#pragma once

#include <cstddef>
#include <string>

#include "ssn/hw/result.h"
#include "ssn/key_device.h"
#include "types.h"

namespace ssn::hw::etsi014 {

struct Settings {
  std::string local_name;  ///< SAE ID of this node
  std::string host, port;  ///< from `url`
  std::string path;        ///< from `url`: what stands before /api/v1, without a slash at its end
  std::string kme_id;
  std::string ca, certificate, private_key;
  std::string crl;  ///< what the authorities in `ca` revoked; empty: nobody is looked up
  bool tls_1_3_only = false;
  std::size_t request_bytes = std::size_t{512} << 10;
  std::size_t keys_per_request = 128;
  std::size_t stock_bytes = std::size_t{64} << 20;
  std::size_t connections = 2;
  std::size_t batches = 3;
  Time connect_timeout = 5000;
  Time request_timeout = 10000;
  Time retry_least = 100;
  Time retry_most = 10000;
  Time key_wait = 2000;
  Time status_interval = 10000;
  Time peer_timeout = 5000;
  std::string extension_mandatory, extension_optional;

  /// Host and port, as a Host header has it.
  std::string authority() const;
  /// For one answer, with its head and what JSON costs.
  std::size_t body_bytes() const;
};

Result<Settings> read_settings(const ssn_key_device_config& config);

}  // namespace ssn::hw::etsi014
