// SPDX-License-Identifier: BSD-3-Clause
#include "authority.h"

#include <fmt/core.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <filesystem>
#include <utility>

#include "certificate.h"
#include "files.h"

namespace ssn::pki {
namespace {

constexpr std::size_t index_max = std::size_t{64} << 20;
constexpr std::size_t list_max = std::size_t{16} << 20;
constexpr std::int64_t day = 86400;
constexpr const char* what = "cannot use the certificate authority";

// RFC 5280, 5.3.1, without those that take a revocation back.
constexpr std::array<std::pair<std::string_view, int>, 8> reasons = {{{"unspecified", 0},
                                                                      {"keyCompromise", 1},
                                                                      {"CACompromise", 2},
                                                                      {"affiliationChanged", 3},
                                                                      {"superseded", 4},
                                                                      {"cessationOfOperation", 5},
                                                                      {"privilegeWithdrawn", 9},
                                                                      {"AACompromise", 10}}};

std::int64_t now() { return std::time(nullptr); }

// Two digits of the year until 2049, as in certificates.
std::string index_time(std::int64_t seconds) {
  const std::time_t time = seconds;
  tm fields{};
  ::gmtime_r(&time, &fields);
  char text[32];
  const bool long_year = fields.tm_year >= 150;
  (void)std::strftime(text, sizeof text, long_year ? "%Y%m%d%H%M%SZ" : "%y%m%d%H%M%SZ", &fields);
  return text;
}

std::optional<std::int64_t> seconds_of(std::string_view text) {
  const bool long_year = text.size() == 15;
  if ((!long_year && text.size() != 13) || text.back() != 'Z' ||
      !std::all_of(text.begin(), text.end() - 1, [](char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  const auto number = [&](std::size_t at, std::size_t digits) {
    int value = 0;
    for (std::size_t i = at; i < at + digits; ++i) value = value * 10 + (text[i] - '0');
    return value;
  };
  const std::size_t rest = long_year ? 4 : 2;
  tm fields{};
  fields.tm_year = long_year ? number(0, 4) - 1900 : number(0, 2) + (number(0, 2) < 50 ? 100 : 0);
  fields.tm_mon = number(rest, 2) - 1;
  fields.tm_mday = number(rest + 2, 2);
  fields.tm_hour = number(rest + 4, 2);
  fields.tm_min = number(rest + 6, 2);
  fields.tm_sec = number(rest + 8, 2);
  return ::timegm(&fields);
}

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  for (std::size_t at = 0; at <= line.size();) {
    const std::size_t end = std::min(line.find('\t', at), line.size());
    fields.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return fields;
}

std::string holder_line(const Subject& subject) {
  std::string line;
  for (const std::string& role : subject.roles) line += "/OU=" + role;
  return line + "/CN=" + subject.name;
}

bool good_serial(std::string_view serial) {
  return !serial.empty() && serial.size() <= 40 && std::all_of(serial.begin(), serial.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
  });
}

std::optional<IssuedRecord> record_of(std::string_view line, std::int64_t now) {
  const std::vector<std::string_view> fields = fields_of(line);
  if (fields.size() != 6 || fields[0].size() != 1 || !good_serial(fields[3])) return std::nullopt;
  const std::optional<std::int64_t> until = seconds_of(fields[1]);
  const std::size_t name = fields[5].rfind("/CN=");
  if (!until || name == std::string_view::npos) return std::nullopt;
  IssuedRecord record;
  record.serial = fields[3];
  record.name = fields[5].substr(name + 4);
  record.until = *until;
  if (fields[0] == "R") {
    const std::size_t comma = std::min(fields[2].find(','), fields[2].size());
    const std::optional<std::int64_t> at = seconds_of(fields[2].substr(0, comma));
    if (!at) return std::nullopt;
    record.state = IssuedRecord::State::revoked;
    record.revoked_at = *at;
    if (comma < fields[2].size()) record.reason = fields[2].substr(comma + 1);
  } else if (fields[0] == "V" || fields[0] == "E") {
    record.state = *until < now ? IssuedRecord::State::expired : IssuedRecord::State::valid;
  } else {
    return std::nullopt;
  }
  return record;
}

Error index_error(const std::string& path, std::size_t line) {
  return {Exit::integrity, what, fmt::format("line {} of its index cannot be understood", line), path,
          "mend the line, or take the index from a backup: state, end, revocation, serial number, file and "
          "holder, with tabs between"};
}

// Calls `take` with each line of an index and what it says. A last line without its end was cut off while it
// was written: what it was for was never handed out.
template <typename Take>
Outcome for_each_record(const std::string& path, std::string_view index, const Take& take) {
  const std::int64_t time = now();
  for (std::size_t number = 1;; ++number) {
    const std::size_t end = index.find('\n');
    if (end == std::string_view::npos) return done;
    const std::string_view line = index.substr(0, end);
    std::optional<IssuedRecord> record = record_of(line, time);
    if (!record) return index_error(path, number);
    take(line, std::move(*record));
    index.remove_prefix(end + 1);
  }
}

// As a common name: RFC 5280 limits it to 64 characters.
Outcome check_authority_name(const std::string& name) {
  const auto* const text = reinterpret_cast<const unsigned char*>(name.data());
  const bool printable = std::none_of(
      name.begin(), name.end(), [](char c) { return (static_cast<unsigned char>(c) < 0x20) || c == 0x7F; });
  if (printable && name.size() <= 256 &&
      ASN1_mbstring_ncopy(nullptr, text, static_cast<int>(name.size()), MBSTRING_UTF8, B_ASN1_UTF8STRING, 1,
                          64) > 0) {
    return done;
  }
  ERR_clear_error();
  return Error{Exit::usage, "cannot make a certificate authority",
               "a name has 1 to 64 printable characters, in UTF-8", "--name", "give another name"};
}

Outcome check_days(unsigned days) {
  if (days >= 1 && days <= Authority::days_max) return done;
  return Error{Exit::usage, what, fmt::format("it cannot last {} days", days), "",
               fmt::format("give 1 to {} days", Authority::days_max)};
}

Outcome make_folder(const std::string& folder) {
  std::error_code error;
  if (std::filesystem::exists(folder, error) &&
      (!std::filesystem::is_directory(folder, error) || !std::filesystem::is_empty(folder, error))) {
    return Error{Exit::refused, "cannot make a certificate authority", "the folder exists and is not empty",
                 folder, "choose another one; nothing is ever overwritten"};
  }
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return system_error(errno, "cannot make a certificate authority", folder);
  }
  if (::mkdir((folder + "/issued").c_str(), 0700) != 0 && errno != EEXIST) {
    return system_error(errno, "cannot make a certificate authority", folder);
  }
  constexpr std::pair<const char*, const char*> files[] = {
      {"/index.txt.attr", "unique_subject = no\n"}, {"/index.txt", ""}, {"/crlnumber", "01\n"}};
  for (const auto& [name, text] : files) {
    if (Outcome created = create_file(folder + name, text, 0644, what); !created.ok()) return created;
  }
  return done;
}

// Of the next list. It is used up before anybody can see a list with it.
Result<std::uint64_t> take_list_number(const std::string& path) {
  const Error damaged{Exit::integrity, what, "the number of the next list of revoked ones is lost", path,
                      "take the file from a backup, or write a hexadecimal number into it that is above that "
                      "of ca.crl"};
  const Result<std::string> text = read_file(path, 64, false, what);
  if (!text.ok()) return text.error().code == Exit::not_found ? damaged : text.error();
  std::string_view digits = text.value();
  if (digits.ends_with('\n')) digits.remove_suffix(1);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
  if (error != std::errc() || end != digits.data() + digits.size() || number == 0 || number == UINT64_MAX) {
    return damaged;
  }
  if (Outcome written = replace_file(path, fmt::format("{:016X}\n", number + 1), 0644, what); !written.ok()) {
    return written.error();
  }
  return number;
}

Outcome write_key(const std::string& folder, EVP_PKEY& key) {
  const Result<SecretText> text = to_pem(key);
  if (!text.ok()) return text.error();
  return create_file(folder + "/ca.key", text.value().view(), 0600, what);
}

Subject authority_subject(const std::string& name) { return {Subject::Use::authority, name, {}, {}}; }

Error not_our_chain(const std::string& folder, const char* why) {
  return {Exit::refused, "cannot complete the certificate authority", why, folder,
          "give the certificate that was made from ca.csr, followed by the certificates above it up to the "
          "root, in PEM"};
}

// Each signed by the next, the last by itself.
bool is_chain(const std::vector<CertificatePointer>& chain) {
  for (std::size_t i = 0; i < chain.size(); ++i) {
    X509& by = *chain[std::min(i + 1, chain.size() - 1)];
    if (X509_check_issued(&by, chain[i].get()) != X509_V_OK ||
        X509_verify(chain[i].get(), X509_get0_pubkey(&by)) != 1) {
      ERR_clear_error();
      return false;
    }
  }
  return !chain.empty();
}

}  // namespace

Outcome check_name(const std::string& name) {
  const bool good = !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-' || c == '@' || c == ':';
  });
  if (good) return done;
  return Error{Exit::usage, "cannot make a certificate",
               fmt::format("'{}' is no name: 1 to 64 letters, digits and . _ - @ :", name), "",
               "give the name of the node, operator or owner"};
}

