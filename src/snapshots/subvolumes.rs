// SPDX-License-Identifier: GPL-2.0

//! The subvolumes in memory: every operation on a file starts at one.

use super::{
    grow::Grow,
    table::Table, //
};
use crate::{
    btree::Btrees,
    env::{
        pr_err,
        Vec, //
    },
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        bkey::Key,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::subvolume::{
            SubvolState,
            Subvolume, //
        },
    },
    sb::{
        ErrorCounts,
        Lost, //
    },
    sys::sync::atomic::{
        AtomicBool,
        AtomicU32,
        Ordering, //
    },
};

/// A subvolume, or why it can not be used.
type Known = Result<Subvolume>;

/// A subvolume in memory.
#[derive(Debug)]
struct Entry {
    id: u32,
    /// As it was when it was read, or made.
    known: Known,
    /// The snapshot it is at now.
    snapshot: AtomicU32,
    /// How far it is on its way to being deleted.
    state: AtomicU32,
    /// Inodes of it that are in use.
    users: AtomicU32,
}

/// Values of [`Entry::state`].
const LIVE: u32 = 0;
const UNLINKED: u32 = 1;
const GONE: u32 = 2;

/// All subvolumes, by id. Those that are made are added; those that are deleted stay, so that no
/// lock is needed, and their ids are not used again before the next mount.
#[derive(Debug)]
pub(super) struct Subvolumes {
    by_id: Grow<Entry>,
    /// How many have no name any more, and are not deleted yet.
    unlinked: AtomicU32,
    /// There were such.
    removed: AtomicBool,
}

impl Entry {
    fn new(id: u32, known: Known) -> Self {
        let is_unlinked = known.is_ok_and(|s| s.state != SubvolState::Live);
        Self {
            id,
            snapshot: AtomicU32::new(known.map_or(0, |s| s.snapshot)),
            state: AtomicU32::new(if is_unlinked { UNLINKED } else { LIVE }),
            users: AtomicU32::new(0),
            known,
        }
    }

    /// `None` when it is deleted.
    fn now(&self) -> Option<Known> {
        let state = match self.state.load(Ordering::Acquire) {
            LIVE => SubvolState::Live,
            UNLINKED => SubvolState::Unlinked,
            _ => return None,
        };
        let snapshot = self.snapshot.load(Ordering::Acquire);
        Some(self.known.map(|known| Subvolume {
            snapshot,
            state,
            ..known
        }))
    }
}

impl Subvolumes {
    /// Reads all subvolumes; those that can not be used are reported once, here.
    pub(super) fn read(btrees: &Btrees, table: &Table) -> Result<Self> {
        let (mut by_id, mut unlinked) = (Vec::new(), 0u32);
        let mut iter = btrees.iter(BtreeId::SUBVOLUMES, 0, Bpos::MIN);
        while let Some(key) = iter.next()? {
            match u32::try_from(key.k.p.offset) {
                Ok(id) if key.k.key_type == KeyType::SUBVOLUME => {
                    if let Some(known) = check(&btrees.sb().errors, &key, id, table) {
                        if known.is_err() {
                            btrees.sb().lost(Lost::Subvolume);
                        }
                        let entry = Entry::new(id, known);
                        if entry.state.load(Ordering::Relaxed) == UNLINKED {
                            unlinked = unlinked.saturating_add(1);
                        }
                        by_id.push(entry)?;
                    }
                }
                // What is wrong with it was reported when it was read.
                Ok(id) if key.k.key_type == KeyType::ERROR => {
                    btrees.sb().lost(Lost::Subvolume);
                    by_id.push(Entry::new(id, Err(Error::SubvolumeLost)))?;
                }
                _ => pr_err!("subvolumes: key {} is no subvolume", key.k),
            }
        }
        Ok(Self {
            by_id: Grow::try_new(by_id)?,
            unlinked: AtomicU32::new(unlinked),
            removed: AtomicBool::new(unlinked != 0),
        })
    }

    fn find(&self, id: u32) -> Option<&Entry> {
        let at = self.by_id.partition_point(|s| s.id < id);
        self.by_id.get(at).filter(|s| s.id == id)
    }

    /// The subvolume with this id.
    #[inline]
    pub(super) fn get(&self, id: u32) -> Result<Subvolume> {
        match self.find(id).and_then(Entry::now) {
            Some(known) => known,
            None => Err(Error::SubvolumeNotFound),
        }
    }

    /// The highest id there is, or was since the mount.
    pub(super) fn last(&self) -> u32 {
        self.by_id.iter().next_back().map_or(0, |s| s.id)
    }

