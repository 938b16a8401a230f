// SPDX-License-Identifier: BSD-3-Clause
// A look at every record of a database, at start.
#pragma once

#include <functional>

#include "database.h"

namespace ssn::controller {

/// All rows with from <= key < to, in order, some at a time; an empty `to` has no end. Ends with the first
/// error.
Outcome for_each_row(Database& database, std::string from, const std::string& to,
                     const std::function<Outcome(const Row&)>& take);

/// That each record is what was written under its key. A record whose key changed on the disk would otherwise
/// be one that was never there: nobody asks for it by its new name. Integrity where one is not.
Outcome check_records(Database& database);

}  // namespace ssn::controller
