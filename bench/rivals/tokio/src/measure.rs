// SPDX-License-Identifier: BSL-1.0
// measure: how every case here runs and reports: a body times itself in a task of the runtime, once
// unmeasured and then again and again, and the figures are those of the median pass.
use std::future::Future;
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};

pub type Figures = Vec<(&'static str, f64)>;

// What runs the tasks of w:1; w:2 is always the multi-thread runtime. Each case names the faster
// one, by the figures below, the least of several runs on one machine: ns, but s for skynet, sieve
// and sleepers. skynet on the current-thread runtime had oneshots, which are faster there.
//                 current  multi                     current  multi
//   switch             50     69      spawn_batch        147    285
//   yield_many         38     47      skynet            0.51   0.38
//   chan_pingpong     216    215      mutex              9.7     11
//   chan_buffered 1    63     68      mutex_yield        232    278
//   chan_buffered 4    35     32      fib(30)            733    326
//   select over 2     181    225      sieve             0.24   0.24
//   select over 8     197    414      sleepers           1.8    2.7
//   spawn_join        163    164      parked, bytes      194    186
#[derive(Clone, Copy)]
pub enum One {
    CurrentThread,
    MultiThread,
}

fn builder(workers: usize, one: One) -> Builder {
    let mut builder = match (workers, one) {
        (1, One::CurrentThread) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(workers);
    builder
}

// Without a timer, as a Builder is by default: a yield that looks after one takes twice as long.
pub fn runtime(workers: usize, one: One) -> Runtime {
    builder(workers, one).build().expect("a runtime")
}

pub fn runtime_with_timer(workers: usize, one: One) -> Runtime {
    let mut builder = builder(workers, one);
    builder.enable_time().build().expect("a runtime")
}

// Runs `body` as a task of the runtime: on one of its workers, not on the thread of main.
pub fn run<F>(runtime: &Runtime, body: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    runtime.block_on(async { tokio::spawn(body).await.expect("the body") })
}

pub fn median(mut passes: Vec<f64>) -> f64 {
    passes.sort_by(f64::total_cmp);
    passes[passes.len() / 2]
}

// `body` makes `operations` operations and returns the seconds that they took.
pub async fn measure<F, Fut>(min_seconds: f64, operations: i64, body: F) -> Figures
where
    F: Fn() -> Fut,
    Fut: Future<Output = f64>,
{
    body().await;
    let start = Instant::now();
    let mut passes = vec![body().await];
    while start.elapsed().as_secs_f64() < min_seconds {
        passes.push(body().await);
    }
    let seconds = median(passes);
    vec![
        ("ns", seconds * 1e9 / operations.max(1) as f64),
        ("seconds", seconds),
    ]
}
