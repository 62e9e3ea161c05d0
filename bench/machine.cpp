// SPDX-License-Identifier: BSL-1.0
// machine: the figures come from getrusage and /proc/self, as any user can check them.
#include "machine.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

namespace bench {
namespace {

std::vector<int> affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0)
    throw std::system_error(errno, std::generic_category(), "sched_getaffinity");
  std::vector<int> list;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &set)) list.push_back(core);
  return list;
}

void set_affinity(const std::vector<int>& list) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : list) CPU_SET(core, &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0)
    throw std::system_error(errno, std::generic_category(), "sched_setaffinity");
}

rusage usage() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return used;
}

double seconds(const timeval& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
}

// PAGEMAP_SCAN of <linux/fs.h>, Linux 6.7; the guard category came with 6.15. Older headers lack
// both, so they are spelled out.
struct scan_region {
  std::uint64_t start, end, categories;
};
struct scan_argument {
  std::uint64_t size, flags, start, end, walk_end, regions, regions_len, max_pages;
  std::uint64_t category_inverted, category_mask, category_any_of, return_mask;
};
constexpr std::uint64_t page_is_guard = 1u << 8;

}  // namespace

const std::vector<int>& cores() {
  static const std::vector<int> at_start = affinity();
  return at_start;
}

// Taken before main, and so before anybody pins.
[[maybe_unused]] static const auto& cores_at_start = cores();

pinned::pinned(unsigned first, unsigned count) : before_(affinity()) {
  std::vector<int> list;
  for (unsigned i = first; i < first + count && i < cores().size(); ++i) list.push_back(cores()[i]);
  set_affinity(list);
}

pinned::~pinned() { set_affinity(before_); }

double cpu_seconds() {
  const rusage used = usage();
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

std::int64_t kernel_switches() {
  const rusage used = usage();
  return used.ru_nvcsw + used.ru_nivcsw;
}

memory memory_now() {
  memory now;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string key;
    std::int64_t kib = 0;
    words >> key >> kib;
    if (key == "VmRSS:") now.resident_bytes = kib * 1024;
    if (key == "VmHWM:") now.peak_bytes = kib * 1024;
    if (key == "VmPTE:") now.page_table_bytes = kib * 1024;
  }
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) ++now.mappings;
  return now;
}

std::int64_t guard_pages() {
  const int file = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  std::array<scan_region, 4096> found;
  scan_argument scan{};
  scan.size = sizeof scan;
  scan.end = (std::uint64_t{1} << 47) - static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  scan.regions = reinterpret_cast<std::uint64_t>(found.data());
  scan.regions_len = found.size();
  scan.category_mask = page_is_guard;
  scan.return_mask = page_is_guard;
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::int64_t pages = 0;
  std::uint64_t counted_to = 0;
  while (scan.start < scan.end) {
    const int n = ::ioctl(file, _IOWR('f', 16, scan_argument), &scan);
    if (n < 0) {
      pages = -1;
      break;
    }
    for (const scan_region* r = found.data(); r != found.data() + n; ++r) {
      if (r->start < counted_to) continue;  // a scan that stopped short reports some of them again
      pages += static_cast<std::int64_t>((r->end - r->start) / page);
      counted_to = r->end;
    }
    scan.start = scan.walk_end;
  }
  ::close(file);
  return pages;
}

}  // namespace bench
