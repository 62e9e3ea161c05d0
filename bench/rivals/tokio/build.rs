// SPDX-License-Identifier: BSL-1.0
// Tells the program what --about prints: the versions of tokio, as cargo chose it, and of rustc.
use std::{env, fs, process::Command};

fn main() {
    let lock = fs::read_to_string("Cargo.lock").expect("Cargo.lock");
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"tokio\"");
    let version = lines.nth(1).and_then(|line| line.split('"').nth(1));
    let tokio = version.expect("tokio in Cargo.lock");

    let rustc = env::var("RUSTC").expect("RUSTC");
    let said = Command::new(rustc).arg("--version").output();
    let said = String::from_utf8(said.expect("rustc --version").stdout).expect("its version");
    let rustc = said.split(' ').nth(1).expect("its version").trim();

    println!("cargo:rustc-env=RIVAL_ABOUT=tokio {tokio}, rustc {rustc}");
    println!("cargo:rerun-if-changed=Cargo.lock");
}
