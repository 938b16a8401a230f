// SPDX-License-Identifier: BSD-3-Clause
// Certificates, keys and authorities, as OpenSSL sees them.
#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <array>
#include <ctime>
#include <memory>

#include "checks.h"

namespace ssn::hw::preflight {
namespace {

template <auto Release>
struct Releaser {
  template <typename T>
  void operator()(T* object) const {
    Release(object);
  }
};
using Certificate = std::unique_ptr<X509, Releaser<X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Releaser<EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, Releaser<BIO_free_all>>;
using Store = std::unique_ptr<X509_STORE, Releaser<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Releaser<X509_STORE_CTX_free>>;
struct ReleaseStack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};
using Stack = std::unique_ptr<STACK_OF(X509), ReleaseStack>;

constexpr std::int64_t day = 86400;
constexpr std::int64_t soon = 30 * day;
constexpr std::size_t certificates_max = 64;

constexpr const char* id = "certificates.file";
constexpr const char* why_needed = "no TLS connection can be made with it";

// Keys with a password are not for servers; without this OpenSSL would ask for one.
int no_password(char*, int, int, void*) { return -1; }

Bio memory(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::vector<Certificate> parse_certificates(const std::string& text) {
  std::vector<Certificate> all;
  const Bio bio = memory(text);
  while (bio && all.size() < certificates_max) {
    Certificate next(PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr));
    if (!next) {
      break;
    }
    all.push_back(std::move(next));
  }
  ERR_clear_error();
  return all;
}

// Seconds from `now` until the time; nothing where the certificate is nonsense.
std::optional<std::int64_t> seconds_until(const ASN1_TIME* time, std::int64_t now) {
  int days = 0;
  int seconds = 0;
  const std::unique_ptr<ASN1_TIME, Releaser<ASN1_TIME_free>> from(
      ASN1_TIME_set(nullptr, static_cast<std::time_t>(now)));
  if (!from || ASN1_TIME_diff(&days, &seconds, from.get(), time) != 1) {
    return std::nullopt;
  }
  return std::int64_t{days} * day + seconds;
}

std::string date(std::int64_t seconds) {
  const std::time_t time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  std::array<char, 32> text{};
  if (::gmtime_r(&time, &parts) == nullptr ||
      std::strftime(text.data(), text.size(), "%Y-%m-%d", &parts) == 0) {
    return "an unknown date";
  }
  return text.data();
}

class Checker {
 public:
  Checker(const Context& context, const CertificateFiles& files, Report& report)
      : system_(context.system), files_(files), report_(report) {}
  void run();

 private:
  std::vector<Certificate> load(const std::string& path);
  bool check_dates(X509* certificate);
  void check_key(X509* certificate);
  void check_key_permissions();
  void check_chain(const std::vector<Certificate>& chain);
  void error(const std::string& what, const char* why, std::string fix) {
    good_ = false;
    report_.error(id, files_.name + ": " + what, why, std::move(fix));
  }
  std::string renew() const {
    return "openssl x509 -noout -subject -issuer -dates -in " + quoted(files_.certificate);
  }

