// SPDX-License-Identifier: BSL-1.0
// switches: tasks that do nothing but yield, two of them and very many.
use crate::measure::{measure, run, runtime, Figures, One};
use crate::{Case, Failure};
use std::time::Instant;
use tokio::task::yield_now;

async fn yields(times: i64) {
    for _ in 0..times {
        yield_now().await;
    }
}

// Of two workers each may come to have one of the two tasks: then most yields find nobody to switch
// to. heddle leaves such passes out; here no pass is without, and all count.
pub fn switch(case: &Case) -> Result<Figures, Failure> {
    let (workers, n) = (case.workers()?, case.number("n")?);
    let min_seconds = case.min_seconds;
    let pass = move || async move {
        let start = Instant::now();
        let a = tokio::spawn(yields(n / 2));
        let b = tokio::spawn(yields(n / 2));
        a.await.expect("a party");
        b.await.expect("a party");
        start.elapsed().as_secs_f64()
    };
    let runtime = runtime(workers, One::CurrentThread);
    Ok(run(&runtime, measure(min_seconds, n, pass)))
}

pub fn yield_many(case: &Case) -> Result<Figures, Failure> {
    let (workers, n, times) = (case.workers()?, case.number("n")?, case.number("yields")?);
    let min_seconds = case.min_seconds;
    let pass = move || async move {
        let start = Instant::now();
        let all: Vec<_> = (0..n).map(|_| tokio::spawn(yields(times))).collect();
        for task in all {
            task.await.expect("a task");
        }
        start.elapsed().as_secs_f64()
    };
    let runtime = runtime(workers, One::CurrentThread);
    Ok(run(&runtime, measure(min_seconds, n * times, pass)))
}
