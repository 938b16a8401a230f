// SPDX-License-Identifier: BSD-3-Clause
#include "record.h"

#include <fmt/core.h>
#include <openssl/sha.h>

#include <concepts>
#include <cstring>

namespace ssn::controller {
namespace {

// 2: labels and key paths of nodes; what was decided about pad shares.
// 3: re-sharing.
// 4: alarms.
// 5: versions of the network's configuration, classes, bytes of owners, accounting; what became of shares, as
//    a value; what begins by itself.
constexpr std::uint64_t version = 5;
constexpr std::size_t checksum_bytes = 8;

class Writer {
 public:
  template <std::unsigned_integral T>
  void operator()(T& number) {
    std::uint64_t rest = number;
    while (rest >= 0x80) {
      out.push_back(static_cast<char>(0x80U | (rest & 0x7FU)));
      rest >>= 7U;
    }
    out.push_back(static_cast<char>(rest));
  }
  void operator()(bool& truth) { out.push_back(truth ? '\1' : '\0'); }
  void operator()(std::string& text) {
    std::uint64_t length = text.size();
    (*this)(length);
    out += text;
  }
  void operator()(Bytes16& bytes) { out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()); }
  std::uint64_t count(std::uint64_t elements) {
    (*this)(elements);
    return elements;
  }
  /// Whether the record has what came with this version.
  static constexpr bool since(std::uint64_t) noexcept { return true; }

  std::string out;
};

// After something wrong everything is empty, and good() says so.
class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}

  template <std::unsigned_integral T>
  void operator()(T& number) {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const std::string_view byte = take(1);
      if (byte.empty() || shift > 63) {
        fail();
        break;
      }
      const auto bits = static_cast<unsigned char>(byte[0]);
      value |= std::uint64_t{bits & 0x7FU} << shift;
      if (bits < 0x80) {
        break;
      }
    }
    number = static_cast<T>(value);
    if (number != value) {
      fail();
    }
  }
  void operator()(bool& truth) {
    const std::string_view byte = take(1);
    truth = byte == std::string_view("\1", 1);
    if (!truth && byte != std::string_view("\0", 1)) {
      fail();
    }
  }
  void operator()(std::string& text) {
    std::uint64_t length = 0;
    (*this)(length);
    text = take(length);
  }
  void operator()(Bytes16& bytes) {
    const std::string_view taken = take(bytes.size());
    if (!taken.empty()) {
      std::memcpy(bytes.data(), taken.data(), bytes.size());
    }
  }
  // Each element takes a byte at least.
  std::uint64_t count(std::uint64_t) {
    std::uint64_t elements = 0;
    (*this)(elements);
    if (elements > in_.size()) {
      fail();
    }
    return good_ ? elements : 0;
  }
  bool since(std::uint64_t first) const noexcept { return version_ >= first; }
  void set_version(std::uint64_t its) noexcept { version_ = its; }
  bool finished() const noexcept { return good_ && in_.empty(); }

 private:
  std::string_view take(std::uint64_t bytes) {
    if (!good_ || bytes > in_.size()) {
      fail();
      return {};
    }
    const std::string_view taken = in_.substr(0, bytes);
    in_.remove_prefix(bytes);
    return taken;
  }
  void fail() {
    good_ = false;
    in_ = {};
  }

  std::string_view in_;
  std::uint64_t version_ = 0;
  bool good_ = true;
};

// Before version 5 only what people were shown of it was kept.
std::optional<ShareDamage> damage_of_before(const Holder& holder) {
  for (const ShareDamage damage :
       {ShareDamage::unknown, ShareDamage::missing, ShareDamage::incomplete, ShareDamage::damaged}) {
    if (holder.trouble == trouble_of(damage)) {
      return damage;
    }
  }
  return std::nullopt;
}

// Each function lists the fields of one structure, for both directions.

template <typename Archive, typename Enum>
  requires std::is_enum_v<Enum>
void fields(Archive& archive, Enum& value) {
  auto number = static_cast<std::underlying_type_t<Enum>>(value);
  archive(number);
  value = static_cast<Enum>(number);
}

template <typename Archive, typename Element>
void list(Archive& archive, std::vector<Element>& elements);

template <typename Archive>
void fields(Archive& archive, pki::Roles& roles) {
  for (std::size_t i = 0; i < pki::roles_count; ++i) {
    const auto role = static_cast<pki::Role>(i);
    bool has = roles.has(role);
    archive(has);
    if (has) {
      roles.add(role);
    }
  }
}

