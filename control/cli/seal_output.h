// SPDX-License-Identifier: BSD-3-Clause
// What `ssn seal` and `ssn open` say about keys.
#pragma once

#include "file_sealer.h"
#include "output.h"

namespace ssn::cli {

/// As print_error and, with --json, a document that holds nothing but the error.
Exit seal_failure(const OutputOptions& output, std::string_view schema, const Error& error);
/// Both accounts and the protection class, on standard error or in the document.
void print_seal_report(const OutputOptions& output, std::string_view schema, std::string_view verb,
                       const std::string& file, const SealReport& report,
                       const kernels::Implementation& implementation);

}  // namespace ssn::cli
