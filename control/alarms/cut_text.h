// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ssn::alarms {

/// At most so many bytes of UTF-8, and no half character at the end: the protocol takes none.
inline std::string cut_text(std::string_view text, std::size_t most) {
  if (text.size() > most) {
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) --most;
    text = text.substr(0, most);
  }
  return std::string(text);
}

}  // namespace ssn::alarms
