// SPDX-License-Identifier: BSD-3-Clause
// What ends soon: certificates and lists of revoked ones. Times are seconds since 1970. No gRPC.
#pragma once

#include <cstdint>
#include <string>

namespace ssn::pki {

/// 0: not soon; 1: within 30 days; 2: within 7; 3: it has ended. What lives for days only is no news a month
/// before its end: then a third and a tenth of its life count.
unsigned certificate_stage(std::int64_t begins, std::int64_t ends, std::int64_t now);
/// The same with 7 days and 1.
unsigned list_stage(std::int64_t begins, std::int64_t ends, std::int64_t now);
/// "12 days", "3 hours", "40 minutes".
std::string duration_text(std::int64_t seconds);

/// Of PEM files that somebody else uses: what is wrong with the first certificate, or with a list of `crl`
/// (empty: none), or will be soon; empty: nothing. Whom they make believe is not asked.
std::string trouble_of(const std::string& certificate, const std::string& crl, std::int64_t now);

}  // namespace ssn::pki
