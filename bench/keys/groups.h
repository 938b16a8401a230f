// SPDX-License-Identifier: BSD-3-Clause
// What keys_bench measures: each group registers its benchmarks.
#pragma once

namespace ssn::bench {

void register_etsi014();
void register_kmnic();
void register_packets();
void register_pads();

}  // namespace ssn::bench
