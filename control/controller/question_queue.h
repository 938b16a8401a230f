// SPDX-License-Identifier: BSD-3-Clause
// Whom to ask next. Each node is asked one thing at a time, in order, and nodes have turns. Pure; not
// thread-safe.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>

#include "reshare_manager.h"

namespace ssn::controller {

class QuestionQueue {
 public:
  /// For one node.
  static constexpr std::size_t waiting_max = 4096;

  /// `askers` take questions, at least two. Half of them at most wait for nodes that were silent: those cost
  /// all the patience that there is, each time, and the others would starve.
  explicit QuestionQueue(std::size_t askers) : askers_(askers) {}

  /// False: too many wait for this node.
  bool add(NodeQuestion question);
  /// Nothing: none can be asked now. The node has no other one before answered().
  std::optional<NodeQuestion> next();
  void answered(const std::string& node, bool reached);

 private:
  struct Node {
    std::deque<NodeQuestion> waiting;
    bool busy = false;
    bool silent = false;  // when it was asked last
  };

  const std::size_t askers_;
  std::size_t silent_busy_ = 0;
  std::string last_;  // whose turn it was
  std::map<std::string, Node> nodes_;
};

}  // namespace ssn::controller
