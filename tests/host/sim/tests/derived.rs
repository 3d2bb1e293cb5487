// SPDX-License-Identifier: GPL-2.0

//! What is derived of the keys of a golden image is what the triggers say, counter by counter; and
//! the check that says so finds every change of what is derived. Without images
//! (`BCACHEFS_RS_IMAGES`) the tests only say so.

use sim::{
    check::{
        check_derived,
        Finding,
        Stored, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        key_type::KeyType,
        opts::Opts,
        sb::Version,
        values::{
            accounting::Counted,
            alloc::Alloc, //
        },
    },
    golden::{
        images,
        Image, //
    },
    init::Filesystem,
};
use std::collections::BTreeMap;

const LAST: Version = Version::new(1, 13);

/// An undamaged image of a version that is written, started.
fn start(image: &Image) -> Option<sim::env::Arc<Filesystem>> {
    if !image.name.starts_with("v113-") || image.manifest().unwrap().damage.is_some() {
        return None;
    }
    let devices = images::devices(&image.name, image.unpack().unwrap());
    let fs = Filesystem::start(devices, &Opts::default()).unwrap();
    assert_eq!(fs.view.sb().sb.version(), LAST);
    Some(fs)
}

/// What is in an undamaged image of a version that is written.
fn stored(image: &Image) -> Option<Stored> {
    start(image).map(|fs| Stored::read(&fs.view).unwrap())
}

fn all() -> Vec<Image> {
    let folder = images::folder();
    if folder.is_none() {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
    }
    folder.into_iter().flat_map(|f| Image::all(&f)).collect()
}

fn lines(findings: &[Finding]) -> String {
    let text = findings.iter().take(40).map(|f| format!("{f}\n"));
    text.collect()
}

