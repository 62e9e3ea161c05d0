// SPDX-License-Identifier: BSL-1.0
// The tokio rival: `rival_tokio CASE MIN_SECONDS` runs one case of ../README.md and prints its
// figures as a JSON object; `rival_tokio --about` says what it is. What each case measures is told
// in heddle's benchmark of the same name; the comments here tell only what tokio does differently.
mod channels;
mod locks;
mod machine;
mod measure;
mod programs;
mod switches;
mod tasks;
mod waits;
mod wake;

use measure::Figures;
use std::process::ExitCode;

const ABOUT: &str = env!("RIVAL_ABOUT"); // from build.rs

pub enum Failure {
    NoSuchCase,
    Needs(String),
}

// WHAT/RIVAL/NAME:NUMBER/..., split up.
pub struct Case {
    what: String,
    numbers: Vec<(String, i64)>,
    min_seconds: f64,
}

impl Case {
    fn parse(text: &str, min_seconds: f64) -> Option<Case> {
        let mut words = text.split('/');
        let what = words.next()?.to_string();
        words.next()?;
        let mut numbers = Vec::new();
        for word in words {
            let (name, number) = word.split_once(':')?;
            let number = number.parse().ok().filter(|n| *n > 0)?;
            numbers.push((name.to_string(), number));
        }
        Some(Case {
            what,
            numbers,
            min_seconds,
        })
    }

    pub fn number(&self, name: &str) -> Result<i64, Failure> {
        let found = self.numbers.iter().find(|(key, _)| key == name);
        found.map(|(_, n)| *n).ok_or(Failure::NoSuchCase)
    }

    pub fn workers(&self) -> Result<usize, Failure> {
        let workers = self.number("w")? as usize;
        needs_cores(workers)?;
        Ok(workers)
    }
}

pub fn needs_cores(wanted: usize) -> Result<(), Failure> {
    match std::thread::available_parallelism() {
        Ok(cores) if cores.get() < wanted => Err(Failure::Needs(format!("{wanted} cores"))),
        _ => Ok(()),
    }
}

fn run(case: &Case) -> Result<Figures, Failure> {
    match case.what.as_str() {
        "switch" => switches::switch(case),
        "yield_many" => switches::yield_many(case),
        "chan_pingpong" => channels::ping_pong(case),
        "chan_buffered" => channels::buffered(case),
        "select" => channels::select(case),
        "spawn_join" => tasks::spawn_join(case),
        "spawn_batch" => tasks::spawn_batch(case),
        "skynet" => programs::skynet(case),
        "mutex" => locks::mutex(case),
        "mutex_yield" => locks::mutex_yield(case),
        "sleepers" => waits::sleepers(case),
        "parked_memory" => waits::parked_memory(case),
        "fib" => tasks::fib(case),
        "wake_latency" => wake::wake_latency(case),
        "idle" => waits::idle(case),
        "sieve" => programs::sieve(case),
        "scaling" => tasks::scaling(case),
        _ => Err(Failure::NoSuchCase),
    }
}

fn print(figures: &Figures) {
    let fields: Vec<String> = figures
        .iter()
        .map(|(name, value)| format!("\"{name}\": {value}"))
        .collect();
    println!("{{{}}}", fields.join(", "));
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["--about"] {
        println!("{ABOUT}");
        return ExitCode::SUCCESS;
    }
    let min_seconds = words.get(1).and_then(|word| word.parse::<f64>().ok());
    let (name, min_seconds) = match (words.len(), min_seconds) {
        (2, Some(min_seconds)) if min_seconds >= 0.0 && min_seconds.is_finite() => {
            (&words[0], min_seconds)
        }
        _ => {
            eprintln!("usage: rival_tokio CASE MIN_SECONDS | rival_tokio --about");
            return ExitCode::from(2);
        }
    };
    let case = Case::parse(name, min_seconds).ok_or(Failure::NoSuchCase);
    match case.and_then(|case| run(&case)) {
        Ok(figures) => {
            print(&figures);
            ExitCode::SUCCESS
        }
        Err(Failure::NoSuchCase) => {
            eprintln!("rival_tokio: no such case: {name}");
            ExitCode::from(2)
        }
        Err(Failure::Needs(what)) => {
            eprintln!("needs {what}");
            ExitCode::from(3)
        }
    }
}
