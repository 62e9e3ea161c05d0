// SPDX-License-Identifier: BSL-1.0
// wait_graph: collecting those who wait, finding circles, making sure.
#include <heddle/debug/wait_graph.hpp>
#include <heddle/sched/look.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/wait.hpp>
#include <heddle/sync/shared_mutex.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace heddle::detail {

namespace {

// False: somebody has ended the wait, or is about to, and the waiter has yet to hear of it.
bool look_at_note(party& p, const wait_note& note) noexcept {
  const owner_word* const owner = note.why.owner;
  if (owner == &no_owner || owner == &fiber_itself) {
    const bool is_cancelled = p.who->cancel.load(std::memory_order_relaxed) != 0;
    if (!p.who->claim.is_open() || (is_cancelled && p.who->claim.cancellable_now())) return false;
    p.is_lock = false;
  } else {
    p.is_lock = owner != &blocking_call;
  }
#if defined(HEDDLE_ASSERTIONS)
  p.held = p.who->held;
#endif
  p.is_group = owner == &no_owner;
  p.what = note.why.what;
  p.object = note.why.object;
  p.owner = note.why.owner->load(std::memory_order_relaxed);
  p.since_ns = note.since_ns;
  return true;
}

// Calls `visit` with each fiber of `rt` that waits so, none of them held. False: but for some of
// which it could not be seen.
template <class Visit>
bool for_each_waiter(runtime_state& rt, Visit& visit) {
  bool is_complete = true;
  std::array<party, held_at_once> found;
  std::size_t got = 0;
  visit_held(
      rt, [](const fiber_record& r) { return r.is_tied(); },
      [&](fiber_record& r, const void* frame) {
        if (frame != nullptr && found[got].look(r)) {
          ++got;
        } else {
          is_complete = false;
        }
      },
      [&] {
        for (std::size_t i = 0; i < got; ++i) visit(found[i]);
        got = 0;
      });
  return is_complete;
}

/// Addresses, each once.
class address_set {
 public:
  // Most who stand side by side work for the same, or wait for it.
  void add(const void* at) {
    if (all_.empty() || all_.back() != at) all_.push_back(at);
  }
  void sort() {
    std::sort(all_.begin(), all_.end());
    all_.erase(std::unique(all_.begin(), all_.end()), all_.end());
  }
  void keep_those_in(const address_set& other) {
    all_.erase(std::remove_if(all_.begin(), all_.end(),
                              [&](const void* at) { return !other.contains(at); }),
               all_.end());
  }
  bool empty() const noexcept { return all_.empty(); }
  bool contains(const void* at) const noexcept {
    return std::binary_search(all_.begin(), all_.end(), at);
  }

 private:
  std::vector<const void*> all_;
};

/// Those who wait so, and may be part of a circle; and which of them wait for which.
class graph {
 public:
  graph();
  /// Members of a circle, by number; each circle once, and of those that share members one.
  std::vector<std::vector<std::size_t>> circles();
  const party& at(std::size_t i) const noexcept { return all_[i]; }
  bool is_complete() const noexcept { return is_complete_; }

 private:
  template <class Visit>
  void collect(Visit visit);
  void list_by_thing();
  std::vector<std::size_t> awaited_by(std::size_t i) const;

