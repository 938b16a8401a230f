// SPDX-License-Identifier: BSD-3-Clause
// Behind Config and its tables: the tree, which keys were asked for, and what was found wrong.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "ssn/hw/config.h"
#include "tree.h"

namespace ssn::hw {

class ConfigState {
 public:
  ConfigState(ConfigNode root, std::string file);

  const ConfigNode& root() const noexcept { return root_; }
  const std::string& file() const noexcept { return file_; }
  /// The folder of the file, with a slash at its end; empty for the working directory.
  const std::string& folder() const noexcept { return folder_; }
  const std::vector<Error>& errors() const noexcept { return sorted_; }

  /// The member of a table (which may be absent), which is known from now on.
  const ConfigNode* ask(const ConfigNode* table, std::string_view key);
  /// Makes a table known to finish(), so that its unknown keys are found.
  void visit(const ConfigNode& table);
  void note(ConfigPosition position, std::string why, std::string fix);
  Outcome finish();

 private:
  struct Finding {
    ConfigPosition position;
    Error error;
  };
  void find_unknown(const ConfigNode& table, const std::string& name);
  void note_unknown(const ConfigNode& member, const std::string& table_name,
                    const std::set<std::string, std::less<>>& known);

  ConfigNode root_;
  std::string file_;
  std::string folder_;
  std::map<const ConfigNode*, std::set<std::string, std::less<>>> known_;
  std::vector<Finding> findings_;
  std::vector<Error> sorted_;
};

}  // namespace ssn::hw
