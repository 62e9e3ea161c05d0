// SPDX-License-Identifier: BSL-1.0
// dump: collecting the fibers, folding those that are alike, telling them.
#include <heddle/debug/dump.hpp>
#include <heddle/debug/symbols.hpp>
#include <heddle/fiber/unwind.hpp>
#include <heddle/sched/clock.hpp>
#include <heddle/sched/look.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/wait.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <ostream>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace heddle {

namespace detail {
namespace {

constexpr std::size_t most_frames = 48;
constexpr std::size_t most_named = 4;  // of those that are alike

enum class fiber_state : std::uint8_t { runs, waits, runnable, not_started };

/// A fiber as it was found.
struct sighting {
  fiber_record* who = nullptr;
  std::uint64_t id = 0;
  fiber_state state = fiber_state::not_started;
  const char* what = nullptr;
  const void* object = nullptr;
  std::int64_t since_ns = 0;
  const void* started_from = nullptr;
  std::size_t frame_count = 0;
  std::array<const void*, most_frames> frames;
};

/// Fibers that are alike.
struct herd {
  fiber_state state;
  const char* what;
  const void* started_from;
  std::vector<const void*> frames;
  std::size_t size = 0;
  std::vector<std::string> labels;  // of the first few
  const void* object = nullptr;
  bool same_object = true;
  std::int64_t oldest_ns = 0;
};

class roll_call {
 public:
  void visit(runtime_state& rt);
  void write(std::ostream& out);

 private:
  void look(runtime_state& rt);
  void enter(const sighting& s);
  void write(std::ostream& out, const herd& h);
  void write_trace(std::ostream& out, const herd& h);

