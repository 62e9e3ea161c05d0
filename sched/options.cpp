// SPDX-License-Identifier: BSL-1.0
// options: defaults from the environment and the machine, and what is refused.
#include <heddle/fiber/stack.hpp>
#include <heddle/sched/options.hpp>

#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::detail {

namespace {

constexpr unsigned max_workers = 4096;

std::optional<std::uint64_t> number_from_environment(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  const std::string_view all(text);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(all.data(), all.data() + all.size(), value);
  if (error != std::errc{} || end != all.data() + all.size() || value == 0) {
    throw std::invalid_argument(std::string("heddle: the environment variable ") + variable +
                                " is '" + std::string(all.substr(0, 64)) +
                                "'; it must be a whole number, from 1 to what its option allows, "
                                "without a sign or a unit");
  }
  return value;
}

/// Whether nobody may handle a signal, or heddle does.
bool is_taken(int signal) noexcept {
  return signal == SIGKILL || signal == SIGSTOP || signal == SIGSEGV || signal == SIGBUS ||
         signal == SIGURG || (signal >= 32 && signal < SIGRTMIN);
}

unsigned affinity_count() noexcept {
  // The kernel refuses a mask smaller than its own; so ask with larger ones until it fits.
  for (std::size_t processors = 1024; processors <= 1024 * 1024; processors *= 4) {
    cpu_set_t* set = CPU_ALLOC(processors);
    if (set == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(processors);
    const bool known = ::sched_getaffinity(0, bytes, set) == 0;
    const int count = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (known) return static_cast<unsigned>(std::max(count, 1));
  }
  return 1;
}

/// Processors' worth of a quota file pair; infinity where there is no limit.
double quota_of(double quota, double period) {
  return quota > 0 && period > 0 ? quota / period : std::numeric_limits<double>::infinity();
}

double quota_v2(const std::string& group) {
  std::ifstream in(group + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(in >> quota >> period) || quota == "max") return std::numeric_limits<double>::infinity();
  return quota_of(std::atof(quota.c_str()), period);
}

double quota_v1(const std::string& group) {
  std::ifstream quota_in(group + "/cpu.cfs_quota_us");
  std::ifstream period_in(group + "/cpu.cfs_period_us");
  double quota = 0;
  double period = 0;
  if (!(quota_in >> quota) || !(period_in >> period)) {
    return std::numeric_limits<double>::infinity();
  }
  return quota_of(quota, period);
}

/// Where the v2 hierarchy, or the one of v1's cpu controller, is mounted; or "".
std::string mount_of(const std::string& root, bool v2) {
  std::ifstream in(root + "/proc/self/mountinfo");
  std::string line;
  while (std::getline(in, line)) {
    const auto dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream tail(line.substr(dash + 3));
    std::string type, source, flags;
    tail >> type >> source >> flags;
    const bool cpu = ("," + flags + ",").find(",cpu,") != std::string::npos;
    if (v2 ? type != "cgroup2" : type != "cgroup" || !cpu) continue;
    std::istringstream head(line);
    std::string id, parent, device, root_in_it, mount;
    head >> id >> parent >> device >> root_in_it >> mount;
    return root + mount;
  }
  return "";
}

}  // namespace

double cgroup_quota(const std::string& root) {
  double least = std::numeric_limits<double>::infinity();
  std::ifstream in(root + "/proc/self/cgroup");
  std::string line;
  while (std::getline(in, line)) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool v2 = controllers == ",,";
    if (!v2 && controllers.find(",cpu,") == std::string::npos) continue;
    const std::string mount = mount_of(root, v2);
    if (mount.empty()) continue;
    for (std::string path = line.substr(second + 1);; path.resize(path.rfind('/'))) {
      if (path == "/") path.clear();
      least = std::min(least, v2 ? quota_v2(mount + path) : quota_v1(mount + path));
      if (path.empty() || path.find('/') == std::string::npos) break;
    }
  }
  return least;
}

unsigned usable_processors(const char* root) noexcept {
  const unsigned allowed = affinity_count();
  try {
    const double quota = cgroup_quota(root);
    if (quota < allowed) return std::max(1u, static_cast<unsigned>(std::ceil(quota)));
  } catch (const std::exception&) {
    // Without memory to read it, the quota is not known; the affinity mask is.
  }
  return allowed;
}

std::size_t checked_stack_size(std::size_t bytes) {
  if (bytes < min_stack_size || bytes > max_stack_size) {
    throw std::invalid_argument(
        "heddle: a stack of " + std::to_string(bytes) +
        " bytes was asked for (options::stack_size or fiber_options::stack_size); "
        "it must have 16 KiB to 1 GiB");
  }
  const std::size_t page = page_size();
  return (bytes + page - 1) / page * page;
}

options complete(options wanted) {
  if (wanted.workers == 0) {
    const auto set = number_from_environment("HEDDLE_WORKERS");
    if (set && *set > max_workers) {
      throw std::invalid_argument("heddle: the environment variable HEDDLE_WORKERS asks for " +
                                  std::to_string(*set) + " workers; at most 4096 are possible");
    }
    wanted.workers = set ? static_cast<unsigned>(*set) : usable_processors();
  }
  if (wanted.workers > max_workers) {
    throw std::invalid_argument("heddle: options::workers is " + std::to_string(wanted.workers) +
                                "; at most 4096 are possible");
  }
  wanted.max_spare_workers = std::min(wanted.max_spare_workers, max_workers);
  if (wanted.max_blocking == 0) {
    throw std::invalid_argument("heddle: options::max_blocking is 0; blocking() needs a thread");
  }
  if (wanted.long_run < std::chrono::milliseconds(1)) {
    throw std::invalid_argument("heddle: options::long_run is " +
                                std::to_string(wanted.long_run.count()) +
                                " ms; it must be at least 1 ms");
  }
  if (wanted.dump_signal < 0 || wanted.dump_signal > SIGRTMAX || is_taken(wanted.dump_signal)) {
    throw std::invalid_argument("heddle: options::dump_signal is " +
                                std::to_string(wanted.dump_signal) +
                                "; it must be a signal that a program may handle, and not SIGSEGV, "
                                "SIGBUS or SIGURG, which heddle uses itself; or 0");
  }
  // Beyond a year is never, and must not overflow in nanoseconds.
  wanted.long_run = std::min<std::chrono::milliseconds>(wanted.long_run, std::chrono::years(1));
  if (wanted.stack_size == options{}.stack_size) {
    if (const auto set = number_from_environment("HEDDLE_STACK_SIZE")) {
      try {
        wanted.stack_size = checked_stack_size(*set);
      } catch (const std::invalid_argument& wrong) {
        throw std::invalid_argument(std::string(wrong.what()) +
                                    " (from the environment variable HEDDLE_STACK_SIZE)");
      }
    }
  }
  wanted.stack_size = checked_stack_size(wanted.stack_size);
  return wanted;
}

}  // namespace heddle::detail
