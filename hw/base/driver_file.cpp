// SPDX-License-Identifier: BSD-3-Clause
#include "driver_file.h"

#include <dirent.h>
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace ssn::hw {
namespace {

constexpr std::size_t max_driver_name = 64;
constexpr const char* path_variable = "SSN_DRIVER_PATH";
// How far below a build directory our programs lie.
constexpr int build_depth = 5;
// More files of one kind in one directory are not looked at.
constexpr std::size_t max_found = 1000;

struct Place {
  std::string directory;
  bool build_tree = false;
};

struct Candidate {
  std::string path;
  bool build_tree = false;
};

bool is_driver_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !name.empty() && name.size() <= max_driver_name && std::all_of(name.begin(), name.end(), allowed);
}

std::string program_path() {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  return length > 0 ? std::string(path, static_cast<std::size_t>(length)) : std::string();
}

// Directories that may hold drivers, the most wanted first.
std::vector<Place> places(const std::string& build_folder) {
  std::vector<Place> found;
  if (const char* const list = ::secure_getenv(path_variable); list != nullptr) {
    std::string_view rest = list;
    while (!rest.empty()) {
      const std::size_t colon = std::min(rest.find(':'), rest.size());
      if (colon != 0) {
        found.push_back({std::string(rest.substr(0, colon))});
      }
      rest.remove_prefix(std::min(colon + 1, rest.size()));
    }
  }
  std::string folder = program_path();
  for (int depth = 0; depth < build_depth; ++depth) {
    folder.resize(std::min(folder.rfind('/'), folder.size()));
    if (folder.empty()) {
      break;
    }
    found.push_back({folder + "/" + build_folder, true});
  }
  found.push_back({SSN_DRIVER_DIRECTORY});
  return found;
}

// Whoever can write the driver reads the keys. Owners of a build tree: this user, root, or whoever owns this
// program.
Outcome check_file(const Candidate& candidate, const struct stat& status) {
  const auto refuse = [&](std::string why, std::string fix) {
    return Error{Exit::refused, "will not load the driver " + candidate.path, std::move(why), candidate.path,
                 std::move(fix)};
  };
  if (!S_ISREG(status.st_mode)) {
    return refuse("it is not a regular file", "name the driver's shared object (.so)");
  }
  if ((status.st_mode & S_IWOTH) != 0) {
    return refuse("everybody may write to it", "chmod o-w " + candidate.path);
  }
  if (candidate.build_tree && status.st_uid != 0 && status.st_uid != ::geteuid()) {
    struct stat program{};
    if (::stat("/proc/self/exe", &program) != 0 || program.st_uid != status.st_uid) {
      return refuse(
          "it lies in a build tree of another user",
          "install Shareline, or name the directory of its drivers in " + std::string(path_variable));
    }
  }
  return done;
}

Result<LoadedDriver> load_file(const DriverFile& file, const Candidate& candidate) {
  dlerror();
  void* const library = ::dlopen(candidate.path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* const reason = ::dlerror();
    return Error{Exit::failed, "cannot load the driver " + candidate.path,
                 reason != nullptr ? reason : "the reason is unknown", candidate.path,
                 "check that it is a shared object for this machine and that its libraries are installed "
                 "(ldd " +
                     candidate.path + ")"};
  }
  void* const symbol = ::dlsym(library, file.symbol.c_str());
  if (symbol == nullptr) {
    ::dlclose(library);
    return Error{Exit::usage, "cannot use the driver " + candidate.path,
                 "it does not export the symbol " + file.symbol, candidate.path,
                 "name a driver of this kind; include/ssn/ says what a driver exports"};
  }
  return LoadedDriver{candidate.path, symbol};
}

}  // namespace

Result<LoadedDriver> load_driver(const DriverFile& file) {
  std::vector<Candidate> candidates;
  if (file.driver.find('/') != std::string::npos) {
    candidates.push_back({file.driver});
  } else if (is_driver_name(file.driver)) {
    for (const Place& place : places(file.folder)) {
      candidates.push_back({place.directory + "/" + file.prefix + file.driver + ".so", place.build_tree});
    }
  } else {
    return Error{Exit::usage, "cannot load the driver '" + file.driver.substr(0, max_driver_name) + "'",
                 "a driver's name consists of 1 to 64 letters, digits, '-' and '_'", "driver",
                 "give such a name, or a path with a slash"};
  }
  for (const Candidate& candidate : candidates) {
    struct stat status{};
    if (::stat(candidate.path.c_str(), &status) != 0) {
      if (errno != ENOENT && errno != ENOTDIR) {
        return system_error(errno, "cannot look for the driver " + file.driver, candidate.path);
      }
      continue;
    }
    const Outcome checked = check_file(candidate, status);
    return checked.ok() ? load_file(file, candidate) : Result<LoadedDriver>(checked.error());
  }
  std::string searched;
  for (const Candidate& candidate : candidates) {
    if (!candidate.build_tree) {
      searched += (searched.empty() ? "" : ", ") + candidate.path;
    }
  }
  return Error{Exit::not_found, "cannot load the driver " + file.driver, "there is no " + searched, "driver",
               "check the name, install the driver, or name its directory in SSN_DRIVER_PATH"};
}

std::vector<FoundDriver> find_drivers(const std::string& prefix, const std::string& folder) {
  constexpr std::string_view ending = ".so";
  std::vector<FoundDriver> found;
  for (const Place& place : places(folder)) {
    DIR* const directory = ::opendir(place.directory.c_str());
    if (directory == nullptr) {
      continue;  // load_driver() would not find anything there either
    }
    std::size_t looked_at = 0;
    for (const dirent* entry = ::readdir(directory); entry != nullptr && looked_at < max_found;
         entry = ::readdir(directory)) {
      const std::string_view file = entry->d_name;
      if (file.size() <= prefix.size() + ending.size() || !file.starts_with(prefix) ||
          !file.ends_with(ending)) {
        continue;
      }
      ++looked_at;
      const std::string name(file.substr(prefix.size(), file.size() - prefix.size() - ending.size()));
      const bool hidden = std::any_of(found.begin(), found.end(),
                                      [&](const FoundDriver& other) { return other.name == name; });
      if (is_driver_name(name) && !hidden) {
        found.push_back({name, place.directory + "/" + std::string(file)});
      }
    }
    ::closedir(directory);
  }
  std::sort(found.begin(), found.end(),
            [](const FoundDriver& a, const FoundDriver& b) { return a.name < b.name; });
  return found;
}

}  // namespace ssn::hw