    /// All that can be used.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Subvolume)> + '_ {
        let all = self.by_id.iter();
        all.filter_map(|s| Some((s.id, s.now()?.ok()?)))
    }

    /// Makes room for one more.
    pub(super) fn reserve(&self) -> Result {
        self.by_id.reserve(1)
    }

    /// Adds one that was made, with an id above all others. There is room for it, and nobody else
    /// is adding one.
    pub(super) fn insert(&self, id: u32, subvol: Subvolume) -> Result {
        self.by_id.push(Entry::new(id, Ok(subvol)))
    }

    /// The subvolume is at another snapshot now.
    pub(super) fn goes_on(&self, id: u32, snapshot: u32) {
        if let Some(entry) = self.find(id) {
            entry.snapshot.store(snapshot, Ordering::Release);
        }
    }

    /// The subvolume has no name any more.
    pub(super) fn unlink(&self, id: u32) {
        let Some(entry) = self.find(id) else {
            return;
        };
        let to = entry
            .state
            .compare_exchange(LIVE, UNLINKED, Ordering::AcqRel, Ordering::Relaxed);
        if to.is_ok() {
            self.unlinked.fetch_add(1, Ordering::AcqRel);
            self.removed.store(true, Ordering::Release);
        }
    }

    /// Whether any has lost its name since the mount, or before.
    #[inline]
    pub(super) fn has_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Whether the subvolume has no name any more, or is deleted.
    pub(super) fn is_removed(&self, id: u32) -> bool {
        let entry = self.find(id);
        entry.is_some_and(|s| s.state.load(Ordering::Acquire) != LIVE)
    }

    /// One that has no name, and of which no inode is in use.
    pub(super) fn unused(&self) -> Option<u32> {
        if self.unlinked.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut all = self.by_id.iter();
        let unused = all.find(|s| {
            s.state.load(Ordering::Acquire) == UNLINKED && s.users.load(Ordering::Acquire) == 0
        });
        unused.map(|s| s.id)
    }

    /// The subvolume is deleted.
    pub(super) fn end(&self, id: u32) {
        if let Some(entry) = self.find(id) {
            if entry.state.swap(GONE, Ordering::AcqRel) == UNLINKED {
                self.unlinked.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    /// An inode of the subvolume is in use from now on; or no more.
    pub(super) fn count_user(&self, id: u32, is_used: bool) {
        if let Some(entry) = self.find(id) {
            match is_used {
                true => entry.users.fetch_add(1, Ordering::AcqRel),
                false => entry.users.fetch_sub(1, Ordering::AcqRel),
            };
        }
    }
}

/// What is known of a subvolume. `None` when it is deleted: what is left of it says so to whoever
/// removes its contents, and is nobody else's business.
///
/// C: `bch2_subvolume_get_key_inlined()`.
fn check(errors: &ErrorCounts, key: &Key<'_>, id: u32, table: &Table) -> Option<Known> {
    let subvol = match Subvolume::decode(key.v) {
        Ok(subvol) if subvol.state == SubvolState::Deleted => return None,
        Ok(subvol) => subvol,
        Err(invalid) => {
            pr_err!("subvolume {id} (btree subvolumes, {}): {invalid}", key.k.p);
            errors.count(invalid.id);
            return Some(Err(Error::SubvolumeInvalid));
        }
    };
    if !table.is_whole(subvol.snapshot) {
        pr_err!(
            "subvolume {id} (btree subvolumes, {}): its snapshot {}, or one that it comes from, does \
             not exist",
            key.k.p,
            subvol.snapshot
        );
        errors.count(FsckError::SUBVOL_SNAPSHOT_BAD);
        return Some(Err(Error::SubvolumeSnapshotMissing));
    }
    Some(Ok(subvol))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::bkey::Bkey;

    /// `struct bch_subvolume`: flags, snapshot, inode, two parents, creation time, state.
    fn value(flags: u32, state: u32) -> [u8; 48] {
        let mut v = [0; 48];
        v[..4].copy_from_slice(&flags.to_le_bytes());
        v[4..8].copy_from_slice(&77u32.to_le_bytes());
        v[8..16].copy_from_slice(&4096u64.to_le_bytes());
        v[40..44].copy_from_slice(&state.to_le_bytes());
        v
    }

    fn checked(v: &[u8]) -> Option<Error> {
        let k = Bkey {
            key_type: KeyType::SUBVOLUME,
            ..Bkey::default()
        };
        let (errors, key) = (ErrorCounts::none(), Key { k, v });
        check(&errors, &key, 5, &Table::try_new().unwrap()).map(|known| known.unwrap_err())
    }

    #[test]
    fn deleted_subvolumes_do_not_exist() {
        // The others miss their snapshot here, which is worth a message.
        let missing = Some(Error::SubvolumeSnapshotMissing);
        assert_eq!(checked(&value(0, 0x3c6b_2d4c)), None);
        assert_eq!(checked(&value(4, 0x3c6b_2d4c)), None);
        assert_eq!(checked(&value(4, 0x2d35_8e8f)), missing, "unlinked");
        assert_eq!(checked(&value(4, 0)), missing, "unlinked, before 1.39");
        assert_eq!(checked(&value(0, 0)), missing);
        // The value as it was up to 1.4: 32 bytes, and 16 at the very first.
        assert_eq!(checked(&value(0, 0)[..32]), missing);
        assert_eq!(checked(&value(0, 0)[..16]), missing);
        assert_eq!(checked(&value(0, 0)[..8]), Some(Error::SubvolumeInvalid));
    }
}
