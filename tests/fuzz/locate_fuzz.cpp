// SPDX-License-Identifier: BSD-3-Clause
// locate: any code, shares and errors. Within the radius exactly the wrong shares are named; beyond it the
// answer is "cannot tell" or one that explains everything; all implementations say the same.
#include <memory>
#include <vector>

#include "fuzz_input.h"
#include "reference.h"

namespace {

namespace kernels = ssn::kernels;
namespace reference = ssn::test::reference;
using kernels::LocateResult;
using kernels::Status;
using ssn::test::Bytes;
using ssn::test::CodeSpec;
using ssn::test::require;
using ssn::test::TestRandom;

constexpr std::size_t max_length = 300;

/// Whether the shares that are not marked wrong agree.
bool rest_agrees(const kernels::Implementation& implementation, const kernels::Code& code, const Bytes& given,
                 const std::vector<Bytes>& shares, const LocateResult& result) {
  Bytes rest;
  std::vector<const std::uint8_t*> at;
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (result.wrong[i]) continue;
    rest.push_back(given[i]);
    at.push_back(shares[i].data());
  }
  const auto transform = std::make_unique<kernels::Transform>();
  if (transform->make_syndromes(code, rest) != Status::ok) return false;
  std::size_t first_bad = 0;
  return kernels::check(implementation, *transform, at.data(), shares[0].size(), first_bad) == Status::ok &&
         first_bad == shares[0].size();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ssn::test::FuzzInput input(data, size);
  TestRandom random(input.number(4));
  const CodeSpec spec{static_cast<kernels::Scheme>(1 + input.byte() % 4), input.byte(), input.byte(),
                      input.byte()};
  kernels::Code code;
  if (kernels::Code::make(spec.scheme, spec.k, spec.n, spec.data_blocks, code) != Status::ok) return 0;
  if (spec.n > 60 || spec.n == spec.k) return 0;
  const Bytes given = random.share_indices(spec.k + 1 + input.byte() % (spec.n - spec.k), spec.n);
  const std::size_t length = 1 + input.below(max_length);
  std::vector<Bytes> columns(spec.k);
  for (Bytes& column : columns) column = random.bytes(length);
  std::vector<unsigned> rows;
  for (const std::uint8_t share : given) rows.push_back(share - 1U);
  std::vector<Bytes> shares =
      reference::combine(reference::select_rows(reference::generator(spec), rows), columns);
  const std::vector<Bytes> honest = shares;
  for (unsigned i = 0; i < 200 && !input.empty(); ++i) {
    std::uint8_t& victim = shares[input.byte() % shares.size()][input.below(max_length) % length];
    victim = static_cast<std::uint8_t>(victim ^ input.byte());
  }

  std::array<bool, kernels::max_shares> wrong{};
  std::size_t errors = 0;
  std::vector<const std::uint8_t*> at;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    wrong[i] = shares[i] != honest[i];
    errors += wrong[i] ? 1 : 0;
    at.push_back(shares[i].data());
  }
  const std::size_t radius = (given.size() - spec.k) / 2;
  const LocateResult* first = nullptr;
  LocateResult first_result;
  ssn::test::for_each_supported([&](const kernels::Implementation& implementation) {
    LocateResult result;
    const std::string name(kernels::name(implementation));
    require(kernels::locate(implementation, code, given, at.data(), length, result) == Status::ok,
            name + ": failed");
    if (errors <= radius) {
      require(result.located, name + ": did not locate within the radius");
      require(result.wrong == wrong, name + ": located the wrong ones");
    } else if (result.located) {
      require(rest_agrees(implementation, code, given, shares, result),
              name + ": what is left does not agree");
    }
    if (first == nullptr) {
      first_result = result;
      first = &first_result;
    }
    require(result.located == first->located && result.wrong == first->wrong,
            name + ": differs from the first");
  });
  return 0;
}
