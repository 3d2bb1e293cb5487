// SPDX-License-Identifier: GPL-2.0

//! Btree nodes as they are on disk: one field is wrong, and all checksums are right.

use crate::disk::{
    fix_checksum,
    Disk,
    NodeAt, //
};
use sim::{
    btree::Btrees,
    error::Error,
    format::{
        bpos::Bpos,
        btree_id::BtreeId, //
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
