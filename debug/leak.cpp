// SPDX-License-Identifier: BSL-1.0
// leak: looking for what still refers to a channel, as a collector of garbage does that knows
//   nothing of types: whatever looks like an address is one.
//
//   Suspects are fibers that send to, or receive from, a channel, or select among several, without
//   a limit in time, and that nobody has the means to cancel. What is a suspect's own: the frames
//   on its stack, its callable. Of channels in one select all are held if one is.
//     1  a channel has more handles than its suspects' own memory has words that may be one:
//        somebody else holds it
//     2  what all others can reach is read: all that is mapped, but for what is heddle's, and for
//        the parts of stacks where nobody is. A channel is held if its address is there, or one in
//        what is the own of a suspect who waits there, but for where heddle itself keeps it
//     3  who waits at a channel that is held is no suspect: what is its own is read in turn
//   The suspects that are left can be woken by none but each other, who wait.
//
//   All that can run stands still, its registers in memory (thread_agent::registers, and the frames
//   of suspended fibers). What this cannot see are addresses that are kept otherwise than as such,
//   or outside the process (but see kept_by_system). A word that looks like an address but is none,
//   or is one no longer, hides a leak; so does an object on the heap that only a suspect refers to,
//   for whose it is is not known.
#include <heddle/base/sanitizer.hpp>
#include <heddle/debug/kept_by_system.hpp>
#include <heddle/debug/leak.hpp>
#include <heddle/debug/process_memory.hpp>
#include <heddle/fiber/stack.hpp>
#include <heddle/sched/look.hpp>
#include <heddle/sched/own_stack.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/thread_agent.hpp>
#include <heddle/sched/wait.hpp>
#include <heddle/sync/channel_core.hpp>
#include <heddle/sync/select_core.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_map>

namespace heddle::detail {

namespace {

#if defined(HEDDLE_ASAN) || defined(HEDDLE_TSAN)
// Their shadow is too large to be read, and full of addresses.
constexpr bool can_read_all = false;
#else
constexpr bool can_read_all = true;
#endif

constexpr std::size_t none = static_cast<std::size_t>(-1);
constexpr std::uint64_t most_bytes = std::uint64_t{64} << 30;  // of address space to be read

/// What is a fiber's own.
struct belongings {
  address_range frames, callable;
};

class leak_search {
 public:
  explicit leak_search(const std::function<bool()>& is_quiet)
      : is_quiet_(is_quiet), memory_(notes_, is_quiet) {}
  std::vector<sighting> run();

 private:
  struct suspect {
    fiber_record* who;
    std::uint64_t id;
    std::int64_t since_ns;
    std::size_t channel;  // one of those where it waits
    belongings own;
  };
  struct channel {
    const channel_core* core;  // it may be gone by now
    std::uint32_t handles = 0;
    std::size_t chief;      // nearer to the one that speaks for all that selects join; or itself
    std::size_t words = 0;  // that may be handles, in what is the suspects'
    // Of one that speaks for itself:
    bool is_held = false;
    std::pmr::vector<std::size_t> suspects;
  };
  /// A range whose address says that a channel is held.
  struct clue {
    address_range range;
    std::size_t channel;
  };

  bool collect(runtime_state& rt);
  void look(fiber_record& r, const void* frame);
  std::size_t number_of(const channel_core* core);
  std::size_t chief_of(std::size_t channel);
  void hold(std::size_t channel);
  void hold_if_named_by(std::uintptr_t word);
  void leave_out(runtime_state& rt);
  void list_clues();
  const clue* find(std::uintptr_t word) const;
  bool hold_those_with_other_handles();
  bool read(address_range range);
  bool read_held();
  bool read_others();
  bool any_left();

