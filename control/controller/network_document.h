// SPDX-License-Identifier: BSD-3-Clause
// The network's configuration as text (TOML) and as the controller follows it: docs/network-configuration.md.
// Pure: catalogue_configuration.cpp keeps its versions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "request.h"
#include "ssn/hw/result.h"

namespace ssn::controller {

struct NetworkDocument {
  Policy policy;                ///< to be followed only if there is no problem
  std::uint64_t version = 0;    ///< that the text says it is, or was made from; 0: it says nothing
  std::vector<Error> problems;  ///< each with its place, "NAME:line:column"
};

/// `name` stands for the text in messages.
NetworkDocument read_network_document(std::string_view text, const std::string& name);
/// A document that says every setting of the policy, without a version.
std::string network_document_of(const Policy& policy);

/// The same text with another version in it, in its line or in a new first one; all else stays as it is.
Result<std::string> with_version(const std::string& text, std::uint64_t version);
/// The same text with the service state of a node in it.
Result<std::string> with_service(const std::string& text, const std::string& node, ServiceState service);

/// What is decided differently, by setting. Comments, order and what says a default are no difference.
std::vector<ConfigurationDifference> differences_of(const Policy& before, const Policy& after);
/// What of that protects objects less, in a sentence each; empty: nothing does.
std::vector<std::string> weakened_by(const Policy& before, const Policy& after);

}  // namespace ssn::controller
