// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <heddle/debug/metrics.hpp>
#include <heddle/sched/fiber.hpp>
#include <heddle/sync/event.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

using namespace heddle_test;

namespace {

/// The values by metric and runtime; checks the form of every line.
std::map<std::string, std::map<std::string, std::uint64_t>> parsed(const std::string& text) {
  static const std::regex value(R"re((heddle_[a-z_]+)\{runtime="(\d+)"\} (\d+))re");
  static const std::regex head(R"(# (HELP|TYPE) (heddle_[a-z_]+) (.+))");
  std::map<std::string, std::map<std::string, std::uint64_t>> found;
  std::map<std::string, std::set<std::string>> heads;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::smatch parts;
    if (std::regex_match(line, parts, head)) {
      EXPECT_TRUE(heads[parts[2]].insert(parts[1]).second) << line;
      if (parts[1] == "TYPE") {
        EXPECT_EQ(parts[3], parts[2].str().ends_with("_total") ? "counter" : "gauge") << line;
      }
    } else if (std::regex_match(line, parts, value)) {
      EXPECT_EQ(heads[parts[1]].size(), 2u) << line;
      EXPECT_TRUE(found[parts[1]].emplace(parts[2], std::stoull(parts[3])).second) << line;
    } else {
      ADD_FAILURE() << "neither a comment nor a value: " << line;
    }
  }
  return found;
}

}  // namespace

TEST(Metrics, AreThoseOfEachRuntime) {
  heddle::runtime one({.workers = 1});
  heddle::runtime two({.workers = 2});
  heddle::event over;
  for (int i = 0; i < 5; ++i) two.go([&] { over.wait(); });
  EXPECT_TRUE(eventually([&] { return two.stats().parks >= 5; }));
  auto found = parsed(heddle::metrics_text());
  auto& fibers = found["heddle_fibers"];
  ASSERT_GE(fibers.size(), 2u);  // the default one may be there too
  const auto last = fibers.rbegin()->first, before = std::next(fibers.rbegin())->first;
  // As numbers: 9 comes before 10.
  const bool swapped = std::stoull(last) < std::stoull(before);
  EXPECT_EQ(fibers[swapped ? before : last], 5u);
  EXPECT_EQ(fibers[swapped ? last : before], 0u);
  EXPECT_EQ(found["heddle_fibers_spawned_total"][swapped ? before : last], 5u);
  EXPECT_EQ(found["heddle_stacks_in_use"][swapped ? before : last], 5u);
  EXPECT_GT(found["heddle_stack_reserved_bytes"][swapped ? before : last], 5u * 16384u);
  EXPECT_EQ(found.size(), 12u);
  over.set();
}

TEST(Metrics, OfARuntimeThatHasEndedAreGone) {
  std::string mine;
  {
    heddle::runtime rt({.workers = 1});
    mine = std::to_string(rt.run([] {
      std::uint64_t newest = 0;
      const auto fibers = parsed(heddle::metrics_text())["heddle_fibers"];
      for (const auto& [number, value] : fibers)
        newest = std::max<std::uint64_t>(newest, std::stoull(number));
      return newest;
    }));
  }
  EXPECT_EQ(parsed(heddle::metrics_text())["heddle_fibers"].count(mine), 0u);
}
