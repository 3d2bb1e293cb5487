// SPDX-License-Identifier: GPL-2.0

//! Transactions against a model, on a copy of a golden image: what is read back from memory, after
//! the journal was replayed, and after everything was written back.

use sim::{
    btree::{
        interior::NodePlace,
        trans::{
            run,
            Hooks,
            Trans,
            TransResult,
            Writer, //
        },
        write_back,
        write_back_all,
        Btrees,
        KeyBuf, //
    },
    env::{
        units::{
            DevIdx,
            Sectors, //
        },
        Arc,
        Vec as EnvVec, //
    },
    error::Result as BchResult,
    format::{
        bkey::{
            Bkey,
            Key, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        opts::Opts,
        values::extent_entry::Ptr, //
    },
    golden::{
        images,
        Image, //
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
    sys::block::{
        BlockDevice,
        Medium,
        Power, //
    },
};
use std::{
    collections::BTreeMap,
    sync::{
        atomic::{
            AtomicBool,
            AtomicU64,
            Ordering, //
        },
        Arc as StdArc,
    },
};

type Model = BTreeMap<Bpos, (Bkey, Vec<u64>)>;

/// Space for nodes at the end of the device, which nobody else uses in these images. No triggers.
struct Bump {
    next: AtomicU64,
    node_sectors: u64,
}

impl Hooks for Bump {
    fn derive(_: &mut Trans<'_, Self>) -> TransResult {
        Ok(())
    }

    fn stamp(&self, _: BtreeId, _: &mut KeyBuf, _: u64) {}

    fn counted(&self, _: &Key<'_>) {}

    fn alloc_nodes(
        &self,
        _: &Btrees,
        _: &Writer<Self>,
        _: Watermark,
        nr: usize,
        places: &mut EnvVec<NodePlace>,
    ) -> BchResult {
        for _ in 0..nr {
            let at = self.next.fetch_sub(self.node_sectors, Ordering::Relaxed);
            let mut place = NodePlace {
                copies: Default::default(),
                token: 0,
            };
            place.copies[0] = Some(Ptr {
                dev: DevIdx(0),
                offset: Sectors(at),
                generation: 0,
                cached: false,
                unwritten: false,
            });
            places.push(place)?;
        }
        Ok(())
    }

    fn place_done(&self, _: NodePlace, _: bool) {}
}

struct Fs {
    btrees: Btrees,
    writer: Writer<Bump>,
}

const NAME: &str = "v113-empty";
/// The btree under test: no other key refers to one of it.
const BTREE: BtreeId = BtreeId::XATTRS;

fn contents() -> Option<StdArc<Vec<u8>>> {
    let image = Image::named(&images::folder()?, NAME)?;
    Some(StdArc::new(image.unpack().unwrap().remove(0)))
}

/// Read-only, from what is on the device.
fn read(dev: BlockDevice) -> (Btrees, Start) {
    let mut devices = EnvVec::new();
    devices.push(dev).unwrap();
    let st = Arc::try_new(sb::open(devices, &Opts::default()).unwrap()).unwrap();
    let contents = journal::read(&st, false).unwrap();
    let start = Start::after(&contents).unwrap();
    (Btrees::start(st, contents).unwrap(), start)
}

fn open(dev: BlockDevice, bump: u64) -> Fs {
    let (btrees, start) = read(dev);
    let st = btrees.sb().clone();
    let dev = st.devices().next().unwrap();
    let node_sectors = u64::from(st.sb.node_sectors());
    let last = dev.bdev.nr_sectors() / node_sectors * node_sectors - node_sectors - bump;
    let hooks = Bump {
        next: AtomicU64::new(last),
        node_sectors,
    };
    st.mark_dirty().unwrap();
    let journal = Journal::start(st.clone(), &start).unwrap();
    Fs {
        btrees,
        writer: Writer::try_new(journal, hooks).unwrap(),
    }
}

impl Fs {
    fn set(&self, key: &(Bkey, Vec<u64>)) -> u64 {
        let value: Vec<u8> = key.1.iter().flat_map(|w| w.to_le_bytes()).collect();
        run(&self.btrees, &self.writer, Watermark::Normal, |t| {
            t.update(BTREE, KeyBuf::of(key.0, &value)?)?;
            t.commit()
        })
        .unwrap()
    }

    fn delete(&self, pos: Bpos) -> u64 {
        run(&self.btrees, &self.writer, Watermark::Normal, |t| {
            t.delete(BTREE, pos)?;
            t.commit()
        })
        .unwrap()
    }

    fn check(&self, model: &Model) {
        check(&self.btrees, model);
    }
}

/// Calls `f` while another thread writes back what the journal holds.
fn live<T>(fs: &Fs, f: impl FnOnce(&Fs) -> T) -> T {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        let (stopped, journal) = (&stop, &fs.writer.journal);
        s.spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                journal.wait_for_reclaim(5, || stopped.load(Ordering::Relaxed));
                if let Some(target) = journal.reclaim_target() {
                    write_back(&fs.btrees, &fs.writer, target).unwrap();
                }
            }
        });
        let _stop = Stop(&stop);
        f(fs)
    })
}

