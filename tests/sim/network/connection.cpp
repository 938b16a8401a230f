// SPDX-License-Identifier: BSD-3-Clause
#include "connection.h"

#include <algorithm>

namespace ssn::sim {

using namespace protocol;

namespace {

constexpr std::size_t random_ring = 65536;

Ksid random_name(TestRandom& random) {
  Ksid out;
  random.fill(out.data(), out.size());
  return out;
}

std::uint64_t longest_reorder(const Plan& plan) {
  std::uint64_t longest = 0;
  for (const StreamPlan& stream : plan.streams) longest = std::max(longest, stream.wire.reorder_ns);
  return longest;
}

}  // namespace

Connection::Connection(const Agreement& agreement, std::uint32_t own_id, const Plan& plan,
                       const std::vector<LocalStream>& streams, TestRandom& random)
    : recorder_(*streams.at(0).context.recorder),
      coverage_(*streams.at(0).context.marks),
      key_index_(agreement.key_index),
      own_id_(own_id),
      ksid_{agreement.streams.at(0).ksid, agreement.streams.at(1).ksid, agreement.streams.at(2).ksid,
            agreement.streams.at(3).ksid},
      random_ksid_(random_name(random)),
      d_out_(ksid_[0], SSN_KEY_SENDER, plan.d_ring),
      a_out_(ksid_[1], SSN_KEY_SENDER, plan.a_ring),
      d_in_(ksid_[2], SSN_KEY_RECEIVER, plan.d_ring),
      a_in_(ksid_[3], SSN_KEY_RECEIVER, plan.a_ring),
      random_stream_(random_ksid_, SSN_KEY_RANDOM, random_ring),
      memory_{test::locked_memory(TagKeys::memory_bytes), test::locked_memory(TagKeys::memory_bytes),
              test::locked_memory(PacketHistory::memory_bytes(window))},
      pads_out_(d_out_.stream(), marks_[0]),
      tags_out_(a_out_.stream(), marks_[1], *streams[0].context.implementation, memory_[0]),
      pads_in_(d_in_.stream(), marks_[2]),
      tags_in_(a_in_.stream(), marks_[3], *streams[0].context.implementation, memory_[1], window),
      random_(random_stream_.stream(), marks_[4]),
      history_(window, plan.d_ring, memory_[2]),
      send_{agreement.peer_connections.at(0),
            agreement.key_index,
            plan.wait ? ShortagePolicy::wait : ShortagePolicy::refuse,
            &pads_out_,
            &tags_out_,
            nullptr},
      progress_(longest_reorder(plan)) {
  marks_[4].grant(UINT64_MAX / 2);
  for (std::size_t i = 0; i < 4; ++i) recorder_.oracle().stream_opened(ksid_[i], i < 2);
  receive_.key_index = key_index_;
  receive_.pads = &pads_in_;
  receive_.tags = &tags_in_;
  receive_.history = &history_;
  for (const LocalStream& each : streams) {
    StreamContext context = each.context;
    ids_.push_back(context.plan->wire.id);
    context.book = each.in;
    context.d = ksid_[0];
    context.a = ksid_[1];
    senders_.push_back(std::make_unique<SendingStream>(context, send_, sent_, random_, random));
    context.book = each.out;
    context.d = ksid_[2];
    context.a = ksid_[3];
    receivers_.push_back(std::make_unique<ReceivingStream>(context, receive_, progress_, received_, random));
  }
  inbox_.resize(streams.size());
}

Connection::~Connection() {
  count_marks(coverage_);
  for (std::size_t i = 0; i < inbox_.size(); ++i) {
    for (Cell* const cell : inbox_[i]) receivers_[i]->give(cell);
  }
  senders_.clear();
  receivers_.clear();
  for (StreamEnd* end : {static_cast<StreamEnd*>(&pads_out_), static_cast<StreamEnd*>(&tags_out_),
                         static_cast<StreamEnd*>(&pads_in_), static_cast<StreamEnd*>(&tags_in_),
                         static_cast<StreamEnd*>(&random_)}) {
    if (!end->audit()) recorder_.violation("an account does not balance");
    end->end();
    if (!end->account().balanced() || end->account().left != 0) {
      recorder_.violation("an account does not balance at the end");
    }
  }
  check_erased();
}

// Of what the rings held last nothing is left.
void Connection::check_erased() const {
  for (const test::TestKeyStream* keys : {&d_out_, &a_out_, &d_in_, &a_in_, &random_stream_}) {
    const ssn_key_stream& stream = const_cast<test::TestKeyStream*>(keys)->stream();
    const std::uint64_t first = stream.end > stream.ring_bytes ? stream.end - stream.ring_bytes : 0;
    for (std::uint64_t at = (first + 63) / 64 * 64; at + 64 <= stream.end; at += 64 * 7) {
      recorder_.oracle().must_be_erased(stream.ring + (at & (stream.ring_bytes - 1)), keys->ksid(), at, 16,
                                        "a ring after its end");
    }
  }
}

bool Connection::poll(const KeySupply& supply, TestRandom& random) {
  const auto offer = [&](test::TestKeyStream& keys, bool flows, std::uint64_t most) {
    if (!flows || keys.offered() > 4 * most) return;
    keys.deliver(supply.generous ? 2 * most : random.below(most));
  };
  const std::uint64_t pads = d_out_.stream().ring_bytes / 2;
  offer(d_out_, supply.send, pads);
  offer(a_out_, supply.send, 4096);
  offer(d_in_, supply.receive, pads);
  offer(a_in_, supply.receive, 4096);
  offer(random_stream_, supply.send, random_ring / 2);
  bool good = true;
  for (StreamEnd* end : {static_cast<StreamEnd*>(&pads_out_), static_cast<StreamEnd*>(&pads_in_),
                         static_cast<StreamEnd*>(&random_), static_cast<StreamEnd*>(&tags_out_)}) {
    good = end->poll() != SSN_FAILED && good;
  }
  good = tags_in_.poll() != SSN_FAILED && good;
  pads_out_.give_back();
  tags_out_.give_back();
  pads_in_.give_back();
  tags_in_.give_back();
  random_.give_back();
  return good;
}

// Tag keys first: a D stream that differs while its A stream does not is not noticed by tags.
void Connection::desynchronise() {
  desynchronised_ = true;
  a_in_.differ_from(a_in_.stream().end);
}

void Connection::fail_device() {
  for (test::TestKeyStream* keys : {&d_out_, &a_out_, &d_in_, &a_in_}) keys->fail();
}

std::vector<Connection::Packet> Connection::send_round(unsigned frames, std::optional<std::size_t> turn,
                                                       std::uint64_t now) {
  std::vector<Packet> out;
  const bool all_came =
      std::all_of(senders_.begin(), senders_.end(), [](const auto& each) { return each->all_came(); });
  for (std::size_t i = 0; i < senders_.size(); ++i) {
    SendingStream& sender = *senders_[i];
    if (frames != 0 && !turn) {
      sender.feed(frames, now);
    } else if (frames != 0 && all_came && i == *turn % senders_.size()) {
      sender.feed_calmly(now);
    }
    for (Outgoing& each : sender.round(now)) out.push_back({i, std::move(each)});
  }
  return out;
}

void Connection::arrive(std::span<const std::uint8_t> packet, std::uint64_t object, std::uint64_t) {
  const auto found = std::find(ids_.begin(), ids_.end(), object);
  if (found == ids_.end()) {
    coverage_.hit("drop: unknown_stream");
    return;
  }
  const auto at = static_cast<std::size_t>(found - ids_.begin());
  Cell* const cell = receivers_[at]->receive(packet);
  if (cell == nullptr) return;  // too long for any of ours
  if (parse_cell(*cell) != DropReason::none) {
    receivers_[at]->give(cell);
    return;
  }
  inbox_[at].push_back(cell);
}

// Of pads nothing is said here: where only these lie beyond the ring, what comes can be checked, and is
// enough to find the place again by (PlantedFault::full_ring).
void Connection::hear(const Connection& peer) noexcept {
  if (peer.ksid_[0] == ksid_[2]) peer_tag_keys_ = peer.marks_[1].progress();
}

void Connection::receive_round(std::uint64_t now) {
  if (!receive_.ended) catch_up_.advance(pads_in_, tags_in_, 0, peer_tag_keys_, now);
  for (std::size_t i = 0; i < receivers_.size(); ++i) {
    ReceivingStream& receiver = *receivers_[i];
    std::vector<Cell*> cells;
    cells.swap(inbox_[i]);
    for (std::size_t at = 0; at < cells.size(); at += BlockCollector::max_burst) {
      const std::size_t count = std::min(BlockCollector::max_burst, cells.size() - at);
      receiver.collect(std::span(cells).subspan(at, count), now);
      receiver.round(now, cells.size() - at - count);
    }
    if (cells.empty()) receiver.round(now, 0);
  }
}

void Connection::check(bool deep) const {
  for (const StreamEnd* end :
       {static_cast<const StreamEnd*>(&pads_out_), static_cast<const StreamEnd*>(&tags_out_),
        static_cast<const StreamEnd*>(&pads_in_), static_cast<const StreamEnd*>(&tags_in_),
        static_cast<const StreamEnd*>(&random_)}) {
    if (!end->account().balanced()) recorder_.violation("an account does not balance");
    if (deep && !end->audit()) recorder_.violation("an account does not agree with its window");
  }
}

bool Connection::idle() const {
  return std::all_of(senders_.begin(), senders_.end(), [](const auto& each) { return each->idle(); });
}

std::string Connection::describe_sender(std::uint64_t stream) const {
  const auto at = static_cast<std::size_t>(std::find(ids_.begin(), ids_.end(), stream) - ids_.begin());
  const WireSendCounters& counters = senders_[at]->counters();
  return "sender: " + std::to_string(counters.blocks) + " blocks, given up " +
         std::to_string(counters.blocks_given_up) + ", failed " + std::to_string(counters.jobs_failed) +
         ", pads " + std::to_string(pads_out_.next()) + " of " + std::to_string(pads_out_.delivered()) +
         ", numbers " + std::to_string(tags_out_.next());
}

std::string Connection::describe_receiver(std::uint64_t stream) const {
  const auto at = static_cast<std::size_t>(std::find(ids_.begin(), ids_.end(), stream) - ids_.begin());
  std::string out = "receiver: " + receivers_[at]->describe() + ", pads " + std::to_string(pads_in_.seen()) +
                    " seen of " + std::to_string(pads_in_.delivered()) + " delivered, " +
                    std::to_string(pads_in_.released()) + " released, numbers " +
                    std::to_string(tags_in_.seen()) + " seen";
  for (std::size_t i = 1; i < drop_reason_count; ++i) {
    const auto reason = static_cast<DropReason>(i);
    const std::uint64_t count = received_.dropped_for(reason);
    if (count != 0) out += ", " + std::string(name(reason)) + " " + std::to_string(count);
  }
  return out;
}

bool Connection::jobs_in_flight() const {
  const auto busy = [](const auto& each) { return each->in_flight() != 0; };
  return std::any_of(senders_.begin(), senders_.end(), busy) ||
         std::any_of(receivers_.begin(), receivers_.end(), busy);
}

void Connection::count_marks(Marks& marks) const {
  marks.hit("receiver found its place again", catch_up_.skips());
  for (const auto& each : senders_) each->count_marks(marks);
  for (const auto& each : receivers_) each->count_marks(marks);
  constexpr DropReason reasons[] = {
      DropReason::bad_field,       DropReason::bad_length,     DropReason::number_too_old,
      DropReason::number_replayed, DropReason::bad_tag,        DropReason::mask_not_delivered,
      DropReason::late_share,      DropReason::block_given_up, DropReason::too_far_ahead};
  for (const DropReason reason : reasons) {
    marks.hit("drop: " + std::string(name(reason)), received_.dropped_for(reason));
  }
}

}  // namespace ssn::sim
