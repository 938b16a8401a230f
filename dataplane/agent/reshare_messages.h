// SPDX-License-Identifier: BSD-3-Clause
// Between the structures of reshare_host.h and the messages of service Resharing.
#pragma once

#include "ssn/dataplane/reshare_host.h"

namespace ssn::dataplane::v1 {
class ReshareAnswer;
class ReshareOrder;
class ReshareStatus;
}  // namespace ssn::dataplane::v1

namespace ssn::agent {

namespace api = ssn::dataplane::v1;

/// What does not fit into an order gives one that is malformed: check_order().
roles::ReshareOrder read(const api::ReshareOrder& message);
void write(const OrderReply& reply, api::ReshareAnswer& message);
void write(const ReshareReport& report, api::ReshareStatus& message);

}  // namespace ssn::agent
