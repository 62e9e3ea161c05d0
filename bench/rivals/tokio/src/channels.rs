// SPDX-License-Identifier: BSL-1.0
// channels: values handed from task to task. tokio has no unbuffered channel: mpsc of capacity 1 is
// the nearest, whose sender goes on once its value lies in the channel.
use crate::measure::{measure, run, runtime, Figures, One};
use crate::{Case, Failure};
use std::time::Instant;
use tokio::sync::mpsc::{self, Receiver, Sender};

async fn trip(count: i64, there: &Sender<i64>, back: &mut Receiver<i64>) {
    for i in 0..count {
        there.send(i).await.expect("an echo");
        assert_eq!(back.recv().await, Some(i), "chan_pingpong: wrong value");
    }
}

async fn ping_pong_once(trips: i64) -> f64 {
    let (there, mut there_out) = mpsc::channel(1);
    let (back_in, mut back) = mpsc::channel(1);
    let echo = tokio::spawn(async move {
        while let Some(value) = there_out.recv().await {
            back_in.send(value).await.expect("a receiver");
        }
    });
    trip(trips / 10, &there, &mut back).await;
    let start = Instant::now();
    trip(trips, &there, &mut back).await;
    let seconds = start.elapsed().as_secs_f64();
    drop(there);
    echo.await.expect("the echo");
    seconds
}

pub fn ping_pong(case: &Case) -> Result<Figures, Failure> {
    let (workers, n) = (case.workers()?, case.number("n")?);
    let min_seconds = case.min_seconds;
    let runtime = runtime(workers, One::MultiThread);
    Ok(run(
        &runtime,
        measure(min_seconds, n, move || ping_pong_once(n)),
    ))
}

const CAPACITY: usize = 128;

// tokio's own, which its documentation has for one receiver; flume takes two thirds of the time.
async fn spsc(values: i64) -> i64 {
    let (sender, mut receiver) = mpsc::channel(CAPACITY);
    let sum = tokio::spawn(async move {
        let mut mine = 0;
        while let Some(value) = receiver.recv().await {
            mine += value;
        }
        mine
    });
    tokio::spawn(async move {
        for value in 0..values {
            sender.send(value).await.expect("a receiver");
        }
    });
    sum.await.expect("the receiver")
}

// A channel of tokio's has one receiver, and its tutorial sends who needs more to another crate. Of
// those that Debian packages, flume takes 34 ns a value on one worker and 38 on two, async-channel
// 32 and 52; a Mutex around tokio's receiver, five times as long.
async fn mpmc(ends: i64, each: i64) -> i64 {
    let (sender, receiver) = flume::bounded(CAPACITY);
    let receive = |receiver: flume::Receiver<i64>| async move {
        let mut mine = 0;
        while let Ok(value) = receiver.recv_async().await {
            mine += value;
        }
        mine
    };
    let sums: Vec<_> = (0..ends)
        .map(|_| tokio::spawn(receive(receiver.clone())))
        .collect();
    for _ in 0..ends {
        let sender = sender.clone();
        tokio::spawn(async move {
            for value in 0..each {
                sender.send_async(value).await.expect("a receiver");
            }
        });
    }
    drop(sender);
    let mut sum = 0;
    for mine in sums {
        sum += mine.await.expect("a receiver");
    }
    sum
}

pub fn buffered(case: &Case) -> Result<Figures, Failure> {
    let (workers, ends, values) = (case.workers()?, case.number("ends")?, case.number("n")?);
    let min_seconds = case.min_seconds;
    let pass = move || async move {
        let each = values / ends;
        let start = Instant::now();
        let sum = match ends {
            1 => spsc(each).await,
            _ => mpmc(ends, each).await,
        };
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(
            sum,
            ends * each * (each - 1) / 2,
            "chan_buffered: wrong sum"
        );
        seconds
    };
    let one = if ends == 1 {
        One::CurrentThread
    } else {
        One::MultiThread
    };
    let runtime = runtime(workers, one);
    let mut figures = run(&runtime, measure(min_seconds, values, pass));
    let ns = figures[0].1;
    figures.push(("million_per_s", 1e3 / ns));
    Ok(figures)
}

fn senders(over: i64, each: i64) -> Vec<Receiver<i64>> {
    (0..over)
        .map(|_| {
            let (sender, receiver) = mpsc::channel(1);
            tokio::spawn(async move {
                for value in 0..each {
                    sender.send(value).await.expect("a receiver");
                }
            });
            receiver
        })
        .collect()
}

fn check(sum: i64, over: i64, each: i64) {
    assert_eq!(sum, over * each * (each - 1) / 2, "select: wrong sum");
}

// select! tries its branches from a random one on, as heddle's select does. A sender that has sent
// all drops its end; its branch does not match Some then, and select! waits for the others.
async fn over_2(values: i64) -> f64 {
    let each = values / 2;
    let start = Instant::now();
    let mut from = senders(2, each).into_iter();
    let mut next = || from.next().expect("a receiver");
    let (mut a, mut b) = (next(), next());
    let mut sum = 0;
    for _ in 0..each * 2 {
        sum += tokio::select! {
            Some(value) = a.recv() => value,
            Some(value) = b.recv() => value,
        };
    }
    let seconds = start.elapsed().as_secs_f64();
    check(sum, 2, each);
    seconds
}

async fn over_8(values: i64) -> f64 {
    let each = values / 8;
    let start = Instant::now();
    let mut from = senders(8, each).into_iter();
    let mut next = || from.next().expect("a receiver");
    let (mut a, mut b, mut c, mut d) = (next(), next(), next(), next());
    let (mut e, mut f, mut g, mut h) = (next(), next(), next(), next());
    let mut sum = 0;
    for _ in 0..each * 8 {
        sum += tokio::select! {
            Some(value) = a.recv() => value,
            Some(value) = b.recv() => value,
            Some(value) = c.recv() => value,
            Some(value) = d.recv() => value,
            Some(value) = e.recv() => value,
            Some(value) = f.recv() => value,
            Some(value) = g.recv() => value,
            Some(value) = h.recv() => value,
        };
    }
    let seconds = start.elapsed().as_secs_f64();
    check(sum, 8, each);
    seconds
}

pub fn select(case: &Case) -> Result<Figures, Failure> {
    let (workers, over, n) = (case.workers()?, case.number("over")?, case.number("n")?);
    let min_seconds = case.min_seconds;
    let runtime = runtime(workers, One::CurrentThread);
    match over {
        2 => Ok(run(&runtime, measure(min_seconds, n, move || over_2(n)))),
        8 => Ok(run(&runtime, measure(min_seconds, n, move || over_8(n)))),
        _ => Err(Failure::NoSuchCase),
    }
}
