// SPDX-License-Identifier: BSL-1.0
// machine: what a case asks of the operating system: processor time, and what /proc/self says of
// memory. As ../../../machine.cpp does it. Linux only.
use std::fs;

// User and system seconds of the whole process.
pub fn cpu_seconds() -> f64 {
    let mut used = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage fills the struct that it is given; all zeroes are valid for it too.
    let used = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, used.as_mut_ptr());
        used.assume_init()
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    seconds(used.ru_utime) + seconds(used.ru_stime)
}

// The bytes that a line of /proc/self/status tells in KiB.
fn status(key: &str) -> i64 {
    let text = fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let line = text.lines().find(|line| line.starts_with(key));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse::<i64>().ok()).expect(key) * 1024
}

pub fn peak_mib() -> f64 {
    status("VmHWM:") as f64 / (1 << 20) as f64
}

// Resident pages and page tables.
pub fn held_bytes() -> i64 {
    status("VmRSS:") + status("VmPTE:")
}

pub fn mappings() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc/self/maps");
    maps.lines().count()
}
