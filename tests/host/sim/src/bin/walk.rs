// SPDX-License-Identifier: GPL-2.0

//! Mounts filesystems in user space.
//!
//! ```text
//! walk [-o OPTIONS] IMAGE...                  print what is in it
//! walk [-o OPTIONS] --check MANIFEST IMAGE... compare it with a manifest
//! walk [-o OPTIONS] --start IMAGE...          only start it, and print what that took
//! walk [-o OPTIONS] --golden [NAME...]        compare golden images with their manifests
//! ```
//!
//! Several images are the devices of one filesystem. Exits with 1 when something differs.

use sim::{
    format::opts::Opts,
    golden::{
        images,
        json::Json,
        manifest::escape,
        walk,
        Image,
        Manifest, //
    },
    init::Filesystem,
    sys::block::BlockDevice,
};
use std::{
    path::Path,
    process::ExitCode,
    time::Instant, //
};

fn start(
    devs: sim::env::Vec<BlockDevice>,
    opts: &Opts,
) -> Result<sim::env::Arc<Filesystem>, String> {
    Filesystem::start(devs, opts).map_err(|e| e.to_string())
}

fn open(paths: &[String], opts: &Opts) -> Result<sim::env::Arc<Filesystem>, String> {
    let mut devs = sim::env::Vec::new();
    for path in paths {
        let dev = BlockDevice::from_file(Path::new(path)).map_err(|e| format!("{path}: {e}"))?;
        devs.push(dev).map_err(|e| e.to_string())?;
    }
    start(devs, opts)
}

fn print(fs: &Filesystem) {
    let tree = walk(&fs.view);
    for e in &tree.entries {
        let fields = e.fields.iter().map(|(n, v)| format!(" {n}={v}"));
        println!("{}{}", escape(&e.path), fields.collect::<String>());
    }
    for (path, e) in &tree.errors {
        println!("error: {}: {e}", escape(path));
    }
    println!("{:?}", fs.usage());
}

fn only_start(paths: &[String], opts: &Opts) -> Result<(), String> {
    let start = Instant::now();
    let fs = open(paths, opts)?;
    let took = start.elapsed();
    let cache = fs.view.btrees.cache();
    println!("started in {took:?}, {cache:?}\n{:?}", fs.usage());
    Ok(())
}

fn check(name: &str, fs: &Filesystem, manifest: &Manifest) -> bool {
    let tree = walk(&fs.view);
    // One that lists only what must exist says nothing about the rest.
    let differences = match manifest.entries.is_empty() {
        true => tree
            .errors
            .iter()
            .map(|(p, e)| format!("{}: {e}", escape(p)))
            .collect(),
        false => manifest.differences(&tree),
    };
    let lost = manifest.lost(&tree);
    for d in differences.iter().chain(&lost) {
        println!("  {d}");
    }
    let usage = fs.usage();
    let block = u64::from(fs.view.sb().sb.block_sectors());
    let own = [usage.capacity, usage.free, usage.available()].map(|s| s / block);
    let statvfs = match manifest.statvfs {
        Some([blocks, free, avail, ..]) if [blocks, free, avail] == own => String::new(),
        Some([blocks, free, avail, ..]) => {
            format!(", statvfs {own:?}, by C [{blocks}, {free}, {avail}]")
        }
        None => String::new(),
    };
    let n = differences.len() + lost.len();
    let verdict = if n == 0 { "ok" } else { "DIFFERS" };
    println!(
        "{name}: {verdict}, {} entries, {n} differences, {} nodes read{statvfs}",
        tree.entries.len(),
        fs.view.btrees.cache().nr_reads(),
    );
    n == 0
}

fn golden(names: &[String], opts: &Opts) -> Result<bool, String> {
    let folder = images::folder().ok_or("no golden images found (BCACHEFS_RS_IMAGES)")?;
    let mut ok = true;
    for image in Image::all(&folder) {
        if !names.is_empty() && !names.iter().any(|n| image.name.contains(n.as_str())) {
            continue;
        }
        let manifest = image.manifest()?;
        if let Some(damage) = &manifest.damage {
            println!("{}: {damage}", image.name);
        }
        match start(images::devices(&image.name, image.unpack()?), opts) {
            Ok(fs) => ok &= check(&image.name, &fs, &manifest),
            Err(e) => {
                println!("{}: not mounted: {e}", image.name);
                ok &= e.contains("Unsupported");
            }
        }
    }
    Ok(ok)
}

fn run() -> Result<bool, String> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let mut opts = Opts::default();
    if args.first().is_some_and(|a| a == "-o") {
        let list = args.get(1).cloned().ok_or("-o needs options")?;
        opts.parse_list(&list).map_err(|e| e.to_string())?;
        args.drain(..2);
    }
    match args.first().map(String::as_str) {
        Some("--golden") => golden(&args[1..], &opts),
        Some("--check") if args.len() > 2 => {
            let json = Json::parse(&images::read_file(Path::new(&args[1]))?)?;
            let fs = open(&args[2..], &opts)?;
            Ok(check(&args[2], &fs, &Manifest::from_json(&json)))
        }
        Some("--start") if args.len() > 1 => only_start(&args[1..], &opts).map(|()| true),
        Some(first) if !first.starts_with('-') => {
            print(&*open(&args, &opts)?);
            Ok(true)
        }
        _ => Err(
            "usage: walk [-o OPTIONS] [--check MANIFEST|--start] IMAGE... | --golden [NAME...]"
                .into(),
        ),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            eprintln!("walk: {e}");
            ExitCode::from(2)
        }
    }
}
