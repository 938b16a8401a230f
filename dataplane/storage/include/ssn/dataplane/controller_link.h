// SPDX-License-Identifier: BSD-3-Clause
// A node's side of SSN-C: registers, reports, and takes orders, on a thread of its own. The data plane goes
// on without a controller: open sessions stay open, and what there is to report is reported when it is back.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "controller_client.h"
#include "ssn/hw/result.h"

namespace ssn::dataplane {

/// A share that lies here, or what is left of one.
struct HeldShare {
  controller::ObjectKey key;
  std::uint32_t share = 0;
  std::uint64_t cells = 0;  ///< of a sealed one
  /// unknown: it is sealed, and as far as is known good.
  controller::ShareDamage damage = controller::ShareDamage::unknown;
  bool unread = false;  ///< nothing is known of it now: it could not be read
};

class ControllerLink {
 public:
  /// Calls come from the link's thread. Everything outlives it.
  struct Setup {
    client::ControllerPlace place;
    controller::Registration registration;  ///< the instance is drawn here
    /// Space, load, and the writes whose leases are to be renewed.
    std::function<void(controller::Report& report)> fill;
    /// Erase this generation; erased() says when it was done. False: not now; the order will come again.
    std::function<bool(const controller::ObjectKey& key)> remove;
    /// A write that is over.
    std::function<void(const controller::ObjectKey& key)> ended;
    /// A report was answered that asked for rates; may be null.
    std::function<void(const controller::Report& asked, const controller::ReportAnswer& answer)> rates;
    /// What the node holds, behind `after`, ascending, at most a page; empty at the end. Null: it holds
    /// nothing.
    std::function<Result<std::vector<HeldShare>>(const controller::ObjectKey& after)> found;
    /// How often that is compared with what it should hold; and how soon again where something is suspected.
    std::chrono::milliseconds compare_every{600'000};
    std::chrono::milliseconds compare_least{10'000};
    /// Peers and the epochs of their keys, as they are now; may be null.
    std::function<std::vector<controller::AssociationReport>()> associations;
    std::function<void(std::string_view line)> report;
  };

  struct State {
    bool registered = false;     ///< with this controller, since it answered last
    std::uint64_t reports = 0;   ///< that were answered
    std::uint64_t failures = 0;  ///< calls that were not
    std::uint64_t removed = 0;   ///< generations, on its order
    std::uint64_t unknown = 0;   ///< generations that it does not know: they are kept
    std::uint64_t compared = 0;  ///< times that all that lies here was
    std::uint64_t damaged = 0;  ///< shares that should be here and good, and were not, when that was compared
    std::string trouble;        ///< why the last call failed; empty: it did not
  };

  static Result<std::unique_ptr<ControllerLink>> make(Setup setup);
  /// The same with a client that is there already.
  static Result<std::unique_ptr<ControllerLink>> make(Setup setup,
                                                      std::unique_ptr<client::ControllerClient> client);
  /// Stops: a call that waits ends with its own deadline.
  ~ControllerLink();
  ControllerLink(const ControllerLink&) = delete;
  ControllerLink& operator=(const ControllerLink&) = delete;

  void start();
  void stop();

  // ---- Any thread.
  client::ControllerClient& client() noexcept { return *client_; }
  State state() const;
  /// An order was carried out: it is confirmed with the next report.
  void erased(const controller::ObjectKey& key);
  /// It could not be carried out; it will come again.
  void not_erased(const controller::ObjectKey& key);
  /// Reports soon.
  void hurry();
  /// Some of what lies here is damaged: compares soon.
  void suspect();

 private:
  ControllerLink(Setup setup, std::unique_ptr<client::ControllerClient> client);
  void run();
  bool register_node();
  bool report_once();
  bool is_comparison_due();
  bool compare();
  bool compare_found();
  bool check_holdings();
  bool report_damaged(std::vector<controller::DamagedShare> damaged);
  bool report_if_due();
  void order_removal(const controller::ObjectKey& key);
  void add_associations(controller::Report& report);
  void failed(const Error& error);
  void succeeded();
  bool wait(std::chrono::milliseconds time);

  Setup setup_;
  const std::unique_ptr<client::ControllerClient> client_;
  std::thread thread_;
  // The thread's.
  std::chrono::milliseconds interval_{1000};
  std::chrono::milliseconds back_off_{0};
  std::map<std::string, controller::AssociationReport> told_;  // of peers
  std::vector<controller::DamagedShare> damaged_;              // of the next report
  std::chrono::steady_clock::time_point reported_{};
  std::optional<std::chrono::steady_clock::time_point> compared_;

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  bool stopping_ = false;
  bool hurried_ = false;
  bool suspected_ = false;
  State state_;
  std::set<controller::ObjectKey> ordered_;  // removals that go on
  std::set<controller::ObjectKey> erased_;   // and that are to be confirmed
};

}  // namespace ssn::dataplane