#[test]
fn all_that_is_derived_is_as_it_should_be() {
    let mut wrong = String::new();
    for image in all() {
        let Some(fs) = start(&image) else {
            continue;
        };
        let stored = Stored::read(&fs.view).unwrap();
        let findings = check_derived(&fs.view);
        println!(
            "{}: {} keys, {} buckets, {} backpointers, {} counters: {} wrong",
            image.name,
            stored.sources.len(),
            stored.alloc.len(),
            stored.backpointers.len(),
            stored.counters.len(),
            findings.len()
        );
        if !findings.is_empty() {
            wrong += &format!("{}:\n{}", image.name, lines(&findings));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What is found after `change`, as pairs of what and where.
fn after(stored: &Stored, change: impl FnOnce(&mut Stored)) -> Vec<(String, String)> {
    let mut changed = stored.clone();
    change(&mut changed);
    let findings = changed.check();
    findings.into_iter().map(|f| (f.what, f.at)).collect()
}

/// The image with this name, where there are images.
fn named(name: &str) -> Option<Stored> {
    let image = all().into_iter().find(|i| i.name == name)?;
    stored(&image)
}

/// Changing something that nothing is derived from is found as that, and nothing else is.
#[test]
fn every_change_of_what_is_derived_is_found() {
    // Several devices, labels; compression in the background; shared extents; snapshots. The first
    // is in the tree, too.
    let names = [
        "v113-repl2",
        "v113-threedev",
        "v113-comp-bg",
        "v113-reflink",
        "v113-snap",
    ];
    let mut nr = 0;
    for stored in names.into_iter().filter_map(named) {
        let pick = |len: usize| (0..len).step_by(1 + len / 7);
        for i in pick(stored.backpointers.len()) {
            let at = *stored.backpointers.keys().nth(i).unwrap();
            let want = vec![("backpointers".to_owned(), at.to_string())];
            let gone = after(&stored, |s| {
                let _ = s.backpointers.remove(&at);
            });
            assert_eq!(gone, want);
            let changed = after(&stored, |s| {
                s.backpointers.get_mut(&at).unwrap().bucket_len += 1;
            });
            assert_eq!(changed, want);
            let moved = after(&stored, |s| {
                let bp = s.backpointers.remove(&at).unwrap();
                s.backpointers.insert(at.successor(), bp);
            });
            assert_eq!(moved.len(), 2);
            nr += 1;
        }
        for i in pick(stored.counters.len()) {
            let at = *stored.counters.keys().nth(i).unwrap();
            let counted = Counted::decode(at, stored.version).to_string();
            let want = vec![("accounting".to_owned(), counted)];
            for counter in 0..stored.counters[&at].len() {
                let found = after(&stored, |s| {
                    s.counters.get_mut(&at).unwrap()[counter] -= 1;
                });
                assert_eq!(found, want);
            }
            let gone = after(&stored, |s| {
                let _ = s.counters.remove(&at);
            });
            assert_eq!(gone, want);
            nr += 1;
        }
        let mut per_btree = BTreeMap::<BtreeId, usize>::new();
        for (btree, at) in &stored.bits {
            let seen = per_btree.entry(*btree).or_default();
            *seen += 1;
            if *seen > 3 {
                continue;
            }
            let want = |at: Bpos| vec![(btree.to_string(), at.to_string())];
            let gone = after(&stored, |s| {
                let _ = s.bits.remove(&(*btree, *at));
            });
            assert_eq!(gone, want(*at));
            let other = Bpos::new(at.inode, at.offset + (1 << 40), at.snapshot);
            let more = after(&stored, |s| {
                let _ = s.bits.insert((*btree, other));
            });
            assert_eq!(more, want(other));
            nr += 1;
        }
        for (end, (start, refs)) in stored.indirect.iter().take(5) {
            let found = after(&stored, |s| {
                s.indirect.insert(*end, (*start, refs + 1));
            });
            assert_eq!(found, [("refcount".to_owned(), end.to_string())]);
            nr += 1;
        }
        for at in stored.gens.keys().take(5) {
            let found = after(&stored, |s| *s.gens.get_mut(at).unwrap() += 1);
            let want = format!("{}:{}", at.0, at.1);
            assert_eq!(found, [("bucket_gens".to_owned(), want)]);
            nr += 1;
        }
        for i in 0..stored.replicas.len() {
            let replicas = stored.replicas[i];
            let found = after(&stored, |s| {
                s.replicas.remove(i);
            });
            // What is not counted any more, and journals, may be listed.
            let text = replicas.to_string();
            let is_counted = stored
                .counters
                .keys()
                .any(|pos| Counted::decode(*pos, stored.version) == Counted::Replicas(replicas));
            let want = is_counted && replicas.data_type != DataType::CACHED;
            let what = "superblock replicas".to_owned();
            assert_eq!(found, Vec::from_iter(want.then_some((what, text))));
        }
        let found = after(&stored, |s| {
            s.devs.get_mut(&0).unwrap().regions.bits = 0;
        });
        assert!(!found.is_empty());
        assert!(found.iter().all(|f| f.0 == "superblock btree bitmap"));
        nr += every_change_of_a_bucket_is_found(&stored);
    }
    println!("{nr} changes were found");
    assert!(nr > 60 || images::folder().is_none());
}

/// The state of a bucket is derived, and other things are derived from it: all that is found is
/// about the bucket or its device.
fn every_change_of_a_bucket_is_found(stored: &Stored) -> usize {
    type Change = (&'static str, fn(&mut Alloc));
    let changes: [Change; 6] = [
        ("data_type", |a| a.data_type = DataType::PARITY),
        ("dirty_sectors", |a| a.dirty_sectors += 1),
        ("cached_sectors", |a| a.cached_sectors += 1),
        ("stripe_sectors", |a| a.stripe_sectors += 1),
        ("stripe", |a| a.stripe += 1),
        ("stripe_redundancy", |a| a.stripe_redundancy += 1),
    ];
    let mut nr = 0;
    for (dev, bucket) in stored.alloc.keys().step_by(1 + stored.alloc.len() / 9) {
        for (field, change) in &changes {
            let found = after(stored, |s| {
                change(s.alloc.get_mut(&(*dev, *bucket)).unwrap());
            });
            let at = format!("{dev}:{bucket}");
            assert!(found.contains(&(format!("bucket {field}"), at.clone())));
            for (what, place) in &found {
                let of_bucket = what.starts_with("bucket") && *place == at;
                let of_device = place.starts_with(&format!("dev_data_type dev={dev} "));
                let of_index = [
                    BtreeId::LRU,
                    BtreeId::FREESPACE,
                    BtreeId::NEED_DISCARD, //
                ]
                .iter()
                .any(|b| b.to_string() == *what)
                    && place.contains(&bucket.to_string());
                assert!(
                    of_bucket || of_device || of_index || what == "lru",
                    "{what} {place}"
                );
            }
            nr += 1;
        }
        // A bucket that is lost altogether.
        let found = after(stored, |s| {
            let _ = s.alloc.remove(&(*dev, *bucket));
        });
        assert!(!found.is_empty());
        nr += 1;
    }
    nr
}

/// What is derived of a key is missed when the key is not there.
#[test]
fn every_key_matters() {
    let mut nr = 0;
    for stored in ["v113-snap", "v113-reflink"].into_iter().filter_map(named) {
        for (at, key) in &stored.sources {
            let derives_nothing = matches!(
                key.k.key_type,
                KeyType::WHITEOUT
                    | KeyType::EXTENT_WHITEOUT
                    | KeyType::INLINE_DATA
                    | KeyType::INODE_GENERATION
                    | KeyType::INDIRECT_INLINE_DATA
            );
            let found = after(&stored, |s| {
                let _ = s.sources.remove(at);
            });
            assert_eq!(found.is_empty(), derives_nothing, "{at:?} {key:?}");
            nr += 1;
        }
    }
    println!("{nr} keys were taken away");
}
