// SPDX-License-Identifier: BSD-3-Clause
#include "peer_messages.h"

#include <algorithm>
#include <cassert>

namespace ssn::hw::etsi014 {
namespace {

constexpr std::array<std::uint8_t, 4> magic = {'S', 'S', 'N', 'K'};
constexpr std::uint8_t version = 1;
enum Type : std::uint8_t { announcement_type = 1, answer_type = 2, end_type = 3 };
constexpr std::uint8_t heard = 1;
constexpr std::uint8_t done_state = 2;

void put(Bytes& out, std::uint64_t value, unsigned bytes) {
  for (unsigned i = bytes; i > 0; --i) {
    out.push_back(static_cast<std::uint8_t>(value >> (8 * (i - 1))));
  }
}

// Takes a message apart. After the first field that is not there, nothing is good any more.
class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

  std::uint64_t number(unsigned bytes) {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : take(bytes)) {
      value = value << 8 | byte;
    }
    return value;
  }
  std::span<const std::uint8_t> take(std::size_t count) {
    if (count > rest_.size()) {
      good_ = false;
      rest_ = {};
      return {};
    }
    const std::span<const std::uint8_t> taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  void demand(bool condition) { good_ = good_ && condition; }
  bool good() const { return good_; }
  bool good_to_the_end() const { return good_ && rest_.empty(); }

 private:
  std::span<const std::uint8_t> rest_;
  bool good_ = true;
};

void put_content(Bytes& out, const Announcement& announcement) {
  assert(announcement.keys.size() <= max_keys_per_batch);
  put(out, announcement.keys.size(), 2);
  for (const Announcement::Key& key : announcement.keys) {
    assert(acceptable(key.id) && key.bytes >= 1 && key.bytes <= max_key_bytes);
    put(out, key.bytes, 4);
    put(out, key.id.number ? 1 : 0, 1);
    put(out, key.id.text.size(), 1);
    out.insert(out.end(), key.id.text.begin(), key.id.text.end());
  }
}

void put_content(Bytes& out, const Answer& answer) {
  assert(answer.got.size() <= max_keys_per_batch);
  put(out, answer.done ? done_state : heard, 1);
  put(out, 0, 1);
  put(out, answer.got.size(), 2);
  put(out, answer.offset, 8);
  for (std::size_t first = 0; first < answer.got.size(); first += 8) {
    unsigned byte = 0;
    for (std::size_t i = first; i < std::min(first + 8, answer.got.size()); ++i) {
      byte |= answer.got[i] ? 0x80U >> (i - first) : 0U;
    }
    put(out, byte, 1);
  }
}

void put_content(Bytes& out, const End& end) { put(out, static_cast<std::uint8_t>(end.reason), 1); }

std::uint8_t type_of(const Announcement&) { return announcement_type; }
std::uint8_t type_of(const Answer&) { return answer_type; }
std::uint8_t type_of(const End&) { return end_type; }

Announcement read_announcement(Reader& in) {
  Announcement announcement;
  const std::uint64_t count = in.number(2);
  in.demand(count <= max_keys_per_batch);
  for (std::uint64_t i = 0; i < count && in.good(); ++i) {
    Announcement::Key key;
    key.bytes = static_cast<std::uint32_t>(in.number(4));
    const std::uint64_t kind = in.number(1);
    const std::span<const std::uint8_t> text = in.take(in.number(1));
    key.id.text.assign(text.begin(), text.end());
    key.id.number = kind == 1;
    in.demand(kind <= 1 && acceptable(key.id) && key.bytes >= 1 && key.bytes <= max_key_bytes);
    announcement.keys.push_back(std::move(key));
  }
  return announcement;
}

Answer read_answer(Reader& in) {
  Answer answer;
  const std::uint64_t state = in.number(1);
  in.demand((state == heard || state == done_state) && in.number(1) == 0);
  answer.done = state == done_state;
  const std::uint64_t count = in.number(2);
  answer.offset = in.number(8);
  in.demand(count <= max_keys_per_batch && (answer.done || answer.offset == 0));
  if (!in.good()) {
    return answer;
  }
  const std::span<const std::uint8_t> bits = in.take((count + 7) / 8);
  for (std::size_t i = 0; i < bits.size() * 8; ++i) {
    const bool set = (bits[i / 8] & (0x80U >> i % 8)) != 0;
    in.demand(!set || (answer.done && i < count));
    if (i < count) {
      answer.got.push_back(set);
    }
  }
  return answer;
}

End read_end(Reader& in) {
  const std::uint64_t reason = in.number(1);
  in.demand(reason >= 1 && reason <= 3);
  return End{static_cast<End::Reason>(reason)};
}

}  // namespace

Bytes encode(const PeerMessage& message) {
  Bytes out(magic.begin(), magic.end());
  put(out, version, 1);
  put(out, std::visit([](const auto& content) { return type_of(content); }, message.content), 1);
  put(out, 0, 2);
  out.insert(out.end(), message.ksid.begin(), message.ksid.end());
  put(out, message.instance, 8);
  put(out, message.sequence, 8);
  std::visit([&out](const auto& content) { put_content(out, content); }, message.content);
  assert(out.size() <= SSN_KEY_PEER_MESSAGE_MAX);
  return out;
}

std::optional<PeerMessage> decode(std::span<const std::uint8_t> bytes) {
  if (bytes.size() > SSN_KEY_PEER_MESSAGE_MAX) {
    return std::nullopt;
  }
  Reader in(bytes);
  const std::span<const std::uint8_t> start = in.take(magic.size());
  in.demand(std::equal(start.begin(), start.end(), magic.begin(), magic.end()) && in.number(1) == version);
  const std::uint64_t type = in.number(1);
  in.demand(in.number(2) == 0);
  PeerMessage message;
  const std::span<const std::uint8_t> ksid = in.take(message.ksid.size());
  std::copy(ksid.begin(), ksid.end(), message.ksid.begin());
  message.instance = in.number(8);
  in.demand(message.instance != 0);
  message.sequence = in.number(8);
  if (!in.good()) {
    return std::nullopt;
  }
  switch (type) {
    case announcement_type:
      message.content = read_announcement(in);
      in.demand((std::get<Announcement>(message.content).keys.empty()) == (message.sequence == 0));
      break;
    case answer_type:
      message.content = read_answer(in);
      break;
    case end_type:
      message.content = read_end(in);
      break;
    default:
      return std::nullopt;
  }
  if (!in.good_to_the_end()) {
    return std::nullopt;
  }
  return message;
}

}  // namespace ssn::hw::etsi014
