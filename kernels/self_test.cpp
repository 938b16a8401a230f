// SPDX-License-Identifier: BSD-3-Clause
// Known answers at start, so that a CPU or build that miscomputes refuses to run rather than destroy data.
// Published vectors where there are any; for shares, digests of the reference's results, which the unit tests
// hold against arithmetic of their own.
#include <algorithm>
#include <array>
#include <cstring>

#include "implementation.h"
#include "ssn/kernels/gcm.h"

namespace ssn::kernels {
namespace {

constexpr std::size_t max_length = 1408;
constexpr unsigned max_buffers = 12;

using Buffer = std::array<std::uint8_t, max_length>;

// FNV-1a, 64 bits.
class Digest {
 public:
  void add(const std::uint8_t* bytes, std::size_t length) {
    for (std::size_t i = 0; i < length; ++i) {
      value_ = (value_ ^ bytes[i]) * 0x100000001B3ULL;
    }
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xCBF29CE484222325ULL;
};

// A fixed sequence without structure (Marsaglia, "Xorshift RNGs", 2003).
void fill(std::uint8_t* bytes, std::size_t length, std::uint64_t start) {
  std::uint64_t x = 0x9E3779B97F4A7C15ULL * (start + 1);
  for (std::size_t i = 0; i < length; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    bytes[i] = static_cast<std::uint8_t>(x >> 32);
  }
}

struct Buffers {
  std::array<Buffer, max_buffers> bytes;
  std::array<const std::uint8_t*, max_buffers> in;
  std::array<std::uint8_t*, max_buffers> out;

  explicit Buffers(std::uint64_t start) {
    for (unsigned i = 0; i < max_buffers; ++i) {
      fill(bytes[i].data(), max_length, start + i);
      in[i] = out[i] = bytes[i].data();
    }
  }
};

struct Case {
  Scheme scheme;
  unsigned k;
  unsigned n;
  unsigned data_blocks;
  bool generate;
  std::uint64_t digest;
};

constexpr std::array<std::size_t, 5> lengths{1, 63, 64, 333, max_length};

constexpr std::array<Case, 6> cases{{
    {Scheme::systematic, 3, 5, 1, false, 0xD95F27582FE85FA3},
    {Scheme::classic, 6, 9, 1, false, 0x3C1282F2D3BFA6C2},
    {Scheme::ramp, 4, 8, 2, false, 0x72FC0260457001DE},
    {Scheme::rs, 6, 9, 6, false, 0x534A0655CFA4D9B2},
    {Scheme::systematic, 3, 5, 1, true, 0xF508EE92FA1F050E},
    {Scheme::systematic, 2, 12, 1, true, 0x8E2FE0B76235636C},
}};

// One code at all lengths: shares and tags must have the known digest, and the last k shares must give the
// data back.
class CaseRunner {
 public:
  CaseRunner(const Implementation& implementation, const Case& test) : implementation_(implementation) {
    constexpr std::array<std::uint8_t, 16> r{0x66, 0xE9, 0x4B, 0xD4, 0xEF, 0x8A, 0x2C, 0x3B,
                                             0x88, 0x4C, 0xFA, 0x59, 0xCA, 0x34, 0x2B, 0x2E};
    std::array<std::uint8_t, RandomGenerator::seed_bytes> seed;
    fill(seed.data(), seed.size(), 100);
    generator_.seed(seed);
    fill(header_.data(), header_.size(), 101);
    fill(mask_.data(), mask_.size(), 102);
    key_.expand(implementation, r);
    tagging_.fill({&key_, header_.data(), header_.size(), mask_.data()});
    generate_ = test.generate;
    made_ = Code::make(test.scheme, test.k, test.n, test.data_blocks, code_) == Status::ok &&
            split_.make_split(code_) == Status::ok;
    for (unsigned i = 0; made_ && i < test.k; ++i) {
      last_shares_[i] = static_cast<std::uint8_t>(test.n - i);
    }
    made_ = made_ && recover_.make_recover(code_, {last_shares_.data(), test.k}) == Status::ok;
  }

  bool run(std::uint64_t expected) {
    Digest digest;
    bool good = made_;
    for (const std::size_t length : lengths) {
      good = good && split_at(length, digest) && recover_at(length);
    }
    return good && digest.value() == expected;
  }