std::optional<int> revocation_reason(std::string_view name) noexcept {
  for (const auto& [known, code] : reasons) {
    if (known == name) return code;
  }
  return std::nullopt;
}

std::vector<std::string> revocation_reasons() {
  std::vector<std::string> names;
  for (const auto& each : reasons) names.emplace_back(each.first);
  return names;
}

Outcome Authority::make(const std::string& folder, const std::string& name, unsigned days) {
  if (Outcome checked = check_authority_name(name); !checked.ok()) return checked;
  if (Outcome checked = check_days(days); !checked.ok()) return checked;
  if (Outcome made = make_folder(folder); !made.ok()) return made;
  Result<KeyPointer> key = make_key();
  if (!key.ok()) return key.error();
  const Result<CertificatePointer> certificate =
      make_certificate(authority_subject(name), days, *key.value(), nullptr);
  if (!certificate.ok()) return certificate.error();
  const Result<std::string> text = to_pem(*certificate.value());
  if (!text.ok()) return text.error();
  if (Outcome written = write_key(folder, *key.value()); !written.ok()) return written;
  if (Outcome written = create_file(folder + "/ca.crt", text.value(), 0644, what); !written.ok()) {
    return written;
  }
  Result<Authority> opened = open(folder);
  return opened.ok() ? opened.value().renew_list(list_days_default) : opened.error();
}

