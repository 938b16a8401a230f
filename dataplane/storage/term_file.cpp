// SPDX-License-Identifier: BSD-3-Clause
#include "term_file.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <system_error>

#include "files.h"

namespace ssn::dataplane {
namespace {

constexpr const char* what = "cannot keep the controller's term";
constexpr std::size_t longest = 32;

}  // namespace

Result<TermFile> TermFile::open(std::string path) {
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) return TermFile(std::move(path), 0);
  const Result<std::string> text = pki::read_file(path, longest, false, what);
  if (!text.ok()) return text.error();
  std::uint64_t term = 0;
  const char* const end = text.value().data() + text.value().size();
  const auto [at, error] = std::from_chars(text.value().data(), end, term);
  if (error != std::errc() || at + 1 != end || *at != '\n') {
    return Error{Exit::integrity, what, "the file has something else than a number in it", path,
                 "write the highest term that any controller had into it"};
  }
  return TermFile(std::move(path), term);
}

Outcome TermFile::see(std::uint64_t term) {
  if (term <= highest_) return done;
  if (Outcome outcome = pki::replace_file(path_, fmt::format("{}\n", term), 0600, what); !outcome.ok()) {
    return outcome;
  }
  highest_ = term;
  return done;
}

}  // namespace ssn::dataplane
