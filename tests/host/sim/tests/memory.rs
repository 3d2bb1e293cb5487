// SPDX-License-Identifier: GPL-2.0

//! Nodes in memory that is too small for them.

#[path = "engine/mod.rs"]
mod engine;

use engine::{
    mounted::{
        look,
        mount,
        ROOT, //
    },
    setting,
    space::disks, //
};
use sim::{
    check::check_derived,
    fs::change::NewFile,
    sys::{
        block::Power,
        memory::set_total_bytes, //
    },
};

/// Nodes that are changed faster than they are written do not take more and more memory: who
/// changes them has to write some.
#[test]
fn changed_nodes_stay_within_bounds() {
    set_total_bytes(1 << 20);
    let power = Power::new();
    let (fs, media) = mount(disks("engine-small").unwrap(), &power, "");
    let cache = fs.view.btrees.cache();
    let (changes, mut most) = (fs.changes().unwrap(), 0);
    for nr in 0..setting("BCACHEFS_RS_OPS", 10_000) {
        let new = NewFile {
            mode: 0o100_644,
            now: 1 << 60,
            ..NewFile::default()
        };
        let name = format!("a file that has a rather long name {nr}");
        changes.create(ROOT, Some(name.as_bytes()), &new).unwrap();
        most = most.max(cache.memory_bytes());
    }
    let limit = cache.max_bytes();
    println!("{most} bytes at most, of {limit}");
    assert!(most < limit * 5 / 4, "{most} bytes, of {limit}");
    fs.go_read_only().unwrap();
    let findings = check_derived(&look(&media).view);
    assert!(findings.is_empty(), "{findings:#?}");
}
