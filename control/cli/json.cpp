// SPDX-License-Identifier: BSD-3-Clause
#include "json.h"

#include <fmt/core.h>

#include <cassert>
#include <cmath>

namespace ssn::cli {
namespace {

// Length of the UTF-8 sequence (RFC 3629) at `text[i]`, 0 when it is not one.
std::size_t utf8_length(std::string_view text, std::size_t i) {
  const auto at = [&](std::size_t j) { return static_cast<unsigned char>(text[j]); };
  const unsigned char lead = at(i);
  if (lead < 0x80) {
    return 1;
  }
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || i + length > text.size()) {
    return 0;
  }
  for (std::size_t j = 1; j < length; ++j) {
    if ((at(i + j) & 0xC0) != 0x80) {
      return 0;
    }
  }
  const unsigned char second = at(i + 1);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool surrogate = lead == 0xED && second >= 0xA0;
  const bool too_large = lead == 0xF4 && second >= 0x90;
  return overlong || surrogate || too_large ? 0 : length;
}

}  // namespace

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
      ++i;
    } else if (c == '\n') {
      out += "\\n";
      ++i;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
      ++i;
    } else if (const std::size_t length = utf8_length(text, i); length > 0) {
      out.append(text, i, length);
      i += length;
    } else {
      out += "\\ufffd";
      ++i;
    }
  }
  out += '"';
  return out;
}

void JsonWriter::indent() {
  if (shape_ == Shape::one_line) {
    out_.append(out_.back() == ',' ? " " : "");
    return;
  }
  out_ += '\n';
  out_.append(levels_.size() * 2, ' ');
}

void JsonWriter::separate() {
  if (levels_.empty()) {
    assert(out_.empty());
    return;
  }
  Level& level = levels_.back();
  if (level.object) {
    assert(have_key_);
    have_key_ = false;
    return;
  }
  if (!level.empty) {
    out_ += ',';
  }
  level.empty = false;
  indent();
}

JsonWriter& JsonWriter::key(std::string_view name) {
  assert(!levels_.empty() && levels_.back().object && !have_key_);
  if (!levels_.back().empty) {
    out_ += ',';
  }
  levels_.back().empty = false;
  indent();
  out_ += json_string(name);
  out_ += ": ";
  have_key_ = true;
  return *this;
}

void JsonWriter::begin(bool object, char bracket) {
  separate();
  out_ += bracket;
  levels_.push_back({object, true});
}

void JsonWriter::end(bool object, char bracket) {
  assert(!levels_.empty() && levels_.back().object == object && !have_key_);
  const bool empty = levels_.back().empty;
  levels_.pop_back();
  if (!empty) {
    indent();
  }
  out_ += bracket;
}

JsonWriter& JsonWriter::begin_object() {
  begin(true, '{');
  return *this;
}

JsonWriter& JsonWriter::end_object() {
  end(true, '}');
  return *this;
}

JsonWriter& JsonWriter::begin_array() {
  begin(false, '[');
  return *this;
}

JsonWriter& JsonWriter::end_array() {
  end(false, ']');
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  separate();
  out_ += json_string(text);
  return *this;
}

JsonWriter& JsonWriter::value(bool truth) {
  separate();
  out_ += truth ? "true" : "false";
  return *this;
}

JsonWriter& JsonWriter::value(std::uint64_t number) {
  separate();
  out_ += fmt::format("{}", number);
  return *this;
}

JsonWriter& JsonWriter::value(double number) {
  if (!std::isfinite(number)) {
    return null();
  }
  separate();
  out_ += fmt::format("{:.6g}", number);
  return *this;
}

JsonWriter& JsonWriter::null() {
  separate();
  out_ += "null";
  return *this;
}

std::string JsonWriter::text() const {
  assert(levels_.empty() && !out_.empty());
  return out_ + "\n";
}

}  // namespace ssn::cli