Outcome Authority::make_request(const std::string& folder, const std::string& name) {
  if (Outcome checked = check_authority_name(name); !checked.ok()) return checked;
  if (Outcome made = make_folder(folder); !made.ok()) return made;
  Result<KeyPointer> key = make_key();
  if (!key.ok()) return key.error();
  const Result<RequestPointer> request = pki::make_request(authority_subject(name), *key.value());
  if (!request.ok()) return request.error();
  const Result<std::string> text = to_pem(*request.value());
  if (!text.ok()) return text.error();
  if (Outcome written = write_key(folder, *key.value()); !written.ok()) return written;
  return create_file(folder + "/ca.csr", text.value(), 0644, what);
}

Outcome Authority::complete(const std::string& folder, const std::string& chain_pem) {
  Result<std::string> key_pem = read_file(folder + "/ca.key", file_max, true, what);
  if (!key_pem.ok()) return key_pem.error();
  const SecretText secret(std::move(key_pem.value()));
  const KeyPointer key = key_from(secret.view());
  if (key == nullptr) return not_our_chain(folder, "ca.key holds no private key");
  const std::vector<CertificatePointer> chain = certificates_from(chain_pem, chain_max);
  if (!is_chain(chain)) return not_our_chain(folder, "the certificates are no chain up to a root");
  if (X509_check_private_key(chain.front().get(), key.get()) != 1) {
    ERR_clear_error();
    return not_our_chain(folder, "the first certificate is not for the key of this authority");
  }
  if (X509_check_ca(chain.front().get()) != 1) {
    return not_our_chain(folder, "the first certificate is not one of an authority (CA:TRUE is missing)");
  }
  std::string text;
  for (const CertificatePointer& each : chain) {
    const Result<std::string> pem = to_pem(*each);
    if (!pem.ok()) return pem.error();
    text += pem.value();
  }
  if (Outcome written = replace_file(folder + "/ca.crt", text, 0644, what); !written.ok()) return written;
  Result<Authority> opened = open(folder);
  return opened.ok() ? opened.value().renew_list(list_days_default) : opened.error();
}

