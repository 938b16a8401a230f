// SPDX-License-Identifier: BSD-3-Clause
// What the command says. Results go to standard output; messages, warnings and progress to standard error.
#pragma once

#include <string>
#include <string_view>

#include "json.h"
#include "share_file.h"
#include "ssn/hw/result.h"
#include "ssn/kernels/kernels.h"

namespace ssn::cli {

struct OutputOptions {
  bool json = false;   ///< one JSON document on standard output instead of text
  bool quiet = false;  ///< errors and warnings only
};

/// "ssn: error: WHAT: WHY", then where and what to do, each on a line. Colour only on a terminal without
/// NO_COLOR.
void print_error(const Error& error);
void print_warning(std::string_view text);
void print_note(const OutputOptions& options, std::string_view text);
/// To standard output.
void print_text(std::string_view text);

/// Every document begins alike: {"schema": "ssn.NAME/1", "ok": true, "error": null, ...
void begin_document(JsonWriter& json, std::string_view schema, const Error* error);
/// A document that holds nothing but the error.
void print_error_document(std::string_view schema, const Error& error);

/// The scheme, threshold and size of an object, as members of the current JSON object.
void write_object(JsonWriter& json, const ShareHeader& header);

/// "any 2 shares reveal nothing, as long as AES-256 holds (random blocks from a generator)" and the like.
std::string describe_secrecy(const ShareHeader& header);
/// For JSON: "none", "computational" or "information-theoretic".
std::string_view secrecy_kind(const ShareHeader& header) noexcept;

/// kernels::select() with an error that says what can be done.
Result<const kernels::Implementation*> choose_kernels();

/// "1.2 GB in 0.51 s, 2.35 GB/s, kernels avx2".
std::string describe_speed(std::uint64_t bytes, double seconds,
                           const kernels::Implementation& implementation);

}  // namespace ssn::cli
