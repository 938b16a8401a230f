// SPDX-License-Identifier: BSD-3-Clause
#include "output.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "progress.h"

namespace ssn::cli {
namespace {

bool colour() {
  const char* const off = std::getenv("NO_COLOR");
  return ::isatty(STDERR_FILENO) == 1 && (off == nullptr || *off == '\0');
}

// Control bytes in a file name must not command the terminal.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  }
  return out;
}

void print_labelled(const char* label, const char* escape, std::string_view text) {
  if (colour()) {
    fmt::print(stderr, "ssn: {}{}\x1b[0m {}\n", escape, label, printable(text));
  } else {
    fmt::print(stderr, "ssn: {} {}\n", label, printable(text));
  }
}

unsigned revealing_nothing(const ShareHeader& header) noexcept {
  return header.scheme == kernels::Scheme::rs ? 0 : header.k - header.data_blocks;
}

void write_error(JsonWriter& json, const Error& error) {
  json.begin_object();
  json.member("code", static_cast<unsigned>(error.code)).member("name", name(error.code));
  json.member("what", error.what).member("why", error.why);
  json.member("where", error.where).member("fix", error.fix);
  json.end_object();
}

}  // namespace

void print_error(const Error& error) {
  print_labelled("error:", "\x1b[1;31m", error.what + ": " + error.why);
  if (!error.where.empty()) {
    fmt::print(stderr, "  where: {}\n", printable(error.where));
  }
  if (!error.fix.empty()) {
    fmt::print(stderr, "  fix:   {}\n", printable(error.fix));
  }
}

void print_warning(std::string_view text) { print_labelled("warning:", "\x1b[1;33m", text); }

void print_note(const OutputOptions& options, std::string_view text) {
  if (!options.quiet) {
    std::fflush(
        stdout);  // so that a terminal shows results and notes in their order; main() looks for failures
    fmt::print(stderr, "ssn: {}\n", printable(text));
  }
}

void print_text(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void begin_document(JsonWriter& json, std::string_view schema, const Error* error) {
  json.begin_object();
  json.member("schema", schema).member("ok", error == nullptr).key("error");
  if (error != nullptr) {
    write_error(json, *error);
  } else {
    json.null();
  }
}

void print_error_document(std::string_view schema, const Error& error) {
  JsonWriter json;
  begin_document(json, schema, &error);
  json.end_object();
  print_text(json.text());
}

void write_object(JsonWriter& json, const ShareHeader& header) {
  const bool from_file = header.header_bytes != 0;  // gfshare files know neither id, n nor random source
  json.key("object_id");
  if (from_file) {
    json.value(to_hex(header.object_id));
  } else {
    json.null();
  }
  json.member("object_bytes", header.object_bytes).member("scheme", kernels::name(header.scheme));
  json.member("k", header.k).key("n");
  if (from_file) {
    json.value(header.n);
  } else {
    json.null();
  }
  json.member("data_blocks", header.data_blocks).member("revealing_nothing", revealing_nothing(header));
  if (from_file) {
    json.member("random", name(header.random)).member("secrecy", secrecy_kind(header));
    json.member("block_bytes", std::uint64_t{header.block_bytes}).member("blocks", block_count(header));
  }
}

std::string_view secrecy_kind(const ShareHeader& header) noexcept {
  switch (header.random) {
    case RandomOrigin::none:
      return "none";
    case RandomOrigin::drbg:
      return "computational";
    case RandomOrigin::device:
      return "information-theoretic";
  }
  return "none";
}

std::string describe_secrecy(const ShareHeader& header) {
  const unsigned t = revealing_nothing(header);
  const std::string nothing =
      t == 1 ? "one share alone reveals nothing" : fmt::format("any {} shares reveal nothing", t);
  switch (header.random) {
    case RandomOrigin::none:
      return "NO secrecy: every share shows a part of the data or can";
    case RandomOrigin::drbg:
      return nothing + " to whoever cannot break AES-256 (secrecy is computational)";
    case RandomOrigin::device:
      return nothing + " at all, if the random device is sound (secrecy is information-theoretic)";
  }
  return "unknown";
}

Result<const kernels::Implementation*> choose_kernels() {
  const kernels::Implementation* chosen = nullptr;
  const kernels::Status status = kernels::select(chosen);
  if (status == kernels::Status::ok) {
    assert(chosen != nullptr);
    return chosen;
  }
  const char* const forced = std::getenv("SSN_KERNELS");
  std::string names;
  for (const kernels::Implementation* const candidate : kernels::implementations()) {
    if (kernels::supported(*candidate)) {
      names += (names.empty() ? "" : ", ") + std::string(kernels::name(*candidate));
    }
  }
  const bool is_forced = forced != nullptr && *forced != '\0';
  return Error{Exit::kernels_refused, "cannot use the kernels", std::string(kernels::describe(status)),
               is_forced ? fmt::format("SSN_KERNELS={}", forced) : std::string("choice of kernels"),
               is_forced
                   ? fmt::format("unset SSN_KERNELS or set it to one of: {}", names)
                   : fmt::format("choose another implementation with SSN_KERNELS ({}), and have the machine "
                                 "checked: it computes wrongly",
                                 names)};
}

std::string describe_speed(std::uint64_t bytes, double seconds,
                           const kernels::Implementation& implementation) {
  const double rate = seconds > 0 ? static_cast<double>(bytes) / seconds / 1e9 : 0;
  return fmt::format("{} in {:.2f} s, {:.2f} GB/s, kernels {}", format_bytes(bytes), seconds, rate,
                     kernels::name(implementation));
}

}  // namespace ssn::cli
