// SPDX-License-Identifier: GPL-2.0

//! Whether keys are where their names are looked for: at the hash of the name, or behind it with
//! no gap in between. In directory entries and in extended attributes.
//!
//! C: `hash_check_key()`.

use super::{
    files::{
        same,
        Files, //
    },
    seen::Seen,
};
use crate::{
    algo::str_hash::HashInfo,
    alloc::space::Trans,
    btree::{
        trans::TransResult,
        KeyBuf, //
    },
    data::inode_put,
    env::Vec,
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        bkey::{
            Bkey,
            Key, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            dirent::{
                dirent,
                Dirent,
                FileType,
                Target,
                NAME_MAX, //
            },
            inode::Inode,
            xattr::Xattr, //
        },
    },
    snapshots::{
        delete_visible,
        lookup_visible, //
    },
};

/// How often another name is tried for one that is there twice. C: `fsck_rename_dirent()`.
const NAMES_MAX: u32 = 1000;
/// The most bytes of the value of an entry.
const VALUE_BYTES: usize = 2048;

/// Keys of a btree that are hashed.
#[derive(Clone, Copy)]
pub(super) struct Hashed {
    pub(super) btree: BtreeId,
    pub(super) info: HashInfo,
}

/// Where a key is after it was checked.
pub(super) enum Checked {
    /// Where it was.
    Kept,
    /// It was deleted.
    Gone,
    /// Somewhere else, maybe with another name.
    Moved(KeyBuf),
}

/// What is found where a key is looked for.
enum Place {
    /// It is found.
    Right,
    /// It is not.
    Wrong,
    /// There is another one of that name before it.
    Twice(KeyBuf),
}

impl Hashed {
    fn key_type(&self) -> KeyType {
        match self.btree {
            BtreeId::DIRENTS => KeyType::DIRENT,
            _ => KeyType::XATTR,
        }
    }

    /// The hash of a key, if it is one of those that have one.
    fn hash(&self, key: &Key<'_>) -> Option<u64> {
        if key.k.key_type != self.key_type() {
            return None;
        }
        match self.btree {
            BtreeId::DIRENTS => Some(self.info.dirent(Dirent::decode(key.v).ok()?.lookup_name())),
            _ => {
                let x = Xattr::decode(key.v).ok()?;
                Some(self.info.xattr(x.xattr_type, x.name))
            }
        }
    }

    /// Whether two keys have the same name.
    fn same_name(&self, a: &Key<'_>, b: &Key<'_>) -> bool {
        if a.k.key_type != self.key_type() || b.k.key_type != self.key_type() {
            return false;
        }
        match self.btree {
            BtreeId::DIRENTS => match (Dirent::decode(a.v), Dirent::decode(b.v)) {
                (Ok(a), Ok(b)) => a.lookup_name() == b.lookup_name(),
                _ => false,
            },
            _ => match (Xattr::decode(a.v), Xattr::decode(b.v)) {
                (Ok(a), Ok(b)) => (a.xattr_type, a.name) == (b.xattr_type, b.name),
                _ => false,
            },
        }
    }

    /// Checks where a key is, and repairs it.
    #[inline(never)]
    pub(super) fn check(
        &self,
        files: &mut Files<'_>,
        key: &KeyBuf,
        seen: &Seen,
    ) -> Result<Checked> {
        let Some(hash) = self.hash(&key.key()).filter(|h| *h != key.k.p.offset) else {
            return Ok(Checked::Kept);
        };
        let (btree, p) = (self.btree, key.k.p);
        match self.place(files, key, hash)? {
            Place::Right => Ok(Checked::Kept),
            Place::Twice(other) => self.twice(files, key, &other, seen),
            Place::Wrong => {
                let id = FsckError::HASH_TABLE_KEY_WRONG_OFFSET;
                match files.found(
                    id,
                    format_args!("btree {btree} {p}: key at wrong offset, hashed to {hash}"),
                )? {
                    true => self.put_right(files, key, seen),
                    false => Ok(Checked::Kept),
                }
            }
        }
    }

    fn place(&self, files: &Files<'_>, key: &KeyBuf, hash: u64) -> Result<Place> {
        let p = key.k.p;
        if p.offset < hash {
            return Ok(Place::Wrong);
        }
        let (start, end) = (
            Bpos::new(p.inode, hash, 0),
            Bpos::new(p.inode, p.offset, u32::MAX),
        );
        let mut keys = files.view.range(self.btree, start, end, p.snapshot);
        let mut expected = hash;
        while let Some(other) = keys.next()? {
            if other.k.p.inode != p.inode || other.k.p.offset != expected {
                break;
            }
            if other.k.p == p {
                return Ok(Place::Right);
            }
            if self.same_name(&other, &key.key()) {
                return Ok(Place::Twice(KeyBuf::copy_of(&other)?));
            }
            expected = expected.saturating_add(1);
        }
        Ok(Place::Wrong)
    }

