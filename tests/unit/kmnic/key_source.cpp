// SPDX-License-Identifier: BSD-3-Clause
#include "key_source.h"

#include <algorithm>

namespace ssn::kmnic_test {
namespace {

std::uint64_t mix(std::uint64_t x) noexcept {  // the finaliser of SplitMix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

std::uint64_t key_word(const hw::Ksid& ksid, std::uint64_t index) noexcept {
  return mix((std::uint64_t{ksid[0]} << 56 | std::uint64_t{ksid[1]} << 48) + index * 0x9e3779b97f4a7c15U + 1);
}

class TestSource final : public kme::StreamSource {
 public:
  TestSource(const hw::Ksid& ksid, std::shared_ptr<Valve> valve) : ksid_(ksid), valve_(std::move(valve)) {
    ++valve_->open;
  }
  ~TestSource() override { --valve_->open; }

  std::size_t next(std::span<std::uint8_t> out) noexcept override {
    const std::size_t length = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), level()));
    for (std::size_t i = 0; i < length; ++i) {
      if (i == 0 || offset_ % 8 == 0) {
        word_ = key_word(ksid_, offset_ / 8);
      }
      out[i] = static_cast<std::uint8_t>(word_ >> (offset_ % 8 * 8));
      ++offset_;
    }
    return length;
  }
  std::uint64_t level() noexcept override {
    const std::uint64_t limit = valve_->limit;
    return limit > offset_ ? limit - offset_ : 0;
  }
  bool alive() noexcept override { return valve_->alive; }

 private:
  hw::Ksid ksid_;
  std::shared_ptr<Valve> valve_;
  std::uint64_t offset_ = 0;
  std::uint64_t word_ = 0;
};

}  // namespace

std::uint8_t key_byte(const hw::Ksid& ksid, std::uint64_t offset) noexcept {
  return static_cast<std::uint8_t>(key_word(ksid, offset / 8) >> (offset % 8 * 8));
}

Result<std::unique_ptr<kme::StreamSource>> TestProvider::open(const Request& request) {
  if (request.peer == "nobody") {
    return Error{Exit::not_found, "cannot open a stream", "there is no such link", request.peer, ""};
  }
  if (request.peer == "busy") {
    return Error{Exit::temporary, "cannot open a stream", "the key manager is down", request.peer, ""};
  }
  if (request.role != SSN_KEY_RANDOM && !used_.insert({request.ksid, request.role}).second) {
    return Error{Exit::refused, "cannot open a stream", "this KSID was opened before", "", ""};
  }
  return std::unique_ptr<kme::StreamSource>(new TestSource(request.ksid, valve_));
}

}  // namespace ssn::kmnic_test
