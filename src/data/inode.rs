// SPDX-License-Identifier: GPL-2.0

//! Inodes in transactions: file contents and names both change them.

use super::FileId;
use crate::{
    btree::{
        trans::{
            Hooks,
            Trans,
            TransResult, //
        },
        KeyBuf, //
    },
    env::pr_err,
    error::{
        Error,
        Invalid,
        Result, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::inode::Inode, //
    },
    sb::Lost,
    snapshots::{
        lookup_visible,
        View, //
    },
};

/// The inode of `file` with what the transaction has staged, as one of the file's own snapshot,
/// whichever its key is of. It stays as it is until the commit.
///
/// C: `bch2_inode_peek()`.
pub fn inode_get<H: Hooks>(t: &mut Trans<'_, H>, view: &View, file: FileId) -> TransResult<Inode> {
    let FileId { inum, snapshot } = file;
    let pos = Bpos::new(0, inum, snapshot);
    let key = lookup_visible(t, &view.table, BtreeId::INODES, pos)?;
    let found = key.as_ref().map(KeyBuf::key);
    let decoded = found.map_or(Ok(None), |k| Inode::decode(&k));
    let inode = known(view, decoded, |invalid| {
        pr_err!("inode {inum} of snapshot {snapshot}: {invalid}");
    })?;
    Ok(Inode { snapshot, ..inode })
}

/// Stages an inode, for its snapshot. The number of the journal entry is written into it at
/// commit.
///
/// C: `bch2_inode_write()`.
pub fn inode_put<H: Hooks>(t: &mut Trans<'_, H>, inode: &Inode) -> TransResult {
    t.update(BtreeId::INODES, inode_key(inode)?)
}

/// The key of an inode.
///
/// C: `bch2_inode_pack()`.
pub fn inode_key(inode: &Inode) -> Result<KeyBuf> {
    let k = Bkey {
        key_type: KeyType::INODE_V3,
        p: Bpos::new(0, inode.inum, inode.snapshot),
        ..Bkey::default()
    };
    KeyBuf::of(k, inode.encode().as_bytes())
}

/// The inode that decoding a key gave. `report` is told what is wrong with it.
pub fn known(
    view: &View,
    decoded: Result<Option<Inode>, Invalid>,
    report: impl FnOnce(Invalid),
) -> Result<Inode> {
    match decoded {
        Ok(Some(inode)) => Ok(inode),
        // Nothing, or what remains of a deleted inode.
        Ok(None) => Err(Error::InodeNotFound),
        Err(invalid) => {
            report(invalid);
            view.sb().lost(Lost::Inode);
            Err(Error::InodeInvalid)
        }
    }
}
