// SPDX-License-Identifier: BSL-1.0
// word_count: counts the words in all files below a directory, by a pipeline of fibers.
//
//     walk ──paths──▶ read (16 fibers) ──chunks──▶ count (one a worker) ──tallies──▶ merge
//
// Walking and reading wait for the disk, so they go through heddle::blocking(), which keeps the
// workers free; counting is what the workers are for. The channels are bounded: a stage that is
// ahead waits, so memory stays the same whether a file holds a kilobyte or a terabyte.
//
// A word is a run of bytes without white space, at least one of them visible, as for `wc -w` in the
// C locale. A huge file is cut into chunks, always between words, so that each can be counted by
// itself.

#include <heddle/heddle.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace fs = std::filesystem;

constexpr std::string_view usage =
    "usage: word_count [--help] [--top N] DIR\n"
    "Counts the words in all files below DIR; prints the N (10) most frequent, and the totals.\n"
    "Symbolic links are not followed. Exit status: 0; 1 if something could not be read; 2 for a\n"
    "wrong argument.\n";

constexpr int readers = 16;                    // files that are open at once
constexpr std::size_t chunk_size = 256 << 10;  // bytes
constexpr std::size_t max_ranked = 255;        // bytes; a longer word counts, but is not ranked
constexpr std::size_t max_memory = 64 << 20;   // bytes, for the words that one tally knows

// --- Words --------------------------------------------------------------------------------------

constexpr bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
constexpr bool is_visible(char c) { return c >= 0x21 && c <= 0x7E; }
constexpr bool is_control(char c) { return (c >= 0 && c < 0x20) || c == 0x7F; }

// How often each word was seen. Every counting fiber has its own, so none waits for another.
class tally {
 public:
  // Adds the words of a text that starts and ends between words.
  void add(std::string_view bytes) {
    const char* at = bytes.data();
    const char* const end = at + bytes.size();
    while (at != end) {
      const char* const first = at;
      bool visible = false, text = true;
      for (; at != end && !is_space(*at); ++at) {
        visible |= is_visible(*at);
        text &= !is_control(*at);
      }
      if (visible) {
        ++words_;
        const std::string_view word(first, at);
        if (text && word.size() <= max_ranked) add(word, 1);  // else only counted, not ranked
      }
      if (at != end) ++at;  // the space that ended it
    }
  }

  void add(const tally& other) {
    words_ += other.words_;
    missed_ += other.missed_;
    for (const auto& [word, count] : other.counts_) add(word, count);
  }

  std::uint64_t words() const { return words_; }    // all that were seen
  std::uint64_t missed() const { return missed_; }  // a word's count may be this much too low

  // The n most frequent words; equally frequent ones in the order of their bytes.
  std::vector<std::pair<std::string, std::uint64_t>> top(std::size_t n) const {
    std::vector<std::pair<std::string, std::uint64_t>> ranking(std::min(n, counts_.size()));
    std::partial_sort_copy(counts_.begin(), counts_.end(), ranking.begin(), ranking.end(),
                           [](const auto& a, const auto& b) {
                             return std::tie(b.second, a.first) < std::tie(a.second, b.first);
                           });
    return ranking;
  }

 private:
  struct hash {
    using is_transparent = void;  // finds a word without making a std::string of it first
    std::size_t operator()(std::string_view word) const {
      return std::hash<std::string_view>{}(word);
    }
  };

  void add(std::string_view word, std::uint64_t count) {
    if (const auto found = counts_.find(word); found != counts_.end()) {
      found->second += count;
      return;
    }
    counts_.emplace(word, count);
    memory_ += cost(word);
    if (memory_ > max_memory) forget();
  }

  // About the bytes that an entry takes, with its share of the hash table.
  static std::size_t cost(std::string_view word) { return 80 + word.size(); }

  // Memory is bounded here too: a full tally forgets its rarest words, down to half of its size.
  void forget() {
    std::uint64_t rare = 0;
    while (memory_ > max_memory / 2) {
      rare = 2 * rare + 1;
      std::erase_if(counts_, [&](const auto& entry) {
        if (entry.second > rare) return false;
        memory_ -= cost(entry.first);
        return true;
      });
    }
    missed_ += rare;
  }

  std::uint64_t words_ = 0;
  std::uint64_t missed_ = 0;
  std::size_t memory_ = 0;
  std::unordered_map<std::string, std::uint64_t, hash, std::equal_to<>> counts_;
};

// --- The stages ---------------------------------------------------------------------------------

// What is known beside the words. Any fiber or thread may add to it. The mutex is heddle's: a fiber
// that waits for it leaves its thread to others.
struct tree_report {
  heddle::mutex mutex;
  std::uint64_t files = 0, bytes = 0, failures = 0;  // guarded by mutex

  void read(std::uint64_t size) {
    const std::scoped_lock guard(mutex);
    ++files;
    bytes += size;
  }
  void failed(const fs::path& path, std::error_code why) {
    const std::scoped_lock guard(mutex);
    ++failures;
    std::string name = path.native();  // may hold anything: keep it from acting on the terminal
    std::replace_if(name.begin(), name.end(), is_control, '?');
    std::cerr << "word_count: " + name + ": " + why.message() + '\n';
  }
};

