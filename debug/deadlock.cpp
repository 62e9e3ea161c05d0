// SPDX-License-Identifier: BSL-1.0
// deadlock: the reports of those who wait for ever, for which the watchdogs ask.
//   Looking costs a hundredth of one processor (more, where it takes over 4 ms): it is done again
//   only after a hundred times as long as it took, in 100 to 400 ms, and only when somebody went to
//   sleep meanwhile whose wait only certain others can end: the last member completes a circle so.
//   Memory that is short puts a look off.
#include <heddle/debug/layout.hpp>
#include <heddle/debug/leak.hpp>
#include <heddle/debug/report.hpp>
#include <heddle/debug/roll_call.hpp>
#include <heddle/debug/wait_graph.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/standstill.hpp>
#include <heddle/sched/thread_agent.hpp>
#include <heddle/sched/wait.hpp>
#include <heddle/sched/watchdog.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <sstream>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace heddle::detail {

// Of an archive the linker takes what something refers to.
[[gnu::used, gnu::retain]] const heddle_layout_entry* const for_debuggers = heddle_layout;

namespace {

constexpr std::int64_t look_every_ns = 100'000'000;
constexpr std::int64_t look_by_ns = 400'000'000;  // then a process that idles is left alone
constexpr std::int64_t share = 100;               // of the time, that looking may take
// Where nothing runs, but nothing is certain either: when it is asked again. After the last one not
// before something happens, so that a process that idles does so.
constexpr std::int64_t first_gap_ns = 20'000'000, last_gap_ns = 320'000'000;
// The memory of the process is read ever more rarely.
constexpr std::int64_t last_leaks_gap_ns = 60'000'000'000;
constexpr std::int64_t memory_gap_ns = 10'000'000'000;
constexpr std::size_t most_told = 100;  // of a circle

/// Of several runtimes the most that one of them asks for; abort is more than report.
on_deadlock stricter(on_deadlock a, on_deadlock b) noexcept {
  if (a == on_deadlock::ignore) return b;
  return b == on_deadlock::abort ? b : a;
}

class inspector {
 public:
  std::int64_t inspect(bool still);

 private:
  bool look_for_circles();
  std::int64_t look_for_standstill(const forecast& f, std::int64_t now);
  std::int64_t look_for_leaks(const forecast& before, std::int64_t now);
  bool is_news(const circle& c) const;

  // How often one went to sleep who may complete a circle, ever.
  static std::uint64_t sleeps() noexcept;

  std::int64_t look_at_ns_ = 0;  // not earlier
  std::uint64_t sleeps_seen_ = 0;
  bool missed_some_ = false;  // the last look
  std::vector<party> told_;
  std::uint64_t instant_ = 0, told_instant_ = 0;
  std::int64_t gap_ns_ = first_gap_ns;
  /// Fibers that one place has started. The more have been told, the more new ones it takes.
  struct leaks_of_place {
    bool is_news() const noexcept { return ids.size() > told && ids.size() >= 2 * told; }
    std::unordered_set<std::uint64_t> ids;
    std::size_t told = 0;
  };

