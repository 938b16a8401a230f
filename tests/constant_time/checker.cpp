// SPDX-License-Identifier: BSD-3-Clause
// Runs every operation of one implementation on bytes marked as secret. Run it by run.sh, which knows what
// the tools must say. Own exit codes: 0 nothing wrong, 2 usage, 3 unsupported here, 4 an operation failed or
// lost the mark.
//
//   checker NAME             check the implementation
//   checker NAME PLANT       the same with a planted violation, `branch` or `index`: the tool must report it
//   checker --refused NAME   NAME must be refused as unsupported
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#include "implementation.h"
#include "secrets.h"
#include "ssn/kernels/gcm.h"
#include "ssn/kernels/kernels.h"

namespace {

namespace kernels = ssn::kernels;
using kernels::Scheme;
using kernels::Status;
using ssn::test::mark_public;
using ssn::test::mark_secret;

constexpr std::size_t max_length = 1408;
constexpr unsigned max_buffers = 16;
constexpr std::array<std::size_t, 6> lengths{1, 16, 63, 130, 333, max_length};
constexpr int exit_failed = 4;

struct Spec {
  Scheme scheme;
  unsigned k, n, data_blocks;
};
constexpr std::array<Spec, 8> specs{{
    {Scheme::systematic, 2, 3, 1},
    {Scheme::systematic, 3, 5, 1},
    {Scheme::systematic, 4, 6, 1},
    {Scheme::systematic, 6, 9, 1},
    {Scheme::classic, 3, 5, 1},
    {Scheme::ramp, 4, 8, 2},
    {Scheme::rs, 3, 5, 3},
    {Scheme::rs, 10, 14, 10},
}};

void require(bool ok, const char* what, const Spec& spec, std::size_t length) {
  if (ok) return;
  std::fprintf(stderr, "constant_time: %s (scheme %u, k %u, n %u, length %zu)\n", what,
               static_cast<unsigned>(spec.scheme), spec.k, spec.n, length);
  std::exit(exit_failed);
}

/// Equal-sized buffers with different bytes, all of them secret after hide().
struct Buffers {
  std::array<std::array<std::uint8_t, max_length>, max_buffers> bytes;
  std::array<const std::uint8_t*, max_buffers> in;
  std::array<std::uint8_t*, max_buffers> out;

  explicit Buffers(unsigned start) {
    for (unsigned i = 0; i < max_buffers; ++i) {
      for (std::size_t j = 0; j < max_length; ++j) {
        bytes[i][j] = static_cast<std::uint8_t>((j * 167 + i * 59 + start * 31 + j * j / 7) >> 1);
      }
      in[i] = out[i] = bytes[i].data();
    }
  }
  void hide() { mark_secret(bytes.data(), sizeof bytes); }
  void show() { mark_public(bytes.data(), sizeof bytes); }
};

bool all_secret(const std::uint8_t* bytes, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (!ssn::test::is_secret(bytes + i)) return false;
  }
  return true;
}

// ---- Planted violations -----------------------------------------------------------------------------------

void (*real_combine)(const kernels::Combination&) noexcept = nullptr;
volatile unsigned sink = 0;

const std::uint8_t* first_output(const kernels::Combination& c) {
  return c.row_count > 0 ? c.output[0] : c.copy[0];
}

void branching_combine(const kernels::Combination& c) noexcept {
  real_combine(c);
  if (*first_output(c) > 100) sink = sink + 1;
}

void indexing_combine(const kernels::Combination& c) noexcept {
  static volatile std::uint8_t table[256] = {1, 2, 3};
  real_combine(c);
  sink = table[*first_output(c)];
}

// ---- Operations -------------------------------------------------------------------------------------------

class Checker {
 public:
  explicit Checker(const kernels::Implementation& implementation) : implementation_(implementation) {}

  unsigned run() {
    make_keys();
    for (const std::size_t length : lengths) {
      small_operations(length);
      if (kernels::has_gcm(implementation_)) gcm(length);
      for (const Spec& spec : specs) {
        prepare(spec);
        for (unsigned bits = 0; bits < 16; ++bits) {
          split(length, (bits & 1U) != 0, (bits & 2U) != 0, (bits & 4U) != 0, (bits & 8U) != 0);
        }
        check_and_locate(length);
      }
    }
    return operations_;
  }

