// SPDX-License-Identifier: BSD-3-Clause
#include "scenario.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "openssl.h"

namespace ssn::test {
namespace {

using kernels::Status;

std::vector<Bytes> random_blocks(std::size_t count, std::size_t length, TestRandom& random) {
  std::vector<Bytes> blocks(count);
  for (Bytes& block : blocks) block = random.bytes(length);
  return blocks;
}

std::string failed(const char* operation, Status status) {
  return std::string(operation) + " returned: " + std::string(kernels::describe(status));
}

/// Empty when equal.
std::string compare(const std::string& what, const std::uint8_t* got, const Bytes& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (got[i] != expected[i]) {
      std::array<char, 96> text{};
      std::snprintf(text.data(), text.size(), ": byte %zu of %zu is %02x, expected %02x", i, expected.size(),
                    got[i], expected[i]);
      return what + text.data();
    }
  }
  return {};
}

Bytes tag_of(const reference::Block& r, const Bytes& header, const Bytes& data, const Bytes& mask) {
  const reference::Block hash = reference::ghash(r, header, data);
  return reference::exclusive_or(Bytes(hash.begin(), hash.end()), mask);
}

/// The k random and data blocks of one split.
std::vector<Bytes> generated_columns(const PreparedCode& prepared, const Bytes& seed,
                                     std::uint64_t first_block, const std::vector<Bytes>& data) {
  const std::size_t length = data[0].size();
  const std::uint64_t stride = (length + 15) / 16;
  std::vector<Bytes> columns;
  for (unsigned j = 0; j < prepared.code.random_blocks(); ++j) {
    columns.push_back(openssl::aes256_keystream(seed, first_block + j * stride, length));
  }
  columns.insert(columns.end(), data.begin(), data.end());
  return columns;
}

std::vector<Bytes> rows_from_zero(const PreparedCode& prepared, const Bytes& shares,
                                  const std::vector<Bytes>& columns) {
  std::vector<unsigned> rows;
  for (const std::uint8_t share : shares) rows.push_back(share - 1U);
  return reference::combine(reference::select_rows(prepared.generator, rows), columns);
}

}  // namespace

/// One Tagging per buffer: every second with the first key, as a sender with several peers would have.
struct Scenario::Tags {
  std::array<PreparedKey, 2> keys;
  std::vector<Bytes> headers;
  std::vector<Bytes> masks;
  std::vector<kernels::Tagging> taggings;
  std::vector<std::array<std::uint8_t, kernels::tag_bytes>> values;

  std::uint8_t (*array())[kernels::tag_bytes] {
    static_assert(sizeof(values[0]) == kernels::tag_bytes);
    return reinterpret_cast<std::uint8_t(*)[kernels::tag_bytes]>(values.data());
  }
  Bytes expected(std::size_t i, const Bytes& data) const {
    return tag_of(keys[i % 2].r, headers[i], data, masks[i]);
  }
};

std::string to_string(const Options& options) {
  std::string text = "length " + std::to_string(options.length);
  if (options.keep) text += ", keep";
  if (options.pads) text += options.in_place ? ", pads in place" : ", pads";
  if (options.generated) text += ", generated";
  if (options.tags) text += ", tags with headers of " + std::to_string(options.header_length);
  const auto where = [&text](const char* name, Placement placement) {
    text += std::string(", ") + name;
    text += placement.at_end ? " at end of page" : " at offset " + std::to_string(placement.offset);
  };
  where("inputs", options.inputs);
  where("pads", options.pad_placement);
  where("outputs", options.outputs);
  return text;
}

std::unique_ptr<PreparedCode> prepare(const CodeSpec& spec) {
  auto prepared = std::make_unique<PreparedCode>();
  prepared->spec = spec;
  Status status = kernels::Code::make(spec.scheme, spec.k, spec.n, spec.data_blocks, prepared->code);
  if (status == Status::ok) status = prepared->split.make_split(prepared->code);
  const unsigned kept = spec.scheme == kernels::Scheme::rs ? spec.k : reference::random_blocks(spec);
  prepared->can_keep = kept < spec.n;
  prepared->first_kept_output = kept + 1;
  if (status == Status::ok && prepared->can_keep) status = prepared->keep.make_split_keep(prepared->code);
  if (status != Status::ok) {
    std::fprintf(stderr, "cannot prepare %s: %.*s\n", to_string(spec).c_str(),
                 static_cast<int>(kernels::describe(status).size()), kernels::describe(status).data());
    std::abort();
  }
  prepared->generator = reference::generator(spec);
  return prepared;
}

