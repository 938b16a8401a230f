// SPDX-License-Identifier: BSD-3-Clause
// Key streams of key-manager NICs. Both ends draw the same bytes from a link; what one end drew first is
// there for the other after the link's latency, without being drawn again. Where another process serves the
// other end, that process draws them from its own stock of the same link.
#include <algorithm>

#include "network_state.h"

namespace ssn::kme {
namespace {

Error refused(std::string why, std::string where) {
  return {Exit::refused, "cannot open the key stream", std::move(why), std::move(where),
          "open a stream with a fresh KSID, the same at both ends, one as sender and one as receiver"};
}

// Random bytes for one node: the emulated random number generator of a site.
class RandomSource final : public StreamSource {
 public:
  explicit RandomSource(std::unique_ptr<StreamBytes> bytes) : bytes_(std::move(bytes)) {}
  std::size_t next(std::span<std::uint8_t> out) noexcept override {
    bytes_->generate(out);
    return out.size();
  }
  std::uint64_t level() noexcept override { return std::uint64_t{1} << 40; }
  bool alive() noexcept override { return true; }

 private:
  std::unique_ptr<StreamBytes> bytes_;
};

}  // namespace

class Network::StreamEnd final : public StreamSource {
 public:
  StreamEnd(Network& network, std::shared_ptr<Stream> stream, std::size_t end,
            std::shared_ptr<const LinkSecret> session)
      : network_(network),
        stream_(std::move(stream)),
        end_(end),
        bytes_(network.implementation_, std::move(session), stream_->ksid, stream_->sae[0], stream_->sae[1]) {
  }
  ~StreamEnd() override { network_.close_stream(*stream_, end_); }

  std::size_t next(std::span<std::uint8_t> out) noexcept override {
    const std::size_t granted = network_.grant(*stream_, end_, out.size());
    bytes_.generate(out.first(granted));
    return granted;
  }
  std::uint64_t level() noexcept override { return network_.stream_level(*stream_, end_); }
  bool alive() noexcept override { return network_.stream_alive(*stream_); }

