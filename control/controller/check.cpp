// SPDX-License-Identifier: BSD-3-Clause
#include "check.h"

#include "record.h"

namespace ssn::controller {
namespace {

constexpr std::size_t rows_at_once = 1000;

}  // namespace

Outcome for_each_row(Database& database, std::string from, const std::string& to,
                     const std::function<Outcome(const Row&)>& take) {
  for (;;) {
    const Result<std::vector<Row>> rows = database.scan(from, to, rows_at_once);
    if (!rows.ok()) return rows.error();
    for (const Row& row : rows.value()) {
      if (Outcome taken = take(row); !taken.ok()) return taken;
    }
    if (rows.value().size() < rows_at_once) return done;
    from = rows.value().back().key;
    from.push_back('\0');
  }
}

Outcome check_records(Database& database) {
  return for_each_row(database, "", "", [](const Row& row) { return check(row.key, row.value); });
}

}  // namespace ssn::controller
