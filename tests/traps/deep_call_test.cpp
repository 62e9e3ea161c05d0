// SPDX-License-Identifier: BSL-1.0
// deep_call: trap 21: library calls that use much stack. Each must leave a quarter of the default
//   stack free. The stack is painted before the call, and looked at after it.
#include "world.hpp"

#include <heddle/sched/worker.hpp>

#include <dlfcn.h>
#include <netdb.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iomanip>
#include <locale>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace heddle_test;

constexpr unsigned char paint = 0xC3;

/// Paints the caller's stack from its bottom to somewhat below the caller.
[[gnu::noinline]] void paint_below(std::byte* bottom) {
  volatile unsigned char here = 0;
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(&here) - 1'024;
  for (auto* at = reinterpret_cast<volatile unsigned char*>(bottom);
       reinterpret_cast<std::uintptr_t>(at) < end; ++at) {
    *at = paint;
  }
}

/// How much of a fiber's stack `f()` needs, all told.
template <class F>
std::size_t depth_of(F f) {
  std::size_t depth = 0;
  heddle::run({.workers = 1}, [&] {
    heddle::fiber([&] {
      const heddle::detail::stack& s = *heddle::detail::current_worker()->current()->bound_stack;
      paint_below(s.bottom);
      f();
      const auto* begin = reinterpret_cast<const unsigned char*>(s.bottom);
      const auto* end = reinterpret_cast<const unsigned char*>(s.top);
      const auto* lowest = std::find_if(begin, end, [](unsigned char c) { return c != paint; });
      depth = static_cast<std::size_t>(end - lowest);
    }).join();
  });
  return depth;
}

template <class F>
void expect_to_fit(const char* what, F f) {
  constexpr std::size_t most = heddle::options{}.stack_size / 4 * 3;
  const std::size_t depth = depth_of(f);
  EXPECT_LE(depth, most) << what;
  EXPECT_GT(depth, 256u) << what << ": nothing was measured";
  testing::Test::RecordProperty(what, static_cast<int>(depth));
  std::printf("%s: %zu bytes\n", what, depth);
}

[[gnu::noinline]] int throw_from(int depth) {
  struct counts {
    ~counts() { alive = alive - 1; }
    volatile int alive = 1;
  } const here;
  if (depth == 0) throw std::runtime_error("from below");
  return throw_from(depth - 1) + here.alive;
}

TEST(DeepCall, OfALibraryFitsOnADefaultStack) {
  if (sanitized) GTEST_SKIP() << "sanitizers lay out frames in their own way, on a larger scale";
  expect_to_fit("printf", [] {
    char text[8'192];
    for (const char* format : {"%.300f", "%.50e", "%.17g", "%a"}) {
      std::snprintf(text, sizeof text, format, 1.7976931348623157e308);
    }
    std::snprintf(text, sizeof text, "%.400Lf", 1.0e4000L);
    std::snprintf(text, sizeof text, "%s %ls", "narrow", L"wide");
  });
  expect_to_fit("iostreams", [] {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out << std::setprecision(50) << 1e300 << ' ' << 12.5L << ' ' << std::hex << 255 << std::endl;
    out << std::put_money("12345");
    std::istringstream in(out.str());
    double value = 0;
    in >> value;
    std::fprintf(stderr, "%s", "");
  });
  expect_to_fit("regex", [] {
    const std::regex pattern(R"re(^(\w+)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(#.*)?$)re");
    const std::string line = "some_name = \"" + std::string(80, 'x') + "\"  # and what it means";
    std::smatch found;
    EXPECT_TRUE(std::regex_match(line, found, pattern));
  });
  expect_to_fit("getaddrinfo", [] {
    addrinfo* found = nullptr;
    if (::getaddrinfo("localhost", "http", nullptr, &found) == 0) ::freeaddrinfo(found);
    if (::getaddrinfo("no-such-name.invalid", "80", nullptr, &found) == 0) ::freeaddrinfo(found);
  });
  expect_to_fit("dlopen", [] {
    void* library = ::dlopen("libutil.so.1", RTLD_NOW);
    if (library != nullptr) ::dlclose(library);
    EXPECT_EQ(::dlopen("/no/such/library.so", RTLD_NOW), nullptr);
    EXPECT_NE(::dlerror(), nullptr);
  });
  expect_to_fit("throw", [] { EXPECT_THROW(throw_from(50), std::runtime_error); });
  expect_to_fit("nested throw", [] {
    try {
      try {
        throw_from(10);
      } catch (...) {
        std::throw_with_nested(std::logic_error("above"));
      }
    } catch (const std::exception& e) {
      EXPECT_STREQ(e.what(), "above");
    }
  });
  expect_to_fit("filesystem", [] {
    std::size_t count = 0;
    for (const auto& each : std::filesystem::directory_iterator("/usr/bin")) {
      count += each.path().filename().string().size();
    }
    EXPECT_GT(count, 0u);
  });
  expect_to_fit("sort", [] {
    std::vector<int> values(100'000);
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<int>(i * 7'919 % 99'991);
    std::sort(values.begin(), values.end());
    std::qsort(values.data(), values.size(), sizeof(int), [](const void* a, const void* b) {
      return *static_cast<const int*>(b) - *static_cast<const int*>(a);
    });
  });
  expect_to_fit("a thread", [] { std::thread([] {}).join(); });
  expect_to_fit("a runtime", [] { heddle::run({.workers = 1}, [] {}); });
}

// The measure itself: a frame of known size is seen.
TEST(DeepCall, TheMeasureSeesAFrame) {
  if (sanitized) GTEST_SKIP() << "as above";
  const std::size_t depth = depth_of([] {
    char frame[200 * 1024];
    frame[0] = 1;
    asm volatile("" : : "r"(frame) : "memory");
  });
  EXPECT_GT(depth, 200u * 1024);
  EXPECT_LT(depth, 210u * 1024);
}

}  // namespace
