// SPDX-License-Identifier: BSD-3-Clause
// A user's program, built against the installed library only: three bytes become three shares, and two of
// them the bytes again.
#include <ssn/kernels/kernels.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

namespace {

using ssn::kernels::Status;

int failed(const char* what, Status status) {
  const std::string_view why = ssn::kernels::describe(status);
  std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(why.size()), why.data());
  return 1;
}

}  // namespace

int main() {
  const ssn::kernels::Implementation* implementation = nullptr;
  if (Status status = ssn::kernels::select(implementation); status != Status::ok) {
    return failed("select", status);
  }
  ssn::kernels::Code code;
  auto split = std::make_unique<ssn::kernels::Transform>();
  auto recover = std::make_unique<ssn::kernels::Transform>();
  const std::uint8_t given[] = {3, 1};
  if (Status status = ssn::kernels::Code::make(ssn::kernels::Scheme::systematic, 2, 3, 1, code);
      status != Status::ok) {
    return failed("Code::make", status);
  }
  if (Status status = split->make_split(code); status != Status::ok) {
    return failed("make_split", status);
  }
  if (Status status = recover->make_recover(code, given); status != Status::ok) {
    return failed("make_recover", status);
  }

  const std::uint8_t secret[] = {'s', 's', 'n'};
  const std::uint8_t random[] = {0x17, 0x2a, 0x99};  // a demonstration: never use fixed random blocks
  std::uint8_t shares[3][3];
  std::uint8_t recovered[3] = {};
  const std::uint8_t* const data_in[] = {secret};
  const std::uint8_t* const random_in[] = {random};
  std::uint8_t* const shares_out[] = {shares[0], shares[1], shares[2]};
  const std::uint8_t* const shares_in[] = {shares[2], shares[0]};
  std::uint8_t* const data_out[] = {recovered};

  ssn::kernels::SplitJob split_job;
  split_job.transform = split.get();
  split_job.code = &code;
  split_job.data = data_in;
  split_job.random = random_in;
  split_job.shares = shares_out;
  split_job.length = sizeof(secret);
  if (Status status = ssn::kernels::split(*implementation, split_job); status != Status::ok) {
    return failed("split", status);
  }
  ssn::kernels::RecoverJob recover_job;
  recover_job.transform = recover.get();
  recover_job.shares = shares_in;
  recover_job.data = data_out;
  recover_job.length = sizeof(secret);
  if (Status status = ssn::kernels::recover(*implementation, recover_job); status != Status::ok) {
    return failed("recover", status);
  }
  const std::string_view name = ssn::kernels::name(*implementation);
  const bool same = std::memcmp(secret, recovered, sizeof(secret)) == 0;
  std::printf("%s with the kernels '%.*s'\n", same ? "recovered" : "NOT RECOVERED",
              static_cast<int>(name.size()), name.data());
  return same ? 0 : 1;
}
