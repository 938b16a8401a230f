// SPDX-License-Identifier: BSD-3-Clause
// The only file with the server half of the HTTP library. Its handlers see requests before the library reads
// their bodies, so that a POST without one is answered at once and no body is read beyond its limit.
#include "https_server.h"

#include <fcntl.h>
#include <httplib.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <mutex>
#include <thread>

#include "tls_files.h"

namespace ssn::kme {
namespace {

// Serves each connection on a thread of its own, up to a number of them; then lets others wait; then stops
// taking new ones, which the system's own queue then holds and refuses. Knows the sockets of connections and
// whose they are, to end them.
class Connections final : public httplib::TaskQueue {
 public:
  explicit Connections(std::size_t threads_max) : threads_max_(threads_max) {}

  void enqueue(std::function<void()> task) override {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return ending_ || waiting_.size() < threads_max_; });
    waiting_.push_back(std::move(task));
    if (idle_ < waiting_.size() && threads_.size() < threads_max_) {
      threads_.emplace_back([this] { work(); });
    }
    work_.notify_one();
  }

  void shutdown() override {
    end();
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }

  // Cuts connections. Those that come later are cut when they begin.
  void end() {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    for (const auto& [fd, holder] : sockets_) {
      ::shutdown(fd, SHUT_RDWR);
    }
    work_.notify_all();
    room_.notify_all();
  }

  // Called on a connection's thread once its socket is known. Keeps a descriptor of its own: the library
  // closes its, and the number may be somebody else's by then.
  void note_socket(int fd) {
    if (own_socket_ >= 0) {
      return;
    }
    own_socket_ = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    const std::lock_guard lock(mutex_);
    if (own_socket_ >= 0) {
      sockets_.try_emplace(own_socket_);
    }
    if (ending_) {
      ::shutdown(fd, SHUT_RDWR);
    }
  }

  // Called on a connection's thread once it has proven itself.
  void note_holder(const SSL& connection) {
    Holder holder = peer_certificates(connection);
    const std::lock_guard lock(mutex_);
    if (const auto own = sockets_.find(own_socket_); own != sockets_.end()) own->second = std::move(holder);
  }

  // Cuts those that `believed` says no to. Others have not proven anything yet: a handshake has its own
  // judge.
  template <typename Believed>
  void close_others(const Believed& believed) {
    const std::lock_guard lock(mutex_);
    for (const auto& [fd, holder] : sockets_) {
      if (!holder.empty() && !believed(holder)) ::shutdown(fd, SHUT_RDWR);
    }
  }

  static thread_local Connections* current;

 private:
  using Holder = std::vector<pki::CertificatePointer>;  // its certificate, and what came with it

  void work() {
    current = this;
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      work_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
      --idle_;
      if (waiting_.empty()) {
        return;
      }
      const std::function<void()> task = std::move(waiting_.front());
      waiting_.pop_front();
      room_.notify_one();
      lock.unlock();
      task();
      lock.lock();
      if (own_socket_ >= 0) {
        sockets_.erase(own_socket_);
        ::close(own_socket_);
        own_socket_ = -1;
      }
    }
  }

  static thread_local int own_socket_;
  const std::size_t threads_max_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable room_;
  std::deque<std::function<void()>> waiting_;
  std::list<std::thread> threads_;
  std::map<int, Holder> sockets_;
  std::size_t idle_ = 0;
  bool ending_ = false;
};

thread_local Connections* Connections::current = nullptr;
thread_local int Connections::own_socket_ = -1;

// From the first byte of a handshake on the connection can be cut; from its last one on it is known whose it
// is.
void note_connection(const SSL* ssl, int where, int) {
  if (Connections::current == nullptr) return;
  if ((where & SSL_CB_HANDSHAKE_START) != 0) Connections::current->note_socket(SSL_get_fd(ssl));
  if ((where & SSL_CB_HANDSHAKE_DONE) != 0) Connections::current->note_holder(*ssl);
}