 private:
  using Indices = std::array<std::uint8_t, kernels::max_shares>;

  void make_keys() {
    std::array<std::uint8_t, kernels::RandomGenerator::seed_bytes> seed{1, 2, 3};
    mark_secret(seed.data(), seed.size());
    generator_.seed(seed);
    require(all_secret(generator_.round_keys(), 240), "the key schedule is not secret any more", specs[0], 0);
    std::array<std::uint8_t, 16> r{4, 5, 6};
    mark_secret(r.data(), r.size());
    key_.expand(implementation_, r);
    std::array<std::uint8_t, kernels::GcmKey::key_bytes> cipher_key{8, 9};
    mark_secret(cipher_key.data(), cipher_key.size());
    static_cast<void>(gcm_key_.expand(implementation_, cipher_key));
    mark_secret(mask_.data(), mask_.size());
    tagging_.fill({&key_, header_.data(), header_.size(), mask_.data()});
  }

  void prepare(const Spec& spec) {
    spec_ = spec;
    Status status = kernels::Code::make(spec.scheme, spec.k, spec.n, spec.data_blocks, code_);
    if (status == Status::ok) status = split_.make_split(code_);
    if (status == Status::ok) status = keep_.make_split_keep(code_);
    for (unsigned i = 0; i < spec.n; ++i) last_first_[i] = static_cast<std::uint8_t>(spec.n - i);
    for (unsigned i = 0; i < spec.n; ++i) first_first_[i] = static_cast<std::uint8_t>(i + 1);
    if (status == Status::ok) status = recover_last_.make_recover(code_, {last_first_.data(), spec.k});
    if (status == Status::ok) status = recover_first_.make_recover(code_, {first_first_.data(), spec.k});
    if (status == Status::ok) status = syndromes_.make_syndromes(code_, {last_first_.data(), spec.n});
    require(status == Status::ok, "a code could not be made", spec, 0);
  }

  void small_operations(std::size_t length) {
    Buffers& b = *data_;
    b.hide();
    require(kernels::pad(implementation_, b.in[0], b.in[1], b.out[2], length) == Status::ok &&
                all_secret(b.in[2], length),
            "pad failed or lost the mark", specs[0], length);
    b.show();
    require(kernels::random(implementation_, generator_, b.out[0], length) == Status::ok &&
                all_secret(b.in[0], length),
            "random failed or lost the mark", specs[0], length);
    std::array<std::uint8_t, kernels::tag_bytes> tag{};
    require(kernels::tag(implementation_, tagging_[0], b.in[0], length, tag.data()) == Status::ok &&
                all_secret(tag.data(), tag.size()),
            "tag failed or lost the mark", specs[0], length);
    require(kernels::verify(implementation_, tagging_[0], b.in[0], length, tag.data()) == Status::ok,
            "verify refused a right tag", specs[0], length);
    tag[3] = static_cast<std::uint8_t>(tag[3] ^ 1U);
    require(
        kernels::verify(implementation_, tagging_[0], b.in[0], length, tag.data()) == Status::tag_mismatch,
        "verify took a wrong tag", specs[0], length);
    b.hide();
    require(kernels::seal(implementation_, tagging_[0], b.in[0], b.out[1], b.out[2], length, tag.data()) ==
                    Status::ok &&
                all_secret(b.in[2], length),
            "seal failed or lost the mark", specs[0], length);
    mark_public(tag.data(), tag.size());
    require(kernels::open(implementation_, tagging_[0], b.in[2], b.out[1], b.out[0], length, tag.data()) ==
                    Status::ok &&
                all_secret(b.in[0], length),
            "open failed or lost the mark", specs[0], length);
    operations_ += 7;
    b.show();
  }

