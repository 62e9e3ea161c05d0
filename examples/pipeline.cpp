// SPDX-License-Identifier: BSL-1.0
// pipeline: stages joined by channels, without an end, cancelled half way; nothing is left behind.
//
//     count ──▶ square (3 fibers) ──▶ write down ──▶ the caller, who wants the first thousand
//
// No stage looks whether it should end, and none closes a channel. All are children of one
// task_group; when that is cancelled, whatever send() or receive() they are in throws, and they
// unwind as from any exception: what they own is destroyed by its destructor.

#include <heddle/heddle.hpp>

#include <atomic>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>

constexpr std::string_view usage =
    "usage: pipeline [--help]\n"
    "Takes a thousand items from an endless pipeline, cancels it, and takes what is left.\n";

constexpr int wanted = 1000;
constexpr int squarers = 3;

// How many of its kind there are: to show that none is left at the end.
template <class Kind>
struct counted {
  counted() noexcept { ++alive; }
  counted(const counted&) noexcept { ++alive; }
  counted& operator=(const counted&) noexcept = default;
  ~counted() { --alive; }

  static inline std::atomic<int> alive = 0;
};

struct item : counted<item> {
  explicit item(long n) : number(n) {}
  long number;
  std::string text;
};
struct stage : counted<stage> {};  // each stage has one on its stack

void count(heddle::sender<item> out) {
  const stage here;
  for (long n = 1;; ++n) out.send(item(n));
}

void square(heddle::receiver<item> in, heddle::sender<item> out) {
  const stage here;
  for (item& each : in) {
    each.number *= each.number;
    out.send(std::move(each));
  }
}

void write_down(heddle::receiver<item> in, heddle::sender<item> out) {
  const stage here;
  for (item& each : in) {
    each.text = "a square: " + std::to_string(each.number);
    out.send(std::move(each));
  }
}

// Returns how many items came out of the pipeline.
int take_some() {
  heddle::channel<item> numbers;
  heddle::channel<item> squares(16);
  heddle::channel<item> texts(16);
  heddle::task_group stages;
  stages.spawn([=] { count(numbers); });
  for (int i = 0; i < squarers; ++i) stages.spawn([=] { square(numbers, squares); });
  stages.spawn([=] { write_down(squares, texts); });

  int taken = 0;
  for (; taken < wanted; ++taken) texts.receive();
  stages.cancel();
  stages.wait();  // until all have unwound; that they were cancelled is no failure
  while (texts.try_receive()) ++taken;  // a channel keeps what was sent
  return taken;
  // The destructor of a task_group does the same. Had receive() thrown, or if anybody cancelled us,
  // the stages would be gone as well when we are.
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const bool help = std::string_view(argv[i]) == "--help";
    if (!help) std::cerr << "pipeline: unknown argument '" << argv[i] << "'\n";
    (help ? std::cout : std::cerr) << usage;
    return help ? 0 : 2;
  }

  return heddle::run([] {
    const int taken = take_some();
    const int stages = stage::alive;
    const int items = item::alive;
    std::cout << taken << " items came through\n"
              << stages << " stages and " << items << " items are left behind" << std::endl;
    return std::cout && stages == 0 && items == 0 ? 0 : 1;
  });
}
