// SPDX-License-Identifier: BSL-1.0
// programs: a tree of tasks that sum up, and a long chain of them that sieves primes.
use crate::machine::peak_mib;
use crate::measure::{measure, median, run, runtime, Figures, One};
use crate::{Case, Failure};
use std::time::Instant;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;

const FAN_OUT: i64 = 10;

// Starts a task that sends to `parent` the sum of the leaves [first, first + leaves). One channel
// for all children, of capacity 1; a oneshot for each child takes half as long again.
fn grow(parent: Sender<i64>, first: i64, leaves: i64) {
    tokio::spawn(async move {
        if leaves == 1 {
            parent.send(first).await.expect("a parent");
            return;
        }
        let each = leaves / FAN_OUT;
        let (sender, mut children) = mpsc::channel(1);
        for i in 0..FAN_OUT {
            grow(sender.clone(), first + i * each, each);
        }
        let mut sum = 0;
        for _ in 0..FAN_OUT {
            sum += children.recv().await.expect("a sum");
        }
        parent.send(sum).await.expect("a parent");
    });
}

async fn tree(leaves: i64) -> f64 {
    let start = Instant::now();
    let (sender, mut result) = mpsc::channel(1);
    grow(sender, 0, leaves);
    let sum = result.recv().await.expect("a sum");
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(sum, leaves * (leaves - 1) / 2, "skynet: wrong sum");
    seconds
}

pub fn skynet(case: &Case) -> Result<Figures, Failure> {
    let (workers, n) = (case.workers()?, case.number("n")?);
    if !(0..19).any(|depth| FAN_OUT.pow(depth) == n) {
        return Err(Failure::NoSuchCase); // the tree would have no end
    }
    let runtime = runtime(workers, One::MultiThread);
    run(&runtime, tree(n));
    let seconds = median((0..3).map(|_| run(&runtime, tree(n))).collect());
    Ok(vec![
        ("seconds", seconds),
        ("ns", seconds * 1e9 / n as f64),
        ("peak_mib", peak_mib()),
    ])
}

fn nth_prime(n: i64) -> i64 {
    let mut primes: Vec<i64> = Vec::new();
    let mut candidate = 1;
    while (primes.len() as i64) < n {
        candidate += 1;
        let mut small = primes.iter().take_while(|p| *p * *p <= candidate);
        if small.all(|p| candidate % p != 0) {
            primes.push(candidate);
        }
    }
    candidate
}

// A task that sends 2, 3, 4, ... until nobody receives.
fn generate(tasks: &mut JoinSet<()>) -> Receiver<i64> {
    let (out, from) = mpsc::channel(1);
    tasks.spawn(async move {
        let mut i = 2;
        while out.send(i).await.is_ok() {
            i += 1;
        }
    });
    from
}

// A task that passes on what `prime` does not divide.
fn filter(tasks: &mut JoinSet<()>, mut from: Receiver<i64>, prime: i64) -> Receiver<i64> {
    let (out, next) = mpsc::channel(1);
    tasks.spawn(async move {
        while let Some(value) = from.recv().await {
            if value % prime != 0 && out.send(value).await.is_err() {
                break;
            }
        }
    });
    next
}

async fn primes(n: i64, expected: i64) -> f64 {
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    let mut from = generate(&mut tasks);
    let mut last = from.recv().await.expect("a prime");
    for _ in 1..n {
        from = filter(&mut tasks, from, last);
        last = from.recv().await.expect("a prime");
    }
    let seconds = start.elapsed().as_secs_f64();
    tasks.shutdown().await;
    assert_eq!(last, expected, "sieve: wrong prime");
    seconds
}

pub fn sieve(case: &Case) -> Result<Figures, Failure> {
    let (workers, n) = (case.workers()?, case.number("n")?);
    let min_seconds = case.min_seconds;
    let expected = nth_prime(n);
    let runtime = runtime(workers, One::MultiThread);
    Ok(run(
        &runtime,
        measure(min_seconds, n, move || primes(n, expected)),
    ))
}
