// SPDX-License-Identifier: BSL-1.0
// first_answer_wins: one question goes to three replicas of a service at once. The first answer
// counts, and a deadline ends the wait when all are too slow.
//
// heddle::race cancels the losers and waits until they have ended. So none works on for nothing,
// and each may use its caller's variables.

#include <heddle/heddle.hpp>

#include <array>
#include <chrono>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

using namespace std::chrono_literals;

constexpr std::string_view usage =
    "usage: first_answer_wins [--help]\n"
    "Asks three replicas at once: for the fastest answer, and then with too little time.\n";

struct replica {
  std::string name;
  std::chrono::milliseconds latency;
  std::string fate = "was not asked";
};

// Asks one replica, and notes what came of it.
std::string ask(replica& from) {
  try {
    heddle::this_fiber::sleep_for(from.latency);  // throws at once when we are cancelled
    from.fate = "answered";
    return "the answer of the replica " + from.name;
  } catch (const heddle::cancelled& why) {
    from.fate = why.reason() == heddle::cancel_reason::deadline ? "too slow" : "not needed";
    throw;  // who is cancelled may clean up, but then has to go
  }
}

// The first answer, if one comes within `limit`.
std::optional<std::string> ask_all(std::array<replica, 3>& replicas,
                                   std::chrono::milliseconds limit) {
  try {
    const heddle::deadline_scope deadline(limit);  // for all that is awaited in this block
    return heddle::race([&] { return ask(replicas[0]); }, [&] { return ask(replicas[1]); },
                        [&] { return ask(replicas[2]); });
  } catch (const heddle::cancelled&) {
    // Out of time. Or else somebody has cancelled us, or a deadline around ours has passed: then
    // this throws again, and what is not meant for us goes on to whom it is meant for.
    heddle::this_fiber::check_cancel();
    return std::nullopt;
  }
}

void ask_and_tell(std::chrono::milliseconds near, std::chrono::milliseconds limit) {
  std::array<replica, 3> replicas{{{"far away", 1h}, {"nearby", near}, {"overloaded", 10h}}};
  const std::optional<std::string> answer = ask_all(replicas, limit);
  std::cout << answer.value_or("no answer") << '\n';
  for (const replica& each : replicas) std::cout << "  " << each.name << ": " << each.fate << '\n';
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const bool help = std::string_view(argv[i]) == "--help";
    if (!help) std::cerr << "first_answer_wins: unknown argument '" << argv[i] << "'\n";
    (help ? std::cout : std::cerr) << usage;
    return help ? 0 : 2;
  }

  heddle::run([] {
    ask_and_tell(20ms, 10min);
    ask_and_tell(30min, 100ms);
  });
  return std::cout.flush() ? 0 : 1;
}
