// SPDX-License-Identifier: BSD-3-Clause
#include "types.h"

#include <cstring>

namespace ssn::hw::etsi014 {

bool acceptable(const KeyId& id) noexcept {
  if (id.text.empty() || id.text.size() > max_key_id_length) {
    return false;
  }
  if (id.number) {
    const bool leading_zero = id.text.size() > 1 && id.text.front() == '0';
    return id.text.size() <= 19 && !leading_zero &&
           id.text.find_first_not_of("0123456789") == std::string::npos;
  }
  for (const char c : id.text) {
    if (c < 0x21 || c > 0x7e || c == '"' || c == '\\') {
      return false;
    }
  }
  return true;
}

void Body::erase() noexcept {
  if (written != 0) {
    ::explicit_bzero(memory.data(), written);
  }
  begin = length = written = 0;
}

}  // namespace ssn::hw::etsi014
