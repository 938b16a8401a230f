// SPDX-License-Identifier: BSD-3-Clause
// Between the structures of control/audit and the messages of control/api/audit.proto, both ways.
#pragma once

#include "audit_file.h"

namespace ssn::controller {

namespace v1 {
class DecisionList;
class ListDecisionsRequest;
}  // namespace v1

void write(const audit::DecisionFilter& from, v1::ListDecisionsRequest& to);
audit::DecisionFilter read(const v1::ListDecisionsRequest& from);
void write(const audit::DecisionPage& from, v1::DecisionList& to);
audit::DecisionPage read(const v1::DecisionList& from);

}  // namespace ssn::controller
