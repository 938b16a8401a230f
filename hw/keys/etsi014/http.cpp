// SPDX-License-Identifier: BSD-3-Clause
#include "http.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace ssn::hw::etsi014 {
namespace {

// Longest line of a chunk's size, and most bytes of trailers.
constexpr std::size_t max_chunk_line = 1024;
constexpr std::size_t max_length = std::size_t{1} << 40;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The whole text must be a number.
bool read_number(std::string_view text, int base, std::size_t& number) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number, base);
  return error == std::errc() && stop == end && !text.empty() && number <= max_length;
}

// Whether a list such as "keep-alive, Upgrade" names the option.
bool list_contains(std::string_view list, std::string_view option) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (equal_ignoring_case(trimmed(list.substr(0, comma)), option)) {
      return true;
    }
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

}  // namespace

std::string http_request(const Request& request, std::string_view authority) {
  std::string text = request.method + " " + request.path + " HTTP/1.1\r\nHost: ";
  text.append(authority).append("\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n");
  if (request.method == "POST") {
    text +=
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(request.json.size()) + "\r\n";
  }
  return text + "\r\n" + request.json;
}

ResponseReader::Progress ResponseReader::fail(const char* reason) {
  reason_ = reason;
  keep_alive_ = false;
  return Progress::malformed;
}

bool ResponseReader::next_line(const std::uint8_t* buffer, std::size_t filled, std::string_view& line) {
  const auto* const begin = reinterpret_cast<const char*>(buffer) + at_;
  const auto* const end = static_cast<const char*>(std::memchr(begin, '\n', filled - at_));
  if (end == nullptr) {
    return false;
  }
  line = {begin, static_cast<std::size_t>(end - begin)};
  at_ += line.size() + 1;
  if (!line.empty() && line.back() == '\r') {
    line.remove_suffix(1);
  }
  return true;
}

bool ResponseReader::read_status_line(std::string_view line) {
  std::size_t code = 0;
  if (line.size() < 12 || (line.substr(0, 9) != "HTTP/1.1 " && line.substr(0, 9) != "HTTP/1.0 ") ||
      !read_number(line.substr(9, 3), 10, code) || code < 100 || (line.size() > 12 && line[12] != ' ')) {
    reason_ = "no HTTP status line";
    return false;
  }
  keep_alive_ = line[7] == '1';
  status_ = static_cast<unsigned>(code);
  return true;
}

bool ResponseReader::read_header(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0 || line.front() == ' ' || line.front() == '\t') {
    reason_ = "a header line without a name";
    return false;
  }
  const std::string_view name = line.substr(0, colon), value = trimmed(line.substr(colon + 1));
  if (equal_ignoring_case(name, "content-length")) {
    std::size_t length = 0;
    if (!read_number(value, 10, length) || (has_length_ && length != content_length_)) {
      reason_ = "a Content-Length that is none";
      return false;
    }
    has_length_ = true;
    content_length_ = length;
  } else if (equal_ignoring_case(name, "transfer-encoding")) {
    if (!equal_ignoring_case(value, "chunked") && !equal_ignoring_case(value, "identity")) {
      reason_ = "a Transfer-Encoding that was not asked for";
      return false;
    }
    chunked_ = equal_ignoring_case(value, "chunked");
  } else if (equal_ignoring_case(name, "content-encoding") && !equal_ignoring_case(value, "identity")) {
    reason_ = "a Content-Encoding that was not asked for";
    return false;
  } else if (equal_ignoring_case(name, "connection")) {
    keep_alive_ = (keep_alive_ || list_contains(value, "keep-alive")) && !list_contains(value, "close");
  }
  return true;
}

