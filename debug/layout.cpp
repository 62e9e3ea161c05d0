// SPDX-License-Identifier: BSL-1.0
// layout: where a debugger finds the fibers, as numbers in the library itself, so that it needs no
//   debug information for them, nor a process that still runs (tools/debugger/ reads it).
//   A name that is changed here is changed there.
#include <heddle/debug/layout.hpp>
#include <heddle/fiber/record.hpp>
#include <heddle/fiber/record_pool.hpp>
#include <heddle/fiber/stack.hpp>
#include <heddle/fiber/switch.hpp>
#include <heddle/sched/process.hpp>
#include <heddle/sched/runtime_state.hpp>
#include <heddle/sched/wait.hpp>
#include <heddle/sched/worker.hpp>

#include <cstddef>

// Of types that are not of standard layout: both compilers know what is meant.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace heddle::detail {

/// Sees what is private.
struct layout {
  using slab = record_pool::slab;
  static constexpr std::size_t slabs = offsetof(record_pool, slabs_);
  static constexpr std::size_t workers = offsetof(runtime_state, workers_);
  static constexpr std::size_t worker_count = offsetof(runtime_state, worker_count_);
  static constexpr std::size_t current = offsetof(worker, current_);
  static constexpr std::size_t rough_now = offsetof(worker, rough_now_);
  static constexpr std::size_t thread_id = offsetof(worker, thread_id_);
};

}  // namespace heddle::detail

using namespace heddle::detail;

constinit const heddle_layout_entry heddle_layout[] = {
    {"version", nullptr, 1},
    {"first_runtime", &first_runtime, 0},
    {"registers_offset", &registers_offset, 0},
    {"fiber_itself", &fiber_itself, 0},

    {"runtime.next", nullptr, offsetof(runtime_state, next_runtime)},
    {"runtime.slabs", nullptr, offsetof(runtime_state, records) + layout::slabs},
    {"runtime.workers", nullptr, layout::workers},
    {"runtime.worker_count", nullptr, layout::worker_count},
    {"slab", nullptr, sizeof(layout::slab)},
    {"slab.blocks", nullptr, offsetof(layout::slab, blocks)},
    {"slab.used", nullptr, offsetof(layout::slab, used)},
    {"worker.current", nullptr, layout::current},
    {"worker.thread_id", nullptr, layout::thread_id},
    {"worker.rough_now_ns", nullptr, layout::rough_now},

    {"fiber", nullptr, sizeof(fiber_record)},
    {"fiber.agent", nullptr, offsetof(fiber_record, claim)},
    {"fiber.frame", nullptr, offsetof(fiber_record, frame)},
    {"fiber.stack", nullptr, offsetof(fiber_record, bound_stack)},
    {"fiber.note", nullptr, offsetof(fiber_record, aside)},
    {"fiber.id", nullptr, offsetof(fiber_record, id)},
    {"fiber.extras", nullptr, offsetof(fiber_record, extras)},
    {"fiber.phase", nullptr, offsetof(fiber_record, phase)},
    {"fiber.started_low", nullptr, offsetof(fiber_record, started_low_)},
    {"fiber.started_high", nullptr, offsetof(fiber_record, started_high_)},
    {"extras.name", nullptr, offsetof(fiber_extras, name)},
    {"stack.bottom", nullptr, offsetof(stack, bottom)},
    {"stack.top", nullptr, offsetof(stack, top)},
    {"note.what", nullptr, offsetof(wait_note, why) + offsetof(wait_reason, what)},
    {"note.object", nullptr, offsetof(wait_note, why) + offsetof(wait_reason, object)},
    {"note.owner", nullptr, offsetof(wait_note, why) + offsetof(wait_reason, owner)},
    {"note.since_ns", nullptr, offsetof(wait_note, since_ns)},

    {"phase.live", nullptr, static_cast<std::size_t>(fiber_phase::live)},
    {"note.sleeps", nullptr, fiber_record::sleeps},
    {"note.tied", nullptr, fiber_record::tied},
    {nullptr, nullptr, 0},
};

#if defined(HEDDLE_GDB_SCRIPT)
// The installed script, which gdb then loads for every program that has this in it.
asm(".pushsection .debug_gdb_scripts, \"MS\", %progbits, 1\n"
    ".byte 1\n"
    ".asciz \"" HEDDLE_GDB_SCRIPT
    "\"\n"
    ".popsection");
#endif