  std::int64_t look_for_leaks_at_ns_ = 0;  // not earlier
  std::int64_t leaks_gap_ns_ = look_every_ns;
  std::uint64_t leaks_instant_ = 0;                        // at the last look for them
  std::unordered_map<const void*, leaks_of_place> leaks_;  // by the place
};

std::uint64_t inspector::sleeps() noexcept {
  std::uint64_t sum = sleeping_threads::begun();
  for (runtime_cursor at; at.here() != nullptr; at.next()) {
    for (unsigned i = 0, count = at.here()->worker_count(); i < count; ++i) {
      // (dl.1) acquire: who is counted is seen to wait; pairs with (wk.9).
      sum += at.here()->worker_at(i)->ties.load(std::memory_order_acquire);
    }
  }
  return sum;
}

std::int64_t inspector::inspect(bool still) {
  const std::int64_t now = real_now_ns();
  const std::uint64_t sleeps_now = sleeps();
  std::int64_t again = no_deadline;
  if (sleeps_now != sleeps_seen_ || missed_some_) {
    if (now >= look_at_ns_) {
      sleeps_seen_ = sleeps_now;
      missed_some_ = true;  // if memory is short
      missed_some_ = look_for_circles();
    }
    if (sleeps_now != sleeps_seen_ || missed_some_) again = look_at_ns_;
  }
  if (!still) return again;
  const forecast f = look_ahead();
  if (f.fibers == 0) return again;
  // A circle that the look may have missed, or that was completed since, is told first: it says
  // more.
  if (sleeps() != sleeps_seen_) again = look_at_ns_;
  if (again == no_deadline) again = look_for_standstill(f, now);
  return std::min(again, look_for_leaks(f, now));
}

bool inspector::is_news(const circle& c) const {
  return std::none_of(c.members.begin(), c.members.end(), [&](const party& member) {
    return std::any_of(told_.begin(), told_.end(),
                       [&](const party& p) { return p.is_in_same_wait(member); });
  });
}

std::string as_edge(const party& from, const party& to) {
  std::ostringstream text;
  text << from.label() << " waits " << from.what;
  if (to.is_fiber() && from.object == &to.fiber()) {
    text.str(from.label() + " waits for the end of " + to.label());
    return text.str();
  }
  text << " " << from.object << (from.is_lock ? ", which " : ", until ") << to.label()
       << (!from.is_lock                       ? " has ended"
           : to.shares_what_is_wanted_by(from) ? " shares"
                                               : " owns");
  return text.str();
}

void tell(const circle& c, std::ostream& text) {
  const std::size_t size = c.members.size();
  const bool all_locks =
      std::all_of(c.members.begin(), c.members.end(), [](const party& p) { return p.is_lock; });
  const bool all_fibers =
      std::all_of(c.members.begin(), c.members.end(), [](const party& p) { return p.is_fiber(); });
  if (size == 1) {
    text << "heddle: deadlock: " << c.members[0].label() << " waits for itself";
  } else {
    text << "heddle: deadlock: " << size << (all_fibers ? " fibers" : " fibers or threads")
         << " wait for each other";
  }
  text << ", for ever" << (all_locks ? "" : " (unless one is cancelled)") << ":\n";
  for (std::size_t i = 0; i < std::min(size, most_told); ++i) {
    text << "  " << as_edge(c.members[i], c.members[(i + 1) % size]) << "\n";
  }
  if (size > most_told)
    text << "  and so on, through " << counted(size - most_told, "other") << "\n";
  roll_call them;
  for (const sighting& s : c.sightings) them.enter(s);
  them.write_fibers(text);
  text << "\n";
}

// Whether somebody could not be looked at: he was about to sleep, or to go on.
bool inspector::look_for_circles() {
  std::vector<party> told;
  on_deadlock action = on_deadlock::ignore;
  std::ostringstream text;
  bool is_complete = true;
  {
    const runtimes_stay here;
    const std::int64_t begin = real_now_ns();
    const std::vector<circle> circles = find_circles(is_complete);
    const std::int64_t took = real_now_ns() - begin;
    look_at_ns_ = begin + std::clamp(share * took, look_every_ns, look_by_ns);
    for (const circle& c : circles) {
      const bool has_fibers = c.sightings.front().who != nullptr;
      on_deadlock wanted = has_fibers ? on_deadlock::ignore : on_deadlock::report;
      for (const sighting& s : c.sightings) {
        if (s.who != nullptr) wanted = stricter(wanted, s.who->home->opts.deadlock);
      }
      if (wanted == on_deadlock::ignore) continue;
      if (is_news(c)) {
        tell(c, text);
        action = stricter(action, wanted);
      }
      told.insert(told.end(), c.members.begin(), c.members.end());
    }
  }
  told_ = std::move(told);
  say(text.str());  // may block: nothing is held that a runtime waits for
  if (action == on_deadlock::abort) std::abort();
  return !is_complete;
}

// Returns when to look again.
std::int64_t inspector::look_for_standstill(const forecast& f, std::int64_t now) {
  if (f.is_quiet && !f.stands_still) return no_deadline;  // until a timer's time comes
  if (!f.stands_still) {
    gap_ns_ = f.instant == instant_ ? std::min(gap_ns_ * 2, 2 * last_gap_ns) : first_gap_ns;
    instant_ = f.instant;
    return gap_ns_ <= last_gap_ns ? now + gap_ns_ : no_deadline;
  }
  if (f.instant == told_instant_) return no_deadline;
  told_instant_ = f.instant;
  if (!told_.empty()) (void)look_for_circles();  // some of them may have gone on
  std::vector<std::uint64_t> known;
  for (const party& p : told_) {
    if (p.is_fiber()) known.push_back(p.id);
  }
  std::sort(known.begin(), known.end());
  roll_call all;
  on_deadlock action = on_deadlock::ignore;
  for (runtime_cursor at; at.here() != nullptr; at.next()) {
    runtime_state& rt = *at.here();
    if (rt.alive() == 0 || rt.opts.deadlock == on_deadlock::ignore) continue;
    all.visit(rt, known);
    action = stricter(action, rt.opts.deadlock);
  }
  if (action == on_deadlock::ignore) return no_deadline;
  std::ostringstream text;
  text << "heddle: deadlock: all fibers wait (" << f.fibers
       << "), and nothing can wake one: no timer is set, no blocking() call runs, "
       << "and all threads of the process (" << f.threads
       << ") are heddle's own, or wait in heddle themselves"
       << (known.empty() ? "" : "; beside those told above") << ":\n";
  for (const sighting& s : look_at_threads<sighting>()) all.enter(s);
  all.write_fibers(text);
  text << "\n";
  say(text.str());
  if (action == on_deadlock::abort) std::abort();
  return no_deadline;
}

// Whose wait all others have made endless by letting go of the channel, though the program goes on.
// Returns when to look again.
std::int64_t inspector::look_for_leaks(const forecast& before, std::int64_t now) {
  if (before.stands_still || before.instant == leaks_instant_) return no_deadline;
  if (now < look_for_leaks_at_ns_) return look_for_leaks_at_ns_;
  if (!before.is_quiet) return no_deadline;
  leaks_instant_ = before.instant;
  roll_call them;
  std::size_t count = 0;
  {
    const runtimes_stay here;
    const std::vector<sighting> leaks =
        find_leaks([&] { return !process_exits() && instant_now() == before.instant; });
    look_for_leaks_at_ns_ = real_now_ns() + std::max(share * (real_now_ns() - now), leaks_gap_ns_);
    leaks_gap_ns_ = std::min(2 * leaks_gap_ns_, last_leaks_gap_ns);
    const forecast after = look_ahead();
    if (!after.is_quiet || after.instant != before.instant) return no_deadline;
    for (const sighting& s : leaks) leaks_[s.started_from].ids.insert(s.id);
    for (const sighting& s : leaks) {
      if (!leaks_[s.started_from].is_news()) continue;
      them.enter(s);
      ++count;
    }
    for (auto& [place, known] : leaks_) {
      if (known.is_news()) known.told = known.ids.size();
    }
  }
  if (count == 0) return no_deadline;
  std::ostringstream text;
  text << "heddle: leak: " << counted(count, "fiber")
       << (count == 1 ? " waits for ever, at a channel" : " wait for ever, at channels")
       << " that nobody else holds any more:\n";
  them.write_fibers(text);
  text << "\n";
  say(text.str());
  return no_deadline;
}

}  // namespace

std::int64_t inspect(bool still) noexcept {
  if (process_exits()) return no_deadline;
  const std::unique_lock alone(inspecting, std::try_to_lock);
  if (!alone.owns_lock()) return real_now_ns() + look_every_ns;
  // Never destroyed; and who counts what lies on the heap finds no more of it after the first look.
  alignas(inspector) static std::byte place[sizeof(inspector)];
  static inspector* const one = ::new (static_cast<void*>(place)) inspector;
  try {
    return one->inspect(still);
  } catch (const std::bad_alloc&) {
    return real_now_ns() + memory_gap_ns;
  }
}

}  // namespace heddle::detail