Result<Authority> Authority::open(const std::string& folder) {
  Authority opened(folder);
  if (::access((folder + "/ca.crt").c_str(), F_OK) != 0) {
    const bool pending = ::access((folder + "/ca.csr").c_str(), F_OK) == 0;
    return Error{Exit::not_found, what, pending ? "nobody has signed its request yet" : "there is none",
                 folder,
                 pending ? "have ca.csr signed, then: ssn pki init --authority FOLDER --chain FILE"
                         : "give --authority its folder, or make one: ssn pki init --authority FOLDER"};
  }
  Result<std::string> key_pem = read_file(folder + "/ca.key", file_max, true, what);
  if (!key_pem.ok()) return key_pem.error();
  const SecretText secret(std::move(key_pem.value()));
  const Result<std::string> chain = read_file(folder + "/ca.crt", file_max, false, what);
  if (!chain.ok()) return chain.error();
  opened.chain_ = certificates_from(chain.value(), chain_max);
  opened.key_ = key_from(secret.view());
  if (opened.chain_.empty() || opened.key_ == nullptr ||
      X509_check_private_key(opened.chain_.front().get(), opened.key_.get()) != 1) {
    ERR_clear_error();
    return Error{Exit::integrity, what, "ca.key is not the private key of ca.crt", folder,
                 "take both from a backup"};
  }
  return opened;
}

Result<IssuedCertificate> Authority::issue(const Subject& subject, std::optional<unsigned> days) {
  const Result<KeyPointer> key = make_key();
  if (!key.ok()) return key.error();
  Result<SecretText> text = to_pem(*key.value());
  if (!text.ok()) return text.error();
  Result<IssuedCertificate> issued = issue_for(*key.value(), subject, days);
  if (issued.ok()) issued.value().key = std::move(text.value());
  return issued;
}

Result<IssuedCertificate> Authority::sign(const std::string& request_pem, const Subject& subject,
                                          std::optional<unsigned> days) {
  const RequestPointer request = request_from(request_pem);
  EVP_PKEY* const key = request == nullptr ? nullptr : X509_REQ_get0_pubkey(request.get());
  // Whoever asks has the private key.
  if (key == nullptr || X509_REQ_verify(request.get(), key) != 1) {
    ERR_clear_error();
    return Error{
        Exit::refused, "cannot issue the certificate",
        key == nullptr ? "it holds no request (PKCS #10) in PEM" : "the request's signature is wrong", "",
        "make one: ssn pki request NAME --role ROLE"};
  }
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) {
    return Error{Exit::refused, "cannot issue the certificate", "its key is not an elliptic curve's", "",
                 "make a request with a key over P-256: ssn pki request NAME --role ROLE"};
  }
  return issue_for(*key, subject, days);
}

Result<unsigned> Authority::days_for(std::optional<unsigned> wanted) const {
  constexpr const char* issuing = "cannot issue the certificate";
  constexpr const char* fix = "make another authority, or have ca.csr signed again";
  if (wanted) {
    if (Outcome checked = check_days(*wanted); !checked.ok()) return checked.error();
  }
  // A minute is more than it takes.
  const std::int64_t left = (until() - now() - 60) / day;
  if (left < 1) {
    return Error{Exit::refused, issuing, "that of the authority has ended, or ends within a day", folder_,
                 fix};
  }
  if (wanted && *wanted > left) {
    return Error{Exit::refused, issuing,
                 fmt::format("it would outlive the authority, which ends in {} days", left), folder_,
                 fmt::format("give at most --days {}; for more, {}", left, fix)};
  }
  return wanted.value_or(static_cast<unsigned>(std::min<std::int64_t>(days_default, left)));
}

