// SPDX-License-Identifier: BSD-3-Clause
#include "key_material.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <numeric>

namespace ssn::kme {
namespace {

constexpr std::size_t block_bytes = 16;

void fill_random(std::span<std::uint8_t> out) {
  for (std::size_t at = 0; at < out.size();) {
    const ssize_t got = ::getrandom(out.data() + at, out.size() - at, 0);
    if (got > 0) {
      at += static_cast<std::size_t>(got);
    } else if (errno != EINTR) {
      std::abort();  // keys from anything less would be worse than none
    }
  }
}

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

// What one seed depends on, each part with its length in front so that no two inputs look alike.
class Message {
 public:
  Message& add(std::span<const std::uint8_t> part) {
    add_number(part.size());
    bytes_.insert(bytes_.end(), part.begin(), part.end());
    return *this;
  }
  Message& add(std::string_view part) {
    return add({reinterpret_cast<const std::uint8_t*>(part.data()), part.size()});
  }
  Message& add_number(std::uint64_t number) {
    for (int shift = 56; shift >= 0; shift -= 8) {
      bytes_.push_back(static_cast<std::uint8_t>(number >> shift));
    }
    return *this;
  }
  void authenticate(const hw::SecretBuffer& key, std::uint8_t* out) const {
    unsigned length = secret_bytes;
    const unsigned char* const made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                                           bytes_.data(), bytes_.size(), out, &length);
    if (made == nullptr || length != secret_bytes) {
      std::abort();  // only without memory; a key must not be made from what was in `out`
    }
  }

 private:
  std::vector<std::uint8_t> bytes_;
};

Error bad_secret_file(const std::string& path, std::string why) {
  return {
      Exit::refused, "cannot use the secret of a link", std::move(why), path,
      "make one that only this user can read: (umask 077; openssl rand -hex 32 > FILE), the same for both "
      "ends"};
}

}  // namespace

std::string to_text(const KeyId& id) {
  constexpr const char* digits = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < id.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) {
      text += '-';
    }
    text += digits[id[i] >> 4];
    text += digits[id[i] & 15];
  }
  return text;
}

std::optional<KeyId> parse_key_id(std::string_view text) {
  if (text.size() != 36) {
    return std::nullopt;
  }
  KeyId id{};
  std::size_t nibble = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i] != '-') {
        return std::nullopt;
      }
      continue;
    }
    const int value = hex_value(text[i]);
    if (value < 0) {
      return std::nullopt;
    }
    id[nibble / 2] = static_cast<std::uint8_t>(id[nibble / 2] << 4 | value);
    ++nibble;
  }
  return id;
}

KeyId fresh_key_id() {
  KeyId id{};
  fill_random(id);
  id[6] = static_cast<std::uint8_t>((id[6] & 0x0F) | 0x40);  // version 4: random
  id[8] = static_cast<std::uint8_t>((id[8] & 0x3F) | 0x80);
  return id;
}

Nonce fresh_nonce() {
  Nonce nonce{};
  fill_random(nonce);
  return nonce;
}

Result<LinkSecret> LinkSecret::empty() {
  Result<hw::SecretBuffer> bytes =
      hw::SecretBuffer::make(secret_bytes, hw::SecretBuffer::Locking::best_effort);
  if (!bytes.ok()) {
    return bytes.error();
  }
  return LinkSecret(std::move(bytes.value()));
}

Result<LinkSecret> LinkSecret::random() {
  Result<LinkSecret> secret = empty();
  if (secret.ok()) {
    fill_random(secret.value().bytes_.span());
  }
  return secret;
}

Result<LinkSecret> LinkSecret::from_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    return system_error(errno, "cannot open the secret of a link", path);
  }
  struct stat status{};
  std::array<char, 2 * secret_bytes + 2> text{};
  const bool known = ::fstat(fd, &status) == 0;
  const ssize_t length = known && S_ISREG(status.st_mode) ? ::read(fd, text.data(), text.size()) : -1;
  ::close(fd);
  Result<LinkSecret> secret = empty();
  std::string why;
  if (!known || !S_ISREG(status.st_mode)) {
    why = "it is no regular file";
  } else if (status.st_uid != ::geteuid() || (status.st_mode & 077) != 0) {
    why = "it belongs to, or can be read by, another user";
  } else if (length < static_cast<ssize_t>(2 * secret_bytes) ||
             !std::all_of(
                 text.begin() + 2 * secret_bytes, text.begin() + length, [](char c) { return c == '\n'; })) {
    why = "it does not hold 64 hexadecimal digits and a line end";
  } else if (secret.ok()) {
    for (std::size_t i = 0; i < secret_bytes; ++i) {
      const int high = hex_value(text[2 * i]);
      const int low = hex_value(text[2 * i + 1]);
      if (high < 0 || low < 0) {
        why = "it holds something else than hexadecimal digits";
      }
      secret.value().bytes_.data()[i] = static_cast<std::uint8_t>((high & 15) << 4 | (low & 15));
    }
  }
  OPENSSL_cleanse(text.data(), text.size());
  if (!why.empty()) {
    return bad_secret_file(path, why);
  }
  return secret;
}

