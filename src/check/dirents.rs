// SPDX-License-Identifier: GPL-2.0

//! A part of the pass `check_dirents`: what directory entries say of inodes, and these of them.
//!
//! Only what is certain is repaired: an entry of an inode that no snapshot has; and otherwise what
//! is about an inode of which there is one version, in the snapshot of the entry. The rest is left
//! to the tools, as is whether entries are where their names are looked for.
//!
//! C: `check_dirent()`.

use super::{
    inodes::{
        change_inode,
        is_whole,
        versions,
        Versions, //
    },
    rounds::Rounds,
    Outcome,
    Report, //
};
use crate::{
    alloc::space::Engine,
    btree::{
        Btrees,
        KeyBuf, //
    },
    env::{
        pr_warn,
        Vec, //
    },
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            dirent::{
                dirent,
                Dirent,
                FileType,
                Target, //
            },
            inode::InodeFlags,
        },
    },
    journal::live::Watermark,
};

/// What is noted in one round, for it needs memory.
const FOUND_MAX: usize = 1 << 14;
/// The most bytes of the value of an entry.
const DIRENT_BYTES: usize = 2048;

/// What is wrong with an entry.
enum Wrong {
    /// There is no such inode.
    Dangling,
    /// It says that the inode is something else.
    Type(FileType),
    /// The inode says that its name is somewhere else, where it is not.
    Backpointer,
    /// The inode has two names, and says that it has one.
    SecondLink,
}

/// A wrong entry: itself, what it is of, and what is wrong.
struct Bad {
    key: KeyBuf,
    inum: u64,
    wrong: Wrong,
}

/// Checks directory entries, and repairs what is certain.
#[inline(never)]
pub fn check_dirents(engine: Engine<'_>, report: &mut Report) -> Result {
    let btrees = engine.btrees;
    if !is_whole(btrees, BtreeId::INODES) || !is_whole(btrees, BtreeId::DIRENTS) {
        pr_warn!(
            "{}: inodes or names are damaged: not compared",
            btrees.sb().name()
        );
        return Ok(());
    }
    let mut rounds = Rounds::new();
    while rounds.go_on()? {
        let found = find(btrees)?;
        let mut fixed = 0usize;
        for bad in found.iter() {
            fixed = fixed.saturating_add(fix(engine, report, bad)?.into());
        }
        rounds.fixed(fixed);
    }
    Ok(())
}

#[inline(never)]
fn find(btrees: &Btrees) -> Result<Vec<Bad>> {
    let mut found = Vec::new();
    let mut iter = btrees.iter(BtreeId::DIRENTS, 0, Bpos::MIN);
    while let Some(key) = iter.next()? {
        let Ok(Some(d)) = dirent(&key) else {
            continue;
        };
        let Target::Inode(inum) = d.target else {
            continue;
        };
        if let Some(wrong) = check(btrees, key.k.p, &d, inum)? {
            let key = KeyBuf::copy_of(&key)?;
            found.push(Bad { key, inum, wrong })?;
            if found.len() >= FOUND_MAX {
                break;
            }
        }
    }
    Ok(found)
}

fn check(btrees: &Btrees, at: Bpos, d: &Dirent<'_>, inum: u64) -> Result<Option<Wrong>> {
    let inode = match versions(btrees, inum)? {
        Versions::None => return Ok(Some(Wrong::Dangling)),
        Versions::One(inode) if inode.snapshot == at.snapshot => inode,
        Versions::One(_) | Versions::Several => return Ok(None),
    };
    if inode.is_subvol_root() || inode.flags.has(InodeFlags::UNLINKED) {
        return Ok(None);
    }
    let file_type = FileType::of_mode(inode.mode);
    if d.file_type != file_type {
        return Ok(Some(Wrong::Type(file_type)));
    }
    if (inode.dir, inode.dir_offset) == (at.inode, at.offset) {
        return Ok(None);
    }
    let said = Bpos::new(inode.dir, inode.dir_offset, at.snapshot);
    let other = match (inode.dir, inode.dir_offset) {
        (0, 0) => None,
        _ => btrees.lookup(BtreeId::DIRENTS, said)?,
    };
    let is_there = other.is_some_and(|o| {
        let target = dirent(&o.key()).ok().flatten().map(|d| d.target);
        target == Some(Target::Inode(inum))
    });
    Ok(match is_there {
        false => Some(Wrong::Backpointer),
        true if inode.nlink == 0 && !inode.is_dir() => Some(Wrong::SecondLink),
        true => None,
    })
}

#[inline(never)]
fn fix(engine: Engine<'_>, report: &mut Report, bad: &Bad) -> Result<bool> {
    let (st, p, inum) = (engine.btrees.sb(), bad.key.k.p, bad.inum);
    let (id, what) = match bad.wrong {
        Wrong::Dangling => (
            FsckError::DIRENT_TO_MISSING_INODE,
            "does not exist: delete it",
        ),
        Wrong::Type(_) => (FsckError::DIRENT_D_TYPE_WRONG, "is of another type"),
        Wrong::Backpointer => (
            FsckError::INODE_WRONG_BACKPOINTER,
            "says that its name is where it is not",
        ),
        Wrong::SecondLink => (
            FsckError::INODE_MULTIPLE_LINKS_BUT_NLINK_0,
            "has another name, and counts only one",
        ),
    };
    let outcome = report.found(
        st,
        id,
        format_args!("directory entry {p}: inode {inum} {what}"),
    )?;
    if outcome == Outcome::Leave {
        return Ok(false);
    }
    match bad.wrong {
        // As if it had been deleted: others with the same hash are still found behind it.
        Wrong::Dangling => {
            let k = Bkey {
                key_type: KeyType::HASH_WHITEOUT,
                ..bad.key.k
            };
            put(engine, &bad.key, KeyBuf::of(k, &[])?)?;
        }
        Wrong::Type(file_type) => {
            let Ok(Some(d)) = dirent(&bad.key.key()) else {
                return Ok(false);
            };
            let mut value = Vec::from_elem(0, DIRENT_BYTES)?;
            let new = Dirent { file_type, ..d };
            let len = new.encode(&mut value).ok_or(Error::Overflow)?;
            let value = value.get(..len).unwrap_or(&value);
            put(engine, &bad.key, KeyBuf::of(bad.key.k, value)?)?;
        }
        Wrong::Backpointer => {
            change_inode(engine, inum, p.snapshot, |inode| {
                (inode.dir, inode.dir_offset) = (p.inode, p.offset);
            })?;
        }
        Wrong::SecondLink => {
            change_inode(engine, inum, p.snapshot, |inode| {
                inode.nlink = inode.nlink.max(1);
            })?;
        }
    }
    Ok(true)
}

/// Puts an entry in place of another one, if that is still there.
fn put(engine: Engine<'_>, old: &KeyBuf, new: KeyBuf) -> Result {
    engine.run(Watermark::Reclaim, |t| {
        let now = t.get(BtreeId::DIRENTS, old.k.p)?;
        if now.is_none_or(|now| now.value() != old.value()) {
            t.reset();
            return Ok(());
        }
        t.update(BtreeId::DIRENTS, KeyBuf::copy_of(&new.key())?)?;
        t.commit().map(|_| ())
    })
}
