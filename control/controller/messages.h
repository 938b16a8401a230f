// SPDX-License-Identifier: BSD-3-Clause
// Between the structures of types.h and the messages of control/api/controller.proto, both ways. What comes
// in is bounded by the size of a message; whether it makes sense is request.h's question. Enumerators that
// this version does not know are read as their first one.
#pragma once

#include "reshare.h"
#include "types.h"

namespace ssn::controller {

namespace v1 {
class Alarm;
class AlarmList;
class Association;
class BeginWriteRequest;
class CommitAnswer;
class ControllerStatus;
class Event;
class Explanation;
class Holding;
class ListAlarmsRequest;
class Node;
class Object;
class ObjectKey;
class ObjectSummary;
class RateLimit;
class ReadTicket;
class RegisterAnswer;
class RegisterRequest;
class ReplaceAnswer;
class Replacement;
class ReportAnswer;
class PeerReport;
class ReportRequest;
class Reshare;
class StartReshareRequest;
class SealedAnswer;
class SealedRequest;
class SessionRules;
class Upkeep;
class WriteTicket;
}  // namespace v1

/// Longest message to the controller.
inline constexpr int request_bytes_max = 1 << 20;

void write(const ObjectKey& from, v1::ObjectKey& to);
ObjectKey read(const v1::ObjectKey& from);
void write(const Object& from, v1::Object& to);
Object read(const v1::Object& from);
void write(const WriteRequest& from, v1::BeginWriteRequest& to);
WriteRequest read(const v1::BeginWriteRequest& from);
void write(const WriteTicket& from, v1::WriteTicket& to);
WriteTicket read(const v1::WriteTicket& from);
void write(const CommitAnswer& from, v1::CommitAnswer& to);
CommitAnswer read(const v1::CommitAnswer& from);
void write(const ObjectSummary& from, v1::ObjectSummary& to);
ObjectSummary read(const v1::ObjectSummary& from);
void write(const ReadTicket& from, v1::ReadTicket& to);
ReadTicket read(const v1::ReadTicket& from);
void write(const Explanation& from, v1::Explanation& to);
Explanation read(const v1::Explanation& from);
void write(const Registration& from, v1::RegisterRequest& to);
Registration read(const v1::RegisterRequest& from);
void write(const RegisterAnswer& from, v1::RegisterAnswer& to);
RegisterAnswer read(const v1::RegisterAnswer& from);
void write(const Report& from, v1::ReportRequest& to);
Report read(const v1::ReportRequest& from);
void write(const ReportAnswer& from, v1::ReportAnswer& to);
ReportAnswer read(const v1::ReportAnswer& from);
void write(const SealedReport& from, v1::SealedRequest& to);
SealedReport read(const v1::SealedRequest& from);
void write(const SealedAnswer& from, v1::SealedAnswer& to);
SealedAnswer read(const v1::SealedAnswer& from);
void write(const Holding& from, v1::Holding& to);
Holding read(const v1::Holding& from);
void write(const Node& from, v1::Node& to);
Node read(const v1::Node& from);
void write(const Association& from, v1::Association& to);
Association read(const v1::Association& from);
void write(const Event& from, v1::Event& to);
Event read(const v1::Event& from);
void write(const AlarmFilter& from, v1::ListAlarmsRequest& to);
AlarmFilter read(const v1::ListAlarmsRequest& from);
void write(const AlarmPage& from, v1::AlarmList& to);
AlarmPage read(const v1::AlarmList& from);
void write(const Status& from, v1::ControllerStatus& to);
Status read(const v1::ControllerStatus& from);
// messages_rates.cpp
void write(const RateLimit& from, v1::RateLimit& to);
RateLimit read(const v1::RateLimit& from);
void write(const SessionRules& from, v1::SessionRules& to);
SessionRules read(const v1::SessionRules& from);
void write(const PeerReport& from, v1::PeerReport& to);
PeerReport read(const v1::PeerReport& from);
void write_rates(const Report& from, v1::ReportRequest& to);
void read_rates(const v1::ReportRequest& from, Report& to);
// messages_reshare.cpp
void write(const ReshareRequest& from, v1::StartReshareRequest& to);
ReshareRequest read(const v1::StartReshareRequest& from);
void write(const ReshareView& from, v1::Reshare& to);
ReshareView read(const v1::Reshare& from);
void write(const Replacement& from, v1::Replacement& to);
Replacement read(const v1::Replacement& from);
void write(const ReplacementPlan& from, v1::ReplaceAnswer& to);
ReplacementPlan read(const v1::ReplaceAnswer& from);
void write(const Upkeep& from, v1::Upkeep& to);
Upkeep read(const v1::Upkeep& from);

}  // namespace ssn::controller
