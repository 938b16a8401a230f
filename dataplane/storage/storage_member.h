// SPDX-License-Identifier: BSD-3-Clause
// A worker as the control side of the storage network has it.
#pragma once

#include <memory>

#include "holder_role.h"
#include "ssa_role.h"
#include "ssn/dataplane/storage_worker.h"
#include "ssn/dataplane/worker.h"

namespace ssn::dataplane {

struct StorageMember {
  std::shared_ptr<StorageWorker> storage = std::make_shared<StorageWorker>();
  Worker* thread = nullptr;      ///< once its graph was built
  HolderRole* holder = nullptr;  ///< one of them, in storage->role
  SsaRole* ssa = nullptr;

  std::uint64_t now_ns() const noexcept { return thread->now_ns(); }  ///< on the worker
};

}  // namespace ssn::dataplane
