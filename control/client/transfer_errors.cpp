// SPDX-License-Identifier: BSD-3-Clause
#include "transfer_errors.h"

#include <fmt/core.h>

#include "object_client.h"

namespace ssn::client {

Error stopped(const char* what) { return {Exit::temporary, what, interrupted, "", "try again"}; }

Error session_ended(const char* what) {
  return {Exit::temporary, what, "the session with the SSA ended", "", "try again"};
}

Error silent(const char* what, std::uint64_t patience_ns) {
  return {Exit::temporary, what,
          fmt::format("the SSA has not taken or sent anything for {} s", patience_ns / 1'000'000'000), "",
          "see that UDP packets reach the SSA's data address and come back, and that enough holders are up; "
          "then try again"};
}

Error error_of(const protocol::Answer& answer, const char* what) {
  using enum protocol::AnswerCode;
  const bool read = answer.type == protocol::PacketType::read;
  switch (answer.code) {
    case quarantined:
      if (read) {
        return {Exit::integrity, what,
                "shares of a part of it contradict each other, and too few are there to tell which are wrong",
                "", "start more of its holders (`ssn stat`); `ssn alarms` names those that lied before"};
      }
      [[fallthrough]];
    case not_found:
    case incomplete:
    case io_error:
      return read ? Error{Exit::unrecoverable, what, "too few holders have good shares of a part of it", "",
                          "see `ssn stat` for its holders, and try again when more of them are up"}
                  : Error{Exit::temporary, what, "too many holders have failed", "",
                          "see that enough holders are up, then try again"};
    case read_only:
    case disk_full:
      return {Exit::temporary, what, "too few holders can take anything", "",
              "see which of them are full or read-only, then try again"};
    case refused:
      return {Exit::refused, what, "the SSA refuses it: the object is not this session's, or is gone", "",
              "see `ssn stat`, then try again"};
    case done:
    case busy:
      break;
  }
  return {Exit::temporary, what, "the SSA cannot do it now", "", "try again"};
}

}  // namespace ssn::client
