// SPDX-License-Identifier: BSL-1.0
// rival: parses PROGRAM/RIVAL/ARGUMENT:VALUE/..., runs the body, prints one JSON object.
#include "rival.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <limits>
#include <new>
#include <optional>
#include <sstream>

namespace rival {
namespace {

enum status : int { done = 0, failed = 1, no_such_case = 2, cannot = 3 };

struct entry {
  std::vector<std::string> argument_names;  // sorted
  case_body body;
  bool any_arguments = false;
};

std::map<std::string, entry>& table() {
  static std::map<std::string, entry> cases;
  return cases;
}

std::optional<std::int64_t> parse_number(const std::string& text) {
  char* end = nullptr;
  const std::int64_t value = std::strtoll(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < 1) return std::nullopt;
  return value;
}

// The arguments of `name`, and the entry for it; none if there is no such case.
std::optional<std::pair<const entry*, call>> find(const std::string& name) {
  std::istringstream words(name);
  std::string program, who;
  std::getline(words, program, '/');
  std::getline(words, who, '/');
  const auto found = table().find(program);
  if (found == table().end() || who.empty()) return std::nullopt;
  call result;
  std::vector<std::string> given;
  for (std::string word; std::getline(words, word, '/');) {
    const std::size_t colon = word.find(':');
    if (colon == std::string::npos) return std::nullopt;
    const auto value = parse_number(word.substr(colon + 1));
    if (!value) return std::nullopt;
    given.push_back(word.substr(0, colon));
    result.arguments[given.back()] = *value;
  }
  std::sort(given.begin(), given.end());
  if (!found->second.any_arguments && given != found->second.argument_names) return std::nullopt;
  return std::pair(&found->second, result);
}

void print_json(const figures& of) {
  for (const auto& [name, value] : of)
    if (!std::isfinite(value)) throw std::logic_error("no number for " + name);
  const char* before = "{";
  for (const auto& [name, value] : of) {
    std::printf("%s\"%s\": %.9g", before, name.c_str(), value);
    before = ", ";
  }
  std::printf("}\n");
}

double median(std::vector<double> seconds) {
  const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

figures of_median(const std::vector<double>& seconds, std::int64_t operations) {
  const double middle = median(seconds);
  return {{"ns", middle * 1e9 / static_cast<double>(operations)}, {"seconds", middle}};
}

std::int64_t available_bytes() {
  std::ifstream lines("/proc/meminfo");
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string key;
    std::int64_t kib = 0;
    words >> key >> kib;
    if (key == "MemAvailable:") return kib * 1024;
  }
  return std::numeric_limits<std::int64_t>::max();
}

status run(const char* program, const std::string& name, const std::string& seconds) {
  const auto fail = [&](status with, const std::string& message) {
    std::fprintf(stderr, "%s: %s: %s\n", program, name.c_str(), message.c_str());
    return with;
  };
  char* end = nullptr;
  const double min_seconds = std::strtod(seconds.c_str(), &end);
  if (seconds.empty() || *end != '\0' || !(min_seconds >= 0) || !std::isfinite(min_seconds))
    return fail(no_such_case, "MIN_SECONDS is no number: " + seconds);
  auto found = find(name);
  if (!found) return fail(no_such_case, "no such case");
  found->second.min_seconds = min_seconds;
  try {
    print_json(found->first->body(found->second));
    return done;
  } catch (const needs& what) {
    std::fprintf(stderr, "%s\n", what.what());
    return cannot;
  } catch (const std::bad_alloc&) {
    return fail(failed, "no memory");
  } catch (const std::exception& error) {
    return fail(failed, error.what());
  }
}

}  // namespace

void register_case(const std::string& name, std::vector<std::string> argument_names,
                   case_body body) {
  std::sort(argument_names.begin(), argument_names.end());
  table()[name] = {std::move(argument_names), std::move(body)};
}

void register_lack(const std::vector<std::string>& names, const std::string& needed) {
  for (const std::string& name : names)
    table()[name] = {{}, [needed](const call&) -> figures { throw needs(needed); }, true};
}

void require_cores(unsigned wanted) {
  if (bench::cores().size() < wanted) throw needs(std::to_string(wanted) + " cores");
}

void require_memory(std::int64_t bytes) {
  const std::int64_t available = available_bytes();
  if (available >= bytes) return;
  const auto mib = [](std::int64_t n) { return std::to_string(n >> 20) + " MiB"; };
  throw needs(mib(bytes) + " of memory; " + mib(available) + " are available");
}

figures measure(const call& of, std::int64_t operations, const pass& once) {
  once();
  std::vector<double> seconds;
  const auto start = bench::clock::now();
  const std::chrono::duration<double> wanted(of.min_seconds);
  do {
    seconds.push_back(once());
  } while (bench::clock::now() - start < wanted);
  return of_median(seconds, operations);
}

figures measure_times(int times, std::int64_t operations, const pass& once) {
  once();
  std::vector<double> seconds;
  double spent = 0;
  for (int i = 0; i < times && spent < patience_s; ++i) {
    seconds.push_back(once());
    spent += seconds.back();
  }
  return of_median(seconds, operations);
}

double figure(const figures& of, const std::string& name) {
  for (const auto& [key, value] : of)
    if (key == name) return value;
  throw std::logic_error("no figure " + name);
}

double peak_mib() { return static_cast<double>(bench::memory_now().peak_bytes) / (1 << 20); }

double percentile(std::vector<double> values, unsigned percent) {
  std::sort(values.begin(), values.end());
  return values.at((values.size() - 1) * percent / 100);
}

figures speed_up(const call& of, double (*split)(unsigned workers, std::int64_t chunks)) {
  require_cores(2);
  const double one = split(1, of["n"]);
  const double two = split(2, of["n"]);
  return {{"speed_up", one / two}, {"one_s", one}, {"two_s", two}, {"seconds", two}};
}

int rival_main(int argc, char** argv, const std::string& about) {
  if (argc == 2 && std::strcmp(argv[1], "--about") == 0) {
    std::printf("%s\n", about.c_str());
    return done;
  }
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s CASE MIN_SECONDS | --about\n", argv[0]);
    return no_such_case;
  }
  return run(argv[0], argv[1], argv[2]);
}

}  // namespace rival
