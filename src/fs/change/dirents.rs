// SPDX-License-Identifier: GPL-2.0

//! The entries of a directory.

use super::{
    hash::{
        Hashed,
        Slot, //
    },
    At,
    Changes, //
};
use crate::{
    algo::str_hash::{
        HashInfo,
        FIRST_DIRENT_OFFSET, //
    },
    alloc::space::Trans,
    btree::trans::TransResult,
    env::pr_err,
    error::{
        Error,
        Invalid, //
    },
    format::{
        bkey::Key,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            dirent::{
                Dirent,
                FileType,
                Target,
                NAME_MAX, //
            },
            inode::Inode,
        },
    },
    fs::{
        dirent::{
            hash_info,
            target_of, //
        },
        folds_case,
        probe::Probed,
        SubvolInum, //
    },
    snapshots::next_visible,
};

/// Bytes of the longest entry.
const BYTES_MAX: usize = (9 + NAME_MAX).next_multiple_of(8);

/// A directory that is changed.
pub(super) struct Dir<'a> {
    keys: Hashed<'a>,
    hash: HashInfo,
    changes: &'a Changes<'a>,
}

/// An entry that was found.
pub(super) struct Entry {
    /// Where it is.
    pub(super) pos: Bpos,
    pub(super) target: Target,
    pub(super) file_type: FileType,
    /// What it leads to.
    pub(super) leads_to: SubvolInum,
}

/// What is known of a name in a directory.
pub(super) enum Name {
    Taken(Entry),
    Free(u64),
}

impl<'a> Dir<'a> {
    /// The directory `at`, whose inode is given.
    pub(super) fn of(changes: &'a Changes<'a>, at: At, inode: &Inode) -> TransResult<Self> {
        if folds_case(changes.view.sb(), inode) {
            return Err(Error::CasefoldWriteUnsupported.into());
        }
        Ok(Self {
            keys: Hashed {
                table: &changes.view.table,
                btree: BtreeId::DIRENTS,
                key_type: KeyType::DIRENT,
                at,
            },
            hash: hash_info(at.id, inode)?,
            changes,
        })
    }

    /// The offset at which `name` is looked for first.
    pub(super) fn hash_of(&self, name: &[u8]) -> u64 {
        self.hash.dirent(name)
    }

    fn decode<'k>(&self, key: &Key<'k>) -> TransResult<Dirent<'k>> {
        Ok(Dirent::decode(key.v).map_err(|invalid: Invalid| {
            let at = self.keys.at.id;
            pr_err!("{at}: entry (btree dirents, {}): {invalid}", key.k.p);
            self.changes.view.sb().errors.count(invalid.id);
            Error::DirentToChangeInvalid
        })?)
    }

    /// Looks up `name`.
    ///
    /// C: `bch2_dirent_lookup_trans()`.
    pub(super) fn find(&self, t: &mut Trans<'_>, name: &[u8]) -> TransResult<Name> {
        let subvol = self.keys.at.id.subvol;
        let slot = self.keys.find(t, self.hash_of(name), |key| {
            let d = self.decode(key)?;
            Ok(match d.lookup_name() == name {
                _ if !d.visible_in(subvol) => Probed::Hole,
                true => Probed::Found(()),
                false => Probed::Other,
            })
        })?;
        Ok(match slot {
            Slot::Free(offset) => Name::Free(offset),
            Slot::Taken(key) => {
                let d = self.decode(&key.key())?;
                Name::Taken(Entry {
                    pos: key.k.p,
                    target: d.target,
                    file_type: d.file_type,
                    leads_to: target_of(self.changes.view, self.keys.at.id, d.target)?,
                })
            }
        })
    }

    /// The entry `name`, which has to be there.
    pub(super) fn get(&self, t: &mut Trans<'_>, name: &[u8]) -> TransResult<Entry> {
        match self.find(t, name)? {
            Name::Taken(entry) => Ok(entry),
            Name::Free(_) => Err(Error::DirentNotFound.into()),
        }
    }

    /// The offset for a new entry `name`. [`Error::DirentExists`] when there is one.
    pub(super) fn free(&self, t: &mut Trans<'_>, name: &[u8]) -> TransResult<u64> {
        if name.len() > NAME_MAX {
            return Err(Error::NameTooLong.into());
        }
        match self.find(t, name)? {
            Name::Free(offset) => Ok(offset),
            Name::Taken(_) => Err(Error::DirentExists.into()),
        }
    }

    /// Stages an entry at `offset`, which was found for its name.
    ///
    /// C: `bch2_dirent_create()`.
    pub(super) fn put(
        &self,
        t: &mut Trans<'_>,
        offset: u64,
        name: &[u8],
        (target, file_type): (Target, FileType),
    ) -> TransResult {
        let target = match target {
            Target::Subvol { child, .. } => Target::Subvol {
                child,
                parent: self.keys.at.id.subvol,
            },
            inode => inode,
        };
        let dirent = Dirent {
            target,
            file_type,
            name,
            folded: None,
        };
        let mut value = [0; BYTES_MAX];
        let len = dirent.encode(&mut value).ok_or(Error::Overflow)?;
        self.keys.put(t, offset, value.get(..len).unwrap_or(&value))
    }

    /// Whether others are only found because of the entry at `offset`.
    pub(super) fn leads_on(&self, t: &mut Trans<'_>, offset: u64) -> TransResult<bool> {
        self.keys.leads_on(t, offset, |key| {
            let d = self.decode(key)?;
            Ok(self.hash_of(d.lookup_name()))
        })
    }

    /// Removes the entry at `offset`.
    pub(super) fn delete(&self, t: &mut Trans<'_>, offset: u64, leads_on: bool) -> TransResult {
        self.keys.delete(t, offset, leads_on)
    }

    /// Removes the entry at `pos` altogether when it belongs to a snapshot above: of those that
    /// lead to subvolumes, there is one at most.
    pub(super) fn delete_above(&self, t: &mut Trans<'_>, entry: &Entry) -> TransResult {
        let is_above = entry.pos.snapshot != self.keys.at.snapshot;
        match is_above && entry.file_type == FileType::SUBVOL {
            true => t.delete(BtreeId::DIRENTS, entry.pos),
            false => Ok(()),
        }
    }

    /// Fails with [`Error::DirNotEmpty`] if there is an entry.
    ///
    /// C: `bch2_empty_dir_trans()`.
    pub(super) fn check_empty(&self, t: &mut Trans<'_>) -> TransResult {
        let At { id, snapshot } = self.keys.at;
        let mut from = Bpos::new(id.inum, FIRST_DIRENT_OFFSET, snapshot);
        let end = Bpos::new(id.inum, u64::MAX, u32::MAX);
        let table = self.keys.table;
        while let Some(key) = next_visible(t, table, BtreeId::DIRENTS, from, end)? {
            let is_dirent = key.k.key_type == KeyType::DIRENT;
            if is_dirent && self.decode(&key.key())?.visible_in(id.subvol) {
                return Err(Error::DirNotEmpty.into());
            }
            from = key.k.p.next_offset().with_snapshot(snapshot);
            if from.inode != id.inum {
                break;
            }
        }
        Ok(())
    }
}
