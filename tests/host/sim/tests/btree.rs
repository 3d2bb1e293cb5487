// SPDX-License-Identifier: GPL-2.0

//! Iterators against a model: what is in the nodes, with the overlay merged in by hand.

use sim::{
    btree::Btrees,
    env::Arc,
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
    journal::{
        self,
        keys::JournalKeys, //
    },
    sb,
};
use std::collections::BTreeMap;

type Model = BTreeMap<Bpos, (Bkey, Vec<u8>)>;

/// The filesystem's btrees, with the overlay and without.
fn open(name: &str) -> Option<(Btrees, Btrees)> {
    let folder = images::folder()?;
    let image = Image::named(&folder, name)?;
    let contents = image.unpack().unwrap();
    let start = |overlay: bool| {
        let devices = images::devices(name, contents.clone());
        let st = Arc::try_new(sb::open(devices, &Opts::default()).unwrap()).unwrap();
        let mut journal = journal::read(&st, false).unwrap();
        if !overlay {
            journal.keys = JournalKeys::new();
        }
        Btrees::start(st, journal).unwrap()
    };
    Some((start(true), start(false)))
}

fn all(btrees: &Btrees, id: BtreeId, level: u8, start: Bpos) -> Vec<(Bkey, Vec<u8>)> {
    let mut out = Vec::new();
    let mut iter = btrees.iter(id, level, start);
    while let Some(key) = iter.next().unwrap() {
        out.push((key.k, key.v.to_vec()));
    }
    out
}

fn model(with: &Btrees, without: &Btrees, id: BtreeId) -> Model {
    let mut model: Model = all(without, id, 0, Bpos::MIN)
        .into_iter()
        .map(|(k, v)| (k.p, (k, v)))
        .collect();
    let overlay = with.overlay().unwrap();
    let range = overlay.range(id, 0);
    for i in range.start..range.end {
        let key = overlay.key(i).unwrap();
        if key.k.key_type == KeyType::DELETED {
            model.remove(&key.k.p);
        } else {
            model.insert(key.k.p, (key.k, key.v.to_vec()));
        }
    }
    model
}

fn step(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(99);
    *seed >> 33
}

#[test]
fn the_overlay_is_merged_in() {
    for name in ["v113-unclean", "v113-unclean-dirty", "v139-unclean"] {
        let Some((with, without)) = open(name) else {
            println!("{name}: skipped: no golden images (BCACHEFS_RS_IMAGES)");
            continue;
        };
        let mut seed = 1;
        for id in (0..29).map(BtreeId) {
            // Interior updates are in the overlay too: what the nodes hold without it may be an
            // older tree. Where there are none, the model is exact.
            if !with.overlay().unwrap().range(id, 1).is_empty() {
                continue;
            }
            let model = model(&with, &without, id);
            let want: Vec<_> = model.values().cloned().collect();
            assert_eq!(all(&with, id, 0, Bpos::MIN), want, "{name} {id}");

            // One iterator that goes anywhere, and new ones.
            let keys: Vec<Bpos> = model.keys().copied().collect();
            let mut iter = with.iter(id, 0, Bpos::MIN);
            for _ in 0..200 {
                let near = match keys.len() {
                    0 => Bpos::new(step(&mut seed), step(&mut seed), 0),
                    n => keys[step(&mut seed) as usize % n],
                };
                let to = match step(&mut seed) % 3 {
                    0 => near,
                    1 => near.successor(),
                    _ => near.predecessor(),
                };
                let mut want = model.range(to..).map(|(p, _)| *p);
                iter.seek(to);
                for _ in 0..step(&mut seed) % 5 {
                    let want = want.next();
                    assert_eq!(
                        iter.advance().unwrap().map(|k| k.p),
                        want,
                        "{name} {id} {to}"
                    );
                    if want.is_none() {
                        break;
                    }
                }
                let first = with.iter(id, 0, to).advance().unwrap().map(|k| k.p);
                assert_eq!(first, model.range(to..).next().map(|(p, _)| *p));
                let found = with.lookup(id, to).unwrap().map(|f| f.key().k.p);
                assert_eq!(found, model.get(&to).map(|k| k.0.p));
            }
        }
    }
}

#[test]
fn nodes_are_read_once_by_many() {
    let Some((btrees, _)) = open("v113-many") else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let one: Vec<_> = all(&btrees, BtreeId::INODES, 0, Bpos::MIN);
    let (fresh, _) = open("v113-many").unwrap();
    std::thread::scope(|s| {
        let run = || all(&fresh, BtreeId::INODES, 0, Bpos::MIN);
        let threads: Vec<_> = (0..4).map(|_| s.spawn(run)).collect();
        for t in threads {
            assert_eq!(t.join().unwrap(), one);
        }
    });
    assert_eq!(fresh.cache().nr_reads(), btrees.cache().nr_reads());
}
