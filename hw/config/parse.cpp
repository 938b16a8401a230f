// SPDX-License-Identifier: BSD-3-Clause
// From TOML to our tree. The only file that sees the TOML library.
#include <fmt/core.h>

#include <exception>

// The library asserts what a file may break ("[=]", found by fuzzing), in places where it goes on to give a
// proper error. So its assertions are off; ours, and the fuzzer's address sanitizer, are not.
#define TOML_ASSERT(expression) static_cast<void>(0)
#include <toml++/toml.h>

#include "tree.h"

namespace ssn::hw {
namespace {

Error syntax_error(const std::string& name, ConfigPosition position, std::string why, std::string fix) {
  return {Exit::usage, "cannot read the configuration", std::move(why), place(name, position),
          std::move(fix)};
}

std::string deep_reason() {
  return fmt::format("tables lie in one another more than {} deep", config_depth_max);
}

// Makes text safe for the library, or refuses it. Two things are wrong with it, both found by fuzzing or
// reading: it follows dotted keys (a.b.c = 1) as deep as they go, and so do its destructors, on the stack;
// and it is undefined what it does with some characters that are not ASCII. So keys with more parts than
// anybody needs are refused, such characters are blanked in comments and refused elsewhere. What else is no
// TOML passes, for the library to refuse.
class BeforeTheLibrary {
 public:
  explicit BeforeTheLibrary(std::string& text) : text_(text) {}

  bool refuses(ConfigPosition& position, std::string& why) {
    constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
    if (text_.starts_with(byte_order_mark)) {
      text_.erase(0, byte_order_mark.size());
    }
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\n') {
        ++line_;
        line_start_ = at_ + 1;
        dots_ = 0;
      } else if (c == '#') {
        skip_comment();
      } else if (c == '"' || c == '\'') {
        skip_string(c);
      } else if (c == '.') {
        ++dots_;
      } else if (c == '=' || c == ',' || c == '{' || c == '[') {
        dots_ = 0;
      }
      const bool foreign = foreign_ || (at_ < text_.size() && !is_ascii(text_[at_]));
      if (dots_ >= config_depth_max || foreign) {
        position = {line_, static_cast<unsigned>(at_ - line_start_) + 1};
        why = foreign ? "a character that is not ASCII stands outside of a comment" : deep_reason();
        return true;
      }
    }
    return false;
  }

 private:
  static bool is_ascii(char c) noexcept { return static_cast<unsigned char>(c) < 0x80; }
  void skip_comment() {
    while (at_ + 1 < text_.size() && text_[at_ + 1] != '\n') {
      ++at_;
      if (!is_ascii(text_[at_])) {
        text_[at_] = '?';
      }
    }
  }
  // Leaves at_ on the last character of the string, or on the last before the end of its line.
  void skip_string(char quote) {
    const std::string three(3, quote);
    const bool many_lines = text_.compare(at_, 3, three) == 0;
    at_ += many_lines ? 3 : 1;
    for (; at_ < text_.size(); ++at_) {
      foreign_ = foreign_ || !is_ascii(text_[at_]);
      if (text_[at_] == '\n') {
        if (!many_lines) {
          --at_;
          return;
        }
        ++line_;
        line_start_ = at_ + 1;
      } else if (text_[at_] == '\\' && quote == '"') {
        ++at_;
        if (at_ < text_.size() && text_[at_] == '\n') {
          ++line_;
          line_start_ = at_ + 1;
        }
      } else if (text_[at_] == quote && (!many_lines || text_.compare(at_, 3, three) == 0)) {
        at_ += many_lines ? 2 : 0;
        return;
      }
    }
  }

  std::string& text_;
  std::size_t at_ = 0;
  std::size_t line_start_ = 0;
  unsigned line_ = 1;
  unsigned dots_ = 0;
  bool foreign_ = false;  // in a string
};

ConfigPosition position_of(const toml::source_region& source) {
  return {static_cast<unsigned>(source.begin.line), static_cast<unsigned>(source.begin.column)};
}

class Converter {
 public:
  // Into `out`; false where it lies too deep, which is noted in `position`.
  bool convert(const toml::node& node, ConfigNode& out, unsigned depth);
  ConfigPosition position;

 private:
  bool convert_table(const toml::table& table, ConfigNode& out, unsigned depth);
  bool convert_array(const toml::array& array, ConfigNode& out, unsigned depth);
};

bool Converter::convert_table(const toml::table& table, ConfigNode& out, unsigned depth) {
  out.kind = ConfigNode::Kind::table;
  for (const auto& [key, value] : table) {
    ConfigNode member;
    if (!convert(value, member, depth + 1)) {
      return false;
    }
    if (key.source().begin) {
      member.position = position_of(key.source());
    }
    member.key = key.str();
    out.members.push_back(std::move(member));
  }
  return true;
}

bool Converter::convert_array(const toml::array& array, ConfigNode& out, unsigned depth) {
  out.kind = ConfigNode::Kind::array;
  for (const toml::node& element : array) {
    ConfigNode item;
    if (!convert(element, item, depth + 1)) {
      return false;
    }
    out.items.push_back(std::move(item));
  }
  return true;
}

bool Converter::convert(const toml::node& node, ConfigNode& out, unsigned depth) {
  out.position = position_of(node.source());
  if (depth > config_depth_max) {
    position = out.position;
    return false;
  }
  if (const toml::table* const table = node.as_table()) {
    return convert_table(*table, out, depth);
  }
  if (const toml::array* const array = node.as_array()) {
    return convert_array(*array, out, depth);
  }
  if (const auto* const truth = node.as_boolean()) {
    out.kind = ConfigNode::Kind::boolean;
    out.truth = truth->get();
  } else if (const auto* const integer = node.as_integer()) {
    out.kind = ConfigNode::Kind::integer;
    out.integer = integer->get();
  } else if (const auto* const real = node.as_floating_point()) {
    out.kind = ConfigNode::Kind::real;
    out.real = real->get();
  } else if (const auto* const text = node.as_string()) {
    out.kind = ConfigNode::Kind::text;
    out.text = text->get();
  } else {
    out.kind = ConfigNode::Kind::date;
  }
  return true;
}

}  // namespace

std::string place(std::string_view file, ConfigPosition position) {
  return position.line == 0 ? std::string(file)
                            : fmt::format("{}:{}:{}", file, position.line, position.column);
}

Result<ConfigNode> parse_toml(std::string_view text, const std::string& name) {
  ConfigPosition position;
  std::string why;
  std::string safe(text);
  if (BeforeTheLibrary(safe).refuses(position, why)) {
    return syntax_error(name, position, why, "no setting needs that; in text, such a character is \\uXXXX");
  }
  try {
    const toml::table table = toml::parse(std::string_view(safe));
    ConfigNode root;
    Converter converter;
    if (!converter.convert(table, root, 0)) {
      return syntax_error(name, converter.position, deep_reason(),
                          "no setting needs that many; look for a mistake there");
    }
    return root;
  } catch (const toml::parse_error& error) {
    return syntax_error(name, position_of(error.source()), std::string(error.description()),
                        "correct it there; the language is TOML 1.0, https://toml.io");
  } catch (const std::exception& error) {
    return syntax_error(name, {}, error.what(), "free memory, or make the file smaller");
  }
}

}  // namespace ssn::hw
