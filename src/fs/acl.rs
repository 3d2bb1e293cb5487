// SPDX-License-Identifier: GPL-2.0

//! Access control lists: stored as extended attributes without a name.

use super::{
    xattr,
    SubvolInum, //
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
    format::values::{
        inode::Inode,
        xattr::XattrType, //
    },
    snapshots::View,
};

/// The version at the start of a stored list. C: `BCH_ACL_VERSION`.
const STORED_VERSION: [u8; 4] = 1u32.to_le_bytes();
/// The version at the start of what user space gets. C: `POSIX_ACL_XATTR_VERSION`.
const XATTR_VERSION: [u8; 4] = 2u32.to_le_bytes();
/// The id of an entry that needs none. C: `ACL_UNDEFINED_ID`.
pub const NO_ID: u32 = u32::MAX;

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who may do what.
    Access,
    /// What new files in the directory start with.
    Default,
}

impl Kind {
    /// The attribute it is stored as.
    pub const fn xattr_type(self) -> XattrType {
        match self {
            Kind::Access => XattrType::ACL_ACCESS,
            Kind::Default => XattrType::ACL_DEFAULT,
        }
    }
}

/// Whom an entry is about.
///
/// C: `ACL_USER_OBJ` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// The owner.
    UserObj,
    /// A user.
    User,
    /// The group.
    GroupObj,
    /// Another group.
    Group,
    /// The most that any user or group other than the owner can have.
    Mask,
    /// Everyone else.
    Other,
}

impl Tag {
    /// The tag with this number, the same on disk, in user space and in the VFS.
    pub const fn from_number(nr: u16) -> Option<Self> {
        Some(match nr {
            0x01 => Tag::UserObj,
            0x02 => Tag::User,
            0x04 => Tag::GroupObj,
            0x08 => Tag::Group,
            0x10 => Tag::Mask,
            0x20 => Tag::Other,
            _ => return None,
        })
    }

    /// Its number.
    pub const fn number(self) -> u16 {
        match self {
            Tag::UserObj => 0x01,
            Tag::User => 0x02,
            Tag::GroupObj => 0x04,
            Tag::Group => 0x08,
            Tag::Mask => 0x10,
            Tag::Other => 0x20,
        }
    }

    /// Whether entries of this kind name a user or group.
    pub const fn has_id(self) -> bool {
        matches!(self, Tag::User | Tag::Group)
    }
}

/// One entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclEntry {
    /// Whom it is about.
    pub tag: Tag,
    /// What is allowed: read 4, write 2, execute 1.
    pub perm: u16,
    /// The user or group; [`NO_ID`] where the tag says enough.
    pub id: u32,
}

/// Takes the first entry off the front of `bytes`.
fn split_entry(bytes: &[u8]) -> Option<(AclEntry, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    let [tag_lo, tag_hi, perm_lo, perm_hi] = *head;
    let tag = Tag::from_number(u16::from_le_bytes([tag_lo, tag_hi]))?;
    let perm = u16::from_le_bytes([perm_lo, perm_hi]);
    if !tag.has_id() {
        let id = NO_ID;
        return Some((AclEntry { tag, perm, id }, rest));
    }
    let (id, rest) = rest.split_first_chunk::<4>()?;
    let id = u32::from_le_bytes(*id);
    Some((AclEntry { tag, perm, id }, rest))
}

/// Decodes a list as stored. `Ok(None)` when it is malformed.
///
/// C: `bch2_acl_from_disk()`.
pub fn decode(stored: &[u8]) -> Result<Option<Vec<AclEntry>>> {
    let Some((version, mut rest)) = stored.split_first_chunk::<4>() else {
        return Ok(None);
    };
    if *version != STORED_VERSION {
        return Ok(None);
    }
    let mut entries = Vec::with_capacity(rest.len() >> 2)?;
    while !rest.is_empty() {
        let Some((entry, after)) = split_entry(rest) else {
            return Ok(None);
        };
        entries.push(entry)?;
        rest = after;
    }
    Ok(Some(entries))
}

/// A list as it is stored.
///
/// C: `bch2_acl_to_xattr()`.
pub fn encode(entries: &[AclEntry]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(entries.len().saturating_mul(8).saturating_add(4))?;
    out.extend_from_slice(&STORED_VERSION)?;
    for e in entries {
        out.extend_from_slice(&e.tag.number().to_le_bytes())?;
        out.extend_from_slice(&e.perm.to_le_bytes())?;
        if e.tag.has_id() {
            out.extend_from_slice(&e.id.to_le_bytes())?;
        }
    }
    Ok(out)
}

/// A list in the form that user space gets and sets it in.
///
/// C: `struct posix_acl_xattr_header` and `struct posix_acl_xattr_entry`.
pub fn to_xattr(entries: &[AclEntry]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(entries.len().saturating_mul(8).saturating_add(4))?;
    out.extend_from_slice(&XATTR_VERSION)?;
    for e in entries {
        out.extend_from_slice(&e.tag.number().to_le_bytes())?;
        out.extend_from_slice(&e.perm.to_le_bytes())?;
        out.extend_from_slice(&e.id.to_le_bytes())?;
    }
    Ok(out)
}

/// Reads a list of an inode; `None` when it has none, or an empty one.
///
/// C: `bch2_get_acl()`.
pub fn get(
    view: &View,
    at: SubvolInum,
    inode: &Inode,
    kind: Kind,
) -> Result<Option<Vec<AclEntry>>> {
    let Some(stored) = xattr::get_vec(view, at, inode, kind.xattr_type(), b"")? else {
        return Ok(None);
    };
    match decode(&stored)? {
        Some(entries) => Ok(Some(entries).filter(|e| !e.is_empty())),
        None => {
            pr_err!("{at}: malformed {kind:?} ACL of {} bytes", stored.len());
            Err(Error::AclInvalid)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: [u8; 28] = [
        1, 0, 0, 0, // version
        1, 0, 6, 0, // owner
        2, 0, 4, 0, 0xe8, 3, 0, 0, // user 1000
        4, 0, 5, 0, // group
        16, 0, 7, 0, // mask
        32, 0, 1, 0, // other
    ];

    #[test]
    fn stored_lists() {
        let entries = decode(&STORED).unwrap().unwrap();
        let tags: std::vec::Vec<_> = entries.iter().map(|e| (e.tag, e.perm, e.id)).collect();
        assert_eq!(
            tags,
            [
                (Tag::UserObj, 6, NO_ID),
                (Tag::User, 4, 1000),
                (Tag::GroupObj, 5, NO_ID),
                (Tag::Mask, 7, NO_ID),
                (Tag::Other, 1, NO_ID),
            ]
        );
        assert_eq!(encode(&entries).unwrap().as_ref() as &[u8], STORED);
        let shown = to_xattr(&entries).unwrap();
        assert_eq!(shown.len(), 4 + 5 * 8);
        assert_eq!(shown[..4], XATTR_VERSION);
        assert_eq!(shown[12..20], [2, 0, 4, 0, 0xe8, 3, 0, 0]);
    }

    #[test]
    fn malformed_lists_are_refused() {
        for len in 0..STORED.len() {
            let whole = [4, 8, 16, 20, 24].contains(&len);
            assert_eq!(decode(&STORED[..len]).unwrap().is_some(), whole, "{len}");
        }
        let mut bad = STORED;
        bad[0] = 2;
        assert!(decode(&bad).unwrap().is_none());
        bad[0] = 1;
        bad[4] = 3;
        assert!(decode(&bad).unwrap().is_none());
    }
}
