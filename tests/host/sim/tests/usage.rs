// SPDX-License-Identifier: GPL-2.0

//! The counters that are looked up are all that the accounting btree has of the whole filesystem
//! and of devices, or of all types.

use sim::{
    alloc::{
        device_usage,
        for_each_of_types,
        for_each_of_whole,
        LiveUsage,
        UsageBase, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        opts::Opts,
        values::accounting::{
            counters,
            Counted, //
        },
    },
    golden::{
        images,
        Image, //
    },
    init::Filesystem,
};

/// What the btree has of the types below `types`, without the journal.
fn stored(fs: &Filesystem, types: u8) -> Vec<(Counted, i64)> {
    let version = fs.view.sb().sb.version();
    let mut found = Vec::new();
    let mut iter = fs.view.btrees.iter(BtreeId::ACCOUNTING, 0, Bpos::MIN);
    while let Some(key) = iter.next().unwrap() {
        let counted = Counted::decode(key.k.p, version);
        let first = counters(key.v).next().unwrap_or(0);
        // What is known of inodes is not for the asking.
        if counted.ty() < types && counted.ty() != 8 && first != 0 {
            found.push((counted, first));
        }
    }
    found
}

#[test]
fn nothing_is_missed() {
    let mut nr = 0;
    for image in images::folder().into_iter().flat_map(|f| Image::all(&f)) {
        // Of each kind of replicas one; all were shut down cleanly, so the journal adds nothing.
        let kinds = ["-tree", "-repl2", "-threedev", "-ec", "-snap", "-comp-zstd"];
        if !kinds.iter().any(|k| image.name.ends_with(k)) {
            continue;
        }
        let devices = images::devices(&image.name, image.unpack().unwrap());
        let Ok(fs) = Filesystem::start(devices, &Opts::default()) else {
            continue;
        };
        // What is kept in memory for writing is the same.
        let live = LiveUsage::read(&fs.view.btrees).unwrap();
        let st = fs.view.sb();
        let base = live.base(|dev| st.sb.member(dev.0).unwrap().bucket_sectors());
        assert_eq!(base, UsageBase::read(&fs.view.btrees).unwrap());
        for dev in st.devices() {
            let stored = device_usage(&fs.view.btrees, dev.idx).unwrap();
            assert_eq!(live.device(dev.idx), stored, "{} {}", image.name, dev.idx);
        }
        let mut looked_up = Vec::new();
        for_each_of_whole(&fs.view.btrees, |counted, [first, ..]| {
            if first != 0 {
                looked_up.push((counted, first));
            }
        })
        .unwrap();
        let mut of_types = Vec::new();
        for_each_of_types(&fs.view.btrees, u32::MAX, |counter| {
            let first = counter.values()[0];
            if first != 0 {
                of_types.push((counter.counted, first));
            }
            Ok(())
        })
        .unwrap();
        for (mut looked_up, types) in [(looked_up, 4), (of_types, u8::MAX)] {
            let mut stored = stored(&fs, types);
            let by_text =
                |a: &(Counted, i64), b: &(Counted, i64)| a.0.to_string().cmp(&b.0.to_string());
            looked_up.sort_by(by_text);
            stored.sort_by(by_text);
            assert_eq!(looked_up, stored, "{}", image.name);
            nr += stored.len();
        }
    }
    assert!(nr > 0);
}