    /// The place for a new key from `hash` on, as `snapshot` sees it; or the key of this name that
    /// is there already.
    fn free(
        &self,
        t: &mut Trans<'_>,
        files: &Files<'_>,
        (new, hash): (&Key<'_>, u64),
    ) -> TransResult<Result<u64, KeyBuf>> {
        let (mut offset, mut free) = (hash, None);
        loop {
            let pos = Bpos::new(new.k.p.inode, offset, new.k.p.snapshot);
            match lookup_visible(t, files.table(), self.btree, pos)? {
                Some(k) if k.k.key_type == KeyType::HASH_WHITEOUT => {
                    free = free.or(Some(offset));
                }
                Some(k) if k.k.p != new.k.p && self.same_name(&k.key(), new) => return Ok(Err(k)),
                Some(_) => (),
                None => return Ok(Ok(free.unwrap_or(offset))),
            }
            offset = offset.checked_add(1).ok_or(Error::CheckHashFull)?;
        }
    }

    /// Takes a key away from where it is: those behind are found all the same.
    ///
    /// C: `bch2_hash_delete_at()`.
    pub(super) fn stage_delete(
        &self,
        t: &mut Trans<'_>,
        files: &Files<'_>,
        pos: Bpos,
    ) -> TransResult {
        let next = Bpos::new(pos.inode, pos.offset.saturating_add(1), pos.snapshot);
        let behind = lookup_visible(t, files.table(), self.btree, next)?;
        if behind.is_none() {
            return delete_visible(t, files.table(), self.btree, pos);
        }
        let mut whiteout = KeyBuf::deletion(pos);
        whiteout.k.key_type = KeyType::HASH_WHITEOUT;
        t.update(self.btree, whiteout)
    }

    /// Stages a key at the place for its name. Returns that, or `None` when there is one of this
    /// name.
    pub(super) fn stage_put(
        &self,
        t: &mut Trans<'_>,
        files: &Files<'_>,
        key: &KeyBuf,
    ) -> TransResult<Option<u64>> {
        let Some(hash) = self.hash(&key.key()) else {
            return Ok(None);
        };
        let Ok(offset) = self.free(t, files, (&key.key(), hash))? else {
            return Ok(None);
        };
        let p = Bpos::new(key.k.p.inode, offset, key.k.p.snapshot);
        t.update(
            self.btree,
            KeyBuf::copy_of(&Key {
                k: Bkey { p, ..key.k },
                v: key.key().v,
            })?,
        )?;
        Ok(Some(offset))
    }

    /// Puts a key where its name is looked for.
    #[inline(never)]
    fn put_right(&self, files: &Files<'_>, key: &KeyBuf, seen: &Seen) -> Result<Checked> {
        let named = self.named(files, key, seen)?;
        let mut place = None;
        let done = files.repair(|t| {
            place = None;
            if !same(t, self.btree, key)? {
                return Ok(false);
            }
            place = self.stage_put(t, files, key)?;
            self.stage_delete(t, files, key.k.p)?;
            // If not, there is one of that name where it is looked for.
            if let Some(offset) = place {
                stage_names(t, &named, offset)?;
            }
            Ok(true)
        })?;
        match (done, place) {
            (true, Some(offset)) => moved(key, offset),
            (true, None) => Ok(Checked::Gone),
            (false, _) => Ok(Checked::Kept),
        }
    }

    /// Inodes that say that their name is at the key.
    fn named(&self, files: &Files<'_>, key: &KeyBuf, seen: &Seen) -> Result<Vec<Inode>> {
        let mut named = Vec::new();
        let inum = match dirent(&key.key()) {
            Ok(Some(d)) => match d.target {
                Target::Inode(inum) => inum,
                Target::Subvol { child, .. } => match files.view.subvolume(child) {
                    Ok(subvol) => subvol.inode,
                    Err(_) => return Ok(named),
                },
            },
            _ => return Ok(named),
        };
        for inode in files.versions(inum)?.all.iter() {
            let is_here = (inode.dir, inode.dir_offset) == (key.k.p.inode, key.k.p.offset);
            let meets = inode.subvol != 0 || seen.meets(files.table(), inode.snapshot);
            if is_here && meets {
                named.push(*inode)?;
            }
        }
        Ok(named)
    }

    /// A key and another one of the same name before it.
    #[inline(never)]
    fn twice(
        &self,
        files: &mut Files<'_>,
        key: &KeyBuf,
        other: &KeyBuf,
        seen: &Seen,
    ) -> Result<Checked> {
        let (btree, p) = (self.btree, key.k.p);
        let is_equal = key.value() == other.value();
        // The first one is the one at the wrong place; unless only that leads to something.
        let keep_both = !is_equal && btree == BtreeId::DIRENTS;
        let (this, that) = match keep_both {
            true => (has_target(files, key)?, has_target(files, other)?),
            false => (false, true),
        };
        let id = FsckError::HASH_TABLE_KEY_DUPLICATE;
        if !files.found(
            id,
            format_args!(
                "btree {btree} {p}: there is another key of that name, at {}",
                other.k.p
            ),
        )? {
            return Ok(Checked::Kept);
        }
        match (this, that) {
            (true, true) => self.rename(files, key, seen),
            (true, false) => self.delete(files, other).map(|_| Checked::Kept),
            (false, _) => self.delete(files, key).map(|_| Checked::Gone),
        }
    }

    /// Deletes a key.
    pub(super) fn delete(&self, files: &Files<'_>, key: &KeyBuf) -> Result<bool> {
        files.repair(|t| {
            let is_there = same(t, self.btree, key)?;
            if is_there {
                self.stage_delete(t, files, key.k.p)?;
            }
            Ok(is_there)
        })
    }

    /// Gives an entry another name; the end of a long one is lost.
    ///
    /// C: `fsck_rename_dirent()`, which refuses long ones.
    #[inline(never)]
    fn rename(&self, files: &Files<'_>, key: &KeyBuf, seen: &Seen) -> Result<Checked> {
        let Ok(Some(d)) = dirent(&key.key()) else {
            return Ok(Checked::Kept);
        };
        let named = self.named(files, key, seen)?;
        let mut value = Vec::from_elem(0, VALUE_BYTES)?;
        for nr in 0..NAMES_MAX {
            let mut end = Name::default();
            end.add(b".fsck_renamed-")?;
            end.add_number(nr.into())?;
            // There has to be room for it.
            let kept = d.name.len().min(NAME_MAX.saturating_sub(end.0.len()));
            let mut name = Name::default();
            name.add(d.name.get(..kept).unwrap_or(d.name))?;
            name.add(&end.0)?;
            let new = Dirent {
                name: &name.0,
                folded: None,
                ..d
            };
            let len = new.encode(&mut value).ok_or(Error::Overflow)?;
            let new = KeyBuf::of(key.k, value.get(..len).unwrap_or(&value))?;
            let mut place = None;
            let done = files.repair(|t| {
                place = None;
                if !same(t, self.btree, key)? {
                    return Ok(false);
                }
                place = self.stage_put(t, files, &new)?;
                let Some(offset) = place else {
                    return Ok(false);
                };
                self.stage_delete(t, files, key.k.p)?;
                stage_names(t, &named, offset)?;
                Ok(true)
            })?;
            if let Some(offset) = place.filter(|_| done) {
                return moved(&new, offset);
            }
        }
        Ok(Checked::Kept)
    }
}

/// The key is at `offset` now.
fn moved(key: &KeyBuf, offset: u64) -> Result<Checked> {
    let p = Bpos::new(key.k.p.inode, offset, key.k.p.snapshot);
    let k = Bkey { p, ..key.k };
    KeyBuf::of(k, key.key().v).map(Checked::Moved)
}

/// Has inodes say that their name is at `offset`.
fn stage_names(t: &mut Trans<'_>, named: &[Inode], offset: u64) -> TransResult {
    for inode in named {
        let dir_offset = offset;
        inode_put(
            t,
            &Inode {
                dir_offset,
                ..*inode
            },
        )?;
    }
    Ok(())
}

/// C: `dirent_has_target()`.
fn has_target(files: &Files<'_>, key: &KeyBuf) -> Result<bool> {
    let Ok(Some(d)) = dirent(&key.key()) else {
        return Ok(false);
    };
    match d.target {
        Target::Subvol { child, .. } => Ok(files.view.subvolume(child).is_ok()),
        Target::Inode(inum) => {
            let pos = Bpos::new(0, inum, key.k.p.snapshot);
            let found = files.view.lookup(BtreeId::INODES, pos)?;
            Ok(found.is_some_and(|f| Inode::decode(&f.key()).is_ok_and(|i| i.is_some())))
        }
    }
}

/// A name in the making.
#[derive(Default)]
pub(super) struct Name(pub(super) Vec<u8>);

impl Name {
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result {
        self.0.extend_from_slice(bytes)
    }

    /// In decimal.
    pub(super) fn add_number(&mut self, mut nr: u64) -> Result {
        let at = self.0.len();
        loop {
            let [digit, ..] = (nr % 10).to_le_bytes();
            self.0.insert(at, b'0'.saturating_add(digit))?;
            nr /= 10;
            if nr == 0 {
                return Ok(());
            }
        }
    }
}

/// The entry of a directory that leads to `target`.
pub(super) fn entry(
    (dir, snapshot): (u64, u32),
    name: &[u8],
    (target, file_type): (Target, FileType),
) -> Result<KeyBuf> {
    let new = Dirent {
        target,
        file_type,
        name,
        folded: None,
    };
    let mut value = Vec::from_elem(0, VALUE_BYTES)?;
    let len = new.encode(&mut value).ok_or(Error::Overflow)?;
    let k = Bkey {
        key_type: KeyType::DIRENT,
        p: Bpos::new(dir, 0, snapshot),
        ..Bkey::default()
    };
    KeyBuf::of(k, value.get(..len).unwrap_or(&value))
}