Scenario::Scenario(const kernels::Implementation& implementation, std::size_t max_length)
    : implementation_(implementation),
      pool_(max_length),
      transform_(std::make_unique<kernels::Transform>()) {}

const std::uint8_t* Scenario::place(const Bytes& contents, Placement placement) {
  std::uint8_t* at = pool_.take(contents.size(), placement);
  std::memcpy(at, contents.data(), contents.size());
  unchanged_.emplace_back(at, contents);
  return at;
}

std::vector<const std::uint8_t*> Scenario::place_all(const std::vector<Bytes>& contents,
                                                     Placement placement) {
  std::vector<const std::uint8_t*> pointers;
  for (const Bytes& block : contents) pointers.push_back(place(block, placement));
  return pointers;
}

/// Fresh buffers, or the pads themselves where the operation replaces them.
std::vector<std::uint8_t*> Scenario::outputs(std::size_t count, const Options& options,
                                             const std::vector<const std::uint8_t*>& pads) {
  std::vector<std::uint8_t*> result;
  for (std::size_t i = 0; i < count; ++i) {
    if (!options.pads || !options.in_place) {
      result.push_back(pool_.take(options.length, options.outputs));
      continue;
    }
    result.push_back(const_cast<std::uint8_t*>(pads[i]));  // it came from take()
    std::erase_if(unchanged_, [&](const auto& input) { return input.first == pads[i]; });
  }
  return result;
}

std::unique_ptr<Scenario::Tags> Scenario::make_tags(std::size_t count, const Options& options,
                                                    TestRandom& random) {
  auto tags = std::make_unique<Tags>();
  for (PreparedKey& prepared : tags->keys) {
    random.fill(prepared.r.data(), prepared.r.size());
    prepared.key.expand(implementation_, prepared.r);
  }
  tags->values.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    tags->headers.push_back(random.bytes(options.header_length));
    tags->masks.push_back(random.bytes(kernels::tag_bytes));
    kernels::Tagging tagging;
    tagging.key = &tags->keys[i % 2].key;
    tagging.header = options.header_length == 0 ? nullptr : place(tags->headers[i], {true, 0});
    tagging.header_length = options.header_length;
    tagging.mask = place(tags->masks[i], options.inputs);
    tags->taggings.push_back(tagging);
  }
  return tags;
}

/// Adds to `what` went wrong where it did; checks what holds for every operation; ends the run.
std::string Scenario::finish(const std::string& what, const Options& options) const {
  std::string problem = what;
  if (problem.empty() && !pool_.intact()) problem = "bytes beside a buffer were overwritten";
  for (const auto& [at, contents] : unchanged_) {
    if (problem.empty()) problem = compare("an input was changed", at, contents);
  }
  if (problem.empty()) return problem;
  return std::string(kernels::name(implementation_)) + ": " + problem + " (" + to_string(options) + ")";
}

std::string Scenario::split(const PreparedCode& prepared, const Options& options, TestRandom& random) {
  pool_.reset();
  unchanged_.clear();
  const unsigned first_share = options.keep ? prepared.first_kept_output : 1;
  const unsigned rows = prepared.spec.n - first_share + 1;
  const std::vector<Bytes> data = random_blocks(prepared.spec.data_blocks, options.length, random);
  std::vector<Bytes> columns = random_blocks(prepared.code.random_blocks(), options.length, random);
  const std::vector<const std::uint8_t*> random_at = place_all(columns, options.inputs);
  columns.insert(columns.end(), data.begin(), data.end());

  kernels::RandomGenerator generator;
  if (options.generated) {
    const Bytes seed = random.bytes(kernels::RandomGenerator::seed_bytes);
    generator.seed(std::span<const std::uint8_t, 32>(seed.data(), 32));
    // Now and then so that the low 32 bits of the counter overflow inside of the blocks.
    const std::uint64_t skip =
        random.coin() ? random.below(1000) : (std::uint64_t{1} << 32) - 1 - random.below(9);
    std::uint64_t first = 0;
    if (generator.take(skip, first) != Status::ok || first != 0) return "take() did not skip blocks";
    columns = generated_columns(prepared, seed, skip, data);
  }
  const std::vector<const std::uint8_t*> data_at = place_all(data, options.inputs);
  const std::vector<Bytes> pads = random_blocks(options.pads ? rows : 0, options.length, random);
  const std::vector<const std::uint8_t*> pads_at = place_all(pads, options.pad_placement);
  const std::vector<std::uint8_t*> shares_at = outputs(rows, options, pads_at);
  const std::unique_ptr<Tags> tags = make_tags(options.tags ? rows : 0, options, random);

  kernels::SplitJob job;
  job.transform = options.keep ? &prepared.keep : &prepared.split;
  job.code = &prepared.code;
  job.data = data_at.data();
  job.random = options.generated || random_at.empty() ? nullptr : random_at.data();
  job.generator = options.generated ? &generator : nullptr;
  job.pads = options.pads ? pads_at.data() : nullptr;
  job.shares = shares_at.data();
  job.tagging = options.tags ? tags->taggings.data() : nullptr;
  job.tags = options.tags ? tags->array() : nullptr;
  job.length = options.length;
  const Status status = kernels::split(implementation_, job);
  if (status != Status::ok) return finish(failed("split", status), options);

  Bytes indices;
  for (unsigned share = first_share; share <= prepared.spec.n; ++share) {
    indices.push_back(static_cast<std::uint8_t>(share));
  }
  const std::vector<Bytes> shares = rows_from_zero(prepared, indices, columns);
  std::string problem;
  for (unsigned r = 0; r < rows && problem.empty(); ++r) {
    const Bytes expected = options.pads ? reference::exclusive_or(shares[r], pads[r]) : shares[r];
    problem = compare("share " + std::to_string(first_share + r), shares_at[r], expected);
    if (problem.empty() && options.tags) {
      problem = compare("tag of share " + std::to_string(first_share + r), tags->values[r].data(),
                        tags->expected(r, expected));
    }
  }
  return finish(problem.empty() ? problem : "split " + to_string(prepared.spec) + ": " + problem, options);
}

