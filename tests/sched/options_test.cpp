// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/sched/options.hpp>

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace {

using namespace heddle_test;
using heddle::options;
using heddle::detail::cgroup_quota;
using heddle::detail::complete;
using heddle::detail::usable_processors;

constexpr std::size_t KiB = 1024;
constexpr std::size_t GiB = KiB * KiB * KiB;

/// What std::invalid_argument says when a runtime is asked for with `wanted`; "" if there is none.
std::string refusal(const options& wanted) {
  try {
    heddle::runtime rt(wanted);
    return "";
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class Options : public ::testing::Test {
 protected:
  const environment no_workers{"HEDDLE_WORKERS", nullptr};
  const environment no_stack_size{"HEDDLE_STACK_SIZE", nullptr};
};

TEST_F(Options, LeftAloneGiveAWorkerForEachUsableProcessor) {
  EXPECT_EQ(complete({}).workers, usable_processors());
  heddle::runtime rt;
  EXPECT_EQ(rt.workers(), usable_processors());
  heddle::runtime zero({.workers = 0});
  EXPECT_EQ(zero.workers(), usable_processors());
}

TEST_F(Options, RefuseTooManyWorkers) {
  EXPECT_EQ(complete({.workers = 4096}).workers, 4096u);
  for (const unsigned many : {4097u, 10'000u, ~0u}) {
    const std::string why = refusal({.workers = many});
    EXPECT_TRUE(contains(why, "options::workers is " + std::to_string(many))) << why;
    EXPECT_TRUE(contains(why, "at most 4096")) << why;
  }
}

TEST_F(Options, RefuseAStackThatIsTooSmallOrAbsurd) {
  for (const std::size_t bad :
       {std::size_t{0}, std::size_t{1}, 16 * KiB - 1, GiB + 1, 64 * GiB, SIZE_MAX - 1, SIZE_MAX}) {
    const std::string why = refusal({.workers = 1, .stack_size = bad});
    EXPECT_TRUE(contains(why, "a stack of " + std::to_string(bad) + " bytes")) << why;
    EXPECT_TRUE(contains(why, "16 KiB to 1 GiB")) << why;
  }
}

TEST_F(Options, RoundAStackUpToPages) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  EXPECT_EQ(complete({.stack_size = 16 * KiB}).stack_size, 16 * KiB);
  EXPECT_EQ(complete({.stack_size = 16 * KiB + 1}).stack_size, 16 * KiB + page);
  EXPECT_EQ(complete({.stack_size = 100'000}).stack_size, (100'000 + page - 1) / page * page);
  EXPECT_EQ(complete({.stack_size = GiB}).stack_size, GiB);
  EXPECT_EQ(heddle::run({.workers = 1, .stack_size = 65'537}, [] { return 5; }), 5);
}

TEST_F(Options, RefuseToHaveNoThreadForBlockingCalls) {
  EXPECT_TRUE(contains(refusal({.workers = 1, .max_blocking = 0}), "max_blocking"));
}

TEST_F(Options, RefuseALongRunBelowAMillisecond) {
  EXPECT_TRUE(contains(refusal({.workers = 1, .long_run = 0ms}), "long_run"));
  EXPECT_TRUE(contains(refusal({.workers = 1, .long_run = -5ms}), "long_run"));
  EXPECT_EQ(refusal({.workers = 1, .long_run = 1ms}), "");
  for (const int taken : {-1, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGURG, 32, 33, SIGRTMAX + 1}) {
    EXPECT_TRUE(contains(refusal({.workers = 1, .dump_signal = taken}), "dump_signal")) << taken;
  }
}

TEST_F(Options, AllowNoSpareWorkers) {
  EXPECT_EQ(complete({.max_spare_workers = 0}).max_spare_workers, 0u);
  EXPECT_EQ(heddle::run({.workers = 1, .max_spare_workers = 0}, [] { return 5; }), 5);
  EXPECT_EQ(heddle::run({.workers = 1, .max_spare_workers = ~0u}, [] { return 5; }), 5);
}

TEST_F(Options, AreFilledInFromTheEnvironment) {
  const environment workers("HEDDLE_WORKERS", "3");
  const environment stack_size("HEDDLE_STACK_SIZE", "65536");
  EXPECT_EQ(complete({}).workers, 3u);
  EXPECT_EQ(complete({}).stack_size, 65'536u);
  heddle::runtime rt;
  EXPECT_EQ(rt.workers(), 3u);
  // What the program asked for itself stands.
  EXPECT_EQ(complete({.workers = 2}).workers, 2u);
  EXPECT_EQ(complete({.stack_size = 32 * KiB}).stack_size, 32 * KiB);
}

TEST_F(Options, RefuseAMalformedEnvironmentByName) {
  for (const char* variable : {"HEDDLE_WORKERS", "HEDDLE_STACK_SIZE"}) {
    for (const char* bad : {"", "0", "-1", "+2", "two", "2 ", " 2", "2x", "2.5", "0x10", "64k",
                            "99999999999999999999999999"}) {
      const environment set(variable, bad);
      const std::string why = refusal({});
      EXPECT_TRUE(contains(why, variable)) << variable << "='" << bad << "': " << why;
      EXPECT_TRUE(contains(why, std::string(1, '\'').append(bad).append(1, '\''))) << why;
    }
  }
}

TEST_F(Options, RefuseAnEnvironmentOutOfRangeByName) {
  for (const char* bad : {"4097", "10000", "4294967297", "18446744073709551615"}) {
    const environment set("HEDDLE_WORKERS", bad);
    const std::string why = refusal({});
    EXPECT_TRUE(contains(why, "HEDDLE_WORKERS") && contains(why, bad)) << why;
  }
  for (const char* bad : {"1", "16383", "1073741825", "18446744073709551615"}) {
    const environment set("HEDDLE_STACK_SIZE", bad);
    const std::string why = refusal({});
    EXPECT_TRUE(contains(why, "HEDDLE_STACK_SIZE") && contains(why, bad)) << why;
  }
}

TEST_F(Options, QuoteNoMegabytesOfEnvironment) {
  const std::string huge(100'000, 'x');
  const environment set("HEDDLE_WORKERS", huge.c_str());
  EXPECT_LT(refusal({}).size(), 1000u);
}

TEST_F(Options, LeaveNothingBehindWhenRefused) {
  const auto threads = [] {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
  };
  const auto before = threads();
  for (int i = 0; i < 20; ++i) EXPECT_NE(refusal({.workers = 10'000}), "");
  EXPECT_EQ(threads(), before);
}

TEST(UsableProcessors, FollowTheAffinityMask) {
  cpu_set_t all;
  ASSERT_EQ(::sched_getaffinity(0, sizeof all, &all), 0);
  EXPECT_LE(usable_processors(), static_cast<unsigned>(CPU_COUNT(&all)));
  EXPECT_EQ(heddle::fiber::hardware_concurrency(), usable_processors());
  std::thread([&] {
    int first = 0;
    while (!CPU_ISSET(first, &all)) ++first;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(usable_processors(), 1u);
    const environment no_workers("HEDDLE_WORKERS", nullptr);
    heddle::runtime rt;
    EXPECT_EQ(rt.workers(), 1u);
  }).join();
}

/// A machine's /proc and /sys of its own.
class CgroupQuota : public ::testing::Test {
 protected:
  CgroupQuota() {
    char name[] = "/tmp/heddle_cgroup_XXXXXX";
    root = ::mkdtemp(name);
  }
  ~CgroupQuota() override { std::filesystem::remove_all(root); }

  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  void mount_v2() {
    write("/proc/self/mountinfo",
          "22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
          "24 22 0:22 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
  }
  void mount_v1() {
    write("/proc/self/mountinfo",
          "32 31 0:29 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
          "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
          "34 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n");
  }
  void quota_v1(const std::string& group, const char* quota, const char* period) {
    write("/sys/fs/cgroup/cpu,cpuacct" + group + "/cpu.cfs_quota_us", quota);
    write("/sys/fs/cgroup/cpu,cpuacct" + group + "/cpu.cfs_period_us", period);
  }

  std::string root;
};

TEST_F(CgroupQuota, IsInfiniteWhereThereIsNone) {
  EXPECT_TRUE(std::isinf(cgroup_quota(root))) << "no files at all";
  mount_v2();
  write("/proc/self/cgroup", "0::/a\n");
  EXPECT_TRUE(std::isinf(cgroup_quota(root))) << "the root group has no cpu.max";
  write("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
  EXPECT_TRUE(std::isinf(cgroup_quota(root)));
  EXPECT_GE(usable_processors(root.c_str()), 1u);
}

TEST_F(CgroupQuota, IsReadFromVersionTwo) {
  mount_v2();
  write("/proc/self/cgroup", "0::/a\n");
  write("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  EXPECT_DOUBLE_EQ(cgroup_quota(root), 1.5);
  write("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
  EXPECT_DOUBLE_EQ(cgroup_quota(root), 0.5);
  EXPECT_EQ(usable_processors(root.c_str()), 1u) << "never none";
}

TEST_F(CgroupQuota, IsTheSmallestOfAllGroupsAbove) {
  mount_v2();
  write("/proc/self/cgroup", "0::/a/b/c\n");
  write("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
  write("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  write("/sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
  EXPECT_DOUBLE_EQ(cgroup_quota(root), 2);
  write("/sys/fs/cgroup/cpu.max", "100000 100000\n");  // in a container its own group is the root
  EXPECT_DOUBLE_EQ(cgroup_quota(root), 1);
}

TEST_F(CgroupQuota, IsFoundWhereTheNamespaceHidesTheGroupsPath) {
  // A container without a cgroup namespace: the path is the host's, the mount shows the group.
  mount_v2();
  write("/proc/self/cgroup", "0::/docker/0123456789abcdef\n");
  write("/sys/fs/cgroup/cpu.max", "250000 100000\n");
  EXPECT_DOUBLE_EQ(cgroup_quota(root), 2.5);
}

TEST_F(CgroupQuota, IsReadFromVersionOne) {
  mount_v1();
  write("/proc/self/cgroup",
        "9:name=systemd:/\n4:memory:/m\n3:cpuset:/s\n2:cpu,cpuacct:/docker/x\n0::/\n");
  quota_v1("", "-1", "100000");
  EXPECT_TRUE(std::isinf(cgroup_quota(root)));
  quota_v1("/docker/x", "120000", "40000");
  EXPECT_DOUBLE_EQ(cgroup_quota(root), 3);
  quota_v1("/docker", "100000", "100000");
  EXPECT_DOUBLE_EQ(cgroup_quota(root), 1);
  EXPECT_EQ(usable_processors(root.c_str()), 1u);
}

TEST_F(CgroupQuota, IsNotTakenFromAnotherController) {
  mount_v1();
  write("/proc/self/cgroup", "3:cpuset:/s\n2:cpuacct:/docker/x\n");
  quota_v1("/docker/x", "100000", "100000");
  EXPECT_TRUE(std::isinf(cgroup_quota(root)));
}

TEST_F(CgroupQuota, IsNotMisledByNonsense) {
  mount_v2();
  for (const char* group : {"", "\n", "0\n", "0:\n", "0::\n", "::\n", "0::a\n", "0::/../..\n"}) {
    write("/proc/self/cgroup", group);
    EXPECT_TRUE(std::isinf(cgroup_quota(root))) << group;
  }
  write("/proc/self/cgroup", "0::/a\n");
  for (const char* limit : {"", "x", "100000", "-5 100000", "0 100000", "100000 0", "nan 1"}) {
    write("/sys/fs/cgroup/a/cpu.max", limit);
    EXPECT_TRUE(std::isinf(cgroup_quota(root))) << limit;
  }
  write("/proc/self/mountinfo", "nonsense\n1 2 3\n - \n");
  EXPECT_TRUE(std::isinf(cgroup_quota(root)));
}

TEST_F(Options, ALongRunOfMoreThanAYearIsNever) {
  const auto never = complete({.long_run = std::chrono::milliseconds::max()}).long_run;
  EXPECT_EQ(never, std::chrono::years(1));
}

}  // namespace
