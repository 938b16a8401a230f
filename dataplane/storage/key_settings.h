// SPDX-License-Identifier: BSD-3-Clause
// What this node's configuration says of random blocks and of keys that run short, as the controller asks it.
#pragma once

#include "ssn/dataplane/configuration.h"
#include "types.h"

namespace ssn::dataplane {

inline controller::KeySettings key_settings(const Configuration& configuration) noexcept {
  using controller::KeySettings;
  KeySettings settings;
  const RandomSource random =
      configuration.ssa.present ? configuration.ssa.random : configuration.shareholder.random;
  settings.random =
      random == RandomSource::stream ? controller::RandomSource::stream : controller::RandomSource::generator;
  switch (configuration.storage_shortage()) {
    case KeyShortage::refuse:
      settings.shortage = controller::KeyShortage::refuse;
      break;
    case KeyShortage::wait:
      settings.shortage = controller::KeyShortage::wait;
      break;
    case KeyShortage::aes_256_gcm:
      settings.shortage = controller::KeyShortage::aes_256_gcm;
      break;
  }
  return settings;
}

}  // namespace ssn::dataplane
