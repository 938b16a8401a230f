// SPDX-License-Identifier: BSD-3-Clause
// Something that can do a case's operation and be timed at it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "fixture.h"
#include "libraries.h"
#include "reference.h"

namespace ssn::bench {

/// What the checks must know about how a contender shares.
struct Form {
  Matrix generator;  ///< its shares
  TagForm tag_form = TagForm::gcm;
  unsigned first_share = 0;  ///< a split writes shares first_share + 1 .. n
  /// A split that draws its random blocks draws this many bytes of each in turn; 0: whole blocks.
  std::size_t stream_tile = 0;
};

class Contender {
 public:
  explicit Contender(Form form) : form_(std::move(form)) {}
  Contender(const Contender&) = delete;
  Contender& operator=(const Contender&) = delete;
  virtual ~Contender() = default;

  /// Does the operation `times` times, each on the next set. False when one of them found a wrong tag, shares
  /// that disagree, or could not be done.
  virtual bool run(std::size_t times) = 0;
  /// Goes back to the first set, and to the start of the random stream.
  virtual void rewind() = 0;

  const Form& form() const noexcept { return form_; }

 private:
  Form form_;
};

/// Makes a contender of `step`, called as step(set index), and `restart`. The loop is compiled around the
/// step so that nothing but the operation is timed.
template <class Step, class Restart>
std::unique_ptr<Contender> make_contender(Form form, std::size_t sets, Step step, Restart restart) {
  class Loop final : public Contender {
   public:
    Loop(Form form, std::size_t sets, Step step, Restart restart)
        : Contender(std::move(form)), sets_(sets), step_(std::move(step)), restart_(std::move(restart)) {}
    bool run(std::size_t times) override {
      bool good = true;
      for (std::size_t i = 0; i < times; ++i) {
        good &= step_(next_);
        next_ = next_ + 1 == sets_ ? 0 : next_ + 1;
      }
      return good;
    }
    void rewind() override {
      next_ = 0;
      restart_();
    }

   private:
    std::size_t next_ = 0;
    std::size_t sets_;
    Step step_;
    Restart restart_;
  };
  return std::make_unique<Loop>(std::move(form), sets, std::move(step), std::move(restart));
}

template <class Step>
std::unique_ptr<Contender> make_contender(Form form, std::size_t sets, Step step) {
  return make_contender(std::move(form), sets, std::move(step), [] {});
}

/// This library's implementation of that name.
std::unique_ptr<Contender> make_ours(const std::string& implementation, Fixture& fixture);

/// "baseline", "baseline_avx2": two passes with ISA-L and OpenSSL. "composed": the best that can be composed
/// of the same libraries with what this library knows; null where that is the baseline itself.
std::unique_ptr<Contender> make_baseline(Fixture& fixture, Level level);
std::unique_ptr<Contender> make_composed(Fixture& fixture);

/// Runs the contender once on freshly filled buffers and compares all results with the reference. Empty, or
/// what is wrong.
std::string verify(Contender& contender, Fixture& fixture);

}  // namespace ssn::bench