template <typename Archive, std::unsigned_integral T>
void fields(Archive& archive, T& number) {
  archive(number);
}

template <typename Archive>
void fields(Archive& archive, std::string& text) {
  archive(text);
}

template <typename Archive>
void fields(Archive& archive, Holder& holder) {
  archive(holder.node);
  archive(holder.domain);
  fields(archive, holder.state);
  archive(holder.trouble);
  if (archive.since(5)) {
    bool told = holder.damage.has_value();
    archive(told);
    if (told) {
      ShareDamage damage = holder.damage.value_or(ShareDamage::unknown);
      fields(archive, damage);
      holder.damage = damage;
    }
  } else {
    holder.damage = damage_of_before(holder);
  }
}

template <typename Archive>
void fields(Archive& archive, Layout& layout) {
  fields(archive, layout.scheme);
  archive(layout.k);
  archive(layout.n);
  archive(layout.secret_blocks);
  list(archive, layout.holders);
  fields(archive, layout.row_rule);
  archive(layout.cells_per_turn);
  archive(layout.quorum);
  archive(layout.minimum);
  archive(layout.reason);
  if (archive.since(2)) {
    archive(layout.kept_rows);
    fields(archive, layout.pad_rule);
    archive(layout.pad_reason);
  }
}

template <typename Archive>
void fields(Archive& archive, KeyPath& path) {
  archive(path.peer);
  list(archive, path.crosses);
}

template <typename Archive>
void fields(Archive& archive, AttemptRun& run) {
  archive(run.first_cell);
  archive(run.cells);
  archive(run.attempt);
}

template <typename Archive>
void fields(Archive& archive, Object& object) {
  archive(object.id);
  archive(object.owner);
  archive(object.name);
  fields(archive, object.state);
  archive(object.generation);
  archive(object.size);
  archive(object.size_known);
  archive(object.cell_bytes);
  archive(object.cells);
  fields(archive, object.layout);
  list(archive, object.attempts);
  fields(archive, object.protection);
  fields(archive, object.minimum_protection);
  archive(object.created_ms);
  archive(object.committed_ms);
  archive(object.ssa);
  archive(object.end_reason);
}

template <typename Archive>
void fields(Archive& archive, ObjectRecord& record) {
  fields(archive, record.object);
  archive(record.token);
  archive(record.request_digest);
  archive(record.create_only);
  archive(record.ended_ms);
  if (archive.since(3)) {
    archive(record.job);
    archive(record.last_generation);
    list(archive, record.former);
  }
  if (archive.since(5)) {
    archive(record.object.class_name);
    archive(record.object.generation_ms);
    archive(record.refresh_failed_ms);
  }
}

template <typename Archive>
void fields(Archive& archive, NodeRecord& record) {
  archive(record.registration.instance);
  fields(archive, record.registration.roles);
  archive(record.registration.agent);
  list(archive, record.registration.data_addresses);
  Labels& labels = record.registration.labels;
  archive(labels[Label::site]);
  archive(record.registration.version);
  if (!archive.since(5)) {
    fields(archive, record.service);
  }
  archive(record.registered_ms);
  if (archive.since(2)) {
    archive(labels[Label::operated_by]);
    archive(labels[Label::power]);
    archive(labels[Label::key_manager]);
    list(archive, record.registration.key_paths);
  }
}

template <typename Archive>
void fields(Archive& archive, StreamMark& mark) {
  archive(mark.ksid);
  archive(mark.sends);
  archive(mark.sent);
  archive(mark.seen);
}

template <typename Archive>
void fields(Archive& archive, AssociationRecord& record) {
  archive(record.report.peer);
  archive(record.report.epoch);
  list(archive, record.report.streams);
  archive(record.reported_ms);
}

template <typename Archive>
void fields(Archive& archive, OwnerRecord& record) {
  archive(record.objects);
  archive(record.writes);
  if (archive.since(5)) {
    archive(record.bytes);
    archive(record.writing_bytes);
  }
}

template <typename Archive>
void fields(Archive& archive, MetaRecord& record) {
  archive(record.catalogue);
  archive(record.next_event);
  if (archive.since(3)) {
    archive(record.term);
  }
  if (archive.since(5)) {
    archive(record.bytes_counted);
    archive(record.next_account);
    archive(record.indexed);
  }
}

