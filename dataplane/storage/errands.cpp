// SPDX-License-Identifier: BSD-3-Clause
#include "errands.h"

namespace ssn::dataplane {

Errands::Ran Errands::run(const std::shared_ptr<Errand>& errand, std::chrono::milliseconds patience) {
  const auto run = [](void* argument) {
    auto& mine = *static_cast<Errand*>(argument);
    mine.was_old_ = mine.term_.is_old();
    if (!mine.was_old_) mine.run();
  };
  {
    const std::lock_guard lock(mutex_);
    if (!errand->worker_->post({run, errand.get()}, &errand->ticket_)) return Ran::no;
    std::erase_if(kept_, [](const auto& each) { return each->worker_->is_done(each->ticket_); });
    kept_.push_back(errand);
  }
  if (!errand->worker_->wait(errand->ticket_, patience)) return Ran::late;
  return errand->was_old_ ? Ran::old : Ran::yes;
}

}  // namespace ssn::dataplane