Result<IssuedCertificate> Authority::issue_for(EVP_PKEY& key, const Subject& subject,
                                               std::optional<unsigned> wanted_days) {
  if (Outcome checked = check_name(subject.name); !checked.ok()) return checked.error();
  const Result<FolderLock> lock = FolderLock::take(folder_, what);
  if (!lock.ok()) return lock.error();
  const Result<std::vector<IssuedRecord>> before = list();
  if (!before.ok()) return before.error();
  if (before.value().size() >= certificates_max) {
    return Error{Exit::temporary, "cannot issue the certificate",
                 fmt::format("{} were issued, no more are kept", certificates_max), folder_,
                 "make another authority"};
  }
  const Result<unsigned> days = days_for(wanted_days);
  if (!days.ok()) return days.error();
  const Signer by = signer();
  const Result<CertificatePointer> made = make_certificate(subject, days.value(), key, &by);
  if (!made.ok()) return made.error();
  IssuedCertificate issued;
  issued.days = days.value();
  issued.serial = serial_of(*made.value());
  Result<std::string> text = to_pem(*made.value());
  if (!text.ok()) return text.error();
  issued.certificate = std::move(text.value());
  const std::string file = fmt::format("issued/{}.pem", issued.serial);
  if (Outcome written = create_file(folder_ + "/" + file, issued.certificate, 0644, what); !written.ok()) {
    return written.error();
  }
  const std::string line = fmt::format("V\t{}\t\t{}\t{}\t{}", index_time(end_of(*made.value())),
                                       issued.serial, file, holder_line(subject));
  if (Outcome written = append_line(folder_ + "/index.txt", line, what); !written.ok()) {
    return written.error();
  }
  // Whoever trusts the root alone needs what lies between.
  for (std::size_t i = 0; i + 1 < chain_.size(); ++i) {
    const Result<std::string> pem = to_pem(*chain_[i]);
    if (!pem.ok()) return pem.error();
    issued.certificate += pem.value();
  }
  return issued;
}

Result<IssuedCertificate> Authority::renew(const std::string& name, std::optional<unsigned> days,
                                           bool new_key) {
  const Result<std::vector<IssuedRecord>> all = list();
  if (!all.ok()) return all.error();
  const auto newest = std::find_if(all.value().rbegin(), all.value().rend(), [&](const IssuedRecord& each) {
    return each.name == name && each.state != IssuedRecord::State::revoked;
  });
  if (newest == all.value().rend()) {
    return Error{Exit::not_found, "cannot renew the certificate",
                 fmt::format("'{}' has none that is not revoked", name), folder_,
                 "see `ssn pki list`, or issue one: ssn pki issue"};
  }
  const Result<std::string> pem = certificate(newest->serial);
  if (!pem.ok()) return pem.error();
  const CertificatePointer old = certificate_from(pem.value());
  EVP_PKEY* const key = old == nullptr ? nullptr : X509_get0_pubkey(old.get());
  if (key == nullptr) {
    return Error{Exit::integrity, "cannot renew the certificate", "what was kept of it cannot be read",
                 folder_, "issue another one: ssn pki issue"};
  }
  const Subject subject = subject_of(*old);
  return new_key ? issue(subject, days) : issue_for(*key, subject, days);
}

