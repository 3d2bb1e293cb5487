// SPDX-License-Identifier: GPL-2.0

//! Btree nodes as they are on disk: one field is wrong, and all checksums are right.

use crate::disk::{
    fix_checksum,
    Disk,
    NodeAt, //
};
use crate::with_superblock;
use sim::{
    btree::Btrees,
    error::Error,
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        jset::EntryType,
        key_type::KeyType, //
    },
};

/// A field of the header of a node: where it is, what it becomes, and what comes of it.
struct Case {
    at: usize,
    to: &'static [u8],
    sealed: bool,
    want: Error,
}

const fn case(at: usize, to: &'static [u8], want: Error) -> Case {
    Case {
        at,
        to,
        sealed: true,
        want,
    }
}

const fn unsealed(at: usize, to: &'static [u8], want: Error) -> Case {
    Case {
        at,
        to,
        sealed: false,
        want,
    }
}

/// C: `struct btree_node`, in which the first set of keys is at 136.
const CASES: &[Case] = &[
    case(82, &[65], Error::NodeFormat),
    unsealed(152, &[0x0f], Error::NodeChecksumKind),
    case(156, &[0xff, 0xff], Error::NodeVersion),
    case(152, &[0x11], Error::NodeBigEndian),
    unsealed(158, &[0xff, 0xff], Error::NodeTruncated),
    case(154, &[5, 0], Error::NodeBsetPlace),
];

fn looked_up(btrees: &Btrees, btree: BtreeId) -> Option<Error> {
    btrees.lookup(btree, Bpos::MIN).err()
}

fn damaged(disk: &Disk, node: &NodeAt, at: usize, to: &[u8], sealed: bool) -> Vec<u8> {
    let mut bytes = disk.bytes.clone();
    let set = disk.sets(node).remove(0);
    bytes[set.start + at..][..to.len()].copy_from_slice(to);
    if sealed {
        fix_checksum(&mut bytes[set], true);
    }
    bytes
}

#[test]
fn headers() {
    let Some(disk) = Disk::open("v113-dmgbase") else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let node = disk.node_of(BtreeId::XATTRS, 0, Bpos::MIN);
    for case in CASES {
        let bytes = damaged(&disk, &node, case.at, case.to, case.sealed);
        let fs = disk.start(bytes).unwrap();
        assert_eq!(looked_up(&fs.view.btrees, BtreeId::XATTRS), Some(case.want));
    }
    let flags = disk.bytes[disk.sets(&node)[0].start + 24];
    let bytes = damaged(&disk, &node, 24, &[flags ^ 0x10], true);
    let fs = disk.start(bytes).unwrap();
    let e = looked_up(&fs.view.btrees, BtreeId::XATTRS);
    assert_eq!(e, Some(Error::NodeLevel));
}

/// The image, with a change of the record of the root of a btree in the superblock.
fn with_root(disk: &Disk, btree: BtreeId, change: impl Fn(&mut [u8])) -> Vec<u8> {
    with_superblock(&disk.bytes, |sb| {
        let clean = sb.clean().unwrap();
        let (seq, mut records) = (clean.journal_seq(), clean.entries.to_vec());
        let (mut at, mut done) = (0, false);
        while let Some(head) = records.get(at..at + 8) {
            let end = at + 8 + usize::from(u16::from_le_bytes([head[0], head[1]])) * 8;
            if head[2] == btree.0 && head[4] == EntryType::BTREE_ROOT.0 {
                change(&mut records[at..end]);
                done = true;
            }
            at = end;
        }
        assert!(done, "no root of {btree}");
        sb.set_clean(seq, &records).unwrap();
    })
}