  const SystemView& system_;
  const CertificateFiles& files_;
  Report& report_;
  bool good_ = true;
  std::int64_t left_ = 0;
};

std::vector<Certificate> Checker::load(const std::string& path) {
  const std::optional<std::string> text = system_.read(path);
  if (!text) {
    error("cannot read " + path, why_needed, "ls -l " + quoted(path));
    return {};
  }
  std::vector<Certificate> all = parse_certificates(*text);
  if (all.empty()) {
    error(path + " holds no certificate in PEM", why_needed,
          "openssl x509 -in " + quoted(path) + " -noout -text");
  }
  return all;
}

bool Checker::check_dates(X509* certificate) {
  const std::int64_t now = system_.now();
  const std::optional<std::int64_t> begin = seconds_until(X509_get0_notBefore(certificate), now);
  const std::optional<std::int64_t> end = seconds_until(X509_get0_notAfter(certificate), now);
  if (!begin || !end) {
    error(files_.certificate + " has no readable dates", why_needed, renew());
  } else if (*end <= 0) {
    error(fmt::format("{} expired on {}", files_.certificate, date(now + *end)), why_needed,
          "renew it with the authority that issued it: " + renew());
  } else if (*begin > 0) {
    error(fmt::format("{} is valid only from {}", files_.certificate, date(now + *begin)), why_needed,
          "check the clock of this machine: date -u");
  } else {
    left_ = *end;
    if (*end < soon) {
      good_ = false;
      report_.warning(id,
                      fmt::format("{}: {} expires on {}", files_.name, files_.certificate, date(now + *end)),
                      "afterwards no TLS connection can be made with it",
                      "renew it with the authority that issued it: " + renew());
    }
    return true;
  }
  return false;
}

void Checker::check_key_permissions() {
  const std::optional<SystemView::FileStatus> status = system_.status(files_.key);
  if (status && (status->mode & 077U) != 0) {
    error(fmt::format("others than its owner may use {}", files_.key),
          "who has the key can pass for this node at the key manager and draw its keys",
          "chmod 600 " + quoted(files_.key));
  }
}

void Checker::check_key(X509* certificate) {
  std::optional<std::string> text = system_.read(files_.key);
  if (!text) {
    error("cannot read " + files_.key, why_needed, "ls -l " + quoted(files_.key));
    return;
  }
  PrivateKey key;
  {
    const Bio bio = memory(*text);
    key.reset(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr) : nullptr);
  }
  OPENSSL_cleanse(text->data(), text->size());
  ERR_clear_error();
  if (!key) {
    error(files_.key + " holds no private key in PEM without a password", why_needed,
          "openssl pkey -noout -check -in " + quoted(files_.key));
    return;
  }
  if (X509_check_private_key(certificate, key.get()) != 1) {
    error(fmt::format("{} does not belong to {}", files_.key, files_.certificate), why_needed,
          "name the key that the certificate was made for");
  }
  ERR_clear_error();
  check_key_permissions();
}

void Checker::check_chain(const std::vector<Certificate>& chain) {
  const std::vector<Certificate> authorities = load(files_.authorities);
  if (authorities.empty()) {
    return;
  }
  const Store store(X509_STORE_new());
  const StoreContext context(X509_STORE_CTX_new());
  const Stack between(sk_X509_new_null());
  bool ready = store && context && between;
  for (std::size_t i = 0; ready && i < authorities.size(); ++i) {
    ready = X509_STORE_add_cert(store.get(), authorities[i].get()) == 1;
  }
  for (std::size_t i = 1; ready && i < chain.size(); ++i) {
    ready = sk_X509_push(between.get(), chain[i].get()) > 0;
  }
  ready = ready && X509_STORE_CTX_init(context.get(), store.get(), chain[0].get(), between.get()) == 1;
  if (!ready) {
    error("OpenSSL could not check the chain", why_needed, "free memory and try again");
    return;
  }
  X509_STORE_CTX_set_time(context.get(), 0, static_cast<std::time_t>(system_.now()));
  if (X509_verify_cert(context.get()) != 1) {
    const int problem = X509_STORE_CTX_get_error(context.get());
    error(fmt::format("{} does not lead to {}: {}", files_.certificate, files_.authorities,
                      X509_verify_cert_error_string(problem)),
          "the other side refuses it, or this side the other's",
          fmt::format("openssl verify -show_chain -CAfile {} -untrusted {} {}", quoted(files_.authorities),
                      quoted(files_.certificate), quoted(files_.certificate)));
  }
  ERR_clear_error();
}

void Checker::run() {
  const std::vector<Certificate> chain = load(files_.certificate);
  if (chain.empty()) {
    return;
  }
  const bool in_time = check_dates(chain[0].get());
  if (!files_.key.empty()) {
    check_key(chain[0].get());
  }
  if (!files_.authorities.empty() && in_time) {
    check_chain(chain);
  }
  if (good_) {
    report_.ok(id, fmt::format("{}: {} is good for {} days", files_.name, files_.certificate, left_ / day));
  }
}

}  // namespace

void check_certificates(const Context& context, Report& report) {
  for (const CertificateFiles& files : context.wish.certificates) {
    Checker(context, files, report).run();
  }
}

}  // namespace ssn::hw::preflight
