// SPDX-License-Identifier: BSL-1.0
// waits: very many tasks that sleep or wait for one event: time, memory, and what they cost
// meanwhile. Each is measured once, unwarmed.
use crate::machine::{cpu_seconds, held_bytes, mappings, peak_mib};
use crate::measure::{run, runtime, runtime_with_timer, Figures, One};
use crate::{Case, Failure};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::{yield_now, JoinHandle};
use tokio::time::sleep;

pub fn sleepers(case: &Case) -> Result<Figures, Failure> {
    let (workers, n) = (case.workers()?, case.number("n")?);
    let runtime = runtime_with_timer(workers, One::CurrentThread);
    let cpu_before = cpu_seconds();
    let seconds = run(&runtime, async move {
        let start = Instant::now();
        let all: Vec<_> = (0..n)
            .map(|_| tokio::spawn(sleep(Duration::from_secs(1))))
            .collect();
        for task in all {
            task.await.expect("a sleeper");
        }
        start.elapsed().as_secs_f64()
    });
    let cpu = cpu_seconds() - cpu_before;
    Ok(vec![
        ("seconds", seconds),
        ("cpu", cpu),
        ("peak_mib", peak_mib()),
    ])
}

#[derive(Default)]
struct Event {
    notify: Notify,
    arrived: AtomicI64, // the tasks count, the first reads
}

// Starts `n` tasks that wait for the event. What comes to a Notified counts from when it was made,
// so that a task that has counted misses nothing.
fn waiters(event: &Arc<Event>, n: i64) -> Vec<JoinHandle<()>> {
    let wait = |event: Arc<Event>| async move {
        let notified = event.notify.notified();
        event.arrived.fetch_add(1, Relaxed);
        notified.await;
    };
    (0..n).map(|_| tokio::spawn(wait(event.clone()))).collect()
}

async fn release(event: &Event, all: Vec<JoinHandle<()>>) {
    event.notify.notify_waiters();
    for task in all {
        task.await.expect("a waiter");
    }
}

async fn parked(n: i64) -> Figures {
    let start = Instant::now();
    let before = held_bytes();
    let event = Arc::<Event>::default();
    let all = waiters(&event, n);
    // The last to arrive may not wait yet: one in n.
    while event.arrived.load(Relaxed) != n {
        yield_now().await;
    }
    let grown = held_bytes() - before;
    let mappings = mappings() as f64;
    release(&event, all).await;
    vec![
        ("bytes_each", grown as f64 / n as f64),
        ("mappings", mappings),
        ("guard_pages", 0.0), // tasks have no stacks
        ("seconds", start.elapsed().as_secs_f64()),
    ]
}

pub fn parked_memory(case: &Case) -> Result<Figures, Failure> {
    let (workers, n) = (case.workers()?, case.number("n")?);
    let runtime = runtime(workers, One::MultiThread);
    Ok(run(&runtime, parked(n)))
}

pub fn idle(case: &Case) -> Result<Figures, Failure> {
    let (workers, n) = (case.workers()?, case.number("n")?);
    let runtime = runtime_with_timer(workers, One::MultiThread);
    Ok(run(&runtime, async move {
        let event = Arc::<Event>::default();
        let all = waiters(&event, n);
        sleep(Duration::from_millis(100)).await; // all wait, and the workers have gone idle
        let cpu_before = cpu_seconds();
        let start = Instant::now();
        sleep(Duration::from_secs(1)).await;
        let seconds = start.elapsed().as_secs_f64();
        let cpu_ms = (cpu_seconds() - cpu_before) * 1e3 / seconds;
        release(&event, all).await;
        vec![("cpu_ms", cpu_ms), ("seconds", seconds)]
    }))
}
