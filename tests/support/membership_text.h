// SPDX-License-Identifier: BSD-3-Clause
// Memberships for tests: a document as operators would write it, and those who sign it.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <vector>

#include "document.h"
#include "issuer.h"
#include "signatures.h"

namespace ssn::test {

struct ListedText {
  std::string name;
  std::string role = "shareholder";
  std::string domain = {};
  std::string key = {};  ///< empty: one that follows from the name
};

struct MembershipText {
  std::uint64_t serial = 1;
  std::int64_t from = 1'600'000'000;
  std::int64_t until = 4'000'000'000;
  unsigned minimum_t = 1;
  unsigned minimum_domains = 1;
  std::string protection = "information-theoretic";
  std::string schemes = R"("shamir", "shamir-classic")";
  std::string resharing = R"("exchange", "repair", "refresh", "redistribute")";
  std::vector<ListedText> nodes;

  std::string text() const {
    std::string all = fmt::format(
        "schema = \"ssn.membership/1\"\nnetwork = \"test\"\nserial = {}\nfrom = \"{}\"\nuntil = \"{}\"\n"
        "[floor]\nminimum_t = {}\nminimum_domains = {}\nprotection = \"{}\"\nschemes = [{}]\n"
        "resharing = [{}]\n",
        serial, membership::time_text(from), membership::time_text(until), minimum_t, minimum_domains,
        protection, schemes, resharing);
    for (const ListedText& node : nodes) {
      const std::string key = node.key.empty() ? membership::digest_of(node.name) : node.key;
      all.append(
          fmt::format("[[node]]\nname = \"{}\"\nrole = \"{}\"\nkey = \"{}\"\n", node.name, node.role, key));
      if (!node.domain.empty()) all.append(fmt::format("domain = \"{}\"\n", node.domain));
    }
    return all;
  }
};

/// Somebody who may sign, with a certificate of its own making.
struct TestSigner {
  std::string certificate;
  std::string key;

  explicit TestSigner(const std::string& name, pki::Subject::Use use = pki::Subject::Use::signer) {
    const pki::KeyPointer made = std::move(pki::make_key().value());
    const pki::CertificatePointer by =
        std::move(pki::make_certificate({use, name, {"signer"}, {}}, 10, *made, nullptr).value());
    certificate = pki::to_pem(*by).value();
    key = std::string(pki::to_pem(*made).value().view());
  }
  /// `before`: signatures that are there.
  std::string sign(const std::string& text, const std::string& before = {}) const {
    const Result<std::string> made = membership::add_signature(text, before, certificate, key, "test.p7s");
    return made.ok() ? made.value() : "cannot sign: " + made.error().why;
  }
};

}  // namespace ssn::test
