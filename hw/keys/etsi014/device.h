// SPDX-License-Identifier: BSD-3-Clause
// The key device: one thread that talks to the key manager for all streams and fills their rings. Everything
// that others call takes one lock for a short time; poll and release of a stream take none.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "connection.h"
#include "json.h"
#include "key_ids.h"
#include "peer.h"
#include "pool.h"
#include "receiver.h"
#include "sender.h"
#include "settings.h"
#include "ssn/key_device.h"
#include "tls.h"

namespace ssn::hw::etsi014 {

struct Stream : ssn_key_stream {
  Stream(std::uint8_t* memory, std::uint64_t bytes) : ssn_key_stream{}, delivery(memory, bytes) {}

  Delivery delivery;
  class Device* device = nullptr;
  // What follows belongs to the device, under its lock.
  std::uint64_t id = 0;
  Ksid ksid{};
  Peer* peer = nullptr;
  std::unique_ptr<Sender> sender;  // one of the two
  std::unique_ptr<Receiver> receiver;
};

class Device {
 public:
  static constexpr std::uint32_t streams_max = 256;
  static constexpr std::uint64_t ring_bytes_min = 65536;
  static constexpr std::uint64_t ring_bytes_max = std::uint64_t{1} << 40;

  static Result<std::unique_ptr<Device>> open(const ssn_key_device_config& config);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  void describe(ssn_key_device_info& info);
  Result<Stream*> open_stream(const ssn_key_stream_request& request, const ssn_key_driver* driver);
  void close_stream(Stream* stream);
  ssn_status peer_message(const char* peer, std::span<const std::uint8_t> bytes);

 private:
  struct Incoming {
    std::string peer;
    Bytes bytes;
  };
  // One request that a connection is busy with.
  struct Job {
    enum class Kind { status, enc_keys, dec_keys };
    Kind kind = Kind::status;
    std::string peer;
    std::uint64_t stream = 0;
  };
  struct Slot {
    std::unique_ptr<Connection> connection;
    Job job;
  };

  Device(std::unique_ptr<const Settings> settings, LiveTls tls, BodyPool exchange, int wake_fd,
         std::uint64_t seed, const ssn_key_device_config& config);

  void run();
  void wake() noexcept;
  Time work(bool& stop);
  void wait(Time until);
  void advance();
  void send();
  void receive_messages(Time now);
  void dispatch(const Incoming& incoming, Time now);
  void settle(Stream& stream, const Sender::Settled& settled, Time now);
  void tick(Time now);
  void schedule(Time now);
  bool schedule_stream(Stream& stream, Slot& slot, Time now);
  bool schedule_status(Peer& peer, Slot& slot, Time now);
  bool schedule_enc(Stream& stream, Slot& slot, Time now);
  bool schedule_dec(Stream& stream, Slot& slot, Time now);
  void start(Slot& slot, Job job, Request request, Body body, Time now);
  void finish(const Job& job, Exchange exchange, Time now);
  void finish_status(const Job& job, Exchange& exchange, Time now);
  void finish_enc(const Job& job, Exchange& exchange, Time now);
  void finish_dec(const Job& job, Exchange& exchange, Time now);
  void job_failed(const Job& job, Exchange& exchange, Time now);
  void unreachable(const Exchange& exchange, Time now);
  void set_health(Stream& stream, ssn_key_health health);
  std::size_t outstanding(const Peer& peer) const;
  Stream* find(std::uint64_t id) noexcept;
  Peer* find_peer(const std::string& name) noexcept;
  Result<Peer*> make_peer(const std::string& name, bool sends);
  Outcome check_request(const ssn_key_stream_request& request) const;
  std::string path_of(const std::string& peer, const char* verb) const;
  Time next_timer(Time now);

  const std::unique_ptr<const Settings> owned_settings_;  // stays where it is
  const Settings& settings_;
  LiveTls tls_;  // the thread's alone
  const ssn_key_send_to_peer send_to_peer_;
  void* const send_context_;
  int wake_fd_ = -1;

  std::mutex inbox_mutex_;
  std::deque<Incoming> inbox_;
  std::size_t inbox_bytes_ = 0;
  bool stopping_ = false;

  std::mutex mutex_;  // everything below; never held while send_to_peer or a connection works
  BodyPool exchange_pool_;
  Jitter jitter_;
  JsonReader json_;
  KeyIdMemory seen_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::deque<std::pair<Ksid, std::string>> closed_;  // lately, with their peers
  std::uint64_t next_id_ = 1;
  std::size_t turn_ = 0;
  BackOff unreachable_;
  Time not_before_ = 0;
  bool emulator_ = false;
  bool status_seen_ = false;
  std::string kme_;
  std::string last_failure_;
  std::string tls_trouble_;
  Time idle_tick_ = 0;
  Outbox outbox_;

  // The thread's alone.
  std::vector<Slot> slots_;
  std::vector<std::pair<Job, Exchange>> ended_;
  Outbox unsent_;
  std::thread thread_;
};

}  // namespace ssn::hw::etsi014
