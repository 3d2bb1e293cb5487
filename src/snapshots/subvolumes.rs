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
        Error,
        Result, //
    },
    format::{
        bkey::Key,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::subvolume::Subvolume, //
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
                    by_id.push((id, check(&key, id, table)))?;
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

fn check(key: &Key<'_>, id: u32, table: &Table) -> Known {
    let subvol = Subvolume::decode(key.v).map_err(|invalid| {
        pr_err!("subvolume {id}: {invalid}");
        Error::SubvolumeInvalid
    })?;
    if !table.contains(subvol.snapshot) {
        pr_err!(
            "subvolume {id}: its snapshot {} does not exist",
            subvol.snapshot
        );
        return Err(Error::SubvolumeSnapshotMissing);
    }
    Ok(subvol)
}