fn check(btrees: &Btrees, model: &Model) {
    let mut iter = btrees.iter(BTREE, 0, Bpos::MIN);
    let mut want = model.values();
    while let Some(key) = iter.next().unwrap() {
        let (k, v) = want.next().expect("a key too many");
        let v: Vec<u8> = v.iter().flat_map(|w| w.to_le_bytes()).collect();
        assert_eq!((key.k, key.v), (*k, &v[..]));
    }
    assert_eq!(want.next(), None);
}

/// A device with what is on another one now.
fn copy(medium: &Medium) -> BlockDevice {
    BlockDevice::recorded("copy", medium.contents(), &Power::new())
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(99);
        (self.0 >> 33) % n
    }
}

/// A key that a validator of the btree accepts.
fn key(r: &mut Random, positions: u64) -> (Bkey, Vec<u64>) {
    let k = Bkey {
        key_type: KeyType::COOKIE,
        p: Bpos::new(4096 + r.below(positions / 8 + 1), r.below(8), u32::MAX),
        ..Bkey::default()
    };
    (k, vec![r.below(u64::MAX)])
}

fn churn(fs: &Fs, model: &mut Model, r: &mut Random, nr: u64, positions: u64) {
    for _ in 0..nr {
        let new = key(r, positions);
        if r.below(4) == 0 {
            fs.delete(new.0.p);
            model.remove(&new.0.p);
        } else {
            fs.set(&new);
            model.insert(new.0.p, new);
        }
    }
}

#[test]
fn keys_are_in_memory_in_the_journal_and_in_the_nodes() {
    let Some(contents) = contents() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let dev = BlockDevice::from_memory("sim", contents);
    let medium = dev.medium();
    let fs = open(dev, 0);
    let (mut model, mut r) = (Model::new(), Random(7));
    churn(&fs, &mut model, &mut r, 500, 300);
    fs.check(&model);
    fs.writer.journal.flush().unwrap();

    // From the journal alone.
    check(&read(copy(&medium)).0, &model);

    // From nodes and the journal.
    let newest = fs.writer.journal.newest();
    write_back(&fs.btrees, &fs.writer, newest).unwrap();
    churn(&fs, &mut model, &mut r, 500, 300);
    fs.check(&model);
    write_back_all(&fs.btrees, &fs.writer).unwrap();
    fs.check(&model);
    check(&read(copy(&medium)).0, &model);
}

#[test]
fn nodes_split_and_roots_grow() {
    let Some(contents) = contents() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let dev = BlockDevice::from_memory("sim", contents);
    let medium = dev.medium();
    let fs = open(dev, 0);
    let (mut model, mut r) = (Model::new(), Random(7));
    live(&fs, |fs| churn(fs, &mut model, &mut r, 100_000, 100_000));
    fs.check(&model);
    let root = fs.btrees.root_node(BTREE).unwrap();
    assert!(root.level >= 1);
    fs.writer.journal.flush().unwrap();
    check(&read(copy(&medium)).0, &model);
    write_back_all(&fs.btrees, &fs.writer).unwrap();
    check(&read(copy(&medium)).0, &model);
}

#[test]
fn eight_threads() {
    let Some(contents) = contents() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let dev = BlockDevice::from_memory("sim", contents);
    let medium = dev.medium();
    let fs = open(dev, 0);
    let one = &|nr: u64| {
        let (mut model, mut r) = (Model::new(), Random(nr));
        for _ in 0..4_000 {
            let mut new = key(&mut r, 20_000);
            // Each thread has positions of its own, in the same nodes.
            new.0.p.offset = new.0.p.offset * 8 + nr;
            if r.below(4) == 0 {
                fs.delete(new.0.p);
                model.remove(&new.0.p);
            } else {
                fs.set(&new);
                model.insert(new.0.p, new);
            }
        }
        model
    };
    let models: Vec<Model> = live(&fs, |_| {
        std::thread::scope(|s| {
            let workers: Vec<_> = (0..8).map(|nr| s.spawn(move || one(nr))).collect();
            workers.into_iter().map(|w| w.join().unwrap()).collect()
        })
    });
    let mut model = Model::new();
    models.into_iter().for_each(|m| model.extend(m));
    fs.check(&model);
    write_back_all(&fs.btrees, &fs.writer).unwrap();
    check(&read(copy(&medium)).0, &model);
}
