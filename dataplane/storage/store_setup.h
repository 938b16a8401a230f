// SPDX-License-Identifier: BSD-3-Clause
// The share store of a shareholder, as its configuration says. Control threads.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "ssn/dataplane/configuration.h"
#include "ssn/store/store_thread.h"

namespace ssn::dataplane {

/// Opens or makes it, and starts its thread. `requests`: of each worker, at once; rounded up. `report` hears
/// what was found damaged.
Result<std::unique_ptr<store::StoreThread>> start_store(const ShareholderConfiguration& configuration,
                                                        std::size_t workers, std::size_t requests,
                                                        const std::function<void(std::string_view)>& report);

}  // namespace ssn::dataplane
