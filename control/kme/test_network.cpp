// SPDX-License-Identifier: BSD-3-Clause
#include "test_network.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <set>
#include <utility>

namespace ssn::kme {
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
using Extension = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;

constexpr std::size_t sites_max = 16;
constexpr std::size_t site_name_max = 32;

Error crypto_error(const char* what) {
  char text[256] = "OpenSSL gave no reason";
  if (const unsigned long code = ERR_get_error(); code != 0) {
    ERR_error_string_n(code, text, sizeof text);
  }
  return {Exit::failed, what, text, "", "report this as a bug"};
}

// Writes a new file; secrets are readable by this user only from the first moment.
Outcome write_file(const std::string& path, std::string_view text, mode_t mode) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) {
    return system_error(errno, "cannot write the test network", path);
  }
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  if (::close(fd) != 0 || !written) {
    return system_error(written ? errno : error, "cannot write the test network", path);
  }
  return done;
}

struct Identity {
  PrivateKey key;
  Certificate certificate;
};

bool add_extension(X509& certificate, X509& issuer, int kind, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, &issuer, &certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value));
  return extension != nullptr && X509_add_ext(&certificate, extension.get(), -1) == 1;
}

bool set_serial(X509& certificate) {
  std::uint64_t serial = 0;
  return RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1 &&
         ASN1_INTEGER_set_uint64(X509_get_serialNumber(&certificate), serial >> 1) == 1;
}

enum class Kind { ca, kme, sae, controller, client };

// `roles` become organizational units: docs/controller.md.
bool set_name(X509& certificate, const std::string& common_name, const std::vector<std::string>& roles) {
  X509_NAME* const name = X509_get_subject_name(&certificate);
  const auto add = [name](const char* field, const std::string& value) {
    const auto* const text = reinterpret_cast<const unsigned char*>(value.c_str());
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, text, -1, -1, 0) == 1;
  };
  return std::all_of(roles.begin(), roles.end(), [&](const std::string& role) { return add("OU", role); }) &&
         add("CN", common_name);
}