  std::size_t runtimes_ = 0, workers_ = 0, fibers_ = 0;
  std::array<sighting, look_batch> batch_;
  std::size_t batch_size_ = 0;
  std::unordered_map<std::string, herd> herds_;
  symbols names_;
};

void roll_call::visit(runtime_state& rt) {
  ++runtimes_;
  workers_ += rt.base_workers;
  rt.records.for_each([&](fiber_record& r) {
    if (!is_alive(r.phase.load(std::memory_order_relaxed))) return;
    sighting& s = batch_[batch_size_];
    s.who = &r;
    s.id = r.id.load(std::memory_order_relaxed);
    s.state = fiber_state::not_started;
    s.what = nullptr;
    s.object = nullptr;
    s.since_ns = 0;
    s.started_from = r.started_from();
    s.frame_count = 0;
    if (s.id == 0) return;
    if (++batch_size_ == look_batch) look(rt);
  });
  look(rt);
}

void roll_call::look(runtime_state& rt) {
  std::array<fiber_record*, look_batch> records;
  for (std::size_t i = 0; i < batch_size_; ++i) records[i] = batch_[i].who;
  look_at_suspended(rt, records.data(), batch_size_,
                    [&](std::size_t i, const void* frame) noexcept {
                      sighting& s = batch_[i];
                      s.state = fiber_state::runnable;
                      if (const wait_note* note = s.who->waits_for()) {
                        s.state = fiber_state::waits;
                        s.what = note->why.what;
                        s.object = note->why.object;
                        s.since_ns = note->since_ns;
                      }
                      s.frame_count = addresses_of(frame, s.frames.data(), most_frames);
                    });
  const fiber_record* self = running_fiber();
  for (std::size_t i = 0; i < batch_size_; ++i) {
    sighting& s = batch_[i];
    if (s.who == self) s.frame_count = addresses_here(s.frames.data(), most_frames);
    if (s.state == fiber_state::not_started) {  // else it was looked at
      if (is_current(rt, *s.who)) {
        s.state = fiber_state::runs;
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
  ++fibers_;
  std::string key;
  const auto append = [&](const auto& value) {
    key.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  append(s.state);
  append(s.what);
  append(s.started_from);
  key.append(reinterpret_cast<const char*>(s.frames.data()), s.frame_count * sizeof(void*));
  herd& h = herds_[key];
  if (h.size == 0) {
    h.state = s.state;
    h.what = s.what;
    h.started_from = s.started_from;
    h.frames.assign(s.frames.data(), s.frames.data() + s.frame_count);
    h.object = s.object;
    h.oldest_ns = s.since_ns;
  }
  if (h.size < most_named) h.labels.emplace_back(fiber_label(*s.who).text);
  ++h.size;
  h.same_object = h.same_object && h.object == s.object;
  h.oldest_ns = std::min(h.oldest_ns, s.since_ns);
}

/// Whether the name of a function of ours has types in it: the program's, mostly.
bool names_theirs(const std::string& function) noexcept {
  return function.find('<') != std::string::npos;
}

std::string counted(std::size_t n, std::string_view what) {
  std::string text = std::to_string(n);
  for (std::size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, ",");
  return text.append(" ").append(what).append(n == 1 ? "" : "s");
}

std::string duration_text(std::int64_t ns) {
  char text[32];
  const double s = static_cast<double>(std::max<std::int64_t>(ns, 0)) * 1e-9;
  std::snprintf(text, sizeof text, s < 10 ? "%.2f s" : s < 100 ? "%.1f s" : "%.0f s", s);
  return text;
}

void roll_call::write(std::ostream& out) {
  out << "heddle: " << counted(fibers_, "fiber") << " on " << counted(workers_, "worker") << " of "
      << counted(runtimes_, "runtime") << "\n";
  std::vector<const herd*> order;
  for (const auto& [key, h] : herds_) order.push_back(&h);
  std::sort(order.begin(), order.end(), [](const herd* a, const herd* b) {
    const bool a_waits = a->state != fiber_state::runs, b_waits = b->state != fiber_state::runs;
    if (a_waits != b_waits) return b_waits;
    if (a->size != b->size) return a->size < b->size;
    if (a->oldest_ns != b->oldest_ns) return a->oldest_ns < b->oldest_ns;
    return std::less<>{}(a->started_from, b->started_from);
  });
  for (const herd* h : order) write(out, *h);
}

void roll_call::write(std::ostream& out, const herd& h) {
  out << "\n";
  if (h.size > 1) out << counted(h.size, "fiber") << " alike: ";
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
      out << (many ? " wait " : " waits ") << h.what;
      if (h.object != nullptr && h.same_object) out << " " << h.object;
      out << (many ? ", the first for " : " for ") << duration_text(real_now_ns() - h.oldest_ns);
      break;
  }
  out << "\n";
  write_trace(out, h);
  if (h.started_from == nullptr) return;
  const std::vector<code_line>& start = names_.before(h.started_from);
  const auto theirs = std::find_if(start.begin(), start.end(),
                                   [](const code_line& l) { return l.whose == owner::theirs; });
  out << "    started by " << to_text(theirs != start.end() ? *theirs : start.back()) << "\n";
}

// Of what is ours only the function that was called: how it waits, and who called the fiber's
// function, is not the user's concern.
void roll_call::write_trace(std::ostream& out, const herd& h) {
  std::vector<const code_line*> lines;
  for (const void* each : h.frames) {
    for (const code_line& l : names_.before(each)) lines.push_back(&l);
  }
  const auto is_theirs = [](const code_line* l) { return l->whose == owner::theirs; };
  auto first = std::find_if(lines.begin(), lines.end(), is_theirs);
  auto last = std::find_if(lines.rbegin(), lines.rend(), is_theirs).base();
  if (first == lines.end()) {
    // All of theirs was inlined, and no debug information says so: its types are in our names.
    first = last = lines.empty() ? first : std::prev(lines.end());
    while (first != lines.begin() && !names_theirs((*first)->function)) --first;
    last = first == lines.end() ? first : std::next(first);
  } else {
    while (first != lines.begin() && (*std::prev(first))->whose == owner::std) --first;
    if (first != lines.begin()) --first;
  }
  int number = 0;
  for (auto at = first; at != last; ++at) {
    const bool is_called = (*at)->whose == owner::ours && std::next(at) != last;
    out << "    #" << number++ << " " << (is_called ? short_name(**at) : to_text(**at)) << "\n";
  }
  if (h.frames.size() == most_frames) out << "    ... and deeper\n";
}

}  // namespace
}  // namespace detail

void dump(std::ostream& out) {
  detail::roll_call all;
  for (detail::runtime_cursor at; at.here() != nullptr; at.next()) all.visit(*at.here());
  all.write(out);
}

}  // namespace heddle
