// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/key_report.h"

namespace ssn::dataplane {

std::string_view name(KeyEvent::Kind kind) noexcept {
  switch (kind) {
    case KeyEvent::Kind::device_opened:
      return "device_opened";
    case KeyEvent::Kind::device_failed:
      return "device_failed";
    case KeyEvent::Kind::established:
      return "established";
    case KeyEvent::Kind::ended:
      return "ended";
    case KeyEvent::Kind::alarm:
      return "alarm";
    case KeyEvent::Kind::ledger_failed:
      return "ledger_failed";
    case KeyEvent::Kind::stuck:
      return "stuck";
    case KeyEvent::Kind::readmitted:
      return "readmitted";
  }
  return "unknown";
}

}  // namespace ssn::dataplane