  void gcm(std::size_t length) {
    Buffers& b = *data_;
    b.hide();
    const std::array<std::uint8_t, kernels::gcm_nonce_bytes> nonce{5};
    const kernels::GcmPacket packet{&gcm_key_, nonce.data(), header_.data(), header_.size()};
    std::array<std::uint8_t, kernels::tag_bytes> tag{};
    require(kernels::gcm_seal(implementation_, packet, b.in[0], b.out[1], length, tag.data()) == Status::ok &&
                all_secret(b.in[1], length) && all_secret(tag.data(), tag.size()),
            "sealing under AES-256-GCM failed or lost the mark", specs[0], length);
    require(kernels::gcm_open(implementation_, packet, b.in[1], b.out[0], length, tag.data()) == Status::ok &&
                all_secret(b.in[0], length),
            "opening under AES-256-GCM failed or lost the mark", specs[0], length);
    tag[7] = static_cast<std::uint8_t>(tag[7] ^ 1U);
    require(kernels::gcm_verify(implementation_, packet, b.in[1], length, tag.data()) == Status::tag_mismatch,
            "AES-256-GCM took a wrong tag", specs[0], length);
    require(kernels::gcm_open(implementation_, packet, b.in[1], b.out[1], length, tag.data()) ==
                    Status::tag_mismatch &&
                all_secret(b.in[1], length),
            "AES-256-GCM took a wrong tag in place, or lost the mark", specs[0], length);
    tag[7] = static_cast<std::uint8_t>(tag[7] ^ 1U);
    require(kernels::gcm_open(implementation_, packet, b.in[1], b.out[1], length, tag.data()) == Status::ok &&
                all_secret(b.in[1], length),
            "opening under AES-256-GCM in place failed or lost the mark", specs[0], length);
    operations_ += 5;
    b.show();
  }

  void split(std::size_t length, bool keep, bool pads, bool generated, bool tagged) {
    data_->hide();
    random_->hide();
    pads_->hide();
    shares_->show();  // outputs: what becomes of them must be secret through the operation
    const kernels::Transform& transform = keep ? keep_ : split_;
    kernels::SplitJob job;
    job.transform = &transform;
    job.code = &code_;
    job.data = data_->in.data();
    job.random = generated ? nullptr : random_->in.data();
    job.generator = &generator_;
    job.pads = pads ? pads_->in.data() : nullptr;
    job.shares = shares_->out.data();
    job.tagging = tagged ? tagging_.data() : nullptr;
    job.tags = tags_;
    job.length = length;
    require(kernels::split(implementation_, job) == Status::ok, "split failed", spec_, length);
    for (unsigned r = 0; r < transform.rows(); ++r) {
      require(all_secret(shares_->in[r], length), "a share lost the mark of a secret", spec_, length);
      require(!tagged || all_secret(tags_[r], sizeof tags_[r]), "a tag lost the mark of a secret", spec_,
              length);
    }
    ++operations_;
    if (keep) return;
    recover(recover_last_, last_first_, length, pads, tagged);
    recover(recover_first_, first_first_, length, pads, tagged);
  }

  /// From k shares; once more with a wrong tag.
  void recover(const kernels::Transform& transform, const Indices& indices, std::size_t length, bool pads,
               bool tagged) {
    std::array<const std::uint8_t*, max_buffers> shares{};
    std::array<const std::uint8_t*, max_buffers> share_pads{};
    std::uint8_t tags[max_buffers][kernels::tag_bytes];
    mark_public(tags_, sizeof tags_);  // they travel in the clear
    for (unsigned i = 0; i < spec_.k; ++i) {
      const unsigned row = indices[i] - 1U;
      shares[i] = shares_->in[row];
      share_pads[i] = pads_->in[row];
      std::memcpy(tags[i], tags_[row], kernels::tag_bytes);
    }
    std::array<bool, max_buffers> tag_ok{};
    kernels::RecoverJob job;
    job.transform = &transform;
    job.shares = shares.data();
    job.pads = pads ? share_pads.data() : nullptr;
    job.data = recovered_->out.data();
    job.tagging = tagged ? tagging_.data() : nullptr;
    job.tags = tags;
    job.tag_ok = tag_ok.data();
    job.length = length;
    recovered_->show();
    require(kernels::recover(implementation_, job) == Status::ok, "recover failed", spec_, length);
    for (unsigned l = 0; l < spec_.data_blocks; ++l) {
      require(all_secret(recovered_->in[l], length), "recovered data lost the mark of a secret", spec_,
              length);
      mark_public(recovered_->out[l], length);
      mark_public(data_->out[l], length);
      require(std::memcmp(recovered_->in[l], data_->in[l], length) == 0, "recovered wrong data", spec_,
              length);
    }
    ++operations_;
    if (!tagged) return;
    tags[0][0] = static_cast<std::uint8_t>(tags[0][0] ^ 1U);
    require(kernels::recover(implementation_, job) == Status::tag_mismatch && !tag_ok[0],
            "a wrong tag was taken", spec_, length);
    ++operations_;
  }

