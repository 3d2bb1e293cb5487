// SPDX-License-Identifier: GPL-2.0

//! Runs the benchmarks of the btrees in user space, for a profiler:
//!
//! ```text
//! bench IMAGE THREADS NUMBER TEST...
//! ```
//!
//! The filesystem on IMAGE, which tests/bench/btree says how to make, is started read-write; what
//! is written stays in memory. Each TEST is one of `ctl/perf_test.rs`. Build with `--release`, and
//! with `CARGO_PROFILE_RELEASE_LTO=fat` and one codegen unit to have what the kernel has: all of it
//! in one piece.

use sim::{
    ctl::publish,
    env::Vec as EnvVec,
    format::opts::Opts,
    init::{
        Access,
        Filesystem, //
    },
    sys::block::{
        BlockDevice,
        Disk,
        Power, //
    },
};
use std::{
    fs::File,
    process::ExitCode,
    time::{
        Duration,
        Instant, //
    },
};

/// Nanoseconds that this thread has had a processor.
fn processor_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn run(args: &[String]) -> Result<(), String> {
    let [image, threads, number, tests @ ..] = args else {
        return Err("usage: bench IMAGE THREADS NUMBER TEST...".into());
    };
    let disk = File::open(image).and_then(Disk::from_file);
    let disk = disk.map_err(|e| format!("{image}: {e}"))?;
    let dev = BlockDevice::recorded(image, disk, &Power::new());
    let mut devs = EnvVec::new();
    devs.push(dev).map_err(|e| e.to_string())?;
    let fs = Filesystem::start_for(Access::Write, devs, &Opts::default());
    let fs = fs.map_err(|e| e.to_string())?;
    let tree = publish(&fs, 0).map_err(|e| format!("{e:?}"))?;
    for test in tests {
        let (start, before) = (Instant::now(), processor_ns());
        let done = tree.write("perf_test", &format!("{test} {number} {threads}"));
        done.map_err(|e| format!("{test}: {e:?}"))?;
        // That of all threads is not known; with one, there is only this one.
        let took = Duration::from_nanos(processor_ns() - before);
        println!("{test}: {:?}, {took:?} on a processor", start.elapsed());
    }
    fs.go_read_only().map_err(|e| e.to_string())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::from(2)
        }
    }
}
