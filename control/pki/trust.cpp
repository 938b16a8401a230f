// SPDX-License-Identifier: BSD-3-Clause
#include "trust.h"

#include <fmt/core.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "issuer.h"

namespace ssn::pki {
namespace {

constexpr const char* const what = "cannot use the list of revoked certificates";

using StoreContext = std::unique_ptr<X509_STORE_CTX, OpensslDeleter<X509_STORE_CTX_free>>;
// Owns the stack, not what is on it.
using Stack = std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * stack) { sk_X509_free(stack); })>;

// Authorities above the issuer are often the organization's own, whose lists are not at hand.
int take_unlisted_authorities(int good, X509_STORE_CTX* context) {
  if (good == 0 && X509_STORE_CTX_get_error(context) == X509_V_ERR_UNABLE_TO_GET_CRL &&
      X509_STORE_CTX_get_error_depth(context) > 0) {
    X509_STORE_CTX_set_error(context, X509_V_OK);
    return 1;
  }
  return good;
}

Error bad_list(const Trust::Source& source, std::string why, std::string fix) {
  return {Exit::refused, what, std::move(why), source.lists_file, std::move(fix)};
}

bool signed_by(X509_CRL& list, const std::vector<CertificatePointer>& authorities) {
  const bool found =
      std::any_of(authorities.begin(), authorities.end(), [&](const CertificatePointer& authority) {
        EVP_PKEY* const key = X509_get0_pubkey(authority.get());
        return X509_NAME_cmp(X509_get_subject_name(authority.get()), X509_CRL_get_issuer(&list)) == 0 &&
               key != nullptr && X509_CRL_verify(&list, key) == 1;
      });
  ERR_clear_error();
  return found;
}

}  // namespace

Result<std::shared_ptr<const Trust>> Trust::make(const Source& source, std::int64_t now) {
  const std::vector<CertificatePointer> authorities = certificates_from(source.authorities, authorities_max);
  if (authorities.empty()) {
    return Error{Exit::refused, "cannot use the authorities' certificates", "it holds no certificate in PEM",
                 source.authorities_file,
                 "give PEM files; `ssn pki` makes them, `ssn kme init` a set for tests"};
  }
  std::shared_ptr<Trust> trust(new Trust());
  trust->store_.reset(X509_STORE_new());
  bool ready = trust->store_ != nullptr;
  for (const CertificatePointer& authority : authorities) {
    ready = ready && X509_STORE_add_cert(trust->store_.get(), authority.get()) == 1;
  }
  if (!ready) return openssl_error("cannot hold the authorities' certificates");
  if (source.checks_lists) {
    if (Outcome added = trust->add_lists(source, authorities, now); !added.ok()) return added.error();
  }
  return std::shared_ptr<const Trust>(std::move(trust));
}

Outcome Trust::add_lists(const Source& source, const std::vector<CertificatePointer>& authorities,
                         std::int64_t now) {
  const std::vector<ListPointer> lists = lists_from(source.lists, lists_max);
  if (lists.empty()) {
    return bad_list(source, "it holds no list in PEM", "give the ca.crl that `ssn pki` makes");
  }
  for (const ListPointer& list : lists) {
    const auto [begin, end] = validity_of(*list);
    if (!signed_by(*list, authorities)) {
      return bad_list(source, "no authority that we trust has signed it",
                      fmt::format("give lists of the authorities in {} only", source.authorities_file));
    }
    if (end <= now) {
      return bad_list(source, "it has ended, so nobody knows what was revoked since",
                      "make the next one: ssn pki crl");
    }
    if (begin > now) {
      return bad_list(source, "it does not hold yet", "see that the clocks of both machines are right");
    }
    if (X509_STORE_add_crl(store_.get(), list.get()) != 1) return openssl_error(what);
    if (lists_end_ == 0 || end < lists_end_) {
      lists_end_ = end;
      lists_begin_ = begin;
    }
  }
  checks_lists_ = true;
  return done;
}

Trust::Judgement Trust::judge(X509& certificate, const std::vector<CertificatePointer>& chain,
                              Purpose purpose, std::int64_t now) const {
  Judgement judgement = verify(certificate, chain, purpose, now, checks_lists_);
  if (checks_lists_) judgement.until = std::min(judgement.until, lists_end_);
  return judgement;
}

Trust::Judgement Trust::judge_unlisted(X509& certificate, const std::vector<CertificatePointer>& chain,
                                       Purpose purpose, std::int64_t now) const {
  return verify(certificate, chain, purpose, now, false);
}

Trust::Judgement Trust::verify(X509& certificate, const std::vector<CertificatePointer>& chain,
                               Purpose purpose, std::int64_t now, bool looks_up) const {
  const StoreContext context(X509_STORE_CTX_new());
  const Stack others(sk_X509_new_null());
  bool ready = context != nullptr && others != nullptr;
  for (const CertificatePointer& each : chain) {
    ready = ready && sk_X509_push(others.get(), each.get()) > 0;
  }
  if (!ready || X509_STORE_CTX_init(context.get(), store_.get(), &certificate, others.get()) != 1) {
    ERR_clear_error();
    return {X509_V_ERR_OUT_OF_MEM, 0};
  }
  X509_VERIFY_PARAM* const parameters = X509_STORE_CTX_get0_param(context.get());
  if (looks_up) {
    X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    X509_STORE_CTX_set_verify_cb(context.get(), take_unlisted_authorities);
  }
  X509_VERIFY_PARAM_set_time(parameters, now);
  X509_STORE_CTX_set_purpose(context.get(),
                             purpose == Purpose::client ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER);
  const bool good = X509_verify_cert(context.get()) == 1;
  Judgement judgement{X509_STORE_CTX_get_error(context.get()), INT64_MAX};
  if (!good && judgement.error == X509_V_OK) judgement.error = X509_V_ERR_UNSPECIFIED;
  const STACK_OF(X509)* const whole = X509_STORE_CTX_get0_chain(context.get());
  for (int i = 0; good && i < sk_X509_num(whole); ++i) {
    judgement.until = std::min(judgement.until, end_of(*sk_X509_value(whole, i)));
  }
  ERR_clear_error();
  return judgement;
}

}  // namespace ssn::pki
