// SPDX-License-Identifier: GPL-2.0

//! Options of inodes.

use super::{
    inode::inherit,
    At,
    Changes,
    Nodes, //
};
use crate::{
    alloc::space::Trans,
    btree::{
        trans::{
            Committed,
            TransError,
            TransResult, //
        },
        KeyBuf, //
    },
    data::inode::{
        inode_get,
        inode_put, //
    },
    env::random_u64,
    error::Result,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::inode::Inode, //
    },
    fs::{
        options::OptionNr,
        SubvolInum, //
    },
};

/// Where the btree of what is to be moved has that all of an inode is to be looked at.
///
/// C: `REBALANCE_WORK_SCAN_OFFSET`.
const SCAN_OFFSET: u64 = u64::MAX - 1;

impl Changes<'_> {
    /// Sets an option of an inode; without a value it is inherited again.
    ///
    /// C: `bch2_xattr_bcachefs_set()`.
    pub fn set_option(
        &self,
        id: SubvolInum,
        option: OptionNr,
        value: Option<u64>,
    ) -> Result<(Inode, Committed)> {
        self.run(Nodes::FromFree, |t| {
            let at = self.at(id)?;
            let mut inode = inode_get(t, self.view, at.file())?;
            match value {
                Some(value) => option.set(&mut inode, value)?,
                None => {
                    let above = self.above(t, at, &inode)?;
                    option.inherit(&mut inode, above.as_ref())?;
                }
            }
            inode_put(t, &inode)?;
            if value.is_some() && option.moves_data(&inode) {
                want_scan(t, inode.inum)?;
            }
            Ok(inode)
        })
    }

    /// Options that are not set on the inode itself become those of the directory. `None` when they
    /// are already.
    ///
    /// C: `bch2_ioc_reinherit_attrs()`.
    pub fn reinherit(&self, dir: SubvolInum, id: SubvolInum) -> Result<Option<(Inode, Committed)>> {
        let (changed, when) = self.run(Nodes::FromReserve, |t| {
            let dir = inode_get(t, self.view, self.at(dir)?.file())?;
            let mut inode = inode_get(t, self.view, self.at(id)?.file())?;
            if !inherit(&mut inode, &dir) {
                return Ok(None);
            }
            inode_put(t, &inode)?;
            Ok(Some(inode))
        })?;
        Ok(changed.map(|inode| (inode, when)))
    }

    /// The data of all files is to be looked at by who moves data as options have it.
    ///
    /// C: `bch2_set_fs_needs_rebalance()`.
    pub fn want_scan_of_all(&self) -> Result {
        self.run(Nodes::FromFree, |t| want_scan(t, 0)).map(drop)
    }

    /// The directory that an inode is in, as far as that is known.
    fn above(&self, t: &mut Trans<'_>, at: At, inode: &Inode) -> TransResult<Option<Inode>> {
        if inode.dir == 0 {
            return Ok(None);
        }
        let subvol = match inode.is_subvol_root() {
            true => inode.parent_subvol,
            false => at.id.subvol,
        };
        let id = SubvolInum {
            subvol,
            inum: inode.dir,
        };
        let file = id.file(self.view).map_err(TransError::from);
        match file.and_then(|file| inode_get(t, self.view, file)) {
            Err(TransError::Failed(e)) if e.is_not_found() => Ok(None),
            found => found.map(Some),
        }
    }
}

/// Stages that the data of a file is looked at by who moves data as options have it. The value is
/// another one each time, so that who does so sees when it was asked for once more.
///
/// C: `bch2_set_rebalance_needs_scan()`.
fn want_scan(t: &mut Trans<'_>, inum: u64) -> TransResult {
    let k = Bkey {
        key_type: KeyType::COOKIE,
        p: Bpos::new(inum, SCAN_OFFSET, u32::MAX),
        ..Bkey::default()
    };
    let cookie = random_u64() | 1;
    t.buffer(
        BtreeId::RECONCILE_WORK,
        KeyBuf::of(k, &cookie.to_le_bytes())?,
    )
}
