// SPDX-License-Identifier: BSD-3-Clause
// The library under measurement, called as the data plane calls it: jobs prepared, one call per operation.
#include <memory>
#include <stdexcept>
#include <vector>

#include "contender.h"
#include "ssn/kernels/kernels.h"

namespace ssn::bench {
namespace {

using kernels::Implementation;
using kernels::Status;

void require(Status status, const char* what) {
  if (status != Status::ok) {
    throw std::runtime_error(std::string(what) + " is refused: " + std::string(describe(status)));
  }
}

/// What the jobs of all sets point to.
struct Context {
  const Implementation* implementation = nullptr;
  kernels::Transform transform;
  kernels::RandomGenerator generator;
  std::vector<kernels::TagKey> keys;
  std::vector<std::vector<kernels::Tagging>> tagging;  // per set, per share
  std::vector<std::vector<std::uint8_t*>> sources;     // per set: the shares that a recovery starts from
  std::vector<std::vector<std::uint8_t*>> source_pads;

  explicit Context(std::size_t shares) : keys(shares) {}
};

std::shared_ptr<Context> make_context(const std::string& name, Fixture& fixture) {
  auto context = std::make_shared<Context>(fixture.n());
  require(kernels::find(name, context->implementation), name.c_str());
  for (unsigned share = 0; share < fixture.n(); ++share) {
    context->keys[share].expand(*context->implementation,
                                std::span<const std::uint8_t, 16>(fixture.hash_key(share), 16));
  }
  for (const Set& set : fixture.sets()) {
    std::vector<kernels::Tagging>& tagging = context->tagging.emplace_back();
    for (unsigned share = 0; share < fixture.n(); ++share) {
      const Tagged& tagged = set.tagged[share];
      tagging.push_back({&context->keys[share], tagged.header.data(), header_bytes, tagged.mask.data()});
    }
    auto& sources = context->sources.emplace_back();
    auto& source_pads = context->source_pads.emplace_back();
    for (const unsigned share : fixture.sources()) {
      sources.push_back(set.shares[share - 1]);
      source_pads.push_back(set.pads[share - 1]);
    }
  }
  context->generator.seed(fixture.seed());
  return context;
}

kernels::SplitJob split_job(Context& context, Fixture& fixture, Set& set, std::size_t index,
                            unsigned first_share) {
  const Operation& operation = *fixture.what().operation;
  kernels::SplitJob job;
  job.transform = &context.transform;
  job.code = &fixture.code();
  job.data = set.data.data();
  if (operation.has(generated)) {
    job.generator = &context.generator;
  } else {
    job.random = set.random.data();
  }
  job.shares = set.shares.data() + first_share;
  if (operation.has(with_pads)) {
    job.pads = set.pads.data() + first_share;
    job.shares = set.pads.data() + first_share;  // the ciphertext replaces the used pad
  }
  if (operation.has(with_tags)) {
    job.tagging = context.tagging[index].data() + first_share;
    job.tags = set.tags.get() + first_share;
  }
  job.length = fixture.bytes();
  return job;
}

std::unique_ptr<Contender> make_split(std::shared_ptr<Context> context, Fixture& fixture) {
  const Operation& operation = *fixture.what().operation;
  Form form{generator_of(fixture.code()), TagForm::gcm, 0, 0};
  if (operation.has(keep)) {
    require(context->transform.make_split_keep(fixture.code()), "make_split_keep");
    form.first_share = fixture.n() - context->transform.rows();
  } else {
    require(context->transform.make_split(fixture.code()), "make_split");
  }
  std::vector<kernels::SplitJob> jobs;
  for (std::size_t i = 0; i < fixture.sets().size(); ++i) {
    jobs.push_back(split_job(*context, fixture, fixture.sets()[i], i, form.first_share));
  }
  const auto restart = [context, seed = fixture.seed()] { context->generator.seed(seed); };
  const Implementation& implementation = *context->implementation;
  if (!(operation.has(keep) && operation.has(with_tags))) {
    return make_contender(
        std::move(form), jobs.size(),
        [&implementation, jobs](std::size_t i) { return split(implementation, jobs[i]) == Status::ok; },
        restart);
  }
  // Every share needs its tag: the keep order's covers the kept bytes as if they were payload.
  const unsigned kept = form.first_share;
  return make_contender(
      std::move(form), jobs.size(),
      [&implementation, context, jobs, kept, &sets = fixture.sets()](std::size_t i) {
        bool good = split(implementation, jobs[i]) == Status::ok;
        for (unsigned share = 0; share < kept; ++share) {
          good &= tag(implementation, context->tagging[i][share], sets[i].random[share], jobs[i].length,
                      sets[i].tags[share]) == Status::ok;
        }
        return good;
      },
      restart);
}

std::unique_ptr<Contender> make_recover(std::shared_ptr<Context> context, Fixture& fixture) {
  const Operation& operation = *fixture.what().operation;
  const std::vector<std::uint8_t>& sources = fixture.sources();
  if (operation.kind == Kind::repair) {
    require(context->transform.make_repair(fixture.code(), sources, fixture.repaired_share()), "make_repair");
  } else {
    require(context->transform.make_recover(fixture.code(), sources), "make_recover");
  }
  std::vector<kernels::RecoverJob> jobs;
  for (std::size_t i = 0; i < fixture.sets().size(); ++i) {
    Set& set = fixture.sets()[i];
    kernels::RecoverJob& job = jobs.emplace_back();
    job.transform = &context->transform;
    job.shares = context->sources[i].data();
    if (operation.has(with_pads)) job.pads = context->source_pads[i].data();
    job.data = set.out.data();
    if (operation.has(with_tags)) {  // the sources are consecutive shares
      job.tagging = context->tagging[i].data() + (sources.front() - 1);
      job.tags = set.tags.get() + (sources.front() - 1);
    }
    job.length = fixture.bytes();
  }
  return make_contender(
      Form{generator_of(fixture.code()), TagForm::gcm, 0, 0}, jobs.size(),
      [context, jobs](std::size_t i) { return recover(*context->implementation, jobs[i]) == Status::ok; });
}

std::unique_ptr<Contender> make_check(std::shared_ptr<Context> context, Fixture& fixture) {
  require(context->transform.make_syndromes(fixture.code(), fixture.sources()), "make_syndromes");
  return make_contender(Form{generator_of(fixture.code()), TagForm::gcm, 0, 0}, fixture.sets().size(),
                        [context, length = fixture.bytes()](std::size_t i) {
                          std::size_t first_bad = 0;
                          const Status status = check(*context->implementation, context->transform,
                                                      context->sources[i].data(), length, first_bad);
                          return status == Status::ok && first_bad == length;
                        });
}

std::unique_ptr<Contender> make_one_buffer(std::shared_ptr<Context> context, Fixture& fixture) {
  const Implementation& implementation = *context->implementation;
  std::vector<Set>& sets = fixture.sets();
  const std::size_t length = fixture.bytes();
  Form form{generator_of(fixture.code()), TagForm::gcm, 0, 0};
  const auto restart = [context, seed = fixture.seed()] { context->generator.seed(seed); };
  switch (fixture.what().operation->kind) {
    case Kind::pad:
      return make_contender(
          std::move(form), sets.size(), [context, &implementation, &sets, length](std::size_t i) {
            return pad(implementation, sets[i].data[0], sets[i].pads[0], sets[i].pads[0], length) ==
                   Status::ok;
          });
    case Kind::tag:
      return make_contender(
          std::move(form), sets.size(), [context, &implementation, &sets, length](std::size_t i) {
            return tag(implementation, context->tagging[i][0], sets[i].data[0], length, sets[i].tags[0]) ==
                   Status::ok;
          });
    default:
      return make_contender(
          std::move(form), sets.size(),
          [context, &implementation, &sets, length](std::size_t i) {
            return random(implementation, context->generator, sets[i].random[0], length) == Status::ok;
          },
          restart);
  }
}

}  // namespace

std::unique_ptr<Contender> make_ours(const std::string& implementation, Fixture& fixture) {
  std::shared_ptr<Context> context = make_context(implementation, fixture);
  switch (fixture.what().operation->kind) {
    case Kind::split:
      return make_split(std::move(context), fixture);
    case Kind::recover:
    case Kind::repair:
      return make_recover(std::move(context), fixture);
    case Kind::check:
      return make_check(std::move(context), fixture);
    case Kind::pad:
    case Kind::tag:
    case Kind::random:
      break;
  }
  return make_one_buffer(std::move(context), fixture);
}

}  // namespace ssn::bench
