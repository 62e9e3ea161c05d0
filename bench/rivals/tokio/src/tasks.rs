// SPDX-License-Identifier: BSL-1.0
// tasks: tasks that are started and joined: one after the other, all at once, as the calls of a
// recursion, and as chunks of work for two workers.
use crate::machine::peak_mib;
use crate::measure::{measure, median, run, runtime, Figures, One};
use crate::{needs_cores, Case, Failure};
use std::arch::asm;
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub fn spawn_join(case: &Case) -> Result<Figures, Failure> {
    let (workers, n) = (case.workers()?, case.number("n")?);
    let min_seconds = case.min_seconds;
    let pass = move || async move {
        let start = Instant::now();
        for _ in 0..n {
            tokio::spawn(async {}).await.expect("a task");
        }
        start.elapsed().as_secs_f64()
    };
    let runtime = runtime(workers, One::CurrentThread);
    Ok(run(&runtime, measure(min_seconds, n, pass)))
}

// Waits as tokio's documentation does for tasks without results: for the channel to close whose
// sender each of them drops. JoinHandles are no faster, and keep each task in memory; a JoinSet
// takes three times as long.
async fn batch(n: i64) -> f64 {
    let start = Instant::now();
    let (ended, mut all) = mpsc::channel::<()>(1);
    for _ in 0..n {
        let ended = ended.clone();
        tokio::spawn(async move { drop(ended) });
    }
    drop(ended);
    all.recv().await;
    start.elapsed().as_secs_f64()
}

pub fn spawn_batch(case: &Case) -> Result<Figures, Failure> {
    let (workers, n) = (case.workers()?, case.number("n")?);
    let runtime = runtime(workers, One::CurrentThread);
    run(&runtime, batch(n));
    let seconds = median((0..5).map(|_| run(&runtime, batch(n))).collect());
    Ok(vec![
        ("ns", seconds * 1e9 / n as f64),
        ("seconds", seconds),
        ("peak_mib", peak_mib()),
    ])
}

async fn fib_of(n: i64) -> i64 {
    if n < 2 {
        return n;
    }
    let one = fib_task(n - 1);
    let other = fib_call(n - 2).await;
    one.await.expect("a task") + other
}

// A future that holds itself needs a box; the one that a task begins with lies in the task.
fn fib_call(n: i64) -> Pin<Box<dyn Future<Output = i64> + Send>> {
    Box::pin(fib_of(n))
}

fn fib_task(n: i64) -> JoinHandle<i64> {
    tokio::spawn(fib_of(n))
}

// The number, and how many tasks it takes.
fn fib_by_a_loop(n: i64) -> (i64, i64) {
    let (mut here, mut next) = (0, 1);
    for _ in 0..n {
        (here, next) = (next, here + next);
    }
    (here, next - 1)
}

pub fn fib(case: &Case) -> Result<Figures, Failure> {
    let (workers, n) = (case.workers()?, case.number("n")?);
    let min_seconds = case.min_seconds;
    let (expected, tasks) = fib_by_a_loop(n);
    let pass = move || async move {
        let start = Instant::now();
        let result = fib_of(n).await;
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(result, expected, "fib: wrong number");
        seconds
    };
    let runtime = runtime(workers, One::MultiThread);
    Ok(run(&runtime, measure(min_seconds, tasks, pass)))
}

// Depends on itself step by step; the asm keeps the compiler from joining steps.
fn work() {
    let mut x: u64 = 1;
    for _ in 0..400_000 {
        x = x
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        // SAFETY: a comment; it touches nothing.
        unsafe { asm!("/* {0} */", inout(reg) x, options(nomem, nostack, preserves_flags)) };
    }
}

async fn split(chunks: i64) -> f64 {
    let start = Instant::now();
    let all: Vec<_> = (0..chunks)
        .map(|_| tokio::spawn(async { work() }))
        .collect();
    for task in all {
        task.await.expect("a chunk");
    }
    start.elapsed().as_secs_f64()
}

// Each runtime lives in its turn.
fn in_turn(workers: usize, chunks: i64) -> f64 {
    let runtime = runtime(workers, One::MultiThread);
    run(&runtime, split(chunks / 10));
    run(&runtime, split(chunks))
}

pub fn scaling(case: &Case) -> Result<Figures, Failure> {
    needs_cores(2)?;
    let n = case.number("n")?;
    let one = in_turn(1, n);
    let two = in_turn(2, n);
    Ok(vec![
        ("speed_up", one / two),
        ("one_s", one),
        ("two_s", two),
        ("seconds", two),
    ])
}