  const std::function<bool()>& is_quiet_;
  memory_apart notes_;
  process_memory memory_;
  std::pmr::vector<suspect> suspects_{&notes_};
  std::pmr::vector<channel> channels_{&notes_};
  std::pmr::unordered_map<const channel_core*, std::size_t> numbers_{&notes_};
  address_ranges others_{&notes_};    // in what is left out below
  address_ranges left_out_{&notes_};  // of what is mapped
  std::pmr::vector<clue> clues_{&notes_};
  std::pmr::vector<std::size_t> newly_held_{&notes_};
  // Whether a page may have a clue, by a hash of its number.
  static constexpr std::size_t filter_bits = std::size_t{1} << 20;
  std::pmr::vector<std::uint64_t> filter_{filter_bits / 64, &notes_};
};

std::size_t page_hash(std::uintptr_t page) noexcept {
  return static_cast<std::size_t>(page * 0x9E3779B97F4A7C15u >> 44);
}

/// What it waits for at channels, if that can be ended only there, and is to be told; else null.
const wait_note* waits_at_channels(const fiber_record& r) noexcept {
  const wait_note* const note = r.waits_for();
  if (note == nullptr || r.home->opts.deadlock == on_deadlock::ignore) return nullptr;
  const char* const what = note->why.what;
  if (what != to_receive_from_channel && what != to_send_to_channel && what != in_a_select)
    return nullptr;
  const bool can_be_cancelled = r.references.load(std::memory_order_relaxed) != 1 ||
                                r.is_in_cancellable_group() ||
                                r.cancel.load(std::memory_order_relaxed) != 0;
  if (can_be_cancelled || waiting::of(*note).is_limited() || !r.claim.is_open()) return nullptr;
  return note;
}

template <class Visit>
void for_each_channel(const wait_note& note, Visit visit) {
  if (note.why.what == in_a_select) {
    static_cast<const select_wait&>(waiting::of(note)).for_each_channel(visit);
  } else {
    visit(static_cast<const channel_core*>(note.why.object));
  }
}

std::size_t leak_search::number_of(const channel_core* core) {
  const auto [at, is_new] = numbers_.emplace(core, channels_.size());
  if (is_new)
    channels_.push_back(
        {core, 0, channels_.size(), 0, false, std::pmr::vector<std::size_t>(&notes_)});
  return at->second;
}

std::size_t leak_search::chief_of(std::size_t i) {
  while (channels_[i].chief != i) i = channels_[i].chief = channels_[channels_[i].chief].chief;
  return i;
}

void leak_search::hold(std::size_t i) {
  channel& c = channels_[chief_of(i)];
  if (c.is_held) return;
  c.is_held = true;
  newly_held_.push_back(c.chief);
}

// Of one that is held where it is.
void leak_search::look(fiber_record& r, const void* frame) {
  const std::byte* const bottom = r.bound_stack->bottom;
  const std::byte* const top = r.bound_stack->top;
  // It may wait on a stack that its program has made; then all of its own is in use.
  const bool is_there = frame >= bottom && frame < top;
  const belongings own{address_range::of(is_there ? frame : bottom, top),
                       address_range::of(r.callable(), r.callable_bytes())};
  std::size_t all = none;  // the channels where it waits
  const wait_note* const note = waits_at_channels(r);
  if (note != nullptr) {
    for_each_channel(*note, [&](const channel_core* core) {
      const std::size_t number = number_of(core);
      if (all != none) channels_[chief_of(number)].chief = chief_of(all);
      all = number;
    });
  }
  if (all != none) {
    suspects_.push_back({&r, r.id.load(std::memory_order_relaxed), note->since_ns, all, own});
    left_out_.push_back(own.callable);
    return;
  }
  others_.push_back(own.frames);
  if (!r.callable_on_heap) others_.push_back(own.callable);
}

// False: somebody runs.
bool leak_search::collect(runtime_state& rt) {
  bool all_stand = true;
  visit_held(
      rt,
      [&](const fiber_record& r) {
        return all_stand && is_alive(r.phase.load(std::memory_order_relaxed));
      },
      [&](fiber_record& r, const void* frame) {
        all_stand = all_stand && frame != nullptr;
        if (all_stand) look(r, frame);
      },
      [&] { all_stand = all_stand && is_quiet_(); });
  return all_stand;
}

// What is heddle's, and refers to fibers whether anybody needs them or not.
void leak_search::leave_out(runtime_state& rt) {
  const auto add = [this](const void* at, std::size_t bytes) {
    left_out_.push_back(address_range::of(at, bytes));
  };
  add(&rt, sizeof rt);
  for (unsigned i = 0, count = rt.worker_count(); i < count; ++i)
    add(rt.worker_at(i), sizeof(worker));
  rt.records.for_each_slab(add);
  rt.stacks.for_each_part(add);
}

void leak_search::list_clues() {
  const auto add = [this](address_range range, std::size_t number) {
    clues_.push_back({range, number});
    for (std::uintptr_t page = range.from >> 12; page <= (range.to - 1) >> 12; ++page) {
      const std::size_t bit = page_hash(page);
      filter_[bit / 64] |= std::uint64_t{1} << bit % 64;
    }
  };
  for (std::size_t i = 0; i < channels_.size(); ++i)
    add(address_range::of(channels_[i].core, sizeof(channel_core)), i);
  for (std::size_t i = 0; i < suspects_.size(); ++i) {
    suspect& s = suspects_[i];
    s.channel = chief_of(s.channel);
    channels_[s.channel].suspects.push_back(i);
    // Who switched to it, or from it, may have kept where it is suspended, or was before it ran.
    add({s.own.frames.from + 1, s.own.frames.to - entry_room}, s.channel);
    add(s.own.callable, s.channel);
  }
  std::sort(clues_.begin(), clues_.end(),
            [](const clue& a, const clue& b) { return a.range.from < b.range.from; });
}

const leak_search::clue* leak_search::find(std::uintptr_t word) const {
  const std::size_t bit = page_hash(word >> 12);
  if ((filter_[bit / 64] >> bit % 64 & 1) == 0) return nullptr;
  auto above = std::upper_bound(clues_.begin(), clues_.end(), word,
                                [](std::uintptr_t w, const clue& c) { return w < c.range.from; });
  if (above == clues_.begin()) return nullptr;
  const clue& below = *std::prev(above);
  return word < below.range.to ? &below : nullptr;
}

void leak_search::hold_if_named_by(std::uintptr_t word) {
  if (const clue* c = find(word)) hold(c->channel);
}

bool leak_search::any_left() {
  return std::any_of(suspects_.begin(), suspects_.end(),
                     [this](const suspect& s) { return !channels_[s.channel].is_held; });
}

// Step 1, of the suspects that are left; false: the memory cannot be read.
bool leak_search::hold_those_with_other_handles() {
  for (channel& c : channels_) {
    c.words = 0;
    if (!memory_.copy(&c.handles, channel_core::references_of(c.core), sizeof c.handles))
      return false;
  }
  for (const suspect& s : suspects_) {
    if (channels_[s.channel].is_held) continue;
    for (const address_range& range : {s.own.frames, s.own.callable}) {
      const bool all = memory_.read(range, [&](std::uintptr_t word) {
        const clue* c = find(word);
        if (c != nullptr && word == c->range.from) {
          channel& named = channels_[c->channel];
          if (word == reinterpret_cast<std::uintptr_t>(named.core)) ++named.words;
        }
      });
      if (!all) return false;
    }
  }
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    if (channels_[i].handles > channels_[i].words) hold(i);
  }
  return true;
}

// False: the memory cannot be read.
bool leak_search::read(address_range range) {
  return memory_.read(range, [this](std::uintptr_t word) { hold_if_named_by(word); });
}

// Step 3.
bool leak_search::read_held() {
  while (!newly_held_.empty()) {
    const channel& c = channels_[newly_held_.back()];
    newly_held_.pop_back();
    for (const std::size_t i : c.suspects) {
      if (!read(suspects_[i].own.frames) || !read(suspects_[i].own.callable)) return false;
    }
  }
  return true;
}

// Step 2.
bool leak_search::read_others() {
  for (const channel& c : channels_)
    left_out_.push_back(address_range::of(c.core, sizeof(channel_core)));
  own_stack::for_each([this](const void* bottom, const void* top) {
    left_out_.push_back(address_range::of(bottom, top));
  });
  sleeping_threads().for_each([this](const thread_agent& each) {
    if (each.registers >= each.stack_bottom && each.registers < each.stack_top)
      left_out_.push_back(address_range::of(each.stack_bottom, each.registers));
  });
  mapped_ranges mapped(&notes_);
  if (!memory_.list(mapped)) return false;
  notes_.for_each([this](const address_range& own) { left_out_.push_back(own); });
  const auto by_start = [](const address_range& a, const address_range& b) {
    return a.from < b.from;
  };
  std::sort(left_out_.begin(), left_out_.end(), by_start);
  std::sort(mapped.begin(), mapped.end(), by_start);
  mapped_ranges to_read(&notes_);
  auto out = left_out_.begin();
  std::uint64_t sum = 0;
  for (mapped_range each : mapped) {
    while (each.from < each.to) {
      while (out != left_out_.end() && out->to <= each.from) ++out;
      const std::uintptr_t stop =
          out == left_out_.end() ? each.to : std::clamp(out->from, each.from, each.to);
      if (stop > each.from) to_read.push_back({{each.from, stop}, each.is_private});
      sum += stop - each.from;
      each.from = out == left_out_.end() || out->from >= each.to ? each.to : out->to;
    }
  }
  if (sum > most_bytes) return false;
  const auto look_at = [this](std::uintptr_t word) { hold_if_named_by(word); };
  return visit_words_kept_by_system(look_at) &&
         std::all_of(others_.begin(), others_.end(),
                     [this](const address_range& each) { return read(each); }) &&
         std::all_of(to_read.begin(), to_read.end(),
                     [&](const mapped_range& each) { return memory_.read_touched(each, look_at); });
}

std::vector<sighting> leak_search::run() {
  for (runtime_cursor at; at.here() != nullptr; at.next()) {
    if (!collect(*at.here())) return {};
    leave_out(*at.here());
  }
  if (suspects_.empty()) return {};
  list_clues();
  const auto settle = [this] {
    do {
      if (!hold_those_with_other_handles()) return false;
      if (newly_held_.empty()) return true;
    } while (read_held());
    return false;
  };
  // What is found among the suspects is found soon.
  if (!settle() || !any_left()) return {};
  if (!read_others() || !read_held() || !settle()) return {};
  std::vector<sighting> found;
  for (const suspect& s : suspects_) {
    if (channels_[s.channel].is_held) continue;
    fiber_record* who = s.who;
    const void* frame = nullptr;
    if (!is_quiet_()) return {};
    const held_fibers held(&who, &frame, 1);
    const wait_note* const note = frame == nullptr ? nullptr : waits_at_channels(*who);
    if (note == nullptr || note->since_ns != s.since_ns) return {};
    found.emplace_back().meet(*who);
    found.back().look(frame);
  }
  if (!memory_.is_intact() || !is_quiet_()) found.clear();
  return found;
}

// Most programs have none, and may have very many fibers: who is tied (record.hpp) is none.
bool has_suspects() {
  bool found = false;
  const auto may_be_one = [&](const fiber_record& r) {
    return !found && r.waits_for() != nullptr && !r.is_tied();
  };
  const auto look = [&](const fiber_record& r, const void* frame) {
    found = found || (frame != nullptr && waits_at_channels(r) != nullptr);
  };
  for (runtime_cursor at; at.here() != nullptr; at.next())
    visit_held(*at.here(), may_be_one, look, [] {});
  return found;
}

}  // namespace

std::vector<sighting> find_leaks(const std::function<bool()>& is_quiet) {
  if (!can_read_all || !has_suspects()) return {};
  return leak_search(is_quiet).run();
}

}  // namespace heddle::detail