// Sends the path of every regular file that is `root` or below it: those of `find root -type f`.
// Runs on a thread for blocking calls; channels work from there as well.
void walk(const fs::path& root, heddle::sender<fs::path> paths, tree_report& report) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(root, error);
  if (!error && !fs::is_directory(status) && !fs::is_regular_file(status))
    error = std::make_error_code(std::errc::not_a_directory);
  if (error) return report.failed(root, error);
  if (fs::is_regular_file(status)) paths.send(root);

  std::vector<fs::path> directories;
  if (fs::is_directory(status)) directories.push_back(root);
  while (!directories.empty()) {
    const fs::path directory = std::move(directories.back());
    directories.pop_back();
    for (fs::directory_iterator at(directory, error), end; at != end; at.increment(error)) {
      std::error_code unknown;
      if (at->is_symlink(unknown)) continue;
      if (at->is_directory(unknown)) directories.push_back(at->path());
      if (at->is_regular_file(unknown)) paths.send(at->path());
      if (unknown) report.failed(at->path(), unknown);  // it vanished just now
    }
    if (error) report.failed(directory, error);
  }
}

struct chunk {  // starts and ends between words
  std::unique_ptr<char[]> bytes;
  std::size_t size = 0;
};

// Sends a file's text in chunks.
void read(const fs::path& path, heddle::sender<chunk> chunks, tree_report& report) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(nullptr, std::fclose);
  std::string begun;  // a word that ends in the next chunk
  std::uint64_t bytes = 0;
  for (bool more = true; more;) {
    chunk next{std::make_unique_for_overwrite<char[]>(chunk_size), begun.size()};
    char* const text = next.bytes.get();
    std::memcpy(text, begun.data(), begun.size());

    // This fiber waits here; the worker under it goes on with another, for instance a counting one.
    const int error = heddle::blocking([&] {
      if (!file) {
        file.reset(std::fopen(path.c_str(), "rb"));
        if (!file) return errno;
        std::setvbuf(file.get(), nullptr, _IONBF, 0);
      }
      next.size += std::fread(text + begun.size(), 1, chunk_size - begun.size(), file.get());
      return std::ferror(file.get()) ? errno : 0;
    });

    if (error != 0) report.failed(path, {error, std::generic_category()});
    bytes += next.size - begun.size();
    more = error == 0 && next.size == chunk_size;
    begun.clear();
    if (more) {
      const auto end = std::make_reverse_iterator(text + next.size);
      char* const cut = std::find_if(end, std::make_reverse_iterator(text), is_space).base();
      begun.assign(cut, text + next.size);
      next.size = static_cast<std::size_t>(cut - text);
      if (next.size == 0) {
        // One word fills it all. It is too long to be ranked, but must be counted if it has a
        // visible byte anywhere: a stub of it that is still too long, with such a byte, does.
        std::iter_swap(begun.begin(), std::find_if(begun.begin(), begun.end() - 1, is_visible));
        begun.resize(max_ranked + 1);
      }
    }
    if (next.size > 0) chunks.send(std::move(next));
  }
  if (file) report.read(bytes);
}

// Puts the pipeline together, and waits for its end.
tally count_words(const fs::path& root, tree_report& report) {
  heddle::channel<fs::path> paths(1024);
  heddle::channel<chunk> chunks(2 * readers);
  heddle::channel<tally> tallies;
  const unsigned counters = heddle::runtime::current()->workers();

  // Each stage closes its channel when it is done, which ends the next stage's loop.
  heddle::fiber walking({.name = "walk"}, [&] {
    heddle::blocking([&] { walk(root, paths, report); });
    paths.close();
  });
  heddle::wait_group reading;
  for (int i = 0; i < readers; ++i) {
    reading.go([&] {
      for (const fs::path& path : paths) read(path, chunks, report);
    });
  }
  heddle::wait_group counting;
  for (unsigned i = 0; i < counters; ++i) {
    counting.go([&] {
      tally words;
      for (const chunk& next : chunks) {
        words.add({next.bytes.get(), next.size});
        heddle::this_fiber::yield();  // while there are chunks it never waits: let others run
      }
      tallies.send(std::move(words));
    });
  }

  reading.wait();
  chunks.close();
  tally total = tallies.receive().value();
  for (unsigned i = 1; i < counters; ++i) total.add(tallies.receive().value());
  counting.wait();
  return total;
}

// --- The command line ---------------------------------------------------------------------------

int wrong_argument(std::string_view why, std::string_view arg) {
  std::cerr << "word_count: " << why << " '" << arg << "'\n" << usage;
  return 2;
}

int main(int argc, char** argv) {
  std::size_t top = 10;
  const char* root = nullptr;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "--help") {
      std::cout << usage;
      return 0;
    }
    if (arg == "--top") {
      const std::string_view number = i + 1 < argc ? argv[++i] : "";
      const char* const end = number.data() + number.size();
      const auto [stop, error] = std::from_chars(number.data(), end, top);
      if (error != std::errc{} || stop != end)
        return wrong_argument("--top wants a number, not", number);
    } else if (arg.starts_with('-') || root != nullptr) {
      return wrong_argument("unknown argument", arg);
    } else {
      root = argv[i];
    }
  }
  if (root == nullptr) return wrong_argument("wants", "DIR");

  tree_report report;
  const tally words = heddle::run([&] { return count_words(root, report); });
  for (const auto& [word, count] : words.top(top))
    std::cout << std::setw(12) << count << "  " << word << '\n';
  if (words.missed() > 0)
    std::cout << "(too many different words: a count above may be low by " << words.missed()
              << ")\n";
  std::cout << words.words() << " words in " << report.files << " files of " << report.bytes
            << " bytes" << std::endl;
  if (report.failures > 0)
    std::cerr << "word_count: " << report.failures << " could not be read" << std::endl;
  return report.failures == 0 && std::cout ? 0 : 1;
}
