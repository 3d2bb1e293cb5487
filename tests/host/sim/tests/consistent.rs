// SPDX-License-Identifier: GPL-2.0

//! The whole engine on golden images: what it leaves must be consistent, by a checker that counts
//! everything anew.

use sim::{
    alloc::{
        space::{
            discard_buckets,
            Engine,
            Space,
            Writer, //
        },
        UsageBase, //
    },
    btree::{
        write_back,
        write_back_all,
        KeyBuf, //
    },
    check::check_derived,
    env::{
        Arc,
        Vec as EnvVec, //
    },
    error,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        opts::Opts, //
    },
    golden::{
        images,
        Image, //
    },
    init::{
        Access,
        Filesystem, //
    },
    journal::{
        self,
        live::{
            Journal,
            Start,
            Watermark, //
        },
    },
    sb,
    snapshots::View,
    sys::block::{
        BlockDevice,
        Medium,
        Power, //
    },
};
use std::{
    sync::{
        atomic::{
            AtomicBool,
            Ordering, //
        },
        Arc as StdArc,
    },
    time::Duration,
};

struct Fs {
    view: View,
    writer: Writer,
    media: Vec<Medium>,
}

fn read(devices: Vec<BlockDevice>) -> (View, Start) {
    let mut devs = EnvVec::new();
    devices.into_iter().for_each(|d| devs.push(d).unwrap());
    let st = Arc::try_new(sb::open(devs, &Opts::default()).unwrap()).unwrap();
    let mut contents = journal::read(&st, false).unwrap();
    let start = Start::after(&mut contents).unwrap();
    let btrees = sim::btree::Btrees::start(st, contents).unwrap();
    (View::new(btrees).unwrap(), start)
}

fn open(devices: Vec<BlockDevice>) -> Fs {
    let media = devices.iter().map(|d| d.medium()).collect();
    let (view, start) = read(devices);
    let st = view.btrees.sb().clone();
    st.mark_dirty(view.btrees.blacklist().ranges()).unwrap();
    let journal = Journal::start(st, &start).unwrap();
    let space = Space::try_new(&view.btrees, journal.clone()).unwrap();
    Fs {
        writer: Writer::try_new(journal, space).unwrap(),
        view,
        media,
    }
}

fn image(name: &str) -> Option<Vec<BlockDevice>> {
    let image = Image::named(&images::folder()?, name)?;
    let contents = image.unpack().unwrap();
    let device = |c| BlockDevice::from_memory("sim", StdArc::new(c));
    Some(contents.into_iter().map(device).collect())
}

impl Fs {
    fn engine(&self) -> Engine<'_> {
        Engine {
            btrees: &self.view.btrees,
            writer: &self.writer,
        }
    }

    /// Calls `f` while other threads write back what the journal holds, and discard.
    fn live<T>(&self, f: impl FnOnce(&Fs) -> T) -> T {
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let stop = AtomicBool::new(false);
        std::thread::scope(|s| {
            let (stopped, journal) = (&stop, &self.writer.journal);
            s.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    journal.wait_for_reclaim(5, || stopped.load(Ordering::Relaxed));
                    if let Some(target) = journal.reclaim_target() {
                        write_back(&self.view.btrees, &self.writer, target).unwrap();
                    }
                }
            });
            s.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                    discard_buckets(self.engine(), Watermark::Btree).unwrap();
                }
            });
            let _stop = Stop(&stop);
            f(self)
        })
    }

    fn shut_down(&self) {
        write_back_all(&self.view.btrees, &self.writer).unwrap();
        let journal = &self.writer.journal;
        let stopped = journal.stop().unwrap();
        let records = journal.clean_records().unwrap();
        let positions = journal.positions().unwrap();
        let st = self.view.btrees.sb();
        st.mark_clean(stopped.seq, &records, &positions).unwrap();
    }

    fn copies(&self) -> Vec<BlockDevice> {
        let copy = |m: &Medium| BlockDevice::recorded("copy", m.contents(), &Power::new());
        self.media.iter().map(copy).collect()
    }

    /// What a fresh look at the devices finds wrong.
    fn check(&self) {
        let (view, _) = read(self.copies());
        let findings = check_derived(&view);
        assert!(findings.is_empty(), "{findings:#?}");
        // What statfs says without reading is what is stored.
        let stored = UsageBase::read(&view.btrees).unwrap();
        assert_eq!(self.writer.hooks.usage_base(), stored);
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(99);
        (self.0 >> 33) % n
    }
}

fn churn(fs: &Fs, r: &mut Random, nr: u64, positions: u64) {
    try_churn(fs, r, nr, positions, Watermark::Normal).unwrap();
}

fn try_churn(
    fs: &Fs,
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
fn empty(fs: &Fs) {
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
        let Some(devices) = image(name) else {
            println!("{name}: skipped: no golden images (BCACHEFS_RS_IMAGES)");
            continue;
        };
        let fs = open(devices);
        let mut r = Random(3);
        fs.live(|fs| churn(fs, &mut r, 30_000, 20_000));
        fs.writer.journal.flush().unwrap();
        let full = fs.writer.hooks.usage_base();
        fs.live(empty);
        fs.shut_down();
        fs.check();
        let used = fs.writer.hooks.usage_base();
        println!("{name}: {} sectors of nodes, then {}", full.btree, used.btree);
        if name != "v113-many" {
            // There, the nodes have room for all.
            continue;
        }
        assert!(used.btree * 3 < full.btree * 2, "{full:?}, then {used:?}");
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
        let Some(devices) = image(name) else {
            println!("{name}: skipped: no golden images (BCACHEFS_RS_IMAGES)");
            continue;
        };
        let fs = open(devices);
        let mut r = Random(5);
        // Nobody writes back. So many keys that nodes are split when they are replayed.
        let mut run = |nr| try_churn(&fs, &mut r, nr, 1 << 30, Watermark::Reclaim).unwrap();
        while fs.writer.journal.watermark() == Watermark::Stripe {
            run(1);
        }
        // And some of what is kept for writing back.
        run(300);
        fs.writer.journal.flush().unwrap();
        let want = keys(&read(fs.copies()).0);
        assert!(want.len() > 1000, "{name}: {} keys", want.len());

        let mut devs = EnvVec::new();
        fs.copies().into_iter().for_each(|d| devs.push(d).unwrap());
        let media: Vec<Medium> = devs.iter().map(BlockDevice::medium).collect();
        let recovered = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
        assert_eq!(keys(&recovered.view).len(), want.len(), "{name}");
        drop(recovered);
        let copy = |m: &Medium| BlockDevice::recorded("copy", m.contents(), &Power::new());
        let (view, _) = read(media.iter().map(copy).collect());
        assert!(view.sb().sb.is_clean(), "{name}");
        assert!(keys(&view) == want, "{name}");
        let findings = check_derived(&view);
        assert!(findings.is_empty(), "{name}: {findings:#?}");
    }
}
