// SPDX-License-Identifier: BSD-3-Clause
#include "operations.h"

#include <array>

namespace ssn::bench {
namespace {

constexpr std::array operation_table{
    Operation{"split_pad", Kind::split, with_pads, sharing},
    Operation{"split_pad_drbg", Kind::split, with_pads | generated, sharing},
    Operation{"split_pad_keep", Kind::split, with_pads | keep, sharing},
    Operation{"split_pad_tag", Kind::split, with_pads | with_tags, sharing},
    Operation{"split_pad_drbg_tag", Kind::split, with_pads | generated | with_tags, sharing},
    Operation{"split_pad_keep_tag", Kind::split, with_pads | keep | with_tags, sharing},
    Operation{"split", Kind::split, 0, sharing},
    Operation{"encode", Kind::split, keep, erasure},
    Operation{"pad_recover", Kind::recover, with_pads, sharing},
    Operation{"pad_recover_first", Kind::recover, with_pads | first_shares, sharing},
    Operation{"recover_tag", Kind::recover, with_pads | with_tags, sharing},
    Operation{"recover", Kind::recover, 0, sharing | erasure},
    Operation{"repair", Kind::repair, 0, sharing | erasure},
    Operation{"check", Kind::check, 0, sharing | erasure},
    Operation{"pad", Kind::pad, 0, no_code},
    Operation{"tag", Kind::tag, 0, no_code},
    Operation{"random", Kind::random, 0, no_code},
};

using kernels::Scheme;
constexpr std::array code_table{
    CodeParameters{Scheme::systematic, 2, 3, 1}, CodeParameters{Scheme::systematic, 3, 5, 1},
    CodeParameters{Scheme::systematic, 6, 9, 1}, CodeParameters{Scheme::classic, 2, 3, 1},
    CodeParameters{Scheme::classic, 3, 5, 1},    CodeParameters{Scheme::classic, 6, 9, 1},
    CodeParameters{Scheme::ramp, 4, 8, 2},       CodeParameters{Scheme::rs, 3, 5, 3},
    CodeParameters{Scheme::rs, 6, 9, 6},         CodeParameters{Scheme::rs, 10, 14, 10},
};

// Multiples of 16, so that every piece of the random stream ends with a whole block.
constexpr std::array<std::size_t, 5> size_table{1344, 1408, 8192, 65536, 1048576};

}  // namespace

std::span<const Operation> operations() noexcept { return operation_table; }
std::span<const CodeParameters> codes() noexcept { return code_table; }
std::span<const std::size_t> sizes() noexcept { return size_table; }

std::string Case::name() const {
  std::string text = operation->name;
  if (operation->codes != no_code) {
    text += '/';
    text += kernels::name(parameters.scheme);
    text += "/k:" + std::to_string(parameters.k) + "/n:" + std::to_string(parameters.n);
  }
  return text + "/bytes:" + std::to_string(bytes);
}

std::size_t Case::user_bytes() const noexcept {
  switch (operation->kind) {
    case Kind::split:
    case Kind::recover:
    case Kind::check:
      return bytes * parameters.data_blocks;
    case Kind::repair:
    case Kind::pad:
    case Kind::tag:
    case Kind::random:
      return bytes;
  }
  return 0;
}

}  // namespace ssn::bench
