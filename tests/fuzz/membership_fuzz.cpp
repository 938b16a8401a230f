// SPDX-License-Identifier: BSD-3-Clause
// Memberships, and signatures beside them: the input is the text of one, a zero byte, and the other. Whatever
// they are, the answer is a document within its limits or an error that explains itself, and nobody signed.
#include <algorithm>
#include <optional>
#include <string_view>

#include "floor.h"
#include "fuzz_input.h"
#include "signatures.h"

namespace {

using namespace ssn;
using ssn::test::require;

// Somebody whose key nobody has.
const membership::Signers& nobody() {
  static const std::optional<membership::Signers> made = [] {
    const pki::KeyPointer key = std::move(pki::make_key().value());
    const auto certificate =
        pki::make_certificate({pki::Subject::Use::signer, "nobody", {}, {}}, 1, *key, nullptr);
    return std::move(membership::read_signers(pki::to_pem(*certificate.value()).value(), "").value());
  }();
  return *made;
}

void check(const Error& error) {
  require(!error.what.empty() && !error.why.empty() && !error.fix.empty(), "a refusal explains nothing");
}

void check(const membership::Document& document) {
  require(document.serial != 0 && document.from < document.until, "numbers that are out of their limits");
  require(!document.nodes.empty() && document.nodes.size() <= membership::nodes_max, "too many nodes");
  require(!document.floor.schemes.empty() && document.digest.size() == 64, "a document without its parts");
  require(membership::differences(document, document).empty(), "a document differs from itself");
  controller::Layout layout;
  layout.scheme = document.floor.schemes.front();
  layout.k = layout.n = 1;
  for (const membership::Node& node : document.nodes) layout.holders.emplace_back().node = node.name;
  const membership::Verdict verdict = permits(document, layout, document.floor.protection);
  require(verdict.ok() == verdict.why.empty(), "a verdict without a reason");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(all.find('\0'), all.size());
  const std::string_view text = all.substr(0, end);
  const std::string_view signatures = all.substr(std::min(end + 1, all.size()));
  if (const Result<membership::Document> read = membership::parse(text, "fuzz"); read.ok()) {
    check(read.value());
  } else {
    check(read.error());
  }
  const Result<std::vector<std::string>> who = membership::who_signed(text, signatures, nobody(), "fuzz");
  if (!who.ok()) check(who.error());
  require(!who.ok() || who.value().empty(), "somebody signed whose key nobody has");
  return 0;
}
