// SPDX-License-Identifier: GPL-2.0

//! Extended attributes and access control lists.

use super::{
    hash::{
        Hashed,
        Slot, //
    },
    At,
    Changes, //
    Nodes,
};
use crate::{
    algo::str_hash::HashInfo,
    alloc::space::Trans,
    btree::trans::{
        Committed,
        TransResult, //
    },
    data::inode::{
        inode_get,
        inode_put, //
    },
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
    fs::{
        acl::{
            self,
            AclEntry,
            Kind, //
        },
        dirent::hash_info,
        probe::Probed,
        SubvolInum, //
    },
};

/// Words of a key with the longest value there can be: their number is a byte.
const VALUE_U64S_MAX: usize = 255 - 5;

/// Whether an attribute has to be there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetMode {
    /// It may or may not.
    Any,
    /// It must not. C: `XATTR_CREATE`.
    Create,
    /// It must. C: `XATTR_REPLACE`.
    Replace,
    /// Both, which is never so.
    Never,
}

/// An attribute of an inode.
struct Attribute<'a> {
    keys: Hashed<'a>,
    hash: HashInfo,
    changes: &'a Changes<'a>,
    space: XattrType,
    name: &'a [u8],
}

impl<'a> Attribute<'a> {
    fn of(
        changes: &'a Changes<'a>,
        at: At,
        inode: &Inode,
        space: XattrType,
        name: &'a [u8],
    ) -> Result<Self> {
        Ok(Self {
            keys: Hashed {
                table: &changes.view.table,
                btree: BtreeId::XATTRS,
                key_type: KeyType::XATTR,
                at,
            },
            hash: hash_info(at.id, inode)?,
            changes,
            space,
            name,
        })
    }

    fn decode<'k>(&self, key: &Key<'k>) -> TransResult<Xattr<'k>> {
        Ok(Xattr::decode(key.v).map_err(|invalid| {
            let at = self.keys.at.id;
            pr_err!("{at}: attribute (btree xattrs, {}): {invalid}", key.k.p);
            self.changes.view.sb().errors.count(invalid.id);
            Error::XattrToChangeInvalid
        })?)
    }

    fn find(&self, t: &mut Trans<'_>) -> TransResult<Slot> {
        let hash = self.hash.xattr(self.space, self.name);
        self.keys.find(t, hash, |key| {
            let x = self.decode(key)?;
            Ok(match x.xattr_type == self.space && x.name == self.name {
                true => Probed::Found(()),
                false => Probed::Other,
            })
        })
    }

    /// Stages a value.
    fn put(&self, t: &mut Trans<'_>, value: &[u8], mode: SetMode) -> TransResult {
        let u64s = Xattr::u64s_for(self.name.len(), value.len());
        if u64s > VALUE_U64S_MAX {
            return Err(Error::XattrTooLong.into());
        }
        let offset = match (self.find(t)?, mode) {
            (Slot::Taken(_), SetMode::Create | SetMode::Never) => {
                return Err(Error::XattrExists.into())
            }
            (Slot::Free(_), SetMode::Replace | SetMode::Never) => {
                return Err(Error::XattrToReplaceMissing.into())
            }
            (Slot::Taken(key), _) => key.k.p.offset,
            (Slot::Free(offset), _) => offset,
        };
        let mut bytes = Vec::from_elem(0u8, u64s.saturating_mul(8))?;
        let xattr = Xattr {
            xattr_type: self.space,
            name: self.name,
            value,
        };
        let len = xattr.encode(&mut bytes).ok_or(Error::Overflow)?;
        self.keys.put(t, offset, bytes.get(..len).unwrap_or(&bytes))
    }

    /// Removes it; says whether it was there.
    fn delete(&self, t: &mut Trans<'_>) -> TransResult<bool> {
        let Slot::Taken(key) = self.find(t)? else {
            return Ok(false);
        };
        let offset = key.k.p.offset;
        let leads_on = self.keys.leads_on(t, offset, |key| {
            let x = self.decode(key)?;
            Ok(self.hash.xattr(x.xattr_type, x.name))
        })?;
        self.keys.delete(t, offset, leads_on)?;
        Ok(true)
    }
}

/// Stages an access control list, or that there is none.
///
/// C: `bch2_set_acl_trans()`.
pub(super) fn put_acl(
    t: &mut Trans<'_>,
    changes: &Changes<'_>,
    at: At,
    inode: &Inode,
    kind: Kind,
    list: Option<&[AclEntry]>,
) -> TransResult {
    if kind == Kind::Default && !inode.is_dir() {
        return match list {
            Some(_) => Err(Error::AclNoDirectory.into()),
            None => Ok(()),
        };
    }
    let attribute = Attribute::of(changes, at, inode, kind.xattr_type(), b"")?;
    match list {
        Some(list) => attribute.put(t, &acl::encode(list)?, SetMode::Any),
        None => attribute.delete(t).map(|_| ()),
    }
}

impl Changes<'_> {
    /// Sets an attribute, or removes it when `value` is `None`. Removing one that is not there is
    /// [`Error::XattrToRemoveMissing`].
    ///
    /// C: `bch2_xattr_set()`.
    pub fn set_xattr(
        &self,
        id: SubvolInum,
        (space, name): (XattrType, &[u8]),
        value: Option<&[u8]>,
        mode: SetMode,
        now: u64,
    ) -> Result<(Inode, Committed)> {
        let nodes = match value {
            Some(_) => Nodes::FromFree,
            None => Nodes::FromReserve,
        };
        self.run(nodes, |t| {
            let at = self.at(id)?;
            let mut inode = inode_get(t, self.view, at.file())?;
            let attribute = Attribute::of(self, at, &inode, space, name)?;
            match value {
                Some(value) => attribute.put(t, value, mode)?,
                None => {
                    if !attribute.delete(t)? {
                        return Err(Error::XattrToRemoveMissing.into());
                    }
                }
            }
            inode.ctime = now;
            inode_put(t, &inode)?;
            Ok(inode)
        })
    }

    /// Sets an access control list, or that there is none, and the permissions to go with it.
    ///
    /// C: `bch2_set_acl()`.
    pub fn set_acl(
        &self,
        id: SubvolInum,
        kind: Kind,
        list: Option<&[AclEntry]>,
        mode: u16,
        now: u64,
    ) -> Result<(Inode, Committed)> {
        self.run(Nodes::FromFree, |t| {
            let at = self.at(id)?;
            let mut inode = inode_get(t, self.view, at.file())?;
            put_acl(t, self, at, &inode, kind, list)?;
            (inode.mode, inode.ctime) = (mode, now);
            inode_put(t, &inode)?;
            Ok(inode)
        })
    }

    /// Changes an inode, and with its permissions what its access control list says of them. The
    /// caller has made the new `list` out of the one it has.
    ///
    /// C: `bch2_setattr_nonsize()`, `bch2_acl_chmod()`.
    pub fn set_attributes(
        &self,
        id: SubvolInum,
        list: Option<&[AclEntry]>,
        mut f: impl FnMut(&mut Inode) -> Result,
    ) -> Result<(Inode, Committed)> {
        self.run(Nodes::FromReserve, |t| {
            let at = self.at(id)?;
            let mut inode = inode_get(t, self.view, at.file())?;
            f(&mut inode)?;
            if list.is_some() {
                put_acl(t, self, at, &inode, Kind::Access, list)?;
            }
            inode_put(t, &inode)?;
            Ok(inode)
        })
    }
}
