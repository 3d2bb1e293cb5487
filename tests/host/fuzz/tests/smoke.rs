// SPDX-License-Identifier: GPL-2.0

//! A bounded, seeded run of every fuzz target.
//!
//! `FUZZ_SEED` and `FUZZ_RUNS` in the environment change the defaults; arguments choose targets by
//! a part of their name; `--list` prints the names. An input that fails is kept in `artifacts/`
//! and can be run again with `--input FILE` and the target's name.

use fuzz::{
    mutate::{
        self,
        Rng, //
    },
    Target,
    TARGETS, //
};
use std::{
    fs, panic,
    path::Path,
    process::ExitCode,
    time::{
        Duration,
        Instant, //
    },
};

/// No input may take longer than this; unoptimised code on a busy machine stays far below.
const SLOW: Duration = Duration::from_secs(2);
/// A target stops here, however many inputs it has seen.
const ENOUGH: Duration = Duration::from_secs(20);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |v| v.parse().expect(name))
}

fn corpus(t: &Target) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(t.name);
    let mut files: Vec<_> = fs::read_dir(dir)
        .map(|d| d.map(|e| e.unwrap().path()).collect())
        .unwrap_or_default();
    files.sort();
    files.iter().map(|f| fs::read(f).unwrap()).collect()
}

/// Runs one input; says what went wrong.
fn one(t: &Target, data: &[u8]) -> Result<(), String> {
    let start = Instant::now();
    panic::catch_unwind(|| (t.run)(data)).map_err(|_| "panicked".to_string())?;
    let took = start.elapsed();
    if took > SLOW {
        return Err(format!("took {took:?}"));
    }
    Ok(())
}

fn keep(t: &Target, data: &[u8]) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts");
    let sum = data.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
        (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3)
    });
    let file = dir.join(format!("{}-{sum:016x}", t.name));
    match fs::create_dir_all(&dir).and_then(|()| fs::write(&file, data)) {
        Ok(()) => file.display().to_string(),
        Err(e) => format!("nowhere ({e})"),
    }
}

fn run(t: &Target, seed: u64, runs: u64) -> Result<u64, String> {
    let corpus = corpus(t);
    let fail = |what: String, data: &[u8]| {
        format!("{what}; {} bytes kept in {}", data.len(), keep(t, data))
    };
    for data in &corpus {
        one(t, data).map_err(|e| fail(e, data))?;
    }
    let start = Instant::now();
    for n in 0..runs {
        let mut rng = Rng::new(seed ^ n.wrapping_mul(0xd134_2543_de82_ef95));
        let data = mutate::input(&mut rng, &corpus);
        one(t, &data).map_err(|e| fail(format!("input {n} of seed {seed}: {e}"), &data))?;
        if start.elapsed() > ENOUGH {
            return Ok(n + 1);
        }
    }
    Ok(runs)
}

fn main() -> ExitCode {
    let seed = number("FUZZ_SEED", 1);
    let runs = number("FUZZ_RUNS", 20_000);
    let mut input = None;
    let mut parts = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(a) = args.next() {
        match a.as_str() {
            "--list" => {
                for t in TARGETS {
                    println!("{}: test", t.name);
                }
                return ExitCode::SUCCESS;
            }
            "--input" => input = args.next(),
            a if a.starts_with('-') => (),
            _ => parts.push(a),
        }
    }
    let chosen: Vec<_> = TARGETS
        .iter()
        .filter(|t| parts.is_empty() || parts.iter().any(|p| t.name.contains(p.as_str())))
        .collect();

    println!("\nrunning {} tests", chosen.len());
    let start = Instant::now();
    let mut failed = 0;
    for t in &chosen {
        let result = match &input {
            Some(file) => one(t, &fs::read(file).expect(file)).map(|()| 1),
            None => run(t, seed, runs),
        };
        match result {
            Ok(n) => println!("test {} ... ok ({n} inputs)", t.name),
            Err(e) => {
                println!("test {} ... FAILED: {e}", t.name);
                failed += 1;
            }
        }
    }
    println!(
        "\ntest result: {}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; \
         finished in {:.2}s",
        if failed == 0 { "ok" } else { "FAILED" },
        chosen.len() - failed,
        TARGETS.len() - chosen.len(),
        start.elapsed().as_secs_f64(),
    );
    ExitCode::from(u8::from(failed > 0))
}
