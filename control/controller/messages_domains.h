// SPDX-License-Identifier: BSD-3-Clause
// Between the structures of domain_types.h and the messages of control/api/exchange.proto, as in messages.h.
#pragma once

#include "domain_types.h"

namespace ssn::controller {

namespace v1 {
class DomainList;
class DomainStatement;
}  // namespace v1

void write(const DomainStatement& from, v1::DomainStatement& to);
DomainStatement read(const v1::DomainStatement& from);
void write(const DomainPage& from, v1::DomainList& to);
DomainPage read(const v1::DomainList& from);

}  // namespace ssn::controller
