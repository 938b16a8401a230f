// SPDX-License-Identifier: BSD-3-Clause
#include "validity.h"

#include <fmt/core.h>

#include <algorithm>

#include "files.h"
#include "issuer.h"
#include "trust.h"

namespace ssn::pki {
namespace {

constexpr const char* what_read = "cannot read";
constexpr std::int64_t day = 86400;

unsigned stage_of(std::int64_t left, std::int64_t soon, std::int64_t sooner) {
  return left <= 0 ? 3 : left <= sooner ? 2 : left <= soon ? 1 : 0;
}

std::string told(const char* thing, unsigned stage, std::int64_t left, const std::string& file) {
  return stage == 0   ? ""
         : stage == 3 ? fmt::format("{} {} has ended", thing, file)
                      : fmt::format("{} {} ends in {}", thing, file, duration_text(left));
}

}  // namespace

unsigned certificate_stage(std::int64_t begins, std::int64_t ends, std::int64_t now) {
  const std::int64_t life = ends - begins;
  return stage_of(ends - now, std::min(30 * day, life / 3), std::min(7 * day, life / 10));
}

unsigned list_stage(std::int64_t begins, std::int64_t ends, std::int64_t now) {
  const std::int64_t life = ends - begins;
  return stage_of(ends - now, std::min(7 * day, life / 3), std::min(day, life / 10));
}

std::string duration_text(std::int64_t seconds) {
  return seconds >= 2 * day    ? fmt::format("{} days", seconds / day)
         : seconds >= 2 * 3600 ? fmt::format("{} hours", seconds / 3600)
                               : fmt::format("{} minutes", seconds / 60);
}

std::string trouble_of(const std::string& certificate, const std::string& crl, std::int64_t now) {
  const Result<std::string> pem = read_file(certificate, file_max, false, what_read);
  if (!pem.ok()) return fmt::format("{} cannot be read: {}", certificate, pem.error().why);
  const CertificatePointer holder = certificate_from(pem.value());
  if (holder == nullptr) return fmt::format("{} holds no certificate", certificate);
  const std::int64_t ends = seconds_of(X509_get0_notAfter(holder.get()));
  const unsigned stage = certificate_stage(seconds_of(X509_get0_notBefore(holder.get())), ends, now);
  if (stage != 0 || crl.empty()) return told("certificate", stage, ends - now, certificate);
  const Result<std::string> lists = read_file(crl, file_max, false, what_read);
  if (!lists.ok()) return fmt::format("{} cannot be read: {}", crl, lists.error().why);
  for (const ListPointer& list : lists_from(lists.value(), Trust::lists_max)) {
    const ASN1_TIME* const next = X509_CRL_get0_nextUpdate(list.get());
    if (next == nullptr) continue;
    const unsigned of_list =
        list_stage(seconds_of(X509_CRL_get0_lastUpdate(list.get())), seconds_of(next), now);
    if (of_list != 0) return told("list of revoked certificates", of_list, seconds_of(next) - now, crl);
  }
  return "";
}

}  // namespace ssn::pki
