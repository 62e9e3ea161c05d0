// SPDX-License-Identifier: BSL-1.0
// trace_json: from rings, which know what each worker did in its order, to tracks: what each fiber
//   did, of which each ring knows a part.
//   Within a ring the order is exact, and a time that is missing lies between its neighbours', less
//   than a tick after the first. Of two rings the order need not be exact: where a fiber would run
//   twice at once, or be woken after it ran, times are moved.
#include <heddle/debug/symbols.hpp>
#include <heddle/debug/trace_json.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/runtime_state.hpp>

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace heddle::detail {

namespace {

constexpr int fibers_pid = 1, workers_pid = 2;

/// Where something happened: on a fiber's track, or on a worker's.
struct track {
  int pid = fibers_pid;
  std::uint64_t tid = 0;
};

struct run {
  double begin, end;  // us
  std::size_t ring;
  const char* then = nullptr;  // why it ended; null: it went on, or nobody knows
  const void* object = nullptr;
};
struct wake {
  double at;
  track by;
};

struct life {
  std::string name;
  const void* started_from = nullptr;
  std::vector<run> runs;
  std::vector<wake> wakes;
};

struct noted {
  const trace_event* event;
  std::uint64_t ticks;  // 0: between its neighbours'
};

class teller {
 public:
  teller(std::FILE* out, const trace_span& span) : out_(out), span_(span) {
    const double ns = static_cast<double>(std::max<std::int64_t>(span.to.ns - span.from.ns, 1));
    const auto ticks = std::max<std::uint64_t>(span.to.ticks - span.from.ticks, 1);
    us_per_tick_ = ns / static_cast<double>(ticks) / 1e3;
  }

  void read(const trace_ring& ring, std::size_t number);
  /// What the rings do not know any more, of those that are alive.
  void ask(runtime_state& rt);
  void write();

 private:
  double us(std::uint64_t ticks) const noexcept {
    const std::uint64_t from = span_.from.ticks;
    return ticks <= from ? 0 : static_cast<double>(ticks - from) * us_per_tick_;
  }
  std::vector<double> times_of(const std::vector<noted>& events) const;
  void write_life(std::uint64_t id, life& l);
  void write_name(int pid, std::uint64_t tid, const std::string& name);
  void begin(const char* phase, int pid, std::uint64_t tid, double at, const char* category);
  void slice(track on, double from, double to, const std::string& name, const std::string& detail);
  /// From who woke, at `at`, to where the woken one runs.
  void arrow(track from, double at, track to, double until);
  std::string origin_of(const life& l);

  std::FILE* const out_;
  const trace_span span_;
  double us_per_tick_;
  std::map<std::uint64_t, life> lives_;
  std::map<std::size_t, std::string> ring_names_;
  std::uint64_t arrows_ = 0;
  bool first_ = true;
  symbols names_;
  std::unordered_map<const void*, std::string> origins_;
};

/// How many bytes the character that begins at `i` has; 0: it is no whole one (RFC 3629).
std::size_t character_at(const std::string& text, std::size_t i) noexcept {
  const auto byte = [&](std::size_t k) {
    return k < text.size() ? static_cast<unsigned char>(text[k]) : 0u;
  };
  const unsigned first = byte(i), second = byte(i + 1);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4) return 0;
  // Neither longer than need be, nor half of a pair, nor beyond U+10FFFF.
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
      (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) {
    return 0;
  }
  for (std::size_t k = 1; k < length; ++k) {
    if ((byte(i + k) & 0xC0) != 0x80) return 0;
  }
  return length;
}

/// As JSON has it; bytes that are no characters are question marks.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = character_at(text, i);
    const auto first = static_cast<unsigned char>(text[i]);
    if (length == 0) {
      out += '?';
    } else if (first == '"' || first == '\\') {
      out += '\\';
      out += text[i];
    } else if (first < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", first);
      out += escaped;
    } else {
      out.append(text, i, length);
    }
    i += std::max<std::size_t>(length, 1);
  }
  return out + "\"";
}

/// Without the locale's decimal point.
std::string decimal(double us) {
  const auto ns = static_cast<long long>(us * 1e3 + 0.5);
  char text[40];
  std::snprintf(text, sizeof text, "%lld.%03lld", ns / 1000, ns % 1000);
  return text;
}

