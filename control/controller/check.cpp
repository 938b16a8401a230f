// SPDX-License-Identifier: BSD-3-Clause
#include "check.h"

#include "record.h"

namespace ssn::controller {
namespace {

constexpr std::size_t rows_at_once = 1000;

}  // namespace

Outcome check_records(Database& database) {
  std::string from;
  for (;;) {
    const Result<std::vector<Row>> rows = database.scan(from, "", rows_at_once);
    if (!rows.ok()) return rows.error();
    for (const Row& row : rows.value()) {
      if (Outcome checked = check(row.key, row.value); !checked.ok()) return checked;
    }
    if (rows.value().size() < rows_at_once) return done;
    from = rows.value().back().key;
    from.push_back('\0');
  }
}

}  // namespace ssn::controller
