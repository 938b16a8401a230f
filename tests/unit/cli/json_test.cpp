// SPDX-License-Identifier: BSD-3-Clause
#include "json.h"

#include <gtest/gtest.h>

#include <limits>

namespace ssn::cli {
namespace {

TEST(Json, WritesNestedDocuments) {
  JsonWriter json;
  json.begin_object().member("schema", "ssn.test/1").member("ok", true).key("list").begin_array();
  json.value(std::uint64_t{18446744073709551615U}).value(0.5).null().begin_object().end_object();
  json.end_array().key("empty").begin_array().end_array().end_object();
  EXPECT_EQ(json.text(),
            "{\n  \"schema\": \"ssn.test/1\",\n  \"ok\": true,\n  \"list\": [\n    18446744073709551615,\n   "
            " 0.5,\n"
            "    null,\n    {}\n  ],\n  \"empty\": []\n}\n");
}

TEST(Json, EscapesStrings) {
  EXPECT_EQ(json_string("a\"b\\c\nd\te"), R"("a\"b\\c\nd\u0009e")");
  EXPECT_EQ(json_string(std::string_view("\0\x1f\x7f", 3)), R"("\u0000\u001f\u007f")");
}

TEST(Json, KeepsUtf8AndReplacesWhatIsNot) {
  const std::string valid = "\xC3\xBC \xE4\xB8\x96 \xF0\x9F\x98\x80 \xED\x9F\xBF \xF4\x8F\xBF\xBF";
  EXPECT_EQ(json_string(valid), "\"" + valid + "\"");
  EXPECT_EQ(json_string("\xFF"), R"("\ufffd")");
  EXPECT_EQ(json_string("\xC3"), R"("\ufffd")");                                // cut off
  EXPECT_EQ(json_string("\xC0\x80"), R"("\ufffd\ufffd")");                      // overlong
  EXPECT_EQ(json_string("\xE0\x9F\xBF"), R"("\ufffd\ufffd\ufffd")");            // overlong
  EXPECT_EQ(json_string("\xED\xA0\x80"), R"("\ufffd\ufffd\ufffd")");            // surrogate
  EXPECT_EQ(json_string("\xF4\x90\x80\x80"), R"("\ufffd\ufffd\ufffd\ufffd")");  // above U+10FFFF
  EXPECT_EQ(json_string("\xC3(x"), R"("\ufffd(x")");
}

TEST(Json, NumbersThatJsonDoesNotKnowAreNull) {
  JsonWriter json;
  json.begin_array()
      .value(std::numeric_limits<double>::infinity())
      .value(std::numeric_limits<double>::quiet_NaN());
  json.end_array();
  EXPECT_EQ(json.text(), "[\n  null,\n  null\n]\n");
}

TEST(Json, OfOneLineHasNoOther) {
  JsonWriter json(JsonWriter::Shape::one_line);
  json.begin_object().member("name", "two\nlines, and {\"").key("list").begin_array();
  json.value(std::uint64_t{1}).begin_object().end_object().end_array().member("b", true).end_object();
  EXPECT_EQ(json.text(), "{\"name\": \"two\\nlines, and {\\\"\", \"list\": [1, {}], \"b\": true}\n");
}

TEST(JsonDeathTest, MisuseIsNoticed) {
  EXPECT_DEATH(JsonWriter().begin_object().value("without a key"), "have_key_");
  EXPECT_DEATH(JsonWriter().begin_object().end_array(), "object");
  EXPECT_DEATH((void)JsonWriter().begin_object().text(), "empty");
}

}  // namespace
}  // namespace ssn::cli