  std::vector<party> all_;
  bool is_complete_ = true;
  using by_address = std::vector<std::pair<std::uintptr_t, std::size_t>>;
  by_address by_stack_;  // its top
  by_address by_thing_;  // what they work for, share, or are
};

template <class Visit>
void graph::collect(Visit visit) {
  for (runtime_cursor rt; rt.here() != nullptr; rt.next()) {
    is_complete_ = for_each_waiter(*rt.here(), visit) && is_complete_;
  }
  for (const party& p : look_at_threads<party>()) visit(p);
}

// Who waits for a group for which nobody works who waits so himself is in no circle. There may be
// very many: nothing is kept of them.
graph::graph() {
  address_set groups, worked_for;
  collect([&](const party& p) {
    if (p.works_for != nullptr) worked_for.add(p.works_for);
    if (p.is_group) {
      groups.add(p.object);
    } else {
      all_.push_back(p);
    }
  });
  groups.sort();
  worked_for.sort();
  groups.keep_those_in(worked_for);
  if (!groups.empty()) {
    collect([&](const party& p) {
      if (p.is_group && groups.contains(p.object)) all_.push_back(p);
    });
  }
  list_by_thing();
}

void graph::list_by_thing() {
  for (std::size_t i = 0; i < all_.size(); ++i) {
    const party& p = all_[i];
    const auto add = [i](by_address& to, const void* at) {
      to.emplace_back(reinterpret_cast<std::uintptr_t>(at), i);
    };
    add(by_thing_, p.who);
    if (p.is_fiber()) add(by_thing_, &p.fiber());
    if (p.works_for != nullptr) add(by_thing_, p.works_for);
#if defined(HEDDLE_ASSERTIONS)
    for (std::size_t j = 0; j < p.held.count; ++j) {
      if (p.held.all[j].is_shared) add(by_thing_, p.held.all[j].lock);
    }
#endif
    if (p.stack_top != nullptr) add(by_stack_, p.stack_top);
  }
  std::sort(by_thing_.begin(), by_thing_.end());
  std::sort(by_stack_.begin(), by_stack_.end());
}

std::vector<std::size_t> graph::awaited_by(std::size_t i) const {
  const party& p = all_[i];
  std::vector<std::size_t> them;
  const auto add_if_awaited = [&](std::size_t j) {
    if (p.waits_for(all_[j])) them.push_back(j);
  };
  const auto add_equal = [&](const void* thing) {
    const auto key = reinterpret_cast<std::uintptr_t>(thing);
    auto each =
        std::lower_bound(by_thing_.begin(), by_thing_.end(), std::pair(key, std::size_t{0}));
    for (; each != by_thing_.end() && each->first == key; ++each) add_if_awaited(each->second);
  };
  if (p.object != nullptr) add_equal(p.object);
  if (p.owner == nullptr) return them;
  add_equal(p.owner);
  const auto at = reinterpret_cast<std::uintptr_t>(p.owner);
  const auto above =
      std::upper_bound(by_stack_.begin(), by_stack_.end(), std::pair(at, all_.size()));
  if (above != by_stack_.end()) add_if_awaited(above->second);
  return them;
}

// Depth first; where a way comes back to itself there is a circle.
std::vector<std::vector<std::size_t>> graph::circles() {
  struct step {
    std::size_t who;
    std::vector<std::size_t> next;
  };
  enum class mark : std::uint8_t { fresh, on_the_way, done };
  std::vector<mark> marks(all_.size(), mark::fresh);
  std::vector<std::vector<std::size_t>> found;
  std::vector<step> way;
  for (std::size_t start = 0; start < all_.size(); ++start) {
    if (marks[start] != mark::fresh) continue;
    marks[start] = mark::on_the_way;
    way.push_back({start, awaited_by(start)});
    while (!way.empty()) {
      if (way.back().next.empty()) {
        marks[way.back().who] = mark::done;
        way.pop_back();
        continue;
      }
      const std::size_t next = way.back().next.back();
      way.back().next.pop_back();
      if (marks[next] == mark::fresh) {
        marks[next] = mark::on_the_way;
        way.push_back({next, awaited_by(next)});
      } else if (marks[next] == mark::on_the_way) {
        auto first =
            std::find_if(way.begin(), way.end(), [&](const step& s) { return s.who == next; });
        std::vector<std::size_t>& ring = found.emplace_back();
        for (auto each = first; each != way.end(); ++each) ring.push_back(each->who);
        // Who has been in one is in no other.
        for (; first != way.end(); ++first) {
          marks[first->who] = mark::done;
          first->next.clear();
        }
      }
    }
  }
  return found;
}

/// Whether they wait for each other, at one instant.
bool is_so(circle& c, const held_fibers& held, sleeping_threads& threads) noexcept {
  std::size_t fiber = 0;
  for (party& p : c.members) {
    const party before = p;
    bool waits = false;
    if (p.is_fiber()) {
      waits = held.frame_of(fiber++) != nullptr && p.look(p.fiber());
    } else {
      threads.for_each([&](thread_agent& each) {
        if (&each == before.who) waits = p.look(each);
      });
    }
    if (!waits || !p.is_in_same_wait(before)) return false;
  }
  for (std::size_t i = 0; i < c.members.size(); ++i) {
    if (!c.members[i].waits_for(c.members[(i + 1) % c.members.size()])) return false;
  }
  return true;
}

/// Looks again, at all of them at once.
std::optional<circle> make_sure(const graph& of, const std::vector<std::size_t>& ring) {
  circle c;
  std::vector<fiber_record*> records;
  for (const std::size_t i : ring) {
    c.members.push_back(of.at(i));
    if (of.at(i).is_fiber()) records.push_back(&of.at(i).fiber());
  }
  std::vector<const void*> frames(records.size());
  c.sightings.resize(ring.size());
  const held_fibers held(records.data(), frames.data(), records.size());
  sleeping_threads threads;
  if (!is_so(c, held, threads)) return std::nullopt;
  auto each = c.sightings.begin();
  for (std::size_t i = 0; i < records.size(); ++i, ++each) {
    each->meet(*records[i]);
    each->look(frames[i]);
  }
  for (const party& p : c.members) {
    if (!p.is_fiber()) each++->look(static_cast<const thread_agent&>(*p.who));
  }
  return c;
}

}  // namespace

bool party::look(fiber_record& r) noexcept {
  const wait_note* note = r.waits_for();
  if (note == nullptr || !r.is_tied()) return false;
  who = &r;
  id = r.id.load(std::memory_order_relaxed);
  if (!look_at_note(*this, *note)) return false;
  works_for = r.works_for();
  stack_bottom = r.bound_stack->bottom;
  stack_top = r.bound_stack->top;
  return true;
}

bool party::look(thread_agent& thread) noexcept {
  if (!thread.is_tied) return false;
  who = &thread;
  id = static_cast<std::uint64_t>(thread.thread_id);
  if (!look_at_note(*this, *thread.note)) return false;
  works_for = thread.works_for;
  stack_bottom = thread.stack_bottom;
  stack_top = thread.stack_top;
  return true;
}

bool party::waits_for(const party& other) const noexcept {
  if (object != nullptr) {
    if (other.works_for == object) return true;
    if (other.is_fiber() && object == &other.fiber()) return true;
    if (other.shares_what_is_wanted_by(*this)) return true;
  }
  if (owner == nullptr) return false;
  const auto* at = static_cast<const std::byte*>(owner);
  return at == static_cast<const void*>(other.who) ||
         (at >= other.stack_bottom && at < other.stack_top);
}

bool party::shares_what_is_wanted_by([[maybe_unused]] const party& other) const noexcept {
#if defined(HEDDLE_ASSERTIONS)
  return other.what == to_lock_shared_mutex && held.shares(other.object);
#else
  return false;
#endif
}

std::string party::label() const {
  return is_fiber() ? fiber_label(fiber()).text : "thread " + std::to_string(id);
}

std::vector<circle> find_circles(bool& is_complete) {
  graph all;
  is_complete = all.is_complete();
  std::vector<circle> sure;
  for (const auto& ring : all.circles()) {
    if (auto c = make_sure(all, ring)) sure.push_back(std::move(*c));
  }
  return sure;
}

}  // namespace heddle::detail