std::string Scenario::recover(const PreparedCode& prepared, const Bytes& shares, const Options& options,
                              TestRandom& random, bool wrong_tags) {
  pool_.reset();
  unchanged_.clear();
  const std::size_t k = shares.size();
  Status status = transform_->make_recover(prepared.code, shares);
  if (status != Status::ok) return finish(failed("make_recover", status), options);

  const std::vector<Bytes> columns = random_blocks(prepared.spec.k, options.length, random);
  std::vector<Bytes> inputs = rows_from_zero(prepared, shares, columns);
  const std::vector<Bytes> pads = random_blocks(options.pads ? k : 0, options.length, random);
  for (std::size_t i = 0; i < pads.size(); ++i) inputs[i] = reference::exclusive_or(inputs[i], pads[i]);
  const std::vector<const std::uint8_t*> shares_at = place_all(inputs, options.inputs);
  const std::vector<const std::uint8_t*> pads_at = place_all(pads, options.pad_placement);
  Options fresh = options;
  fresh.in_place = false;
  const std::vector<std::uint8_t*> data_at = outputs(prepared.spec.data_blocks, fresh, pads_at);
  const std::unique_ptr<Tags> tags = make_tags(options.tags ? k : 0, options, random);
  std::array<bool, kernels::max_shares> wrong{};
  if (options.tags) {
    for (std::size_t i = 0; i < k; ++i) {
      const Bytes value = tags->expected(i, inputs[i]);
      std::copy(value.begin(), value.end(), tags->values[i].begin());
      wrong[i] = wrong_tags && random.below(3) == 0;
    }
    if (wrong_tags) wrong[random.below(k)] = true;
    for (std::size_t i = 0; i < k; ++i) {
      if (wrong[i]) tags->values[i][random.below(16)] ^= static_cast<std::uint8_t>(1U << random.below(8));
    }
  }
  std::array<bool, kernels::max_shares> tag_ok{};
  kernels::RecoverJob job;
  job.transform = transform_.get();
  job.shares = shares_at.data();
  job.pads = options.pads ? pads_at.data() : nullptr;
  job.data = data_at.data();
  job.tagging = options.tags ? tags->taggings.data() : nullptr;
  job.tags = options.tags ? tags->array() : nullptr;
  job.tag_ok = options.tags ? tag_ok.data() : nullptr;
  job.length = options.length;
  status = kernels::recover(implementation_, job);

  const Status expected_status = options.tags && wrong_tags ? Status::tag_mismatch : Status::ok;
  if (status != expected_status) return finish(failed("recover", status), options);
  std::string problem;
  for (std::size_t i = 0; i < k && options.tags && problem.empty(); ++i) {
    if (tag_ok[i] == wrong[i]) problem = "tag_ok of input " + std::to_string(i) + " is wrong";
  }
  const unsigned t = prepared.code.random_blocks();
  for (unsigned block = 0; block < prepared.spec.data_blocks && problem.empty(); ++block) {
    const bool erased = expected_status != Status::ok;
    problem = compare((erased ? "erased data block " : "data block ") + std::to_string(block), data_at[block],
                      erased ? Bytes(options.length) : columns[t + block]);
  }
  return finish(problem.empty() ? problem : "recover " + to_string(prepared.spec) + ": " + problem, options);
}

