// SPDX-License-Identifier: BSD-3-Clause
// As much of HTTP/1.1 (RFC 9112) as a client of ETSI GS QKD 014 needs, without input or output: a request as
// text, and a response that is read where it was received. HTTP libraries keep copies of what they receive in
// buffers that they do not erase; here a key never leaves the memory for secrets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ssn::hw::etsi014 {

struct Request {
  std::string method;  ///< GET or POST
  std::string path;    ///< already percent-encoded
  std::string json;    ///< body of a POST
};

/// The whole request. `authority` is host and port.
std::string http_request(const Request& request, std::string_view authority);

/// Follows one response as it grows in a buffer. Chunks are joined in place.
class ResponseReader {
 public:
  static constexpr std::size_t max_head = 16384;

  enum class Progress { more, complete, malformed };

  /// `filled` bytes of the buffer hold what was received so far. Call whenever it grew.
  Progress advance(std::uint8_t* buffer, std::size_t filled);
  /// The other side closed. Complete where the response's end is marked by that.
  Progress closed();

  unsigned status() const noexcept { return status_; }
  std::size_t body_begin() const noexcept { return body_begin_; }
  std::size_t body_length() const noexcept { return body_length_; }
  /// Of the whole response, where its head says so; 0 otherwise.
  std::size_t announced_length() const noexcept { return announced_; }
  bool keep_alive() const noexcept { return keep_alive_; }
  /// What is malformed.
  const char* reason() const noexcept { return reason_; }

 private:
  enum class State { head, counted, chunk_size, chunk_data, chunk_end, trailer, until_close, complete };

  Progress fail(const char* reason);
  bool read_head(const std::uint8_t* buffer, std::size_t filled);
  bool read_status_line(std::string_view line);
  bool read_header(std::string_view line);
  bool begin_body();
  Progress advance_chunks(std::uint8_t* buffer, std::size_t filled);
  bool next_line(const std::uint8_t* buffer, std::size_t filled, std::string_view& line);
  bool read_chunk_size(std::string_view line);

  State state_ = State::head;
  unsigned status_ = 0;
  std::size_t at_ = 0;  // what was looked at
  std::size_t body_begin_ = 0;
  std::size_t body_length_ = 0;
  std::size_t content_length_ = 0;
  std::size_t chunk_left_ = 0;
  std::size_t trailer_bytes_ = 0;
  std::size_t announced_ = 0;
  bool has_length_ = false;
  bool chunked_ = false;
  bool keep_alive_ = true;
  const char* reason_ = "";
};

}  // namespace ssn::hw::etsi014