/// Between two times `gap` us apart lie `count` events without one. They came before the tick after
/// the first: if the gap is long, soon after it.
double step_of(double gap, std::size_t count) noexcept {
  constexpr double longest = 1;
  return std::min(gap / static_cast<double>(count + 1), longest);
}

std::vector<double> teller::times_of(const std::vector<noted>& events) const {
  std::vector<double> times(events.size());
  double last = 0;
  std::size_t known = 0;  // all before have their times
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (events[i].ticks == 0) continue;
    const double now = std::max(us(events[i].ticks), last);
    const double step = step_of((now - last), i - known);
    // What came before the first time is not known better than by that.
    for (std::size_t k = known; k < i; ++k)
      times[k] = known == 0 ? now : last + step * static_cast<double>(k - known + 1);
    times[i] = last = now;
    known = i + 1;
  }
  const double step = step_of(us(span_.to.ticks) - last, events.size() - known);
  for (std::size_t k = known; k < events.size(); ++k)
    times[k] = last + step * static_cast<double>(k - known + 1);
  return times;
}

void teller::read(const trace_ring& ring, std::size_t number) {
  std::vector<noted> events;
  std::uint64_t ticks = 0;
  const std::uint64_t oldest = ring.count - std::min<std::uint64_t>(ring.count, trace_ring::room);
  for (std::uint64_t i = oldest; i < ring.count; ++i) {
    const trace_event& e = ring.events[i % trace_ring::room];
    const bool is_instant = e.kind() == trace_kind::instant;
    if (!is_instant) events.push_back({&e, ticks});
    ticks = is_instant ? e.ticks : 0;
  }
  const std::vector<double> times = times_of(events);
  ring_names_[number] = ring.runtime == 0 ? "other threads"
                                          : "worker " + std::to_string(ring.worker_index) +
                                                " of runtime " + std::to_string(ring.runtime);

  std::uint64_t running = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const trace_event& e = *events[i].event;
    const track here = running != 0 ? track{fibers_pid, running} : track{workers_pid, number};
    switch (e.kind()) {
      case trace_kind::instant:
        break;
      case trace_kind::switched:
        if (running != 0) {
          run& r = lives_[running].runs.back();
          r.end = times[i];
          r.then = e.left.what;
          r.object = e.left.object;
        }
        running = e.whom();
        if (running != 0)
          lives_[running].runs.push_back({times[i], times[i], number, nullptr, nullptr});
        break;
      case trace_kind::woke:
        if (e.whom() == running) break;  // it goes to another worker of itself
        lives_[e.whom()].wakes.push_back({times[i], here});
        break;
      case trace_kind::started:
        lives_[e.whom()].started_from = e.from;
        break;
      case trace_kind::named:
        lives_[e.whom()].name.assign(e.name, ::strnlen(e.name, sizeof e.name));
        break;
    }
  }
  if (running != 0) lives_[running].runs.back().end = us(span_.to.ticks);
}

void teller::ask(runtime_state& rt) {
  rt.records.for_each([&](fiber_record& r) {
    if (!is_alive(r.phase.load(std::memory_order_relaxed))) return;
    const auto known = lives_.find(r.id.load(std::memory_order_relaxed));
    if (known == lives_.end()) return;
    known->second.started_from = r.started_from();
    const std::lock_guard hold(r.lock);
    const fiber_extras* extras = r.extras.load(std::memory_order_relaxed);
    if (extras != nullptr) known->second.name = extras->name;
  });
}

void teller::begin(const char* phase, int pid, std::uint64_t tid, double at, const char* category) {
  std::fprintf(out_, "%s{\"ph\":\"%s\",\"pid\":%d,\"tid\":%llu,\"ts\":%s,\"cat\":\"%s\"",
               first_ ? "\n" : ",\n", phase, pid, static_cast<unsigned long long>(tid),
               decimal(at).c_str(), category);
  first_ = false;
}

void teller::slice(track on, double from, double to, const std::string& name,
                   const std::string& detail) {
  begin("X", on.pid, on.tid, from, on.pid == fibers_pid ? "fiber" : "worker");
  std::fprintf(out_, ",\"dur\":%s,\"name\":%s", decimal(std::max(to - from, 0.0)).c_str(),
               quoted(name).c_str());
  if (!detail.empty()) std::fprintf(out_, ",\"args\":{\"what\":%s}", quoted(detail).c_str());
  std::fputs("}", out_);
}

