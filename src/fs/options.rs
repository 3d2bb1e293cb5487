// SPDX-License-Identifier: GPL-2.0

//! The options of an inode: user space sees those set on the inode itself as attributes
//! `bcachefs.*`, and those in effect, inherited ones too, as `bcachefs_effective.*`.

use crate::format::values::inode::{
    Inode,
    INODE_OPTIONS, //
};

/// An option of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InodeOption {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// Whether it was set on this inode, not inherited.
    pub is_own: bool,
}

/// The values as stored, in the order of [`INODE_OPTIONS`]: plus one, 0 for "not set".
fn stored(inode: &Inode) -> [u64; INODE_OPTIONS.len()] {
    [
        u64::from(inode.data_checksum),
        u64::from(inode.compression),
        u64::from(inode.project),
        u64::from(inode.background_compression),
        u64::from(inode.data_replicas),
        u64::from(inode.promote_target),
        u64::from(inode.foreground_target),
        u64::from(inode.background_target),
        u64::from(inode.erasure_code),
        u64::from(inode.nocow),
        u64::from(inode.inodes_32bit),
        u64::from(inode.casefold),
    ]
}

/// The options that are in effect because of this inode.
///
/// C: `bch2_xattr_list_bcachefs()`.
pub fn options(inode: &Inode) -> impl Iterator<Item = InodeOption> {
    let fields_set = u64::from(inode.fields_set);
    let all = INODE_OPTIONS.iter().zip(stored(inode)).enumerate();
    all.filter_map(move |(nr, (name, stored))| {
        Some(InodeOption {
            name,
            value: stored.checked_sub(1)?,
            is_own: fields_set >> (nr & 63) & 1 != 0,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_set_options_are_shown() {
        let mut inode = Inode {
            casefold: 2,
            compression: 1,
            ..Inode::default()
        };
        inode.fields_set = 1 << 11;
        let shown: std::vec::Vec<_> = options(&inode)
            .map(|o| (o.name, o.value, o.is_own))
            .collect();
        assert_eq!(shown, [("compression", 0, false), ("casefold", 1, true)]);
        assert_eq!(options(&Inode::default()).count(), 0);
    }
}