// At the empty line behind a head. An interim response (1xx) is followed by the next head.
bool ResponseReader::begin_body() {
  if (status_ < 200) {
    has_length_ = chunked_ = false;
    status_ = 0;
    return true;
  }
  body_begin_ = at_;
  if (status_ == 204 || status_ == 304) {
    state_ = State::complete;
  } else if (chunked_) {
    state_ = State::chunk_size;
    keep_alive_ = keep_alive_ && !has_length_;  // RFC 9112, 6.3: both is suspect
  } else if (has_length_) {
    state_ = State::counted;
    announced_ = body_begin_ + content_length_;
  } else {
    state_ = State::until_close;
    keep_alive_ = false;
  }
  return true;
}

// False: malformed. Stays in State::head where more is needed.
bool ResponseReader::read_head(const std::uint8_t* buffer, std::size_t filled) {
  std::string_view line;
  while (state_ == State::head && next_line(buffer, filled, line)) {
    if (at_ > max_head) {
      reason_ = "a head of more than 16 KiB";
      return false;
    }
    const bool good = status_ == 0 ? read_status_line(line) : line.empty() ? begin_body() : read_header(line);
    if (!good) {
      return false;
    }
  }
  if (state_ == State::head && filled > max_head) {
    reason_ = "a head of more than 16 KiB";
    return false;
  }
  return true;
}

bool ResponseReader::read_chunk_size(std::string_view line) {
  const std::string_view size = trimmed(line.substr(0, line.find(';')));
  if (!read_number(size, 16, chunk_left_)) {
    reason_ = "a chunk without a size";
    return false;
  }
  state_ = chunk_left_ == 0 ? State::trailer : State::chunk_data;
  return true;
}

ResponseReader::Progress ResponseReader::advance_chunks(std::uint8_t* buffer, std::size_t filled) {
  std::string_view line;
  while (state_ != State::complete) {
    if (state_ == State::chunk_data) {
      const std::size_t count = std::min(chunk_left_, filled - at_);
      std::memmove(buffer + body_begin_ + body_length_, buffer + at_, count);
      body_length_ += count;
      at_ += count;
      chunk_left_ -= count;
      if (chunk_left_ != 0) {
        return Progress::more;
      }
      state_ = State::chunk_end;
    }
    const std::size_t before = at_;
    if (!next_line(buffer, filled, line)) {
      return filled - at_ > max_chunk_line ? fail("a chunk without a size") : Progress::more;
    }
    if (state_ == State::chunk_size) {
      if (!read_chunk_size(line)) {
        return fail(reason_);
      }
    } else if (state_ == State::chunk_end) {
      if (!line.empty()) {
        return fail("a chunk that is longer than its size");
      }
      state_ = State::chunk_size;
    } else {  // trailer
      trailer_bytes_ += at_ - before;
      if (trailer_bytes_ > max_chunk_line) {
        return fail("trailers of more than 1 KiB");
      }
      state_ = line.empty() ? State::complete : State::trailer;
    }
  }
  keep_alive_ = keep_alive_ && at_ == filled;
  return Progress::complete;
}

ResponseReader::Progress ResponseReader::advance(std::uint8_t* buffer, std::size_t filled) {
  if (state_ == State::head && !read_head(buffer, filled)) {
    return fail(reason_);
  }
  switch (state_) {
    case State::head:
      return Progress::more;
    case State::counted:
      body_length_ = std::min(filled - body_begin_, content_length_);
      if (body_length_ < content_length_) {
        return Progress::more;
      }
      keep_alive_ = keep_alive_ && filled == body_begin_ + content_length_;
      state_ = State::complete;
      return Progress::complete;
    case State::until_close:
      body_length_ = filled - body_begin_;
      return Progress::more;
    case State::complete:
      keep_alive_ = keep_alive_ && filled <= body_begin_ + body_length_;
      return Progress::complete;
    default:
      return advance_chunks(buffer, filled);
  }
}

ResponseReader::Progress ResponseReader::closed() {
  keep_alive_ = false;
  if (state_ == State::until_close || state_ == State::complete) {
    state_ = State::complete;
    return Progress::complete;
  }
  return fail(state_ == State::head && status_ == 0 ? "no response" : "a response that breaks off");
}

}  // namespace ssn::hw::etsi014
