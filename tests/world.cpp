// SPDX-License-Identifier: BSL-1.0
// world: registering a test in each world, and what must hold at its end.
#include "world.hpp"

#include <cstdlib>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

namespace heddle_test {

namespace {

class world : public ::testing::Test {
 public:
  world(body_fn body, on where, const heddle::options& how)
      : body_(body), where_(where), how_(how) {}
  void TestBody() override { run_in_world(body_, where_, how_); }

 private:
  const body_fn body_;
  const on where_;
  const heddle::options how_;
};

}  // namespace

int slowness() noexcept { return sanitized || RUNNING_ON_VALGRIND ? 10 : 1; }

bool chaotic() noexcept {
#if defined(HEDDLE_CHAOS)
  static const char* const seed = std::getenv("HEDDLE_CHAOS");
  return seed != nullptr && std::atoi(seed) != 0;
#else
  return false;
#endif
}

environment::environment(const char* variable, const char* value) : variable_(variable) {
  const char* before = std::getenv(variable);
  was_set_ = before != nullptr;
  if (was_set_) before_ = before;
  value != nullptr ? ::setenv(variable, value, 1) : ::unsetenv(variable);
}

environment::~environment() {
  was_set_ ? ::setenv(variable_.c_str(), before_.c_str(), 1) : ::unsetenv(variable_.c_str());
}

void expect_nothing_left(heddle::runtime& rt) {
  heddle::runtime_stats left;
  const bool clean = eventually([&] {
    left = rt.stats();
    return left.fibers_alive == 0 && left.stacks_in_use == 0 && left.timers_pending == 0;
  });
  EXPECT_TRUE(clean) << "left at the end: " << left.fibers_alive << " fibers, "
                     << left.stacks_in_use << " stacks, " << left.timers_pending << " timers";
}

void run_in_world(body_fn body, on where, heddle::options how) {
  heddle::runtime rt(how);
  if (where == on::fiber) {
    rt.run([&] { body(rt); });
  } else {
    body(rt);
  }
  expect_nothing_left(rt);
}

bool add_worlds(const char* subject, const char* sentence, const char* file, int line, body_fn body,
                on where, heddle::options how) {
  for (const unsigned workers : {1u, 2u, 8u}) {
    how.workers = workers;
    const std::string name = std::string(sentence) + "/" + std::to_string(workers);
    // The factory's type names the fixture: as TEST()'s, so that they mix in one suite.
    ::testing::RegisterTest(subject, name.c_str(), nullptr, nullptr, file, line,
                            [=]() -> ::testing::Test* { return new world(body, where, how); });
  }
  return true;
}

}  // namespace heddle_test