 private:
  bool split_at(std::size_t length, Digest& digest) {
    SplitJob job;
    job.transform = &split_;
    job.code = &code_;
    job.data = data_.in.data();
    job.random = generate_ ? nullptr : random_.in.data();
    job.generator = &generator_;
    job.pads = pads_.in.data();
    job.shares = shares_.out.data();
    job.tagging = tagging_.data();
    job.tags = tags_.data();
    job.length = length;
    if (split(implementation_, job) != Status::ok) {
      return false;
    }
    for (unsigned i = 0; i < code_.n(); ++i) {
      digest.add(shares_.in[i], length);
      digest.add(tags_[i], tag_bytes);
    }
    return true;
  }

  bool recover_at(std::size_t length) {
    std::array<const std::uint8_t*, max_buffers> shares;
    std::array<const std::uint8_t*, max_buffers> pads;
    std::array<std::uint8_t[tag_bytes], max_buffers> tags;
    for (unsigned i = 0; i < code_.k(); ++i) {
      shares[i] = shares_.in[last_shares_[i] - 1U];
      pads[i] = pads_.in[last_shares_[i] - 1U];
      std::memcpy(tags[i], tags_[last_shares_[i] - 1U], tag_bytes);
    }
    RecoverJob job;
    job.transform = &recover_;
    job.shares = shares.data();
    job.pads = pads.data();
    job.data = recovered_.out.data();
    job.tagging = tagging_.data();
    job.tags = tags.data();
    job.length = length;
    if (recover(implementation_, job) != Status::ok) {
      return false;
    }
    bool same = true;
    for (unsigned i = 0; i < code_.data_blocks(); ++i) {
      same = same && std::memcmp(recovered_.in[i], data_.in[i], length) == 0;
    }
    return same;
  }

