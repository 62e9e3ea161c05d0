// SPDX-License-Identifier: BSL-1.0
// wake: how long until a task that waits on an idle worker runs, once a busy task wakes it.
// A worker of tokio keeps the task that it woke last to itself, where no other worker can take it:
// had the waker spun as a plain task, the waiter would never run. tokio asks of a task that keeps
// its thread busy that it says so, with block_in_place, which hands its worker's other tasks to a
// thread more. So there are the two workers, idle, and the waker's thread.
use crate::measure::{run, runtime_with_timer, Figures, One};
use crate::{needs_cores, Case, Failure};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{self, Sender};
use tokio::task::block_in_place;

const BURST: Duration = Duration::from_millis(5);

// Wakes the waiter for as long as a burst lasts, [first, n) at most; returns the next one's number.
fn burst(signal: &Sender<Instant>, woken: &AtomicI64, first: i64, n: i64, every: Duration) -> i64 {
    let burst_ends = Instant::now() + BURST;
    let mut i = first;
    while i < n && Instant::now() < burst_ends {
        let time = Instant::now() + every;
        while Instant::now() < time {}
        signal.try_send(Instant::now()).expect("room for one");
        i += 1;
        // (wl.1) acquire: the waiter has noted this wake, (wl.2).
        while woken.load(Ordering::Acquire) != i {}
    }
    i
}

async fn wake_often(n: i64, every: Duration) -> Vec<f64> {
    let (signal, mut wakes) = mpsc::channel::<Instant>(1);
    let woken = Arc::new(AtomicI64::new(0)); // the waiter counts, the waker reads
    let count = woken.clone();
    let waiter = tokio::spawn(async move {
        let mut latencies = Vec::with_capacity(n as usize);
        while let Some(at) = wakes.recv().await {
            latencies.push(at.elapsed().as_secs_f64());
            // (wl.2) release: that the waiter is back; pairs with (wl.1).
            count.fetch_add(1, Ordering::Release);
        }
        latencies
    });
    let mut done = 0;
    while done < n {
        done = block_in_place(|| burst(&signal, &woken, done, n, every));
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    drop(signal);
    waiter.await.expect("the waiter")
}

pub fn wake_latency(case: &Case) -> Result<Figures, Failure> {
    needs_cores(2)?;
    let (every_us, n) = (case.number("every_us")?, case.number("n")?);
    let every = Duration::from_micros(every_us as u64);
    let runtime = runtime_with_timer(2, One::MultiThread);
    let mut latencies = run(&runtime, wake_often(n, every));
    latencies.sort_by(f64::total_cmp);
    let percentile = |p| latencies[(latencies.len() - 1) * p / 100] * 1e6;
    Ok(vec![
        ("p1_us", percentile(1)),
        ("p10_us", percentile(10)),
        ("p25_us", percentile(25)),
        ("p50_us", percentile(50)),
        ("p75_us", percentile(75)),
        ("p90_us", percentile(90)),
        ("p99_us", percentile(99)),
        ("seconds", latencies.iter().sum()),
    ])
}