  /// Of all shares, first as they are and then with one wrong byte.
  void check_and_locate(std::size_t length) {
    split(length, false, false, false, false);
    std::array<const std::uint8_t*, max_buffers> shares{};
    for (unsigned i = 0; i < spec_.n; ++i) shares[i] = shares_->in[last_first_[i] - 1U];
    for (const bool wrong : {false, true}) {
      if (wrong) {
        std::uint8_t& byte = shares_->bytes[spec_.n / 2][length / 2];
        byte = static_cast<std::uint8_t>(byte ^ 0x21U);
      }
      std::size_t first_bad = 0;
      const Status status = kernels::check(implementation_, syndromes_, shares.data(), length, first_bad);
      require(status == Status::ok && first_bad == (wrong ? length / 2 : length), "check is wrong", spec_,
              length);
      kernels::LocateResult result;
      const Status located = kernels::locate(implementation_, code_, {last_first_.data(), spec_.n},
                                             shares.data(), length, result);
      const bool can_locate = spec_.n - spec_.k >= 2;
      require(located == Status::ok && result.located == (!wrong || can_locate), "locate is wrong", spec_,
              length);
      operations_ += 2;
    }
  }

  const kernels::Implementation& implementation_;
  unsigned operations_ = 0;
  Spec spec_{};
  kernels::Code code_;
  kernels::Transform split_, keep_, recover_first_, recover_last_, syndromes_;
  kernels::RandomGenerator generator_;
  kernels::TagKey key_;
  kernels::GcmKey gcm_key_;
  Indices first_first_{}, last_first_{};
  std::array<std::uint8_t, 48> header_{9, 9, 9};
  std::array<std::uint8_t, kernels::tag_bytes> mask_{7, 7, 7};
  std::array<kernels::Tagging, max_buffers> tagging_;
  std::uint8_t tags_[max_buffers][kernels::tag_bytes] = {};
  std::unique_ptr<Buffers> data_ = std::make_unique<Buffers>(1);
  std::unique_ptr<Buffers> random_ = std::make_unique<Buffers>(2);
  std::unique_ptr<Buffers> pads_ = std::make_unique<Buffers>(3);
  std::unique_ptr<Buffers> shares_ = std::make_unique<Buffers>(4);
  std::unique_ptr<Buffers> recovered_ = std::make_unique<Buffers>(5);
};

int usage() {
  std::fprintf(stderr, "usage: checker NAME [branch|index], or checker --refused NAME; see run.sh\n");
  return 2;
}

int refused(const char* name) {
  const kernels::Implementation* found = nullptr;
  const Status status = kernels::find(name, found);
  if (status == Status::unsupported_implementation) {
    std::printf("%s is refused as unsupported\n", name);
    return 0;
  }
  std::fprintf(stderr, "constant_time: find(\"%s\") was expected to refuse it as unsupported\n", name);
  return exit_failed;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) return usage();
  if (!ssn::test::checking()) {
    std::fprintf(stderr,
                 "constant_time: not running under valgrind, so nothing would be checked; use run.sh\n");
    return 2;
  }
  if (std::strcmp(argv[1], "--refused") == 0) return argc == 3 ? refused(argv[2]) : usage();
  const kernels::Implementation* found = nullptr;
  const Status status = kernels::find(argv[1], found);
  if (status != Status::ok) {
    std::fprintf(stderr, "constant_time: %s: %s\n", argv[1], kernels::describe(status).data());
    return status == Status::unsupported_implementation ? 3 : exit_failed;
  }
  kernels::Implementation implementation = *found;
  if (argc == 3) {
    real_combine = implementation.combine;
    if (std::strcmp(argv[2], "branch") == 0) {
      implementation.combine = branching_combine;
    } else if (std::strcmp(argv[2], "index") == 0) {
      implementation.combine = indexing_combine;
    } else {
      return usage();
    }
  }
  const auto checker = std::make_unique<Checker>(implementation);
  std::printf("%s: %u operations on secrets\n", argv[1], checker->run());
  return 0;
}
