// SPDX-License-Identifier: GPL-2.0

//! The subvolumes in memory: every operation on a file starts at one.

use super::table::Table;
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
};

/// A subvolume, or why it can not be used.
type Known = Result<Subvolume>;

/// All subvolumes, by id.
#[derive(Debug)]
pub(super) struct Subvolumes {
    by_id: Vec<(u32, Known)>,
}

impl Subvolumes {
    /// Reads all subvolumes; those that can not be used are reported once, here.
    pub(super) fn read(btrees: &Btrees, table: &Table) -> Result<Self> {
        let mut by_id = Vec::new();
        let mut iter = btrees.iter(BtreeId::SUBVOLUMES, 0, Bpos::MIN);
        while let Some(key) = iter.next()? {
            match u32::try_from(key.k.p.offset) {
                Ok(id) if key.k.key_type == KeyType::SUBVOLUME => {
                    if let Some(known) = check(&btrees.sb().errors, &key, id, table) {
                        if known.is_err() {
                            btrees.sb().damage.count(Lost::Subvolume);
                        }
                        by_id.push((id, known))?;
                    }
                }
                // What is wrong with it was reported when it was read.
                Ok(id) if key.k.key_type == KeyType::ERROR => {
                    btrees.sb().damage.count(Lost::Subvolume);
                    by_id.push((id, Err(Error::SubvolumeLost)))?;
                }
                _ => pr_err!("subvolumes: key {} is no subvolume", key.k),
            }
        }
        Ok(Self { by_id })
    }

    /// The subvolume with this id.
    pub(super) fn get(&self, id: u32) -> Result<Subvolume> {
        let at = self.by_id.binary_search_by_key(&id, |s| s.0);
        match at.ok().and_then(|at| self.by_id.get(at)) {
            Some((_, known)) => *known,
            None => Err(Error::SubvolumeNotFound),
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
        check(&errors, &key, 5, &Table::default()).map(|known| known.unwrap_err())
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