template <typename Archive>
void fields(Archive& archive, ClockRecord& record) {
  archive(record.clock_ms);
  archive(record.wall_ms);
}

template <typename Archive>
void fields(Archive& archive, RepairRecord& record) {
  archive(record.since_ms);
  archive(record.tries);
  archive(record.tried_ms);
  archive(record.held);
}

template <typename Archive>
void fields(Archive& archive, NumberRecord& record) {
  archive(record.number);
}

template <typename Archive>
void fields(Archive& archive, Event& event) {
  archive(event.number);
  archive(event.time_ms);
  archive(event.alarm);
  archive(event.kind);
  archive(event.subject);
  archive(event.text);
  if (archive.since(4)) {
    fields(archive, event.change);
    fields(archive, event.severity);
  }
}

template <typename Archive>
void fields(Archive& archive, Alarm& alarm) {
  archive(alarm.key.type);
  archive(alarm.key.resource);
  archive(alarm.key.peer);
  fields(archive, alarm.severity);
  archive(alarm.text);
  archive(alarm.raised_ms);
  archive(alarm.cleared_ms);
  archive(alarm.times);
  list(archive, alarm.sources);
}

template <typename Archive>
void fields(Archive& archive, ConfigurationVersion& record) {
  archive(record.number);
  archive(record.time_ms);
  archive(record.who);
  archive(record.comment);
  archive(record.digest);
  archive(record.text);
}

template <typename Archive>
void fields(Archive& archive, Account& account) {
  archive(account.number);
  archive(account.time_ms);
  archive(account.owner);
  archive(account.object);
  archive(account.name);
  fields(archive, account.operation);
  archive(account.bytes);
  archive(account.pad_bytes);
  archive(account.class_name);
  fields(archive, account.protection);
}

template <typename Archive>
void fields(Archive& archive, ReshareRun& run) {
  archive(run.first);
  archive(run.round);
}

template <typename Archive>
void fields(Archive& archive, ReshareJob& job) {
  archive(job.id);
  archive(job.object);
  archive(job.owner);
  archive(job.name);
  fields(archive, job.operation);
  archive(job.reason);
  archive(job.source_generation);
  archive(job.target_generation);
  archive(job.cells);
  archive(job.cell_bytes);
  fields(archive, job.source);
  fields(archive, job.target);
  list(archive, job.attempts);
  archive(job.share);
  fields(archive, job.step);
  archive(job.round);
  archive(job.first);
  archive(job.check);
  archive(job.failures);
  archive(job.unit_cells);
  archive(job.window);
  list(archive, job.from);
  list(archive, job.to);
  list(archive, job.bad);
  list(archive, job.runs);
  archive(job.computational);
  archive(job.unverified);
  archive(job.cancel);
  archive(job.trouble);
  archive(job.started_ms);
  archive(job.ended_ms);
}

template <typename Archive>
void fields(Archive& archive, ReplacementRecord& record) {
  archive(record.to);
  archive(record.reason);
  archive(record.after);
  archive(record.started);
  archive(record.left);
  archive(record.trouble);
  archive(record.begun_ms);
  archive(record.automatic);
}

template <typename Archive, typename Element>
void list(Archive& archive, std::vector<Element>& elements) {
  const std::uint64_t count = archive.count(elements.size());
  elements.resize(count);
  for (Element& element : elements) {
    fields(archive, element);
  }
}

std::string checksum(std::string_view key, std::string_view body) {
  std::string all;
  Writer writer;
  std::uint64_t length = key.size();
  writer(length);
  all = writer.out;
  all += key;
  all += body;
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(all.data()), all.size(), digest);
  return {reinterpret_cast<const char*>(digest), checksum_bytes};
}

template <typename Record>
std::string encode_any(std::string_view key, Record record) {
  Writer writer;
  std::uint64_t first = version;
  writer(first);
  fields(writer, record);
  return with_checksum(key, writer.out);
}

std::string shown(std::string_view key) {
  std::string out;
  for (const char c : key.substr(0, 80)) {
    out += c > 0x20 && c < 0x7F ? c : '.';
  }
  return out;
}

Error wrong(std::string_view key, const char* why) {
  return {Exit::integrity, "cannot read the catalogue", why, fmt::format("record {}", shown(key)),
          "keep the database for inquiry and restore it from a copy: docs/controller.md"};
}

}  // namespace