void teller::arrow(track from, double at, track to, double until) {
  const unsigned long long number = ++arrows_;
  begin("s", from.pid, from.tid, at, "wake");
  std::fprintf(out_, ",\"id\":%llu,\"name\":\"wake\"}", number);
  begin("f", to.pid, to.tid, until, "wake");
  std::fprintf(out_, ",\"id\":%llu,\"name\":\"wake\",\"bp\":\"e\"}", number);
}

void teller::write_name(int pid, std::uint64_t tid, const std::string& name) {
  begin("M", pid, tid, 0, "__metadata");
  std::fprintf(out_, ",\"name\":\"thread_name\",\"args\":{\"name\":%s}}", quoted(name).c_str());
}

std::string teller::origin_of(const life& l) {
  if (l.started_from == nullptr) return {};
  std::string& known = origins_[l.started_from];
  if (known.empty()) known = ", started by " + to_text(names_.theirs_before(l.started_from));
  return known;
}

void teller::write_life(std::uint64_t id, life& l) {
  const std::string label =
      "fiber " + std::to_string(id) + (l.name.empty() ? "" : " '" + l.name + "'");
  write_name(fibers_pid, id, label + origin_of(l));
  const track own{fibers_pid, id};

  std::stable_sort(l.runs.begin(), l.runs.end(),
                   [](const run& a, const run& b) { return a.begin < b.begin; });
  std::stable_sort(l.wakes.begin(), l.wakes.end(),
                   [](const wake& a, const wake& b) { return a.at < b.at; });
  double before = 0;  // where the last run ended
  const run* last = nullptr;
  auto next_wake = l.wakes.begin();
  const auto write_gap = [&](double until, bool runs_then) {
    // Of several wakes that lie in between the last one is that which counts.
    const wake* woken = nullptr;
    while (next_wake != l.wakes.end() && next_wake->at <= until) woken = &*next_wake++;
    if (woken == nullptr && runs_then && next_wake != l.wakes.end() && last == nullptr)
      woken = &*next_wake++;
    const bool waited = last != nullptr && last->then != nullptr && last->then != left_to_others;
    double ready_at = before;
    if (woken != nullptr)
      ready_at = std::clamp(woken->at, before, until);
    else if (waited)
      ready_at = until;
    if (waited && last->then != left_for_good && ready_at > before) {
      char object[32] = "";
      if (last->object != nullptr) std::snprintf(object, sizeof object, "%p", last->object);
      slice(own, before, ready_at, std::string("waits ") + last->then, object);
    }
    const bool is_ready = woken != nullptr || (last != nullptr && !waited);
    if (is_ready && until > ready_at) slice(own, ready_at, until, "is ready", "");
    if (woken != nullptr && runs_then) arrow(woken->by, std::min(woken->at, until), own, until);
  };
  for (run& r : l.runs) {
    slice({workers_pid, r.ring}, r.begin, r.end, label, "");
    r.begin = std::max(r.begin, before);
    r.end = std::max(r.end, r.begin);
    write_gap(r.begin, true);
    slice(own, r.begin, r.end, "runs", ring_names_[r.ring]);
    before = r.end;
    last = &r;
  }
  const bool has_ended = last != nullptr && last->then == left_for_good;
  if (!has_ended) write_gap(us(span_.to.ticks), false);
}

void teller::write() {
  std::fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", out_);
  for (const auto& [pid, name] :
       {std::pair(fibers_pid, "fibers"), std::pair(workers_pid, "workers")}) {
    begin("M", pid, 0, 0, "__metadata");
    std::fprintf(out_, ",\"name\":\"process_name\",\"args\":{\"name\":\"%s\"}}", name);
  }
  for (const auto& [number, name] : ring_names_) write_name(workers_pid, number, name);
  for (auto& [id, l] : lives_) write_life(id, l);
  std::fputs("\n]}\n", out_);
}

}  // namespace

void write_trace_json(std::FILE* out, const trace_ring* first, const trace_span& span) {
  teller t(out, span);
  std::vector<const trace_ring*> rings;
  for (const trace_ring* r = first; r != nullptr; r = r->next) rings.push_back(r);
  std::reverse(rings.begin(), rings.end());  // as they were made
  for (std::size_t i = 0; i < rings.size(); ++i) t.read(*rings[i], i + 1);
  for (runtime_cursor at; at.here() != nullptr; at.next()) t.ask(*at.here());
  t.write();
}

}  // namespace heddle::detail