Result<LinkSecret> LinkSecret::session(std::string_view link, const Nonce& first, const Nonce& second) const {
  Result<LinkSecret> derived = empty();
  if (derived.ok()) {
    Message()
        .add("shareline emulator session 1")
        .add(link)
        .add(first)
        .add(second)
        .authenticate(bytes_, derived.value().bytes_.data());
  }
  return derived;
}

void LinkSecret::key_seed(Seed out, const KeyId& id, std::uint64_t bits, std::string_view master,
                          std::string_view slave) const {
  Message().add("key 1").add(id).add_number(bits).add(master).add(slave).authenticate(bytes_, out.data());
}

void LinkSecret::stream_seed(Seed out, const Ksid& ksid, std::string_view sender, std::string_view receiver,
                             std::uint64_t segment) const {
  Message()
      .add("stream 1")
      .add(ksid)
      .add(sender)
      .add(receiver)
      .add_number(segment)
      .authenticate(bytes_, out.data());
}

Result<KeyBatch> KeyBatch::make(std::size_t keys) {
  Result<hw::SecretBuffer> seeds =
      hw::SecretBuffer::make(keys * secret_bytes, hw::SecretBuffer::Locking::best_effort);
  if (!seeds.ok()) {
    return seeds.error();
  }
  KeyBatch batch;
  batch.seeds_ = std::move(seeds.value());
  batch.ids_.reserve(keys);
  batch.bits_.reserve(keys);
  return batch;
}

void KeyBatch::add(const KeyId& id, std::uint64_t bits, const LinkSecret& session, std::string_view master,
                   std::string_view slave) {
  const std::size_t at = ids_.size() * secret_bytes;
  assert(at + secret_bytes <= seeds_.size());
  session.key_seed(LinkSecret::Seed(seeds_.data() + at, secret_bytes), id, bits, master, slave);
  ids_.push_back(id);
  bits_.push_back(bits);
}

std::uint64_t KeyBatch::total_bits() const noexcept {
  return std::accumulate(bits_.begin(), bits_.end(), std::uint64_t{0});
}

std::span<const std::uint8_t, secret_bytes> KeyBatch::seed(std::size_t i) const {
  assert(i < ids_.size());
  return std::span<const std::uint8_t, secret_bytes>(seeds_.data() + i * secret_bytes, secret_bytes);
}

StreamBytes::StreamBytes(const kernels::Implementation& implementation,
                         std::shared_ptr<const LinkSecret> session, const Ksid& ksid, std::string sender,
                         std::string receiver)
    : implementation_(implementation),
      session_(std::move(session)),
      ksid_(ksid),
      sender_(std::move(sender)),
      receiver_(std::move(receiver)) {
  begin_segment();
}

StreamBytes::~StreamBytes() { OPENSSL_cleanse(block_.data(), block_.size()); }

void StreamBytes::begin_segment() noexcept {
  std::array<std::uint8_t, secret_bytes> seed;
  session_->stream_seed(seed, ksid_, sender_, receiver_, segment_);
  generator_.seed(seed);
  OPENSSL_cleanse(seed.data(), seed.size());
  ++segment_;
}

void StreamBytes::generate_blocks(std::span<std::uint8_t> out) noexcept {
  while (!out.empty()) {
    if (generator_.blocks_left() == 0) {
      begin_segment();
    }
    const std::uint64_t blocks = std::min<std::uint64_t>(out.size() / block_bytes, generator_.blocks_left());
    const std::size_t length = static_cast<std::size_t>(blocks) * block_bytes;
    const kernels::Status status = kernels::random(implementation_, generator_, out.data(), length);
    assert(status == kernels::Status::ok);
    static_cast<void>(status);
    out = out.subspan(length);
  }
}

void StreamBytes::generate(std::span<std::uint8_t> out) noexcept {
  const std::size_t kept = std::min(block_left_, out.size());
  std::uint8_t* const from = block_.data() + block_bytes - block_left_;
  std::copy_n(from, kept, out.data());
  OPENSSL_cleanse(from, kept);
  block_left_ -= kept;
  out = out.subspan(kept);
  const std::size_t whole = out.size() / block_bytes * block_bytes;
  generate_blocks(out.first(whole));
  out = out.subspan(whole);
  if (!out.empty()) {
    generate_blocks(block_);
    std::copy_n(block_.data(), out.size(), out.data());
    OPENSSL_cleanse(block_.data(), out.size());
    block_left_ = block_bytes - out.size();
  }
}

}  // namespace ssn::kme
