// SPDX-License-Identifier: GPL-2.0

//! A part of the pass `check_extents`: how many sectors inodes say their files have.
//!
//! Of inodes of which there is one version, with all extents in the same snapshot. The rest is left
//! to the tools.
//!
//! C: `check_i_sectors()`.

use super::{
    inodes::{
        change_inode,
        is_whole, //
    },
    Outcome,
    Report, //
};
use crate::{
    alloc::space::Engine,
    btree::Btrees,
    env::{
        pr_warn,
        Vec, //
    },
    error::{
        fsck::FsckError,
        Result, //
    },
    format::{
        bkey::Key,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::inode::Inode, //
    },
};

/// What is noted at a time, for it needs memory.
const FOUND_MAX: usize = 1 << 16;

/// A file with a wrong number of sectors.
struct Bad {
    inum: u64,
    snapshot: u32,
    says: u64,
    found: u64,
}

/// Checks the numbers of sectors of files, and repairs those that are certain to be wrong.
#[inline(never)]
pub fn check_sectors_of_files(engine: Engine<'_>, report: &mut Report) -> Result {
    let btrees = engine.btrees;
    if !is_whole(btrees, BtreeId::INODES) || !is_whole(btrees, BtreeId::EXTENTS) {
        let name = btrees.sb().name();
        pr_warn!("{name}: inodes or extents are damaged: not counted");
        return Ok(());
    }
    for bad in find(btrees)?.iter() {
        let (inum, says, found) = (bad.inum, bad.says, bad.found);
        let outcome = report.found(
            btrees.sb(),
            FsckError::INODE_I_SECTORS_WRONG,
            format_args!("inode {inum} has wrong i_sectors ({says}, should be {found})"),
        )?;
        if outcome == Outcome::Repair {
            change_inode(engine, inum, bad.snapshot, |inode| inode.sectors = found)?;
        }
    }
    Ok(())
}

#[inline(never)]
fn find(btrees: &Btrees) -> Result<Vec<Bad>> {
    let mut bad = Vec::new();
    let mut inodes = btrees.iter(BtreeId::INODES, 0, Bpos::MIN);
    let mut extents = btrees.iter(BtreeId::EXTENTS, 0, Bpos::MIN);
    let mut extent = extents.advance()?;
    let mut next = read(inodes.next()?);
    while let Some((inum, snapshot, mut says)) = next {
        // The other versions of it.
        loop {
            next = read(inodes.next()?);
            match next.filter(|(other, ..)| *other == inum) {
                Some(_) => says = None,
                None => break,
            }
        }
        let mut found = 0u64;
        while let Some(k) = extent.filter(|k| k.p.inode <= inum) {
            if k.p.inode == inum {
                if k.p.snapshot != snapshot {
                    says = None;
                }
                if k.key_type.is_allocation() {
                    found = found.saturating_add(k.size.into());
                }
            }
            extent = extents.advance()?;
        }
        if let Some(says) = says.filter(|says| *says != found) {
            bad.push(Bad {
                inum,
                snapshot,
                says,
                found,
            })?;
            if bad.len() >= FOUND_MAX {
                break;
            }
        }
    }
    Ok(bad)
}

/// The number of an inode, its snapshot, and how many sectors it says it has, if it can be told.
fn read(key: Option<Key<'_>>) -> Option<(u64, u32, Option<u64>)> {
    let key = key?;
    let inode = Inode::decode(&key).ok().flatten();
    let inode = inode.filter(|_| key.k.key_type == KeyType::INODE_V3);
    Some((
        key.k.p.offset,
        key.k.p.snapshot,
        inode.map(|i| i.sectors), //
    ))
}
