// SPDX-License-Identifier: GPL-2.0

//! Extended attributes, by namespace and name without prefix.

use super::{
    dirent::hash_info,
    probe::{
        probe,
        Probed, //
    },
    SubvolInum,
};
use crate::{
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
        values::{
            inode::Inode,
            xattr::{
                Xattr,
                XattrType, //
            },
        },
    },
    sb::Lost,
    snapshots::View,
};

fn decode<'a>(view: &View, at: SubvolInum, key: &Key<'a>) -> Option<Xattr<'a>> {
    if key.k.key_type == KeyType::ERROR {
        // What is wrong with it was reported when it was read.
        view.sb().lost(Lost::Xattr);
        return None;
    }
    let decoded = Xattr::decode(key.v);
    decoded
        .inspect_err(|invalid| {
            pr_err!("{at}: attribute (btree xattrs, {}): {invalid}", key.k.p);
            view.sb().errors.count(invalid.id);
            view.sb().lost(Lost::Xattr);
        })
        .ok()
}

/// Finds an attribute and calls `found` with its contents. `None` when there is none of that name.
fn with<T>(
    view: &View,
    at: SubvolInum,
    inode: &Inode,
    namespace: XattrType,
    name: &[u8],
    mut found: impl FnMut(&[u8]) -> Result<T>,
) -> Result<Option<T>> {
    let hash = hash_info(at, inode)?.xattr(namespace, name);
    let mut unreadable = false;
    let check = |key: Key<'_>| match decode(view, at, &key) {
        Some(x) if x.xattr_type == namespace && x.name == name => Probed::Found(found(x.value)),
        Some(_) => Probed::Other,
        None => {
            unreadable = true;
            Probed::Other
        }
    };
    match probe(view, BtreeId::XATTRS, KeyType::XATTR, at, hash, check)? {
        Some(result) => result.map(Some),
        // It could have been the one that can not be read.
        None if unreadable => Err(Error::XattrInvalid),
        None => Ok(None),
    }
}

/// Reads an attribute of an inode: copies it to the start of `buf` and returns its length. An
/// empty `buf` only asks for the length.
///
/// Errors: [`Error::XattrNotFound`], [`Error::XattrBufferTooSmall`].
///
/// C: `bch2_xattr_get_trans()`.
pub fn get(
    view: &View,
    at: SubvolInum,
    inode: &Inode,
    namespace: XattrType,
    name: &[u8],
    buf: &mut [u8],
) -> Result<usize> {
    let copied = with(view, at, inode, namespace, name, |value| {
        if buf.is_empty() {
            return Ok(value.len());
        }
        let Some(out) = buf.get_mut(..value.len()) else {
            return Err(Error::XattrBufferTooSmall);
        };
        for (to, from) in out.iter_mut().zip(value) {
            *to = *from;
        }
        Ok(value.len())
    })?;
    copied.ok_or(Error::XattrNotFound)
}

/// Reads an attribute of an inode to memory of its own; `None` when there is none.
pub fn get_vec(
    view: &View,
    at: SubvolInum,
    inode: &Inode,
    namespace: XattrType,
    name: &[u8],
) -> Result<Option<Vec<u8>>> {
    with(view, at, inode, namespace, name, |value| {
        let mut out = Vec::new();
        out.extend_from_slice(value)?;
        Ok(out)
    })
}

/// Calls `each` with every attribute of an inode, until it returns an error. Attributes of an
/// unknown namespace are left out, as nobody could name them.
///
/// C: `bch2_xattr_list()`.
pub fn list(view: &View, at: SubvolInum, mut each: impl FnMut(&Xattr<'_>) -> Result) -> Result {
    let snapshot = at.snapshot(view)?;
    let start = Bpos::new(at.inum, 0, snapshot);
    let end = Bpos::new(at.inum, u64::MAX, u32::MAX);
    let mut keys = view.range(BtreeId::XATTRS, start, end, snapshot);
    while let Some(key) = keys.next()? {
        if key.k.p.inode != at.inum {
            break;
        }
        if key.k.key_type != KeyType::XATTR && key.k.key_type != KeyType::ERROR {
            continue;
        }
        let x = decode(view, at, &key).filter(|x| x.xattr_type.prefix().is_some());
        if let Some(x) = x {
            each(&x)?;
        }
    }
    Ok(())
}
