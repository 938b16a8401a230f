// SPDX-License-Identifier: BSD-3-Clause
#include "test_network.h"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <utility>

#include "files.h"
#include "issuer.h"

namespace ssn::kme {
namespace {

using pki::Subject;

constexpr std::size_t sites_max = 16;
constexpr std::size_t site_name_max = 32;

constexpr const char* what = "cannot write the test network";

// Key managers are servers to SAEs and clients of each other; clients of a key manager look for where it is,
// those of a data plane for who it is: an SAE's certificate does not do for a key manager.
Subject key_manager(const std::string& name) {
  return {Subject::Use::node, name, {}, {"DNS:localhost", "IP:127.0.0.1", "IP:::1", "DNS:" + name}};
}

// An SAE that is a data plane is asked by operators and by its peers.
Subject node(const std::string& name, std::vector<std::string> roles) {
  return {Subject::Use::node, name, std::move(roles), {"DNS:" + name}};
}

struct Identity {
  pki::KeyPointer key;
  pki::CertificatePointer certificate;
};

// Signed by `issuer`; by itself where that is null.
Result<Identity> make_identity(const Subject& subject, unsigned days, const Identity* issuer) {
  Result<pki::KeyPointer> key = pki::make_key();
  if (!key.ok()) return key.error();
  const pki::Signer signer =
      issuer == nullptr ? pki::Signer{} : pki::Signer{issuer->certificate.get(), issuer->key.get()};
  Result<pki::CertificatePointer> certificate =
      pki::make_certificate(subject, days, *key.value(), issuer == nullptr ? nullptr : &signer);
  if (!certificate.ok()) return certificate.error();
  return Identity{std::move(key.value()), std::move(certificate.value())};
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
    return pki::create_file(files_.back(), text, mode, what);
  }
  Outcome write_identity(const std::string& name, const Identity& identity);
  Outcome write_new_identity(const Subject& subject, const Identity& issuer);
  Outcome write_secret(const std::string& name);
  std::string configuration() const;
  std::string site_table(std::size_t i) const;
  std::string node_configuration(const std::string& site) const;

  const TestNetwork& wanted_;
  std::vector<std::string> files_;
};

Outcome Writer::write_identity(const std::string& name, const Identity& identity) {
  const Result<std::string> certificate = pki::to_pem(*identity.certificate);
  const Result<pki::SecretText> key = pki::to_pem(*identity.key);
  if (!certificate.ok() || !key.ok()) return certificate.ok() ? key.error() : certificate.error();
  if (Outcome written = write(name + ".crt", certificate.value(), 0644); !written.ok()) {
    return written;
  }
  return write(name + ".key", key.value().view(), 0600);
}

Outcome Writer::write_new_identity(const Subject& subject, const Identity& issuer) {
  const Result<Identity> made = make_identity(subject, wanted_.days, &issuer);
  return made.ok() ? write_identity(subject.name, made.value()) : made.error();
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
    return pki::openssl_error("cannot make the secret of a link");
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
  const Result<Identity> ca = make_identity(
      {Subject::Use::authority, "Shareline test network CA (EMULATOR)", {}, {}}, wanted_.days, nullptr);
  if (!ca.ok()) {
    return ca.error();
  }
  if (Outcome written = write_identity("ca", ca.value()); !written.ok()) {
    return written;
  }
  std::vector<Subject> subjects = {{Subject::Use::client, "operator", {"operator"}, {}},
                                   {Subject::Use::client, "owner", {"owner"}, {}},
                                   node("controller", {"controller"})};
  for (const std::string& site : wanted_.sites) {
    if (Outcome written = write("sae-" + site + ".toml", node_configuration(site), 0644); !written.ok()) {
      return written;
    }
    subjects.push_back(key_manager("kme-" + site));
    // Any node of a test network may make shares and store them.
    subjects.push_back(node("sae-" + site, {"ssa", "shareholder"}));
  }
  for (const Subject& subject : subjects) {
    if (Outcome written = write_new_identity(subject, ca.value()); !written.ok()) {
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