void answer(HttpResponse response, const kernels::Implementation* implementation, httplib::Response& out) {
  out.status = response.status;
  if (!response.allow.empty()) {
    out.set_header("Allow", response.allow);
  }
  if (response.keys != nullptr) {
    out.set_header("Cache-Control", "no-store");
    out.set_content_provider(
        static_cast<std::size_t>(response.keys->length()), "application/json",
        [keys = response.keys, implementation](std::size_t, std::size_t, httplib::DataSink& sink) {
          return keys->write(*implementation, [&sink](const char* piece, std::size_t length) {
            return sink.write(piece, length);
          });
        });
  } else if (!response.body.empty()) {
    out.set_content(response.body, "application/json");
  }
}

HttpResponse plain_error(int status, const char* message) {
  HttpResponse response;
  response.status = status;
  response.body = std::string("{\"message\":\"") + message + "\"}\n";
  return response;
}

const char* reason(int status) {
  switch (status) {
    case 400:
      return "bad request format";
    case 404:
      return "there is no such resource";
    case 413:
      return "the request is too long";
    case 414:
      return "the target is too long";
    default:
      return "the request cannot be served";
  }
}

void only_reuse_address(socket_t socket) {
  const int yes = 1;  // and not the port: two processes must not share one unnoticed
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
}

}  // namespace

class HttpsServer::Engine {
 public:
  Engine(Options options, HttpHandler handler)
      : options_(std::move(options)),
        handler_(std::move(handler)),
        live_tls_(options_.live, pki::Purpose::client) {}
  ~Engine() { stop(); }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  Outcome start();
  unsigned port() const noexcept { return port_; }
  void close_unproven();

 private:
  void configure();
  bool bind();
  void stop();
  httplib::Server::HandlerResponse before_body(const httplib::Request& request, httplib::Response& response);
  void with_body(const httplib::Request& request, httplib::Response& response,
                 const httplib::ContentReader& reader);
  void handle(const httplib::Request& request, std::string_view body, httplib::Response& response);

  Options options_;
  HttpHandler handler_;
  LiveTls live_tls_;
  Outcome tls_ = done;
  std::unique_ptr<httplib::SSLServer> server_;
  std::atomic<Connections*> connections_{nullptr};  // the server's
  std::thread thread_;
  unsigned port_ = 0;
};

Outcome HttpsServer::Engine::start() {
  server_ = std::make_unique<httplib::SSLServer>([this](SSL_CTX& context) {
    tls_ = live_tls_.set_up(context, options_.tls_1_3_only);
    SSL_CTX_set_info_callback(&context, note_connection);
    return tls_.ok();
  });
  if (!tls_.ok()) {
    return tls_;
  }
  configure();
  if (!bind()) {
    return Error{Exit::failed, "cannot listen", "the address is not of this machine, or the port is in use",
                 options_.listen + ":" + std::to_string(options_.port),
                 "choose another address or port, 0 for any that is free (ssn kme init --port)"};
  }
  thread_ = std::thread([this] { server_->listen_after_bind(); });
  // stop() has no effect before.
  while (!server_->is_running() || connections_.load() == nullptr) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return done;
}

void HttpsServer::Engine::configure() {
  const auto seconds = [](std::uint64_t value) { return static_cast<time_t>(value); };
  server_->set_tcp_nodelay(true);
  server_->set_socket_options(only_reuse_address);
  server_->set_keep_alive_max_count(std::numeric_limits<std::size_t>::max());
  server_->set_keep_alive_timeout(seconds(options_.idle_s));
  server_->set_read_timeout(seconds(options_.request_s));
  server_->set_write_timeout(seconds(options_.request_s));
  server_->set_payload_max_length(options_.max_body_bytes);
  server_->new_task_queue = [this] {
    auto* const connections = new Connections(options_.connections);
    connections_ = connections;
    return connections;  // the server deletes it when it ends
  };
  server_->set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    return before_body(request, response);
  });
  server_->Post(".*", [this](const httplib::Request& request, httplib::Response& response,
                             const httplib::ContentReader& reader) { with_body(request, response, reader); });
  // What the library refuses by itself (400, 413, 414) gets the Error body of the standard too.
  server_->set_error_handler([](const httplib::Request&, httplib::Response& response) {
    if (response.body.empty() && response.status != 401) {
      answer(plain_error(response.status, reason(response.status)), nullptr, response);
    }
  });
  server_->set_exception_handler(
      [](const httplib::Request&, httplib::Response& response, std::exception_ptr) {
        answer(plain_error(503, "the KME is out of memory"), nullptr, response);
      });
}