#[test]
fn roots() {
    let Some(disk) = Disk::open("v113-many") else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let btree = BtreeId::DIRENTS;
    let bytes = with_root(&disk, btree, |record| record[3] = 4);
    let fs = disk.start(bytes).unwrap();
    let e = looked_up(&fs.view.btrees, btree);
    assert_eq!(e, Some(Error::RootLevel));

    let bytes = with_root(&disk, btree, |record| record[2] = 250);
    assert_eq!(disk.start(bytes).err(), Some(Error::JournalBadBtree));

    // It is no pointer to a node.
    let bytes = with_root(&disk, btree, |record| record[8 + 2] = KeyType::COOKIE.0);
    let fs = disk.start(bytes).unwrap();
    let e = looked_up(&fs.view.btrees, btree);
    assert_eq!(e, Some(Error::RootUnreadable));
    let e = fs.view.btrees.read_root_again(btree).err();
    assert_eq!(e, Some(Error::SurveyRoot));

    // A leaf in the middle as the root.
    let btrees = &disk.fs.view.btrees;
    let mut pointers = Vec::new();
    let mut iter = btrees.iter(btree, 1, Bpos::MIN);
    while let Some(key) = iter.next().unwrap() {
        pointers.push((key.k.p, key.v.to_vec()));
    }
    assert!(pointers.len() > 2);
    let (end, value) = &pointers[1];
    let bytes = with_root(&disk, btree, |record| {
        record[3] = 0;
        // Behind the heads of the record and of the key. C: `struct bkey`, `struct bpos`.
        record[8 + 20..][..4].copy_from_slice(&end.snapshot.to_le_bytes());
        record[8 + 24..][..8].copy_from_slice(&end.offset.to_le_bytes());
        record[8 + 32..][..8].copy_from_slice(&end.inode.to_le_bytes());
        record[8 + 40..][..value.len()].copy_from_slice(value);
    });
    let fs = disk.start(bytes).unwrap();
    let e = looked_up(&fs.view.btrees, btree);
    assert_eq!(e, Some(Error::RootRange));
    let e = fs.view.btrees.read_root_again(btree).err();
    assert_eq!(e, Some(Error::SurveyRootRange));

    // More was written to it than is there.
    let mut iter = btrees.iter(btree, 1, Bpos::MIN);
    let leaf = iter.next().unwrap().unwrap();
    let whole = disk.fs.view.sb().sb.node_sectors();
    for (written, want) in [
        (whole, Error::NodeIncomplete),
        (whole + 1, Error::NodeTooBig),
    ] {
        let bytes = disk.change_value_at(btree, 1, &leaf, |v| {
            v[16..18].copy_from_slice(&written.to_le_bytes());
        });
        let fs = disk.start(bytes).unwrap();
        assert_eq!(looked_up(&fs.view.btrees, btree), Some(want));
    }
    // It begins behind its end.
    let bytes = disk.change_value_at(btree, 1, &leaf, |v| v[20..40].fill(0xff));
    let fs = disk.start(bytes).unwrap();
    let e = looked_up(&fs.view.btrees, btree);
    assert_eq!(e, Some(Error::NodeChildInvalid));

    // Two pointers to one node.
    let mut iter = btrees.iter(btree, 1, pointers[2].0);
    let second = iter.next().unwrap().unwrap();
    let (_, first) = &pointers[1];
    let bytes = disk.change_value_at(btree, 1, &second, |v| {
        // The identity and the place, but not where it begins. C: `struct bch_btree_ptr_v2`.
        v[8..18].copy_from_slice(&first[8..18]);
        v[40..].copy_from_slice(&first[40..]);
    });
    let fs = disk.start(bytes).unwrap();
    assert!(fs.view.btrees.lookup(btree, pointers[1].0).is_ok());
    let e = fs.view.btrees.lookup(btree, pointers[2].0).err();
    assert_eq!(e, Some(Error::NodeOtherRange));
    let survey = fs.view.btrees.survey(btree).unwrap();
    let lost: Vec<_> = survey.lost.iter().map(|l| (l.ptr.max, l.error)).collect();
    assert_eq!(lost, [(pointers[2].0, Error::SurveyNode)]);
    assert_eq!(survey.leaves.len() + 1, pointers.len());
}

#[test]
fn an_interior_node_without_its_last_pointer() {
    let Some(disk) = Disk::open("v113-many") else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let btree = BtreeId::DIRENTS;
    let node = disk.node_of(btree, 1, Bpos::MAX);
    let sets = disk.sets(&node);
    let mut bytes = disk.bytes.clone();
    // A set that has nothing is as good as one that is cut, and the last pointer is in one of them.
    for (nr, set) in sets.iter().enumerate() {
        let (head, keys) = if nr == 0 { (136, 160) } else { (16, 40) };
        let set = &mut bytes[set.clone()];
        let (mut at, mut last) = (keys, None);
        while let Some(u64s) = set.get(at).filter(|u64s| **u64s != 0) {
            last = Some((at, *u64s));
            at += usize::from(*u64s) * 8;
        }
        if let Some((at, _)) = last {
            let left = u16::try_from((at - keys) / 8).unwrap();
            set[head + 22..head + 24].copy_from_slice(&left.to_le_bytes());
        }
        fix_checksum(set, nr == 0);
    }
    let fs = disk.start(bytes).unwrap();
    let at = Bpos::new(u64::MAX, 0, u32::MAX);
    let e = fs.view.btrees.lookup(btree, at).err();
    assert_eq!(e, Some(Error::NodeNoChild));
}

#[test]
fn a_node_for_an_entry_that_never_was() {
    let Some(disk) = Disk::open("v113-dmgbase") else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let node = disk.node_of(BtreeId::XATTRS, 0, Bpos::MIN);
    let set = &disk.bytes[disk.sets(&node).remove(0)];
    let seq = u64::from_le_bytes(set[144..152].try_into().unwrap());
    let bytes = with_superblock(&disk.bytes, |sb| {
        sb.set_blacklist(&[(seq, seq + 1)]).unwrap();
    });
    // The others were written then as well, some of which no mount can do without.
    assert_eq!(disk.start(bytes).err(), Some(Error::NodeVoid));
}