  const Implementation& implementation_;
  bool generate_ = false;
  bool made_ = false;
  Code code_;
  Transform split_;
  Transform recover_;
  RandomGenerator generator_;
  TagKey key_;
  std::array<std::uint8_t, max_buffers> last_shares_{};
  std::array<std::uint8_t, 48> header_;
  std::array<std::uint8_t, tag_bytes> mask_;
  std::array<Tagging, max_buffers> tagging_;
  std::array<std::uint8_t[tag_bytes], max_buffers> tags_;
  Buffers data_{0};
  Buffers random_{20};
  Buffers pads_{40};
  Buffers shares_{60};
  Buffers recovered_{80};
};

// McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test case 4: tag over 60 bytes of
// ciphertext with a header of 20.
bool tag_is_right(const Implementation& implementation) {
  constexpr std::array<std::uint8_t, 16> r{0xB8, 0x3B, 0x53, 0x37, 0x08, 0xBF, 0x53, 0x5D,
                                           0x0A, 0xA6, 0xE5, 0x29, 0x80, 0xD5, 0x3B, 0x78};
  constexpr std::array<std::uint8_t, 20> header{0xFE, 0xED, 0xFA, 0xCE, 0xDE, 0xAD, 0xBE, 0xEF, 0xFE, 0xED,
                                                0xFA, 0xCE, 0xDE, 0xAD, 0xBE, 0xEF, 0xAB, 0xAD, 0xDA, 0xD2};
  constexpr std::array<std::uint8_t, 60> data{
      0x42, 0x83, 0x1E, 0xC2, 0x21, 0x77, 0x74, 0x24, 0x4B, 0x72, 0x21, 0xB7, 0x84, 0xD0, 0xD4,
      0x9C, 0xE3, 0xAA, 0x21, 0x2F, 0x2C, 0x02, 0xA4, 0xE0, 0x35, 0xC1, 0x7E, 0x23, 0x29, 0xAC,
      0xA1, 0x2E, 0x21, 0xD5, 0x14, 0xB2, 0x54, 0x66, 0x93, 0x1C, 0x7D, 0x8F, 0x6A, 0x5A, 0xAC,
      0x84, 0xAA, 0x05, 0x1B, 0xA3, 0x0B, 0x39, 0x6A, 0x0A, 0xAC, 0x97, 0x3D, 0x58, 0xE0, 0x91};
  constexpr std::array<std::uint8_t, 16> mask{0x32, 0x47, 0x18, 0x4B, 0x3C, 0x4F, 0x69, 0xA4,
                                              0x4D, 0xBC, 0xD2, 0x28, 0x87, 0xBB, 0xB4, 0x18};
  constexpr std::array<std::uint8_t, 16> expected{0x5B, 0xC9, 0x4F, 0xBC, 0x32, 0x21, 0xA5, 0xDB,
                                                  0x94, 0xFA, 0xE9, 0x5A, 0xE7, 0x12, 0x1A, 0x47};
  TagKey key;
  key.expand(implementation, r);
  std::array<std::uint8_t, tag_bytes> computed;
  const Tagging tagging{&key, header.data(), header.size(), mask.data()};
  if (tag(implementation, tagging, data.data(), data.size(), computed.data()) != Status::ok ||
      computed != expected) {
    return false;
  }
  // The same data as what comes out of sealing, and opened again.
  std::array<std::uint8_t, data.size()> pad;
  std::array<std::uint8_t, data.size()> clear;
  for (std::size_t i = 0; i < data.size(); ++i) {
    pad[i] = static_cast<std::uint8_t>(37 * i + 11);
    clear[i] = data[i] ^ pad[i];
  }
  std::array<std::uint8_t, data.size()> pad_again = pad;
  std::array<std::uint8_t, data.size()> out;
  computed.fill(0);
  if (seal(implementation, tagging, clear.data(), pad.data(), out.data(), data.size(), computed.data()) !=
          Status::ok ||
      out != data || computed != expected || pad != std::array<std::uint8_t, data.size()>{}) {
    return false;
  }
  return open(implementation, tagging, data.data(), pad_again.data(), out.data(), data.size(),
              expected.data()) == Status::ok &&
         out == clear && pad_again == pad;
}

// NIST SP 800-38A, F.1.5 has this key; AES-256 of the all-zero block and the next three numbers under it.
bool random_is_right(const Implementation& implementation) {
  constexpr std::array<std::uint8_t, 32> key{0x60, 0x3D, 0xEB, 0x10, 0x15, 0xCA, 0x71, 0xBE, 0x2B, 0x73, 0xAE,
                                             0xF0, 0x85, 0x7D, 0x77, 0x81, 0x1F, 0x35, 0x2C, 0x07, 0x3B, 0x61,
                                             0x08, 0xD7, 0x2D, 0x98, 0x10, 0xA3, 0x09, 0x14, 0xDF, 0xF4};
  constexpr std::uint64_t expected = 0x354EDA84E8A8D18B;  // the same bytes from OpenSSL
  RandomGenerator generator;
  generator.seed(key);
  std::array<std::uint8_t, 1000> stream;
  Digest digest;
  for (const std::size_t length : {std::size_t{1000}, std::size_t{64}, std::size_t{31}, std::size_t{1}}) {
    if (random(implementation, generator, stream.data(), length) != Status::ok) {
      return false;
    }
    digest.add(stream.data(), length);
  }
  return digest.value() == expected;
}

// Blocks of the keystream together, and one by one; opened where it lies, and elsewhere.
bool gcm_runs_are_right(const Implementation& implementation, const GcmKey& key, const std::uint8_t* nonce) {
  const GcmPacket packet{&key, nonce, nullptr, 0};
  Buffer text;
  Buffer together;
  Buffer alone;
  std::array<std::uint8_t, tag_bytes> tag;
  fill(text.data(), text.size(), 6);
  for (const std::size_t length : lengths) {
    if (gcm_seal(implementation, packet, text.data(), together.data(), length, tag.data()) != Status::ok) {
      return false;
    }
    for (std::size_t at = 0; at < length; at += 16) {
      implementation.cipher(key.round_keys(), nonce, static_cast<std::uint32_t>(gcm_text_block + at / 16),
                            text.data() + at, alone.data() + at, std::min<std::size_t>(16, length - at));
    }
    const auto agree = [length](const Buffer& a, const Buffer& b) {
      return std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(length), b.begin());
    };
    if (!agree(together, alone) ||
        gcm_open(implementation, packet, together.data(), alone.data(), length, tag.data()) != Status::ok ||
        !agree(alone, text) ||
        gcm_open(implementation, packet, together.data(), together.data(), length, tag.data()) !=
            Status::ok ||
        !agree(together, text)) {
      return false;
    }
  }
  return true;
}

// McGrew and Viega, test case 16.
bool gcm_is_right(const Implementation& implementation) {
  constexpr std::array<std::uint8_t, 32> key_bytes{
      0xFE, 0xFF, 0xE9, 0x92, 0x86, 0x65, 0x73, 0x1C, 0x6D, 0x6A, 0x8F, 0x94, 0x67, 0x30, 0x83, 0x08,
      0xFE, 0xFF, 0xE9, 0x92, 0x86, 0x65, 0x73, 0x1C, 0x6D, 0x6A, 0x8F, 0x94, 0x67, 0x30, 0x83, 0x08};
  constexpr std::array<std::uint8_t, 12> nonce{0xCA, 0xFE, 0xBA, 0xBE, 0xFA, 0xCE,
                                               0xDB, 0xAD, 0xDE, 0xCA, 0xF8, 0x88};
  constexpr std::array<std::uint8_t, 20> header{0xFE, 0xED, 0xFA, 0xCE, 0xDE, 0xAD, 0xBE, 0xEF, 0xFE, 0xED,
                                                0xFA, 0xCE, 0xDE, 0xAD, 0xBE, 0xEF, 0xAB, 0xAD, 0xDA, 0xD2};
  constexpr std::array<std::uint8_t, 60> plain{
      0xD9, 0x31, 0x32, 0x25, 0xF8, 0x84, 0x06, 0xE5, 0xA5, 0x59, 0x09, 0xC5, 0xAF, 0xF5, 0x26,
      0x9A, 0x86, 0xA7, 0xA9, 0x53, 0x15, 0x34, 0xF7, 0xDA, 0x2E, 0x4C, 0x30, 0x3D, 0x8A, 0x31,
      0x8A, 0x72, 0x1C, 0x3C, 0x0C, 0x95, 0x95, 0x68, 0x09, 0x53, 0x2F, 0xCF, 0x0E, 0x24, 0x49,
      0xA6, 0xB5, 0x25, 0xB1, 0x6A, 0xED, 0xF5, 0xAA, 0x0D, 0xE6, 0x57, 0xBA, 0x63, 0x7B, 0x39};
  constexpr std::array<std::uint8_t, 60> sealed{
      0x52, 0x2D, 0xC1, 0xF0, 0x99, 0x56, 0x7D, 0x07, 0xF4, 0x7F, 0x37, 0xA3, 0x2A, 0x84, 0x42,
      0x7D, 0x64, 0x3A, 0x8C, 0xDC, 0xBF, 0xE5, 0xC0, 0xC9, 0x75, 0x98, 0xA2, 0xBD, 0x25, 0x55,
      0xD1, 0xAA, 0x8C, 0xB0, 0x8E, 0x48, 0x59, 0x0D, 0xBB, 0x3D, 0xA7, 0xB0, 0x8B, 0x10, 0x56,
      0x82, 0x88, 0x38, 0xC5, 0xF6, 0x1E, 0x63, 0x93, 0xBA, 0x7A, 0x0A, 0xBC, 0xC9, 0xF6, 0x62};
  constexpr std::array<std::uint8_t, 16> expected{0x76, 0xFC, 0x6E, 0xCE, 0x0F, 0x4E, 0x17, 0x68,
                                                  0xCD, 0xDF, 0x88, 0x53, 0xBB, 0x2D, 0x55, 0x1B};
  if (!has_gcm(implementation)) {
    return true;
  }
  GcmKey key;
  const GcmPacket packet{&key, nonce.data(), header.data(), header.size()};
  std::array<std::uint8_t, sealed.size()> text = sealed;
  std::array<std::uint8_t, tag_bytes> tag;
  return key.expand(implementation, key_bytes) == Status::ok &&
         gcm_open(implementation, packet, text.data(), text.data(), text.size(), expected.data()) ==
             Status::ok &&
         text == plain &&
         gcm_seal(implementation, packet, text.data(), text.data(), text.size(), tag.data()) == Status::ok &&
         text == sealed && tag == expected && gcm_runs_are_right(implementation, key, nonce.data());
}

bool pad_is_right(const Implementation& implementation) {
  Buffer a;
  Buffer b;
  Buffer out;
  fill(a.data(), a.size(), 1);
  fill(b.data(), b.size(), 2);
  for (const std::size_t length : lengths) {
    out.fill(0);
    if (pad(implementation, a.data(), b.data(), out.data(), length) != Status::ok) {
      return false;
    }
    for (std::size_t i = 0; i < max_length; ++i) {
      if (out[i] != (i < length ? a[i] ^ b[i] : 0)) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace

Status self_test(const Implementation& implementation) noexcept {
  const bool good = tag_is_right(implementation) && random_is_right(implementation) &&
                    pad_is_right(implementation) && gcm_is_right(implementation) &&
                    std::all_of(cases.begin(), cases.end(), [&implementation](const Case& test) {
                      return CaseRunner(implementation, test).run(test.digest);
                    });
  return good ? Status::ok : Status::self_test_failed;
}

}  // namespace ssn::kernels
