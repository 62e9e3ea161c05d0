// SPDX-License-Identifier: BSL-1.0
// roll_call: fibers, and plain threads that wait, as they were found, those that are alike folded
//   into one, and told.
//   One thread uses it. What it says of fibers that were not held all at once was true at different
//   instants.
#pragma once

#include <heddle/debug/symbols.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/thread_agent.hpp>
#include <heddle/sched/wait.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace heddle::detail {

enum class fiber_state : std::uint8_t { runs, waits, runnable, not_started };

/// What one waits for, as reports tell it.
struct awaited {
  awaited() noexcept = default;
  explicit awaited(const wait_reason& why) noexcept;

  const char* what = nullptr;
  const void* object = nullptr;
  std::uint64_t fiber_id = 0;  // where it is the end of a fiber
};
std::ostream& operator<<(std::ostream& out, const awaited& a);

/// A fiber as it was found; or a plain thread.
struct sighting {
  static constexpr std::size_t most_frames = 48;

  void meet(fiber_record& r) noexcept;
  /// It is held where it is, its saved frame at `frame`.
  void look(const void* frame) noexcept;
  /// It is held where it sleeps. Always true.
  bool look(const thread_agent& thread) noexcept;
  std::string label() const;

  fiber_record* who = nullptr;  // null: a thread
  std::uint64_t id = 0;         // the fiber's; the thread's as the system has it
  fiber_state state = fiber_state::not_started;
  awaited by;
  std::int64_t since_ns = 0;
  const void* started_from = nullptr;
  std::size_t frame_count = 0;
  std::array<const void*, most_frames> frames;
};

/// What is seen of the plain threads that sleep until they are notified: of those where `look` is
/// true.
template <class Seen>
std::vector<Seen> look_at_threads() {
  std::vector<Seen> all;
  for (std::size_t room = 64;; room *= 2) {
    all.resize(room);
    std::size_t there = 0, seen = 0;
    // Nothing is allocated meanwhile.
    sleeping_threads().for_each([&](thread_agent& each) {
      if (++there <= room && all[seen].look(each)) ++seen;
    });
    all.resize(seen);
    if (there <= room) return all;
  }
}

class roll_call {
 public:
  /// All that are alive in `rt`, but for those whose ids are in `known`, in order.
  void visit(runtime_state& rt, const std::vector<std::uint64_t>& known = {});
  void enter(const sighting& s);
  /// How many there are, and of what.
  void write_summary(std::ostream& out);
  /// All that were entered: threads, then fibers, the few first.
  void write_fibers(std::ostream& out);
  /// Where one is, and who started it.
  void write_trace(std::ostream& out, const sighting& s);

 private:
  static constexpr std::size_t batch_room = 16;
  static constexpr std::size_t most_named = 4;  // of those that are alike

  /// Those that are alike.
  struct herd {
    bool are_threads;
    fiber_state state;
    awaited by;  // of the first
    const void* started_from;
    std::vector<const void*> frames;
    std::size_t size = 0;
    std::vector<std::string> labels;  // of the first few
    bool same_object = true;
    std::int64_t oldest_ns = 0;
  };

  void look(runtime_state& rt);
  void write(std::ostream& out, const herd& h, std::int64_t now_ns);
  void write_trace(std::ostream& out, const herd& h);
  void write_frames(std::ostream& out, const std::vector<const void*>& frames);

  std::size_t runtimes_ = 0, workers_ = 0, fibers_ = 0;
  std::array<sighting, batch_room> batch_;
  std::size_t batch_size_ = 0;
  std::unordered_map<std::string, herd> herds_;
  symbols names_;
};

/// As in "1,002 fibers".
std::string counted(std::size_t n, std::string_view what);

}  // namespace heddle::detail
