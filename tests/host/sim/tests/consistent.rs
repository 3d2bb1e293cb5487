// SPDX-License-Identifier: GPL-2.0

//! The whole engine on golden images: what it leaves must be consistent, by a checker that counts
//! everything anew.

mod engine;

use engine::{
    space::{
        devices,
        disks,
        look,
        open,
        SpaceFs, //
    },
    Random, //
};
use sim::{
    btree::KeyBuf,
    check::check_derived,
    env::Vec as EnvVec,
    error,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        opts::Opts, //
    },
    init::{
        Access,
        Filesystem, //
    },
    journal::live::Watermark,
    snapshots::View,
    sys::block::{
        BlockDevice,
        Medium, //
    },
};

fn churn(fs: &SpaceFs, r: &mut Random, nr: u64, positions: u64) {
    try_churn(fs, r, nr, positions, Watermark::Normal).unwrap();
}

fn try_churn(
    fs: &SpaceFs,
    r: &mut Random,
    nr: u64,
    positions: u64,
    watermark: Watermark,
) -> error::Result {
    for _ in 0..nr {
        let p = Bpos::new(1 << 40 | r.below(positions), r.below(8), u32::MAX);
        let k = Bkey {
            key_type: KeyType::COOKIE,
            p,
            ..Bkey::default()
        };
        let value = r.below(u64::MAX).to_le_bytes();
        let delete = r.below(4) == 0;
        fs.engine().run(watermark, |t| {
            match delete {
                true => t.delete(BtreeId::XATTRS, p)?,
                false => t.update(BtreeId::XATTRS, KeyBuf::of(k, &value)?)?,
            }
            t.commit()
        })?;
    }
    Ok(())
}

/// Deletes all that [`churn`] made.
fn empty(fs: &SpaceFs) {
    let mut iter = fs
        .view
        .btrees
        .iter(BtreeId::XATTRS, 0, Bpos::new(1 << 40, 0, 0));
    while let Some(k) = iter.advance().unwrap() {
        fs.engine()
            .run(Watermark::Normal, |t| {
                t.delete(BtreeId::XATTRS, k.p)?;
                t.commit()
            })
            .unwrap();
    }
}

#[test]
fn what_is_left_is_consistent() {
    for name in [
        "v113-empty",
        "v113-many",
        "v113-repl2",
        "v113-tree",
        "v113-threedev",
    ] {
        let Some(disks) = disks(name) else {
            println!("{name}: skipped: no golden images (BCACHEFS_RS_IMAGES)");
            continue;
        };
        let fs = open(disks);
        let mut r = Random(3);
        fs.live(|fs| churn(fs, &mut r, 30_000, 20_000));
        fs.writer.journal.flush().unwrap();
        let full = fs.writer.hooks.usage_base();
        fs.live(empty);
        fs.shut_down();
        fs.check();
        let used = fs.writer.hooks.usage_base();
        println!(
            "{name}: {} sectors of nodes, then {}",
            full.btree, used.btree
        );
        assert!(used.btree < full.btree, "{full:?}, then {used:?}");
    }
}

fn keys(view: &View) -> Vec<(Bpos, Vec<u8>)> {
    let mut all = Vec::new();
    let mut iter = view.btrees.iter(BtreeId::XATTRS, 0, Bpos::MIN);
    while let Some(key) = iter.next().unwrap() {
        all.push((key.k.p, key.v.to_vec()));
    }
    all
}

#[test]
fn a_journal_that_is_full_is_replayed() {
    for name in ["v113-empty", "v113-threedev", "v113-csum-none"] {
        let Some(disks) = disks(name) else {
            println!("{name}: skipped: no golden images (BCACHEFS_RS_IMAGES)");
            continue;
        };
        let fs = open(disks);
        let mut r = Random(5);
        // Nobody writes back. So many keys that nodes are split when they are replayed.
        let mut run = |nr| try_churn(&fs, &mut r, nr, 1 << 30, Watermark::Reclaim).unwrap();
        while fs.writer.journal.watermark() == Watermark::Stripe {
            run(1);
        }
        // And some of what is kept for writing back.
        run(300);
        fs.writer.journal.flush().unwrap();
        let want = keys(&look(devices(fs.contents())).unwrap().view);
        assert!(want.len() > 1000, "{name}: {} keys", want.len());

        let mut devs = EnvVec::new();
        for dev in devices(fs.contents()) {
            devs.push(dev).unwrap();
        }
        let media: Vec<Medium> = devs.iter().map(BlockDevice::medium).collect();
        let recovered = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
        assert_eq!(keys(&recovered.view).len(), want.len(), "{name}");
        drop(recovered);
        let left = media.iter().map(Medium::contents).collect();
        let view = look(devices(left)).unwrap().view;
        assert!(view.sb().sb.is_clean(), "{name}");
        assert!(keys(&view) == want, "{name}");
        let findings = check_derived(&view);
        assert!(findings.is_empty(), "{name}: {findings:#?}");
    }
}
