// SPDX-License-Identifier: BSD-3-Clause
// Writes JSON (RFC 8259), nothing else. Keys appear in the order of the calls, so output is stable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ssn::cli {

/// Makes one document. Misuse (a value without a key inside an object, an end that does not match) asserts.
class JsonWriter {
 public:
  enum class Shape : std::uint8_t { indented, one_line };
  explicit JsonWriter(Shape shape = Shape::indented) : shape_(shape) {}

  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool truth);
  JsonWriter& value(std::uint64_t number);
  JsonWriter& value(unsigned number) { return value(std::uint64_t{number}); }
  JsonWriter& value(int) = delete;
  /// Not finite numbers become null: JSON has no word for them.
  JsonWriter& value(double number);
  JsonWriter& null();

  template <typename T>
  JsonWriter& member(std::string_view name, const T& content) {
    key(name);
    return value(content);
  }

  /// The finished document with a line end.
  std::string text() const;

 private:
  struct Level {
    bool object = false;
    bool empty = true;
  };

  void separate();
  void indent();
  void begin(bool object, char bracket);
  void end(bool object, char bracket);

  Shape shape_;
  std::string out_;
  std::vector<Level> levels_;
  bool have_key_ = false;
};

/// A quoted JSON string. File names are bytes: what is not UTF-8 becomes U+FFFD, so the document stays valid.
std::string json_string(std::string_view text);

}  // namespace ssn::cli