std::string with_checksum(std::string_view key, std::string_view body) {
  std::string bytes(body);
  bytes += checksum(key, body);
  return bytes;
}

std::string encode(std::string_view key, const ObjectRecord& record) { return encode_any(key, record); }
std::string encode(std::string_view key, const NodeRecord& record) { return encode_any(key, record); }
std::string encode(std::string_view key, const AssociationRecord& record) { return encode_any(key, record); }
std::string encode(std::string_view key, const OwnerRecord& record) { return encode_any(key, record); }
std::string encode(std::string_view key, const MetaRecord& record) { return encode_any(key, record); }
std::string encode(std::string_view key, const NumberRecord& record) { return encode_any(key, record); }
std::string encode(std::string_view key, const Event& record) { return encode_any(key, record); }
std::string encode(std::string_view key, const ReshareJob& record) { return encode_any(key, record); }
std::string encode(std::string_view key, const ReplacementRecord& record) { return encode_any(key, record); }
std::string encode(std::string_view key, const Alarm& record) { return encode_any(key, record); }
std::string encode(std::string_view key, const ConfigurationVersion& record) {
  return encode_any(key, record);
}
std::string encode(std::string_view key, const Account& record) { return encode_any(key, record); }
std::string encode(std::string_view key, const ClockRecord& record) { return encode_any(key, record); }
std::string encode(std::string_view key, const RepairRecord& record) { return encode_any(key, record); }

Outcome check(std::string_view key, std::string_view bytes) {
  if (bytes.size() < checksum_bytes) {
    return wrong(key, "a record is cut off");
  }
  const std::string_view body = bytes.substr(0, bytes.size() - checksum_bytes);
  if (checksum(key, body) != bytes.substr(body.size())) {
    return wrong(key, "a record does not match its checksum");
  }
  return done;
}

template <typename Record>
Result<Record> decode(std::string_view key, std::string_view bytes) {
  if (Outcome checked = check(key, bytes); !checked.ok()) {
    return checked.error();
  }
  const std::string_view body = bytes.substr(0, bytes.size() - checksum_bytes);
  Reader reader(body);
  std::uint64_t first = 0;
  reader(first);
  if (first == 0 || first > version) {
    return wrong(key, "a record has an unknown version");
  }
  reader.set_version(first);
  Record record;
  fields(reader, record);
  if (!reader.finished()) {
    return wrong(key, "a record has not the fields that it should");
  }
  return record;
}

template Result<ObjectRecord> decode(std::string_view, std::string_view);
template Result<NodeRecord> decode(std::string_view, std::string_view);
template Result<AssociationRecord> decode(std::string_view, std::string_view);
template Result<OwnerRecord> decode(std::string_view, std::string_view);
template Result<MetaRecord> decode(std::string_view, std::string_view);
template Result<NumberRecord> decode(std::string_view, std::string_view);
template Result<Event> decode(std::string_view, std::string_view);
template Result<ReshareJob> decode(std::string_view, std::string_view);
template Result<ReplacementRecord> decode(std::string_view, std::string_view);
template Result<Alarm> decode(std::string_view, std::string_view);
template Result<ConfigurationVersion> decode(std::string_view, std::string_view);
template Result<Account> decode(std::string_view, std::string_view);
template Result<ClockRecord> decode(std::string_view, std::string_view);
template Result<RepairRecord> decode(std::string_view, std::string_view);

std::string digest_of(const WriteRequest& given) {
  WriteRequest request = given;
  Writer writer;
  bool sized = request.size.has_value();
  std::uint64_t size = request.size.value_or(0);
  writer(request.name);
  writer(sized);
  writer(size);
  fields(writer, request.scheme);
  writer(request.k);
  writer(request.n);
  writer(request.secret_blocks);
  writer(request.cell_bytes);
  writer(request.quorum);
  writer(request.minimum);
  fields(writer, request.minimum_protection);
  writer(request.create_only);
  fields(writer, request.pad_shares);
  writer(request.ssa);
  if (!request.class_name.empty()) {  // so that it stays what it was for requests of before
    writer(request.class_name);
  }
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(writer.out.data()), writer.out.size(), digest);
  return {reinterpret_cast<const char*>(digest), sizeof digest};
}

}  // namespace ssn::controller
