// SPDX-License-Identifier: BSD-3-Clause
// Whether a configuration fits what operators signed: asked once, before a process begins.
#pragma once

#include <string_view>

#include "document.h"
#include "ssn/dataplane/configuration.h"

namespace ssn::dataplane {

/// Whether a node of this configuration, with this certificate (PEM), is what the membership lists, and so
/// are all its peers; and whether what it makes is of the class that the floor asks for. refused: what is not
/// so.
Outcome check_membership(const membership::Document& document, const Configuration& configuration,
                         std::string_view certificate);
/// The best class that its settings are sure of.
controller::Protection surest_protection(const Configuration& configuration) noexcept;

}  // namespace ssn::dataplane
