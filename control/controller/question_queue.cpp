// SPDX-License-Identifier: BSD-3-Clause
#include "question_queue.h"

namespace ssn::controller {

bool QuestionQueue::add(NodeQuestion question) {
  Node& node = nodes_[question.node];
  if (node.waiting.size() >= waiting_max) return false;
  node.waiting.push_back(std::move(question));
  return true;
}

std::optional<NodeQuestion> QuestionQueue::next() {
  auto at = nodes_.upper_bound(last_);
  for (std::size_t i = 0; i < nodes_.size(); ++i, ++at) {
    if (at == nodes_.end()) at = nodes_.begin();
    auto& [name, node] = *at;
    const bool may = !node.silent || 2 * (silent_busy_ + 1) <= askers_;
    if (node.busy || node.waiting.empty() || !may) continue;
    std::optional<NodeQuestion> question = std::move(node.waiting.front());
    node.waiting.pop_front();
    node.busy = true;
    silent_busy_ += node.silent ? 1 : 0;
    last_ = name;
    return question;
  }
  return std::nullopt;
}

void QuestionQueue::answered(const std::string& name, bool reached) {
  Node& node = nodes_[name];
  silent_busy_ -= node.silent ? 1 : 0;
  node.busy = false;
  node.silent = !reached;
}

}  // namespace ssn::controller
