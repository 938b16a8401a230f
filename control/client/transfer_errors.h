// SPDX-License-Identifier: BSD-3-Clause
// How transfers fail: the same words for both directions.
#pragma once

#include <cstdint>

#include "ssn/hw/result.h"
#include "ssn/protocol/requests.h"

namespace ssn::client {

Error stopped(const char* what);
Error session_ended(const char* what);
Error silent(const char* what, std::uint64_t patience_ns);
/// Of an answer that is neither done nor busy.
Error error_of(const protocol::Answer& answer, const char* what);

}  // namespace ssn::client
