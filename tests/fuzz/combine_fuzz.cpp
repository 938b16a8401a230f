// SPDX-License-Identifier: BSD-3-Clause
// split, recover, repair, dot, check and pad: any code, list of shares, length, placement and switch. All
// implementations must give what the reference gives.
#include <memory>
#include <vector>

#include "fuzz_input.h"
#include "scenario.h"

namespace {

namespace kernels = ssn::kernels;
using kernels::Status;
using ssn::test::Bytes;
using ssn::test::CodeSpec;
using ssn::test::FuzzInput;
using ssn::test::Options;
using ssn::test::PreparedCode;
using ssn::test::require;
using ssn::test::Scenario;
using ssn::test::TestRandom;
namespace reference = ssn::test::reference;

constexpr std::size_t max_length = 4500;

Options options_from(FuzzInput& input) {
  const auto placement = [&input] {
    const std::uint8_t byte = input.byte();
    return ssn::test::Placement{(byte & 0x80U) != 0, byte & 63U};
  };
  Options options;
  options.length = 1 + input.below(max_length);
  options.header_length = input.byte();
  const std::uint8_t switches = input.byte();
  options.keep = (switches & 1U) != 0;
  options.pads = (switches & 2U) != 0;
  options.in_place = (switches & 4U) != 0;
  options.generated = (switches & 8U) != 0;
  options.tags = (switches & 16U) != 0;
  options.inputs = placement();
  options.pad_placement = placement();
  options.outputs = placement();
  return options;
}

/// One per implementation, kept for the buffers.
std::vector<std::unique_ptr<Scenario>>& scenarios() {
  static std::vector<std::unique_ptr<Scenario>> all;
  if (all.empty()) {
    ssn::test::for_each_supported([](const kernels::Implementation& implementation) {
      all.push_back(std::make_unique<Scenario>(implementation, max_length));
    });
  }
  return all;
}

/// The same inputs for every implementation.
template <typename Run>
void run_all(std::uint64_t seed, Run run) {
  for (const std::unique_ptr<Scenario>& scenario : scenarios()) {
    TestRandom random(seed);
    const std::string problem = run(*scenario, random);
    require(problem.empty(), problem);
  }
}

void fuzz_matrix(FuzzInput& input, std::uint64_t seed) {
  Options options = options_from(input);
  options.pads = false;
  reference::Matrix matrix(1 + input.below(24), 1 + input.below(24));
  matrix.entries = input.bytes(matrix.entries.size());
  run_all(seed,
          [&](Scenario& scenario, TestRandom& random) { return scenario.dot(matrix, options, random); });
}

bool valid_list(const Bytes& shares, const CodeSpec& spec) {
  std::vector<bool> seen(256);
  for (const std::uint8_t share : shares) {
    if (share < 1 || share > spec.n || seen[share]) return false;
    seen[share] = true;
  }
  return true;
}

void fuzz_shares(FuzzInput& input, const PreparedCode& prepared, std::uint64_t seed, bool wrong_tags) {
  const CodeSpec& spec = prepared.spec;
  const Options options = options_from(input);
  const unsigned target = input.byte();
  const unsigned replaced = input.byte() % spec.k;
  const unsigned count = input.flag() ? spec.k : input.byte();
  const Bytes shares = input.left() >= count ? input.bytes(count)  // else a valid list
                                             : TestRandom(seed).share_indices(spec.k, spec.n);
  const bool valid = valid_list(shares, spec);
  const auto transform = std::make_unique<kernels::Transform>();
  require(
      (transform->make_recover(prepared.code, shares) == Status::ok) == (valid && shares.size() == spec.k),
      "make_recover judges a list of shares wrongly");
  require(
      (transform->make_syndromes(prepared.code, shares) == Status::ok) == (valid && shares.size() > spec.k),
      "make_syndromes judges a list of shares wrongly");
  if (!valid) return;
  if (shares.size() > spec.k) {
    run_all(seed,
            [&](Scenario& s, TestRandom& random) { return s.check(prepared, shares, options, random); });
  }
  if (shares.size() != spec.k) return;
  run_all(seed, [&](Scenario& s, TestRandom& random) {
    return s.recover(prepared, shares, options, random, wrong_tags);
  });
  if (target < 1 || target > spec.n) return;
  run_all(seed, [&](Scenario& s, TestRandom& random) {
    return s.repair_in_place(prepared, shares, target, replaced, options, random);
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  const std::uint64_t seed = input.number(4);
  const unsigned operation = input.byte() % 5;
  if (operation == 0) {
    fuzz_matrix(input, seed);
    return 0;
  }
  const CodeSpec spec{static_cast<kernels::Scheme>(1 + input.byte() % 4), input.byte(), input.byte(),
                      input.byte()};
  kernels::Code code;
  if (kernels::Code::make(spec.scheme, spec.k, spec.n, spec.data_blocks, code) != Status::ok) return 0;
  if (spec.n > 40) return 0;  // the reference would be too slow; the unit tests have large codes
  const std::unique_ptr<PreparedCode> prepared = ssn::test::prepare(spec);
  if (operation == 1) {
    Options options = options_from(input);
    options.keep = options.keep && prepared->can_keep;
    run_all(seed, [&](Scenario& s, TestRandom& random) { return s.split(*prepared, options, random); });
  } else if (operation == 2) {
    const Options options = options_from(input);
    run_all(seed, [&](Scenario& s, TestRandom& random) { return s.pad(options, random); });
  } else {
    fuzz_shares(input, *prepared, seed, operation == 4);
  }
  return 0;
}