std::string Scenario::repair_in_place(const PreparedCode& prepared, const Bytes& shares, unsigned target,
                                      unsigned replaced, const Options& options, TestRandom& random) {
  pool_.reset();
  unchanged_.clear();
  Status status = transform_->make_repair(prepared.code, shares, target);
  if (status != Status::ok) return finish(failed("make_repair", status), options);
  const std::vector<Bytes> columns = random_blocks(prepared.spec.k, options.length, random);
  std::vector<Bytes> inputs = rows_from_zero(prepared, shares, columns);
  const std::vector<Bytes> pads = random_blocks(options.pads ? shares.size() : 0, options.length, random);
  for (std::size_t i = 0; i < pads.size(); ++i) inputs[i] = reference::exclusive_or(inputs[i], pads[i]);
  const std::vector<const std::uint8_t*> shares_at = place_all(inputs, options.inputs);
  const std::vector<const std::uint8_t*> pads_at = place_all(pads, options.pad_placement);
  const std::uint8_t* victim = options.pads && options.in_place ? pads_at[replaced] : shares_at[replaced];
  std::erase_if(unchanged_, [&](const auto& input) { return input.first == victim; });
  const std::unique_ptr<Tags> tags = make_tags(options.tags ? shares.size() : 0, options, random);
  for (std::size_t i = 0; i < shares.size() && options.tags; ++i) {
    const Bytes value = tags->expected(i, inputs[i]);
    std::copy(value.begin(), value.end(), tags->values[i].begin());
  }
  std::uint8_t* output = const_cast<std::uint8_t*>(victim);
  kernels::RecoverJob job;
  job.transform = transform_.get();
  job.shares = shares_at.data();
  job.pads = options.pads ? pads_at.data() : nullptr;
  job.data = &output;
  job.tagging = options.tags ? tags->taggings.data() : nullptr;
  job.tags = options.tags ? tags->array() : nullptr;
  job.length = options.length;
  status = kernels::recover(implementation_, job);
  if (status != Status::ok) return finish(failed("recover (repair)", status), options);
  const Bytes expected = rows_from_zero(prepared, {static_cast<std::uint8_t>(target)}, columns)[0];
  const std::string problem = compare("repaired share " + std::to_string(target), output, expected);
  return finish(problem.empty() ? problem : "repair " + to_string(prepared.spec) + ": " + problem, options);
}

std::string Scenario::dot(const reference::Matrix& matrix, const Options& options, TestRandom& random) {
  pool_.reset();
  unchanged_.clear();
  Status status = transform_->make_matrix(matrix.entries, matrix.rows, matrix.columns);
  if (status != Status::ok) return finish(failed("make_matrix", status), options);
  const std::vector<Bytes> in = random_blocks(matrix.columns, options.length, random);
  const std::vector<const std::uint8_t*> in_at = place_all(in, options.inputs);
  const std::vector<std::uint8_t*> out_at = outputs(matrix.rows, options, {});
  status = kernels::dot(implementation_, *transform_, in_at.data(), out_at.data(), options.length);
  if (status != Status::ok) return finish(failed("dot", status), options);
  const std::vector<Bytes> expected = reference::combine(matrix, in);
  std::string problem;
  for (unsigned r = 0; r < matrix.rows && problem.empty(); ++r) {
    problem = compare("dot " + std::to_string(matrix.rows) + "x" + std::to_string(matrix.columns) + ", row " +
                          std::to_string(r),
                      out_at[r], expected[r]);
  }
  return finish(problem, options);
}

std::string Scenario::check(const PreparedCode& prepared, const Bytes& shares, const Options& options,
                            TestRandom& random) {
  pool_.reset();
  unchanged_.clear();
  Status status = transform_->make_syndromes(prepared.code, shares);
  if (status != Status::ok) return finish(failed("make_syndromes", status), options);
  const std::vector<Bytes> columns = random_blocks(prepared.spec.k, options.length, random);
  std::vector<Bytes> given = rows_from_zero(prepared, shares, columns);
  // Either all agree, or one byte of one share is wrong, and one later byte of another.
  std::size_t expected = options.length;
  if (random.coin()) {
    expected = random.below(options.length);
    given[random.below(given.size())][expected] ^= random.nonzero_byte();
    const std::size_t later = expected + 1 + random.below(options.length);
    if (later < options.length) given[random.below(given.size())][later] ^= random.nonzero_byte();
  }
  const std::vector<const std::uint8_t*> at = place_all(given, options.inputs);
  std::size_t first_bad = ~std::size_t{0};
  status = kernels::check(implementation_, *transform_, at.data(), options.length, first_bad);
  std::string problem = status == Status::ok ? std::string{} : failed("check", status);
  if (problem.empty() && first_bad != expected) {
    problem = "check " + to_string(prepared.spec) + ": first bad column is " + std::to_string(first_bad) +
              ", expected " + std::to_string(expected);
  }
  return finish(problem, options);
}