bool HttpsServer::Engine::bind() {
  if (options_.port != 0) {
    port_ = options_.port;
    return server_->bind_to_port(options_.listen, static_cast<int>(options_.port));
  }
  const int port = server_->bind_to_any_port(options_.listen);
  port_ = port > 0 ? static_cast<unsigned>(port) : 0;
  return port > 0;
}

void HttpsServer::Engine::close_unproven() {
  Connections* const connections = connections_.load();
  if (connections == nullptr) return;
  connections->close_others([this](const std::vector<pki::CertificatePointer>& holder) {
    return options_.live->judge(*holder[0], holder, pki::Purpose::client, ::time(nullptr)).ok();
  });
}

void HttpsServer::Engine::stop() {
  if (!thread_.joinable()) {
    return;
  }
  connections_.load()->end();  // alive until the server has stopped
  server_->stop();
  thread_.join();
}

httplib::Server::HandlerResponse HttpsServer::Engine::before_body(const httplib::Request& request,
                                                                  httplib::Response& response) {
  using Result = httplib::Server::HandlerResponse;
  // Ranges are ignored (RFC 7233, 3.1): the library would answer with parts of keys. What it hands out as
  // constant is its own object, which is not.
  const_cast<httplib::Request&>(request).ranges.clear();
  const bool has_body =
      request.has_header("Transfer-Encoding") ||
      (request.has_header("Content-Length") && request.get_header_value("Content-Length") != "0");
  if (has_body && request.method == "POST") {
    return Result::Unhandled;
  }
  if (has_body) {
    answer(plain_error(400, "only POST has a body here"), nullptr, response);
  } else {
    handle(request, "", response);
  }
  return Result::Handled;
}

void HttpsServer::Engine::with_body(const httplib::Request& request, httplib::Response& response,
                                    const httplib::ContentReader& reader) {
  std::string body;
  bool too_long = false;
  const bool read = reader([&](const char* data, std::size_t length) {
    too_long = length > options_.max_body_bytes - body.size();
    if (!too_long) {
      body.append(data, length);
    }
    return !too_long;
  });
  if (too_long || (!read && response.status == 413)) {
    answer(plain_error(413, "the request is too long"), nullptr, response);
  } else if (!read) {
    answer(plain_error(400, "the body is not what the header says"), nullptr, response);
  } else {
    handle(request, body, response);
  }
}

void HttpsServer::Engine::handle(const httplib::Request& request, std::string_view body,
                                 httplib::Response& response) {
  if (request.ssl == nullptr || !live_tls_.still_believed(*request.ssl)) {
    answer(plain_error(401, "the certificate is not to be believed any more"), nullptr, response);
    response.set_header("Connection", "close");
    return;
  }
  const std::string caller = peer_common_name(*request.ssl);
  const std::string type = request.get_header_value("Content-Type");
  answer(handler_(HttpRequest{caller, request.method, request.target, type, body}), options_.implementation,
         response);
}

HttpsServer::HttpsServer() noexcept = default;
HttpsServer::HttpsServer(HttpsServer&& other) noexcept = default;
HttpsServer& HttpsServer::operator=(HttpsServer&& other) noexcept = default;
HttpsServer::~HttpsServer() = default;

Result<HttpsServer> HttpsServer::start(Options options, HttpHandler handler) {
  HttpsServer server;
  server.engine_ = std::make_unique<Engine>(std::move(options), std::move(handler));
  if (Outcome started = server.engine_->start(); !started.ok()) {
    return started.error();
  }
  return server;
}

void HttpsServer::close_unproven() {
  if (engine_ != nullptr) engine_->close_unproven();
}

unsigned HttpsServer::port() const noexcept { return engine_ == nullptr ? 0 : engine_->port(); }

}  // namespace ssn::kme
