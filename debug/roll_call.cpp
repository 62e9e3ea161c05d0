// SPDX-License-Identifier: BSL-1.0
// roll_call: collecting fibers, folding those that are alike, telling them.
#include <heddle/debug/roll_call.hpp>
#include <heddle/debug/running.hpp>
#include <heddle/fiber/unwind.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/look.hpp>
#include <heddle/sched/wait.hpp>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <iterator>
#include <ostream>

namespace heddle::detail {

awaited::awaited(const wait_reason& why) noexcept : what(why.what), object(why.object) {
  if (why.owner == &fiber_itself)
    fiber_id = static_cast<const fiber_record*>(object)->id.load(std::memory_order_relaxed);
}

std::ostream& operator<<(std::ostream& out, const awaited& a) {
  out << a.what;
  if (a.fiber_id != 0) return out << " fiber " << a.fiber_id;
  return a.object != nullptr ? out << " " << a.object : out;
}

void sighting::meet(fiber_record& r) noexcept {
  who = &r;
  id = r.id.load(std::memory_order_relaxed);
  state = fiber_state::not_started;
  by = {};
  since_ns = 0;
  started_from = r.started_from();
  frame_count = 0;
}

void sighting::look(const void* frame) noexcept {
  state = fiber_state::runnable;
  if (const wait_note* note = who->waits_for()) {
    state = fiber_state::waits;
    by = awaited(note->why);
    since_ns = note->since_ns;
  }
  frame_count = 0;
  // Not on a stack of the program's own, of which nobody knows where it ends.
  const stack& s = *who->bound_stack;
  if (frame >= s.bottom && frame < s.top)
    frame_count = addresses_of(frame, frames.data(), most_frames);
}

bool sighting::look(const thread_agent& thread) noexcept {
  who = nullptr;
  id = static_cast<std::uint64_t>(thread.thread_id);
  state = fiber_state::waits;
  by = awaited(thread.note->why);
  since_ns = thread.note->since_ns;
  started_from = nullptr;
  frame_count = 0;
  if (thread.registers >= thread.stack_bottom && thread.registers < thread.stack_top)
    frame_count = addresses_from(thread.registers, frames.data(), most_frames);
  return true;
}

std::string sighting::label() const {
  return who != nullptr ? fiber_label(*who).text : "thread " + std::to_string(id);
}

void roll_call::visit(runtime_state& rt, const std::vector<std::uint64_t>& known) {
  ++runtimes_;
  workers_ += rt.base_workers;
  rt.records.for_each([&](fiber_record& r) {
    if (!is_alive(r.phase.load(std::memory_order_relaxed))) return;
    batch_[batch_size_].meet(r);
    const std::uint64_t id = batch_[batch_size_].id;
    if (id == 0 || std::binary_search(known.begin(), known.end(), id)) return;
    if (++batch_size_ == batch_room) look(rt);
  });
  look(rt);
}

void roll_call::look(runtime_state& rt) {
  std::array<fiber_record*, batch_room> records;
  std::array<const void*, batch_room> frames;
  for (std::size_t i = 0; i < batch_size_; ++i) records[i] = batch_[i].who;
  {
    const held_fibers held(records.data(), frames.data(), batch_size_);
    for (std::size_t i = 0; i < batch_size_; ++i) {
      if (held.frame_of(i) != nullptr) batch_[i].look(held.frame_of(i));
    }
  }
  const fiber_record* self = running_fiber();
  for (std::size_t i = 0; i < batch_size_; ++i) {
    sighting& s = batch_[i];
    if (s.who == self) s.frame_count = addresses_here(s.frames.data(), s.frames.size());
    if (s.state == fiber_state::not_started) {  // else it was looked at
      if (worker* w = worker_of(rt, *s.who)) {
        s.state = fiber_state::runs;
        if (s.who != self)
          s.frame_count = addresses_of_running(*w, s.id, s.frames.data(), s.frames.size());
      } else if (s.who->frame.exists()) {
        s.state = fiber_state::runnable;
      }
    }
    // Else the record is another fiber's by now.
    if (s.who->id.load(std::memory_order_relaxed) == s.id) enter(s);
  }
  batch_size_ = 0;
}

void roll_call::enter(const sighting& s) {
  const bool is_thread = s.who == nullptr;
  if (!is_thread) ++fibers_;
  std::string key;
  const auto append = [&](const auto& value) {
    key.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  append(is_thread);
  append(s.state);
  append(s.by.what);
  append(s.started_from);
  key.append(reinterpret_cast<const char*>(s.frames.data()), s.frame_count * sizeof(void*));
  herd& h = herds_[key];
  if (h.size == 0) {
    h.are_threads = is_thread;
    h.state = s.state;
    h.by = s.by;
    h.started_from = s.started_from;
    h.frames.assign(s.frames.data(), s.frames.data() + s.frame_count);
    h.oldest_ns = s.since_ns;
  }
  if (h.size < most_named) h.labels.push_back(s.label());
  ++h.size;
  h.same_object = h.same_object && h.by.object == s.by.object;
  h.oldest_ns = std::min(h.oldest_ns, s.since_ns);
}

namespace {

/// Whether the name of a function of ours has types in it: the program's, mostly.
bool names_theirs(const std::string& function) noexcept {
  return function.find('<') != std::string::npos;
}

std::string duration_text(std::int64_t ns) {
  char text[32];
  const double s = static_cast<double>(std::max<std::int64_t>(ns, 0)) * 1e-9;
  std::snprintf(text, sizeof text, s < 10 ? "%.2f s" : s < 100 ? "%.1f s" : "%.0f s", s);
  return text;
}

}  // namespace

std::string counted(std::size_t n, std::string_view what) {
  std::string text = std::to_string(n);
  for (std::size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, ",");
  return text.append(" ").append(what).append(n == 1 ? "" : "s");
}

void roll_call::write_summary(std::ostream& out) {
  out << "heddle: " << counted(fibers_, "fiber") << " on " << counted(workers_, "worker") << " of "
      << counted(runtimes_, "runtime") << "\n";
}

void roll_call::write_fibers(std::ostream& out) {
  const std::int64_t now = real_now_ns();  // to look names up takes its time
  std::vector<const herd*> order;
  for (const auto& [key, h] : herds_) order.push_back(&h);
  std::sort(order.begin(), order.end(), [](const herd* a, const herd* b) {
    if (a->are_threads != b->are_threads) return a->are_threads;
    const bool a_waits = a->state != fiber_state::runs, b_waits = b->state != fiber_state::runs;
    if (a_waits != b_waits) return b_waits;
    if (a->size != b->size) return a->size < b->size;
    if (a->oldest_ns != b->oldest_ns) return a->oldest_ns < b->oldest_ns;
    return std::less<>{}(a->started_from, b->started_from);
  });
  for (const herd* h : order) write(out, *h, now);
}

void roll_call::write(std::ostream& out, const herd& h, std::int64_t now) {
  out << "\n";
  if (h.size > 1) out << counted(h.size, h.are_threads ? "thread" : "fiber") << " alike: ";
  for (std::size_t i = 0; i < h.labels.size(); ++i) out << (i > 0 ? ", " : "") << h.labels[i];
  if (h.size > h.labels.size()) out << " and others";
  const bool many = h.size > 1;
  switch (h.state) {
    case fiber_state::runs:
      out << (many ? " run" : " runs");
      break;
    case fiber_state::runnable:
      out << (many ? " are" : " is") << " ready to run";
      break;
    case fiber_state::not_started:
      out << (many ? " have" : " has") << " not run yet";
      break;
    case fiber_state::waits:
      out << (many ? " wait " : " waits ");
      if (h.same_object) {
        out << h.by;
      } else {
        out << h.by.what << (h.by.fiber_id != 0 ? " fibers" : "");
      }
      out << (many ? ", the first for " : " for ") << duration_text(now - h.oldest_ns);
      break;
  }
  out << "\n";
  write_trace(out, h);
}

void roll_call::write_trace(std::ostream& out, const sighting& s) {
  herd one{};
  one.started_from = s.started_from;
  one.frames.assign(s.frames.data(), s.frames.data() + s.frame_count);
  write_trace(out, one);
}

void roll_call::write_trace(std::ostream& out, const herd& h) {
  write_frames(out, h.frames);
  if (h.started_from == nullptr) return;
  out << "    started by " << to_text(names_.theirs_before(h.started_from)) << "\n";
}

// Of what is ours only the function that was called: how it waits, and who called the fiber's
// function, is not the user's concern.
void roll_call::write_frames(std::ostream& out, const std::vector<const void*>& frames) {
  std::vector<const code_line*> lines;
  for (const void* each : frames) {
    for (const code_line& l : names_.before(each)) lines.push_back(&l);
  }
  const auto is_theirs = [](const code_line* l) { return l->whose == owner::theirs; };
  auto first = std::find_if(lines.begin(), lines.end(), is_theirs);
  auto last = std::find_if(lines.rbegin(), lines.rend(), is_theirs).base();
  if (first == lines.end()) {
    // All of theirs was inlined, and no debug information says so: its types are in our names. Or
    // it was left by a jump, and only what it called is there.
    const auto is_ours = [](const code_line* l) { return l->whose == owner::ours; };
    auto outermost = std::find_if(lines.rbegin(), lines.rend(), [&](const code_line* l) {
      return is_ours(l) && names_theirs(l->function);
    });
    if (outermost == lines.rend()) outermost = std::find_if(lines.rbegin(), lines.rend(), is_ours);
    last = outermost.base();
    first = last == lines.begin() ? last : std::prev(last);
  } else {
    while (first != lines.begin() && (*std::prev(first))->whose == owner::std) --first;
    if (first != lines.begin()) --first;
  }
  int number = 0;
  for (auto at = first; at != last; ++at) {
    const bool is_called = (*at)->whose == owner::ours && std::next(at) != last;
    out << "    #" << number++ << " " << (is_called ? short_name(**at) : to_text(**at)) << "\n";
  }
  if (frames.size() == sighting::most_frames) out << "    ... and deeper\n";
}

}  // namespace heddle::detail
