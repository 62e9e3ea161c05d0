// SPDX-License-Identifier: BSL-1.0
// in_child: the child is started by exec, never by a bare fork: a runtime does not live through
// one.
#include "in_child.hpp"

#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <sstream>
#include <stdexcept>

namespace bench {
namespace {

std::map<std::string, child_case>& table() {
  static std::map<std::string, child_case> cases;
  return cases;
}

std::string read_all(int file) {
  std::string text;
  char piece[4096];
  for (ssize_t n; (n = ::read(file, piece, sizeof piece)) > 0;)
    text.append(piece, static_cast<std::size_t>(n));
  return text;
}

// Starts this program with `words` after its name; returns what it printed.
std::string run_self(std::vector<std::string> words) {
  words.insert(words.begin(), "/proc/self/exe");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("no pipe for the child");
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_addclose(&actions, ends[0]);
  ::posix_spawn_file_actions_addclose(&actions, ends[1]);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  const std::string text = error == 0 ? read_all(ends[0]) : std::string();
  ::close(ends[0]);
  if (error != 0) throw std::runtime_error(std::string("no child: ") + std::strerror(error));
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (WIFSIGNALED(status))
    throw std::runtime_error("child died by signal " + std::to_string(WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0)
    throw std::runtime_error("child failed: exit status " + std::to_string(WEXITSTATUS(status)));
  return text;
}

figures parse(const std::string& text) {
  figures found;
  std::istringstream lines(text);
  std::string name;
  for (double value = 0; lines >> name >> value;) found[name] = value;
  if (!found.contains("seconds")) throw std::runtime_error("child printed no figures");
  return found;
}

void iterate(benchmark::State& state, const std::string& name, std::size_t argument_count) {
  std::vector<std::string> words{"--in-child", name};
  for (std::size_t i = 0; i < argument_count; ++i) words.push_back(std::to_string(state.range(i)));
  try {
    figures last;
    for (auto _ : state) {
      last = parse(run_self(words));
      state.SetIterationTime(last["seconds"]);
    }
    for (const auto& [key, value] : last) state.counters[key] = value;
  } catch (const std::exception& error) {
    state.SkipWithError(error.what());
  }
}

int be_child(int argc, char** argv) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const auto found = argc > 2 ? table().find(argv[2]) : table().end();
  if (found == table().end()) {
    std::fprintf(stderr, "%s: no such case for --in-child\n", argv[0]);
    return EXIT_FAILURE;
  }
  std::vector<std::int64_t> arguments;
  for (int i = 3; i < argc; ++i) arguments.push_back(std::atoll(argv[i]));
  try {
    for (const auto& [key, value] : found->second(arguments))
      std::printf("%s %.9g\n", key.c_str(), value);
    return EXIT_SUCCESS;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s: %s\n", argv[0], argv[2], error.what());
    return EXIT_FAILURE;
  }
}

}  // namespace

void register_in_child(const std::string& name, const std::vector<std::string>& argument_names,
                       const std::vector<std::vector<std::int64_t>>& arguments, child_case body) {
  table()[name] = std::move(body);
  auto* b = benchmark::RegisterBenchmark(
      name.c_str(), [name, count = argument_names.size()](benchmark::State& state) {
        iterate(state, name, count);
      });
  b->ArgNames(argument_names)->UseManualTime()->Iterations(1)->Unit(benchmark::kMillisecond);
  for (const auto& list : arguments) b->Args(list);
}

int child_main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--in-child") == 0) return be_child(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return EXIT_FAILURE;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return EXIT_SUCCESS;
}

}  // namespace bench
