// SPDX-License-Identifier: BSD-3-Clause
// Speaks to the controllers of other domains (SSN-Cx): control/api/exchange.proto, over mutual TLS 1.3, on an
// address of its own. No gRPC type here.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "catalogue.h"
#include "domain_book.h"
#include "server.h"
#include "ssn/hw/result.h"

namespace ssn::audit {
class AuditLog;
}

namespace ssn::controller {

struct ExchangeSettings {
  /// Whose word is taken for that of another domain. Authorities of our own nodes are not among them.
  struct With {
    std::string domain;
    std::string ca;        ///< PEM: that domain's authorities
    std::string crl = {};  ///< what they revoked; empty: nobody is looked up
  };
  std::string domain;  ///< what others call us; empty: we speak to none
  std::string listen;
  std::vector<With> with;
};

class ExchangeLink {
 public:
  /// Listens, and asks each domain that an agreement of `book` names. Believes in the name of a domain who
  /// shows the agreed name under that domain's authority and is a controller; judges it on every call. `own`:
  /// name, certificate and key that it shows. Catalogue, book and `audit`, where every decision goes (null:
  /// nowhere), must outlive it. `instance`: random.
  static Result<std::unique_ptr<ExchangeLink>> start(const ServerSettings& own,
                                                     const ExchangeSettings& settings, Catalogue& catalogue,
                                                     DomainBook& book, const Bytes16& instance,
                                                     std::function<Now()> clock,
                                                     audit::AuditLog* audit = nullptr);
  /// Ends when calls that run are over: within three seconds.
  virtual ~ExchangeLink() = default;
  /// With the real port.
  virtual const std::string& listening() const = 0;
};

/// Every second: what is agreed now is what counts, and what is wrong is told.
void step_domains(Catalogue& catalogue, DomainBook& book, Now now);

}  // namespace ssn::controller
