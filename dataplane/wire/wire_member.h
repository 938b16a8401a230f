// SPDX-License-Identifier: BSD-3-Clause
// A worker as wire mode's control side has it.
#pragma once

#include <memory>

#include "ssn/dataplane/wire.h"
#include "ssn/dataplane/wire_worker.h"
#include "ssn/dataplane/worker.h"

namespace ssn::dataplane {

struct WireMember {
  std::shared_ptr<WireWorker> wire = std::make_shared<WireWorker>();
  Worker* thread = nullptr;  ///< once its graph was built
};

}  // namespace ssn::dataplane