Result<std::size_t> Authority::revoke(const std::string& name_or_serial, const std::string& reason,
                                      unsigned list_days) {
  if (!revocation_reason(reason)) {
    return Error{Exit::usage, "cannot revoke the certificate", fmt::format("'{}' is no reason", reason), "",
                 "see `ssn pki revoke --help`"};
  }
  const Result<FolderLock> lock = FolderLock::take(folder_, what);
  if (!lock.ok()) return lock.error();
  const std::string path = folder_ + "/index.txt";
  const Result<std::string> index = read_file(path, index_max, false, what);
  if (!index.ok()) return index.error();
  std::string text;
  std::size_t known = 0;
  std::size_t revoked = 0;
  const auto keep = [&](std::string_view line, const IssuedRecord& record) {
    const bool meant = record.name == name_or_serial || record.serial == name_or_serial;
    known += meant;
    if (!meant || record.state == IssuedRecord::State::revoked) {
      text.append(line) += '\n';
      return;
    }
    const std::vector<std::string_view> fields = fields_of(line);
    text += fmt::format("R\t{}\t{}{}\t{}\t{}\t{}\n", fields[1], index_time(now()),
                        reason == "unspecified" ? "" : "," + reason, fields[3], fields[4], fields[5]);
    ++revoked;
  };
  if (Outcome read = for_each_record(path, index.value(), keep); !read.ok()) return read.error();
  if (known == 0) {
    return Error{Exit::not_found, "cannot revoke the certificate",
                 fmt::format("none was issued to '{}', and none has that serial number", name_or_serial),
                 folder_, "see `ssn pki list`"};
  }
  if (Outcome written = replace_file(path, text, 0644, what); !written.ok()) return written.error();
  const Result<std::vector<IssuedRecord>> records = list();
  if (!records.ok()) return records.error();
  if (Outcome written = write_list(records.value(), list_days); !written.ok()) return written.error();
  return revoked;
}

Outcome Authority::renew_list(unsigned days) {
  const Result<FolderLock> lock = FolderLock::take(folder_, what);
  if (!lock.ok()) return lock.error();
  const Result<std::vector<IssuedRecord>> records = list();
  return records.ok() ? write_list(records.value(), days) : records.error();
}

Outcome Authority::write_list(const std::vector<IssuedRecord>& records, unsigned days) {
  if (Outcome checked = check_days(days); !checked.ok()) return checked;
  std::vector<Revoked> revoked;
  for (const IssuedRecord& each : records) {
    if (each.state == IssuedRecord::State::revoked) {
      revoked.push_back({each.serial, each.revoked_at, revocation_reason(each.reason).value_or(0)});
    }
  }
  const Result<std::uint64_t> number = take_list_number(folder_ + "/crlnumber");
  if (!number.ok()) return number.error();
  const Result<ListPointer> list = make_revocation_list(revoked, number.value(), days, signer());
  if (!list.ok()) return list.error();
  const Result<std::string> text = to_pem(*list.value());
  return text.ok() ? replace_file(folder_ + "/ca.crl", text.value(), 0644, what) : text.error();
}

std::int64_t Authority::until() const {
  std::int64_t until = end_of(*chain_.front());
  for (const CertificatePointer& above : chain_) until = std::min(until, end_of(*above));
  return until;
}

Validity Authority::list_validity() const {
  const Result<std::string> pem = read_file(folder_ + "/ca.crl", list_max, false, what);
  const ListPointer list = pem.ok() ? list_from(pem.value()) : nullptr;
  return list == nullptr ? Validity() : validity_of(*list);
}

Result<std::vector<IssuedRecord>> Authority::list() const {
  std::vector<IssuedRecord> records;
  const std::string path = folder_ + "/index.txt";
  const Result<std::string> index = read_file(path, index_max, false, what);
  if (!index.ok()) return index.error();
  const auto keep = [&](std::string_view, IssuedRecord&& record) { records.push_back(std::move(record)); };
  if (Outcome read = for_each_record(path, index.value(), keep); !read.ok()) return read.error();
  return records;
}

Result<std::string> Authority::certificate(const std::string& serial) const {
  if (!good_serial(serial)) {
    return Error{Exit::usage, "cannot show the certificate", "that is no serial number", serial,
                 "see `ssn pki list`"};
  }
  return read_file(fmt::format("{}/issued/{}.pem", folder_, serial), file_max, false,
                   "cannot show the certificate");
}

}  // namespace ssn::pki
