// SPDX-License-Identifier: BSD-3-Clause
#include "registry.h"

#include <array>
#include <cstdlib>

namespace ssn::kernels {
namespace {

// Best first.
#define SSN_IMPLEMENTATION(name) &name,
constexpr std::array all_implementations{
#include "vector_implementations.inc"
    &isal,
    &scalar,
};
#undef SSN_IMPLEMENTATION

Status use(const Implementation& implementation, const Implementation*& chosen) noexcept {
  if (!implementation.supported()) {
    return Status::unsupported_implementation;
  }
  if (const Status status = self_test(implementation); status != Status::ok) {
    return status;
  }
  chosen = &implementation;
  return Status::ok;
}

}  // namespace

std::span<const Implementation* const> implementations() noexcept { return all_implementations; }

Status find(std::string_view name, const Implementation*& found) noexcept {
  for (const Implementation* implementation : all_implementations) {
    if (implementation->name == name) {
      return use(*implementation, found);
    }
  }
  return Status::unknown_implementation;
}

// A CPU that fails the self-test of the best implementation is not to be trusted with the next best either.
Status select(const Implementation*& chosen) noexcept {
  const char* forced = std::getenv("SSN_KERNELS");
  if (forced != nullptr && *forced != '\0') {
    return find(forced, chosen);
  }
  for (const Implementation* implementation : all_implementations) {
    if (implementation->supported()) {
      return use(*implementation, chosen);
    }
  }
  return Status::unsupported_implementation;
}

}  // namespace ssn::kernels