 private:
  Network& network_;
  std::shared_ptr<Stream> stream_;
  std::size_t end_;
  StreamBytes bytes_;
};

Result<std::unique_ptr<StreamSource>> Network::open_random() {
  Result<LinkSecret> secret = LinkSecret::random();
  if (!secret.ok()) {
    return secret.error();
  }
  auto shared = std::make_shared<const LinkSecret>(std::move(secret.value()));
  return std::unique_ptr<StreamSource>(
      new RandomSource(std::make_unique<StreamBytes>(implementation_, std::move(shared), Ksid{}, "", "")));
}

Result<std::unique_ptr<StreamSource>> Network::open_stream(std::size_t site,
                                                           const StreamProvider::Request& request) {
  if (!knows(site, request.local)) {
    return refused(request.local + " is no SAE of this site", configuration_.sites[site].id);
  }
  if (request.role == SSN_KEY_RANDOM) {
    return open_random();
  }
  const std::lock_guard lock(mutex_);
  const std::optional<Route> way = route(site, request.peer);
  if (!way) {
    return Error{Exit::not_found, "cannot open the key stream", "there is no QKD link to " + request.peer,
                 configuration_.sites[site].id,
                 "add the SAE to a site, and a link to it, in the configuration"};
  }
  Link& link = *links_[way->link];
  if (link.session == nullptr || !link.connected) {
    return Error{Exit::temporary, "cannot open the key stream", "the other key manager does not answer",
                 link.settings.name, "start ssn-kme for the other site, and try again"};
  }
  const std::size_t end = request.role == SSN_KEY_SENDER ? 0 : 1;
  std::array<std::string, 2> sae{request.local, request.peer};
  if (end == 1) {
    std::swap(sae[0], sae[1]);
  }
  const auto found = streams_->streams.find(request.ksid);
  if (found == streams_->streams.end() && streams_->streams.size() >= streams_max) {
    return Error{Exit::temporary, "cannot open the key stream", "too many key streams were opened",
                 link.settings.name, "restart ssn-kme"};
  }
  std::shared_ptr<Stream> stream;
  if (found != streams_->streams.end()) {
    stream = found->second;
    if (stream == nullptr || stream->sae != sae || stream->run != link.run || stream->opened[end]) {
      return refused("this end of this KSID was opened before", link.settings.name);
    }
  } else {
    stream = std::make_shared<Stream>();
    stream->link = way->link;
    stream->run = link.run;
    stream->ksid = request.ksid;
    stream->sae = sae;
    stream->closed[1 - end] = !link.local;  // never opened here
    streams_->streams.emplace(request.ksid, stream);
  }
  stream->opened[end] = true;
  ++link.streams;
  return std::unique_ptr<StreamSource>(new StreamEnd(*this, std::move(stream), end, link.session));
}

void Network::close_stream(Stream& stream, std::size_t end) {
  const std::lock_guard lock(mutex_);
  --links_[stream.link]->streams;
  stream.closed[end] = true;
  if (stream.closed[1 - end]) {
    streams_->streams[stream.ksid] = nullptr;
  }
}

// What the end that did not draw may read by now.
void Network::update_visible(Stream& stream, Microseconds at) {
  while (!stream.marks.empty() && stream.marks.front().ready <= at) {
    stream.visible = stream.marks.front().offset;
    stream.marks.pop_front();
  }
}

void Network::note_drawn(Stream& stream, Microseconds latency, Microseconds at, std::uint64_t drawn) {
  stream.drawn += drawn;
  if (latency == 0) {
    stream.visible = stream.drawn;
  } else if (drawn != 0) {
    // Marks are rounded up to a 32nd of the latency, so there are never more than 34 of them.
    if (stream.marks.empty() || at + latency > stream.marks.back().ready) {
      stream.marks.push_back({0, at + latency + latency / 32});
    }
    stream.marks.back().offset = stream.drawn;
  }
}

std::size_t Network::grant(Stream& stream, std::size_t end, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  Link& link = *links_[stream.link];
  if (stream.run != link.run) {
    return 0;
  }
  const Microseconds at = now();
  update_visible(stream, at);
  std::uint64_t& offset = stream.offset[end];
  std::uint64_t granted = 0;
  if (offset < stream.drawn) {
    const std::uint64_t known = stream.visible > offset ? stream.visible - offset : 0;
    granted = std::min<std::uint64_t>(bytes, known);
    offset += granted;
  }
  if (offset == stream.drawn && granted < bytes) {
    const std::uint64_t drawn = link.model.draw_bytes(at, bytes - granted);
    const bool starved = drawn < bytes - granted;
    link.counters.shortages += starved && !stream.starved ? 1 : 0;
    stream.starved = starved;
    link.counters.stream_bytes += drawn;
    granted += drawn;
    offset += drawn;
    note_drawn(stream, link.settings.latency, at, drawn);
  }
  return static_cast<std::size_t>(granted);
}

std::uint64_t Network::stream_level(Stream& stream, std::size_t end) {
  const std::lock_guard lock(mutex_);
  Link& link = *links_[stream.link];
  if (stream.run != link.run) {
    return 0;
  }
  update_visible(stream, now());
  const std::uint64_t offset = stream.offset[end];
  if (offset == stream.drawn) {
    return link.model.stock_bits(now()) / 8;
  }
  if (stream.visible < stream.drawn) {
    return stream.visible > offset ? stream.visible - offset : 0;
  }
  return stream.drawn - offset + link.model.stock_bits(now()) / 8;
}

bool Network::stream_alive(const Stream& stream) {
  const std::lock_guard lock(mutex_);
  return stream.run == links_[stream.link]->run;
}

}  // namespace ssn::kme
