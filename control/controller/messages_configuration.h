// SPDX-License-Identifier: BSD-3-Clause
// As messages.h, of control/api/configuration.proto.
#pragma once

#include "types.h"

namespace ssn::controller {

namespace v1 {
class AccountList;
class ApplyConfigurationRequest;
class ConfigurationChange;
class ConfigurationVersion;
class OwnerUsage;
}  // namespace v1

void write(const ConfigurationVersion& from, v1::ConfigurationVersion& to);
ConfigurationVersion read(const v1::ConfigurationVersion& from);
void write(const ConfigurationRequest& from, v1::ApplyConfigurationRequest& to);
ConfigurationRequest read(const v1::ApplyConfigurationRequest& from);
void write(const ConfigurationChange& from, v1::ConfigurationChange& to);
ConfigurationChange read(const v1::ConfigurationChange& from);
void write(const AccountPage& from, v1::AccountList& to);
AccountPage read(const v1::AccountList& from);
void write(const Usage& from, v1::OwnerUsage& to);
Usage read(const v1::OwnerUsage& from);

}  // namespace ssn::controller
