// SPDX-License-Identifier: BSD-3-Clause
#include "control_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <sstream>
#include <thread>

#include "ssn/hw/file_descriptor.h"

namespace ssn::kme {
namespace {

constexpr int timeout_s = 5;

using hw::FileDescriptor;

std::optional<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return std::nullopt;
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Error bad_path(const std::string& path) {
  return {Exit::usage, "cannot use the control socket", "the path is empty or longer than 107 bytes", path,
          "choose a shorter one"};
}

FileDescriptor open_socket() {
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{timeout_s, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return socket;
}

bool connects(const FileDescriptor& socket, const sockaddr_un& address) {
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

bool send_all(int fd, const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t sent = ::send(fd, text.data() + at, text.size() - at, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) {
      continue;
    }
    if (sent <= 0) {
      return false;
    }
    at += static_cast<std::size_t>(sent);
  }
  return true;
}

// Reads until `stop` accepts what is there, the other side ends, or `most` is reached.
template <typename Stop>
std::string receive(int fd, std::size_t most, Stop stop) {
  std::string text;
  std::array<char, 4096> buffer{};
  while (text.size() < most && !stop(text)) {
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      break;
    }
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text + "\n";
}

class Server final : public ControlServer {
 public:
  Server(std::string path, FileDescriptor listening, FileDescriptor stop, ControlHandler handler)
      : path_(std::move(path)),
        listening_(std::move(listening)),
        stop_(std::move(stop)),
        handler_(std::move(handler)),
        thread_([this] { serve(); }) {}

  ~Server() override {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(stop_.get(), &one, sizeof one));
    thread_.join();
    ::unlink(path_.c_str());
  }

 private:
  void serve() {
    for (;;) {
      std::array<pollfd, 2> wait{pollfd{listening_.get(), POLLIN, 0}, pollfd{stop_.get(), POLLIN, 0}};
      if (::poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) {
        return;
      }
      if (wait[1].revents != 0) {
        return;
      }
      if (wait[0].revents != 0) {
        const FileDescriptor connection(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (connection.get() >= 0) {
          answer(connection.get());
        }
      }
    }
  }

  void answer(int fd) {
    const timeval limit{timeout_s, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    const std::string request = receive(fd, control_request_max, [](const std::string& text) {
      return text.find('\n') != std::string::npos;
    });
    std::istringstream line(request.substr(0, request.find('\n')));
    std::string format;
    std::vector<std::string> words;
    line >> format;
    for (std::string word; line >> word;) {
      words.push_back(word);
    }
    const Result<std::string> result = handler_(format == "json", words);
    if (result.ok()) {
      send_all(fd, "0\n" + result.value());
    } else {
      const Error& error = result.error();
      send_all(fd, std::to_string(static_cast<int>(error.code)) + "\n" + one_line(error.what) +
                       one_line(error.why) + one_line(error.where) + one_line(error.fix));
    }
  }

  std::string path_;
  FileDescriptor listening_;
  FileDescriptor stop_;
  ControlHandler handler_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::start(const std::string& path, ControlHandler handler) {
  const std::optional<sockaddr_un> address = address_of(path);
  if (!address) {
    return bad_path(path);
  }
  if (connects(open_socket(), *address)) {
    return Error{Exit::refused, "cannot start", "another process answers on the control socket", path,
                 "stop it, or choose another control socket in the configuration"};
  }
  struct stat status{};
  if (::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) {
    ::unlink(path.c_str());
  }
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // Before it has a name: nobody can connect while it has other permissions.
  if (::fchmod(socket.get(), 0600) != 0 ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
      ::listen(socket.get(), 16) != 0) {
    return system_error(errno, "cannot make the control socket", path);
  }
  FileDescriptor stop(::eventfd(0, EFD_CLOEXEC));
  if (stop.get() < 0) {
    return system_error(errno, "cannot make the control socket", path);
  }
  return std::unique_ptr<ControlServer>(
      new Server(path, std::move(socket), std::move(stop), std::move(handler)));
}

Result<std::string> ask_control(const std::string& path, bool json, const std::vector<std::string>& words) {
  const std::optional<sockaddr_un> address = address_of(path);
  if (!address) {
    return bad_path(path);
  }
  const FileDescriptor socket = open_socket();
  if (!connects(socket, *address)) {
    return Error{errno == EACCES ? Exit::refused : Exit::not_found, "cannot reach ssn-kme",
                 std::strerror(errno), path,
                 "start `ssn-kme --config FILE`, and give --socket the control socket that it prints"};
  }
  std::string request = json ? "json" : "text";
  for (const std::string& word : words) {
    request += " " + word;
  }
  std::string answer;
  if (request.size() < control_request_max && send_all(socket.get(), request + "\n")) {
    answer = receive(socket.get(), control_answer_max, [](const std::string&) { return false; });
  }
  int code = -1;
  const auto [end, error] = std::from_chars(answer.data(), answer.data() + answer.size(), code);
  if (error != std::errc() || end == answer.data() + answer.size() || *end != '\n') {
    return Error{Exit::temporary, "cannot reach ssn-kme", "it did not answer", path, "look at its log"};
  }
  answer.erase(0, static_cast<std::size_t>(end - answer.data()) + 1);
  if (code == 0) {
    return answer;
  }
  Error reported;
  reported.code = static_cast<Exit>(code);
  std::istringstream lines(answer);
  for (std::string* const line : {&reported.what, &reported.why, &reported.where, &reported.fix}) {
    std::getline(lines, *line);
  }
  return reported;
}

}  // namespace ssn::kme