// Signed by `issuer`; by itself where that is null.
Result<Identity> make_identity(Kind kind, const std::string& common_name,
                               const std::vector<std::string>& roles, unsigned days, Identity* issuer) {
  Identity made{PrivateKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")), Certificate(X509_new())};
  if (made.key == nullptr || made.certificate == nullptr) {
    return crypto_error("cannot make a key");
  }
  X509& certificate = *made.certificate;
  const Identity& signer = issuer == nullptr ? made : *issuer;
  bool good =
      X509_set_version(&certificate, 2) == 1 && set_serial(certificate) &&
      X509_gmtime_adj(X509_getm_notBefore(&certificate), -3600) != nullptr &&
      X509_time_adj_ex(X509_getm_notAfter(&certificate), static_cast<int>(days), 0, nullptr) != nullptr &&
      X509_set_pubkey(&certificate, made.key.get()) == 1 && set_name(certificate, common_name, roles) &&
      X509_set_issuer_name(&certificate, X509_get_subject_name(signer.certificate.get())) == 1;
  X509& by = *signer.certificate;
  good = good && add_extension(certificate, by, NID_subject_key_identifier, "hash") &&
         add_extension(certificate, by, NID_basic_constraints,
                       kind == Kind::ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE") &&
         add_extension(certificate, by, NID_key_usage,
                       kind == Kind::ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
  if (kind != Kind::ca) {
    // Key managers are servers to SAEs and clients of each other. An SAE that is a data plane is asked by
    // operators and by its peers.
    good = good && add_extension(certificate, by, NID_authority_key_identifier, "keyid:always") &&
           add_extension(certificate, by, NID_ext_key_usage,
                         kind == Kind::client ? "clientAuth" : "serverAuth,clientAuth");
  }
  // Clients of a key manager look for where it is, those of a data plane for who it is: an SAE's certificate
  // does not do for a key manager.
  if (kind == Kind::kme || kind == Kind::sae || kind == Kind::controller) {
    const std::string where = kind == Kind::kme ? "DNS:localhost,IP:127.0.0.1,IP:::1," : "";
    good =
        good && add_extension(certificate, by, NID_subject_alt_name, (where + "DNS:" + common_name).c_str());
  }
  if (!good || X509_sign(&certificate, signer.key.get(), EVP_sha256()) == 0) {
    return crypto_error("cannot make a certificate");
  }
  return made;
}

std::string_view text_of(const Memory& memory) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(memory.get(), &data);
  return {data, static_cast<std::size_t>(length)};
}

// A basic string of TOML.
std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

class Writer {
 public:
  explicit Writer(const TestNetwork& wanted) : wanted_(wanted) {}

  Outcome write_all();
  std::vector<std::string> files() && { return std::move(files_); }

 private:
  Outcome write(const std::string& name, std::string_view text, mode_t mode) {
    files_.push_back(wanted_.folder + "/" + name);
    return write_file(files_.back(), text, mode);
  }
  Outcome write_identity(const std::string& name, const Identity& identity);
  Outcome write_new_identity(Kind kind, const std::string& name, const std::vector<std::string>& roles,
                             Identity& issuer);
  Outcome write_secret(const std::string& name);
  std::string configuration() const;
  std::string site_table(std::size_t i) const;
  std::string node_configuration(const std::string& site) const;

  const TestNetwork& wanted_;
  std::vector<std::string> files_;
};

Outcome Writer::write_identity(const std::string& name, const Identity& identity) {
  const Memory certificate(BIO_new(BIO_s_mem()));
  const Memory key(BIO_new(BIO_s_secmem()));
  if (certificate == nullptr || key == nullptr ||
      PEM_write_bio_X509(certificate.get(), identity.certificate.get()) != 1 ||
      PEM_write_bio_PrivateKey(key.get(), identity.key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return crypto_error("cannot write a certificate");
  }
  if (Outcome written = write(name + ".crt", text_of(certificate), 0644); !written.ok()) {
    return written;
  }
  return write(name + ".key", text_of(key), 0600);
}

Outcome Writer::write_new_identity(Kind kind, const std::string& name, const std::vector<std::string>& roles,
                                   Identity& issuer) {
  const Result<Identity> made = make_identity(kind, name, roles, wanted_.days, &issuer);
  return made.ok() ? write_identity(name, made.value()) : made.error();
}

// Without a branch or an index: the digits are secret.
char hex_digit(unsigned value) {
  const unsigned letter = ((9U - value) >> 8U) & ('a' - '0' - 10U);
  return static_cast<char>('0' + value + letter);
}

Outcome Writer::write_secret(const std::string& name) {
  unsigned char bytes[32];
  char text[2 * sizeof bytes + 2];
  if (RAND_bytes(bytes, sizeof bytes) != 1) {
    return crypto_error("cannot make the secret of a link");
  }
  for (std::size_t i = 0; i < sizeof bytes; ++i) {
    text[2 * i] = hex_digit(bytes[i] >> 4U);
    text[2 * i + 1] = hex_digit(bytes[i] & 15U);
  }
  text[2 * sizeof bytes] = '\n';
  const Outcome written = write(name, {text, 2 * sizeof bytes + 1}, 0600);
  OPENSSL_cleanse(bytes, sizeof bytes);
  OPENSSL_cleanse(text, sizeof text);
  return written;
}

std::string Writer::site_table(std::size_t i) const {
  const std::string& site = wanted_.sites[i];
  const unsigned port = wanted_.port == 0 ? 0 : wanted_.port + static_cast<unsigned>(i);
  std::string text = fmt::format(
      "\n[[site]]\nid = \"kme-{0}\"\nlisten = \"127.0.0.1\"\nport = {1}\ncertificate = \"kme-{0}.crt\"\n"
      "key = \"kme-{0}.key\"\nsae = [\"sae-{0}\"]\nkmnic = \"kmnic-{0}.sock\"\n",
      site, port);
  if (wanted_.port != 0) {
    text += fmt::format("peer_port = {}   # for other ssn-kme processes, when there is one for each site\n",
                        port + wanted_.sites.size());
  }
  return text;
}

// What `ssn seal` and `ssn open` at a site are given. A driver takes a relative path from where a program
// runs, so the socket's is absolute.
std::string Writer::node_configuration(const std::string& site) const {
  std::error_code ignored;
  const std::filesystem::path folder = std::filesystem::absolute(wanted_.folder, ignored).lexically_normal();
  return fmt::format(
      "# The node sae-{0} of the test network: ssn seal --config sae-{0}.toml --to sae-...\n"
      "[node]\nname = \"sae-{0}\"\nledger = \"sae-{0}.ledger\"\n\n"
      "[[key_device]]\ndriver = \"kmnic\"\n[key_device.settings]\nsocket = {1}\n",
      site, toml_string((folder / fmt::format("kmnic-{}.sock", site)).string()));
}

std::string Writer::configuration() const {
  std::string text =
      "# A test network of ssn-kme: EMULATED key managers, which protect nothing.\n"
      "# All sites in one process:  ssn-kme --config kme.toml\n"
      "# One process for each site: ssn-kme --config kme.toml --site ID\n"
      "name = \"test network\"\nca = \"ca.crt\"\ncontrol = \"control.sock\"\n";
  for (std::size_t i = 0; i < wanted_.sites.size(); ++i) {
    text += site_table(i);
  }
  for (std::size_t i = 0; i < wanted_.sites.size(); ++i) {
    for (std::size_t j = i + 1; j < wanted_.sites.size(); ++j) {
      text += fmt::format(
          "\n[[link]]\nname = \"{0}-{1}\"\nsites = [\"kme-{0}\", \"kme-{1}\"]\n"
          "rate = \"0 bit/s\"     # of key; 0: unlimited\nstock = \"128 MiB\"    # the most that is kept\n"
          "latency = \"0 ms\"     # until the other end has a key\nhops = 1\nsecret = "
          "\"link-{0}-{1}.secret\"\n",
          wanted_.sites[i], wanted_.sites[j]);
    }
  }
  return text;
}

Outcome Writer::write_all() {
  if (Outcome written = write("kme.toml", configuration(), 0644); !written.ok()) {
    return written;
  }
  Result<Identity> ca =
      make_identity(Kind::ca, "Shareline test network CA (EMULATOR)", {}, wanted_.days, nullptr);
  if (!ca.ok()) {
    return ca.error();
  }
  if (Outcome written = write_identity("ca", ca.value()); !written.ok()) {
    return written;
  }
  for (const auto& [kind, name] : {std::pair{Kind::client, "operator"}, std::pair{Kind::client, "owner"},
                                   std::pair{Kind::controller, "controller"}}) {
    if (Outcome written = write_new_identity(kind, name, {name}, ca.value()); !written.ok()) {
      return written;
    }
  }
  for (const std::string& site : wanted_.sites) {
    if (Outcome written = write("sae-" + site + ".toml", node_configuration(site), 0644); !written.ok()) {
      return written;
    }
    if (Outcome written = write_new_identity(Kind::kme, "kme-" + site, {}, ca.value()); !written.ok()) {
      return written;
    }
    // Any node of a test network may make shares and store them.
    if (Outcome written = write_new_identity(Kind::sae, "sae-" + site, {"ssa", "shareholder"}, ca.value());
        !written.ok()) {
      return written;
    }
  }
  for (std::size_t i = 0; i < wanted_.sites.size(); ++i) {
    for (std::size_t j = i + 1; j < wanted_.sites.size(); ++j) {
      const std::string name = fmt::format("link-{}-{}.secret", wanted_.sites[i], wanted_.sites[j]);
      if (Outcome written = write_secret(name); !written.ok()) {
        return written;
      }
    }
  }
  return done;
}

bool good_site(const std::string& site) {
  return !site.empty() && site.size() <= site_name_max && std::all_of(site.begin(), site.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

Outcome check(const TestNetwork& wanted) {
  const auto wrong = [&](std::string why, std::string fix) {
    return Error{Exit::usage, "cannot make the test network", std::move(why), wanted.folder, std::move(fix)};
  };
  const std::set<std::string> different(wanted.sites.begin(), wanted.sites.end());
  if (wanted.sites.size() < 2 || wanted.sites.size() > sites_max || different.size() != wanted.sites.size()) {
    return wrong(fmt::format("it needs 2 to {} different sites", sites_max), "write --sites a,b");
  }
  if (!std::all_of(wanted.sites.begin(), wanted.sites.end(), good_site)) {
    return wrong(fmt::format("names of sites are 1 to {} letters, digits and _", site_name_max),
                 "write --sites a,b");
  }
  if (wanted.port != 0 && wanted.port + 2 * wanted.sites.size() > 65536) {
    return wrong("the ports behind --port are too few", "choose a lower one");
  }
  std::error_code error;
  if (std::filesystem::exists(wanted.folder, error) &&
      (!std::filesystem::is_directory(wanted.folder, error) ||
       !std::filesystem::is_empty(wanted.folder, error))) {
    return Error{Exit::refused, "cannot make the test network", "the folder exists and is not empty",
                 wanted.folder, "choose another one; nothing is ever overwritten"};
  }
  return done;
}

}  // namespace

Result<std::vector<std::string>> make_test_network(const TestNetwork& wanted) {
  if (Outcome checked = check(wanted); !checked.ok()) {
    return checked.error();
  }
  if (::mkdir(wanted.folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return system_error(errno, "cannot make the folder of the test network", wanted.folder);
  }
  Writer writer(wanted);
  if (Outcome written = writer.write_all(); !written.ok()) {
    return written.error();
  }
  return std::move(writer).files();
}

}  // namespace ssn::kme
