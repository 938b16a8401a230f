// SPDX-License-Identifier: BSD-3-Clause
#include "certificate.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

namespace ssn::pki {
namespace {

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Memory = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using Store = std::unique_ptr<X509_STORE, Deleter<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Deleter<X509_STORE_CTX_free>>;

constexpr std::size_t file_max = std::size_t{256} << 10;
constexpr std::size_t chain_max = 8;
constexpr const char* const what = "cannot use the certificate";
constexpr const char* const make_fix = "give PEM files; `ssn kme init` makes a set for tests";

constexpr std::string_view role_names[roles_count] = {"owner", "ssa", "shareholder", "controller",
                                                      "operator"};

void free_stack(STACK_OF(X509) * stack) { sk_X509_free(stack); }
using Chain = std::unique_ptr<STACK_OF(X509), Deleter<free_stack>>;

Memory reader_of(std::string_view pem) {
  return Memory(pem.size() > file_max ? nullptr : BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// An encrypted PEM file must not ask the terminal for its password.
int no_password(char*, int, int, void*) { return -1; }

Certificate next_certificate(BIO* memory) {
  return Certificate(memory == nullptr ? nullptr : PEM_read_bio_X509(memory, nullptr, no_password, nullptr));
}

std::vector<Certificate> all_certificates(std::string_view pem) {
  std::vector<Certificate> found;
  const Memory memory = reader_of(pem);
  while (found.size() < chain_max) {
    Certificate next = next_certificate(memory.get());
    if (next == nullptr) {
      break;
    }
    found.push_back(std::move(next));
  }
  ERR_clear_error();
  return found;
}

bool printable(char c) { return c > 0x20 && c < 0x7F; }

std::string common_name(const X509& certificate) {
  const X509_NAME* const subject = X509_get_subject_name(&certificate);
  const int first = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (first < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, first) >= 0) {
    return "";
  }
  const ASN1_STRING* const value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, first));
  unsigned char* utf8 = nullptr;
  const int length = ASN1_STRING_to_UTF8(&utf8, value);
  std::string name;
  if (length > 0 && static_cast<std::size_t>(length) <= common_name_max) {
    name.assign(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(length));
  }
  OPENSSL_free(utf8);
  return std::all_of(name.begin(), name.end(), printable) ? name : "";
}

Roles roles_in(const X509& certificate) {
  Roles roles;
  const X509_NAME* const subject = X509_get_subject_name(&certificate);
  for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_organizationalUnitName, at)) >= 0;) {
    unsigned char* utf8 = nullptr;
    const int length = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    const std::string_view unit(length > 0 ? reinterpret_cast<const char*>(utf8) : "",
                                length > 0 ? static_cast<std::size_t>(length) : 0);
    for (std::size_t i = 0; i < roles_count; ++i) {
      if (unit == role_names[i]) {
        roles.add(static_cast<Role>(i));
      }
    }
    OPENSSL_free(utf8);
  }
  return roles;
}

Holder holder(const X509& certificate) {
  Holder found{common_name(certificate), {}};
  if (!found.name.empty()) {
    found.roles = roles_in(certificate);
  }
  return found;
}

Result<std::string> read_file(const std::string& path, bool secret) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) {
    return system_error(errno, what, path);
  }
  struct stat status{};
  Result<std::string> result = std::string(file_max + 1, '\0');
  ssize_t got = 0;
  if (::fstat(fd, &status) != 0) {
    result = system_error(errno, what, path);
  } else if (!S_ISREG(status.st_mode)) {
    result = Error{Exit::refused, what, "it is not a regular file", path, make_fix};
  } else if (secret && (status.st_mode & 077) != 0) {
    result = Error{Exit::refused, what, "other users may read the private key", path,
                   fmt::format("chmod 600 {}", path)};
  } else if ((got = ::read(fd, result.value().data(), file_max + 1)) < 0) {
    OPENSSL_cleanse(result.value().data(), result.value().size());
    result = system_error(errno, what, path);
  } else if (static_cast<std::size_t>(got) > file_max) {
    result =
        Error{Exit::refused, what, fmt::format("it is larger than {} KiB", file_max >> 10), path, make_fix};
  } else {
    result.value().resize(static_cast<std::size_t>(got));
  }
  ::close(fd);
  return result;
}

