// SPDX-License-Identifier: BSL-1.0
// chat_hub: members join a hub, say things that all of them hear, and leave again.
//
//     join  ──▶       ──inbox──▶ ann
//     leave ──▶  hub  ──inbox──▶ bob
//     say   ──▶       ──inbox──▶ …
//
// The hub is one fiber, which waits with select() for whatever comes next. Only that fiber knows
// the members, so there is nothing to lock; and what one member says, all hear in the order he said
// it. It waits for none of them: what does not fit into somebody's inbox is lost, for him alone.

#include <heddle/heddle.hpp>

#include <iostream>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

constexpr std::string_view usage =
    "usage: chat_hub [--help]\nThree members chat with each other, while a fourth is asleep.\n";

struct line {
  std::string from;
  int number;
};

class hub {
 public:
  // What is said comes out of `inbox`, which holds as many lines as its reader may fall behind.
  void join(std::string name, heddle::sender<line> inbox) { joins_.send({std::move(name), inbox}); }
  // The inbox is closed.
  void leave(std::string name) { leaves_.send(std::move(name)); }
  void say(line what) { lines_.send(std::move(what)); }

 private:
  struct member {
    std::string name;
    heddle::sender<line> inbox;
  };

  void serve(std::stop_token stop) {
    std::map<std::string, heddle::sender<line>> members;
    // What is received is empty if the channel is closed; nobody closes these.
    const auto enter = [&](std::optional<member> who) { members.emplace(who->name, who->inbox); };
    const auto remove = [&](std::optional<std::string> name) {
      const auto found = members.find(*name);
      if (found == members.end()) return;
      found->second.close();
      members.erase(found);
    };
    const auto spread = [&](std::optional<line> what) {
      for (auto& [name, inbox] : members) inbox.try_send(*what);  // full: lost
    };

    bool open = true;
    while (open) {
      heddle::select(heddle::on_receive(joins_, enter), heddle::on_receive(leaves_, remove),
                     heddle::on_receive(lines_, spread),
                     heddle::on_stop(stop, [&] { open = false; }));
    }
  }

  // Unbuffered: when join() or say() returns, the hub has it, so that what the caller does next, on
  // whichever of the channels, comes after it.
  heddle::channel<member> joins_;
  heddle::channel<std::string> leaves_;
  heddle::channel<line> lines_;
  // Starts when all of the above stands, and ends before it falls: a fiber's destructor requests
  // its stop, and joins.
  heddle::fiber fiber_{[this](std::stop_token stop) { serve(std::move(stop)); }};
};

constexpr int lines_each = 100;
constexpr int talkers = 3;

struct guest {
  std::string name;
  heddle::channel<line> inbox;
  int heard = 0;
  bool in_order = true;  // the lines of each who talked

  // Until the inbox is closed.
  void listen() {
    std::map<std::string, int> last;
    for (const line& each : inbox) {
      ++heard;
      in_order &= each.number > std::exchange(last[each.from], each.number);
    }
  }
};

std::vector<guest> chat() {
  std::vector<guest> guests;
  for (const char* name : {"ann", "bob", "cat"})
    guests.push_back({name, heddle::channel<line>(talkers * lines_each)});
  guests.push_back({"dozy", heddle::channel<line>(10)});
  guest& sleeper = guests.back();

  hub meeting;
  for (guest& each : guests) meeting.join(each.name, each.inbox);
  heddle::task_group listening;
  heddle::task_group talking;
  for (guest& each : guests) {
    if (&each == &sleeper) continue;
    listening.spawn([&] { each.listen(); });
    talking.spawn([&] {
      for (int n = 1; n <= lines_each; ++n) meeting.say({each.name, n});
    });
  }
  talking.wait();
  for (guest& each : guests) meeting.leave(each.name);
  listening.wait();
  sleeper.listen();  // late, but what the inbox held is still there
  return guests;
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const bool help = std::string_view(argv[i]) == "--help";
    if (!help) std::cerr << "chat_hub: unknown argument '" << argv[i] << "'\n";
    (help ? std::cout : std::cerr) << usage;
    return help ? 0 : 2;
  }

  bool in_order = true;
  for (const guest& each : heddle::run(chat)) {
    std::cout << each.name << " heard " << each.heard << " of " << talkers * lines_each
              << " lines\n";
    in_order &= each.in_order;
  }
  std::cout << (in_order ? "all in the order in which they were said" : "NOT in order")
            << std::endl;
  return std::cout && in_order ? 0 : 1;
}