std::string Scenario::pad(const Options& options, TestRandom& random) {
  const Bytes in = random.bytes(options.length);
  const Bytes key = random.bytes(options.length);
  const Bytes expected = reference::exclusive_or(in, key);
  for (unsigned alias = 0; alias < 3; ++alias) {
    pool_.reset();
    unchanged_.clear();
    std::uint8_t* in_at = pool_.take(options.length, options.inputs);
    std::uint8_t* key_at = pool_.take(options.length, options.pad_placement);
    std::copy(in.begin(), in.end(), in_at);
    std::copy(key.begin(), key.end(), key_at);
    std::uint8_t* out = alias == 1   ? in_at
                        : alias == 2 ? key_at
                                     : pool_.take(options.length, options.outputs);
    if (alias != 1) unchanged_.emplace_back(in_at, in);
    if (alias != 2) unchanged_.emplace_back(key_at, key);
    const Status status = kernels::pad(implementation_, in_at, key_at, out, options.length);
    if (status != Status::ok) return finish(failed("pad", status), options);
    const std::string problem = finish(compare("pad", out, expected), options);
    if (!problem.empty()) return problem;
  }
  return {};
}

std::string Scenario::tag(const Options& options, TestRandom& random) {
  pool_.reset();
  unchanged_.clear();
  const Bytes data = random.bytes(options.length);
  const std::uint8_t* data_at = place(data, options.inputs);
  const std::unique_ptr<Tags> tags = make_tags(2, options, random);
  const Bytes expected = tags->expected(0, data);
  std::uint8_t* out = pool_.take(kernels::tag_bytes, options.outputs);
  Status status = kernels::tag(implementation_, tags->taggings[0], data_at, options.length, out);
  if (status != Status::ok) return finish(failed("tag", status), options);
  std::string problem = compare("tag", out, expected);
  if (problem.empty() &&
      kernels::verify(implementation_, tags->taggings[0], data_at, options.length, out) != Status::ok)
    problem = "verify refused a right tag";
  out[random.below(16)] ^= static_cast<std::uint8_t>(1U << random.below(8));
  status = kernels::verify(implementation_, tags->taggings[0], data_at, options.length, out);
  if (problem.empty() && status != Status::tag_mismatch)
    problem = "verify of a wrong tag: " + failed("it", status);
  // The tag may replace its mask.
  const Bytes second = tags->expected(1, data);
  auto* mask = const_cast<std::uint8_t*>(tags->taggings[1].mask);
  std::erase_if(unchanged_, [&](const auto& input) { return input.first == mask; });
  status = kernels::tag(implementation_, tags->taggings[1], data_at, options.length, mask);
  if (problem.empty() && status != Status::ok) problem = failed("tag over its mask", status);
  if (problem.empty()) problem = compare("tag over its mask", mask, second);
  return finish(problem, options);
}

std::string Scenario::random(const Options& options, TestRandom& random) {
  pool_.reset();
  unchanged_.clear();
  const Bytes seed = random.bytes(kernels::RandomGenerator::seed_bytes);
  kernels::RandomGenerator generator;
  generator.seed(std::span<const std::uint8_t, 32>(seed.data(), 32));
  std::uint64_t block =
      random.coin() ? random.below(100000) : (std::uint64_t{1} << 32) - 1 - random.below(40);
  std::uint64_t first = 0;
  if (generator.take(block, first) != Status::ok) return finish("take() refused", options);
  std::string problem;
  for (std::size_t left = options.length; left > 0 && problem.empty();) {
    const std::size_t piece = random.coin() ? left : 1 + random.below(left);
    std::uint8_t* out = pool_.take(piece, options.outputs);
    const Status status = kernels::random(implementation_, generator, out, piece);
    if (status != Status::ok) return finish(failed("random", status), options);
    problem = compare("random from block " + std::to_string(block), out,
                      openssl::aes256_keystream(seed, block, piece));
    block += (piece + 15) / 16;
    left -= piece;
  }
  if (problem.empty() && generator.blocks_left() != kernels::RandomGenerator::max_blocks - block) {
    problem = "random took the wrong number of blocks";
  }
  return finish(problem, options);
}

}  // namespace ssn::test
