// SPDX-License-Identifier: BSL-1.0
// locks: one counter that many tasks increment, without an await in the critical section and with
// one.
use crate::measure::{measure, run, runtime, Figures, One};
use crate::{Case, Failure};
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::yield_now;

// Starts `tasks` tasks of `task` and joins them; returns the seconds.
async fn all<F, Fut>(tasks: i64, task: F) -> f64
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let start = Instant::now();
    let all: Vec<_> = (0..tasks).map(|_| tokio::spawn(task())).collect();
    for task in all {
        task.await.expect("a task");
    }
    start.elapsed().as_secs_f64()
}

// std's mutex, which tokio's documentation recommends where no await lies in the critical section,
// and which is the faster one: 10 ns against 53 on one worker, 23 against 263 on two.
pub fn mutex(case: &Case) -> Result<Figures, Failure> {
    let (workers, tasks, times) = (
        case.workers()?,
        case.number("tasks")?,
        case.number("times")?,
    );
    let min_seconds = case.min_seconds;
    let pass = move || async move {
        let counter = Arc::new(std::sync::Mutex::new(0));
        let seconds = all(tasks, || {
            let counter = counter.clone();
            async move {
                for _ in 0..times {
                    *counter.lock().expect("a lock") += 1;
                }
            }
        });
        let seconds = seconds.await;
        let counter = *counter.lock().expect("a lock");
        assert_eq!(counter, tasks * times, "mutex: an increment was lost");
        seconds
    };
    let runtime = runtime(workers, One::CurrentThread);
    Ok(run(&runtime, measure(min_seconds, tasks * times, pass)))
}

// tokio's mutex, since its guard may be held over an await.
pub fn mutex_yield(case: &Case) -> Result<Figures, Failure> {
    let (workers, tasks, times) = (
        case.workers()?,
        case.number("tasks")?,
        case.number("times")?,
    );
    let min_seconds = case.min_seconds;
    let pass = move || async move {
        let counter = Arc::new(tokio::sync::Mutex::new(0));
        let seconds = all(tasks, || {
            let counter = counter.clone();
            async move {
                for _ in 0..times {
                    let mut held = counter.lock().await;
                    *held += 1;
                    yield_now().await;
                }
            }
        });
        let seconds = seconds.await;
        let counter = *counter.lock().await;
        assert_eq!(counter, tasks * times, "mutex_yield: an increment was lost");
        seconds
    };
    let runtime = runtime(workers, One::CurrentThread);
    Ok(run(&runtime, measure(min_seconds, tasks * times, pass)))
}