Outcome check_key(const Identity& identity, X509& certificate, const std::string& path) {
  const Memory memory = reader_of(identity.key);
  const PrivateKey key(
      memory == nullptr ? nullptr : PEM_read_bio_PrivateKey(memory.get(), nullptr, no_password, nullptr));
  const bool fits = key != nullptr && X509_check_private_key(&certificate, key.get()) == 1;
  ERR_clear_error();
  if (key == nullptr) {
    return Error{Exit::refused, what, "it holds no private key that can be read without a password", path,
                 make_fix};
  }
  if (!fits) {
    return Error{Exit::refused, what, "the private key is not that of the certificate", path,
                 "give the key that was made with the certificate"};
  }
  return done;
}

Outcome check_chain(const std::vector<Certificate>& chain, const std::vector<Certificate>& trusted,
                    CertificateUse use, const IdentityFiles& files) {
  const Store store(X509_STORE_new());
  const StoreContext context(X509_STORE_CTX_new());
  const Chain others(sk_X509_new_null());
  bool ready = store != nullptr && context != nullptr && others != nullptr;
  for (std::size_t i = 1; ready && i < chain.size(); ++i) {
    ready = sk_X509_push(others.get(), chain[i].get()) > 0;
  }
  for (const Certificate& ca : trusted) {
    ready = ready && X509_STORE_add_cert(store.get(), ca.get()) == 1;
  }
  if (!ready || X509_STORE_CTX_init(context.get(), store.get(), chain[0].get(), others.get()) != 1) {
    ERR_clear_error();
    return Error{Exit::temporary, what, "there is not enough memory", files.certificate, "free memory"};
  }
  const auto verify = [&](int purpose) {
    X509_STORE_CTX_set_purpose(context.get(), purpose);
    return X509_verify_cert(context.get()) == 1;
  };
  bool good = verify(X509_PURPOSE_SSL_CLIENT);
  int error = X509_STORE_CTX_get_error(context.get());
  if (good && use == CertificateUse::node &&
      X509_check_purpose(chain[0].get(), X509_PURPOSE_SSL_SERVER, 0) != 1) {
    good = false;
    error = X509_V_ERR_INVALID_PURPOSE;
  }
  ERR_clear_error();
  if (good) {
    return done;
  }
  if (error == X509_V_ERR_INVALID_PURPOSE) {
    return Error{Exit::refused, what, "it is made for another purpose", files.certificate,
                 use == CertificateUse::node ? "let it be issued for TLS servers and clients (serverAuth, "
                                               "clientAuth)"
                                             : "let it be issued for TLS clients (clientAuth)"};
  }
  return Error{Exit::refused, what, X509_verify_cert_error_string(error), files.certificate,
               fmt::format("give a valid certificate that the CA in {} signed", files.ca)};
}

}  // namespace

Identity::~Identity() { OPENSSL_cleanse(key.data(), key.size()); }

std::string_view name(Role role) noexcept { return role_names[static_cast<std::size_t>(role)]; }

Holder holder_of(std::string_view pem) {
  const Memory memory = reader_of(pem);
  const Certificate certificate = next_certificate(memory.get());
  ERR_clear_error();
  return certificate == nullptr ? Holder() : holder(*certificate);
}

Result<Identity> load_identity(const IdentityFiles& files, CertificateUse use) {
  Identity identity;
  const struct {
    const std::string* path;
    std::string* text;
    bool secret;
  } parts[] = {{&files.certificate, &identity.certificate, false},
               {&files.key, &identity.key, true},
               {&files.ca, &identity.ca, false}};
  for (const auto& part : parts) {
    Result<std::string> text = read_file(*part.path, part.secret);
    if (!text.ok()) {
      return text.error();
    }
    *part.text = std::move(text.value());
  }
  const std::vector<Certificate> chain = all_certificates(identity.certificate);
  const std::vector<Certificate> trusted = all_certificates(identity.ca);
  if (chain.empty() || trusted.empty()) {
    return Error{Exit::refused, what, "it holds no certificate in PEM",
                 chain.empty() ? files.certificate : files.ca, make_fix};
  }
  Holder owner = holder(*chain[0]);
  identity.name = std::move(owner.name);
  identity.roles = owner.roles;
  if (identity.name.empty()) {
    return Error{
        Exit::refused, what,
        fmt::format("it has not exactly one common name of 1 to {} printable characters", common_name_max),
        files.certificate, "let it be issued with the node's name as its common name"};
  }
  if (Outcome checked = check_key(identity, *chain[0], files.key); !checked.ok()) {
    return checked.error();
  }
  if (Outcome checked = check_chain(chain, trusted, use, files); !checked.ok()) {
    return checked.error();
  }
  return identity;
}

}  // namespace ssn::pki
