// SPDX-License-Identifier: BSD-3-Clause
// A look at every record of a database, at start.
#pragma once

#include "database.h"

namespace ssn::controller {

/// That each record is what was written under its key. A record whose key changed on the disk would otherwise
/// be one that was never there: nobody asks for it by its new name. Integrity where one is not.
Outcome check_records(Database& database);

}  // namespace ssn::controller
