// SPDX-License-Identifier: GPL-2.0

//! The options of an inode: user space sees those set on the inode itself as attributes
//! `bcachefs.*`, and those in effect, inherited ones too, as `bcachefs_effective.*`.

use crate::{
    env::units::DevIdx,
    format::{
        opts::{
            table::{
                self,
                Kind,
                INODE, //
            },
            text::write_value,
        },
        sb::groups::Target,
        values::inode::{
            Inode,
            INODE_OPTIONS, //
        },
    },
    sb::SbState,
};
use core::fmt;

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

/// Whether there is an option of inodes with this name.
pub fn is_known(name: &[u8]) -> bool {
    table::options().any(|o| o.is(INODE) && o.name.as_bytes() == name)
}

impl InodeOption {
    /// Writes the value as user space gets it: numbers, names of choices, labels, devices.
    ///
    /// C: `__bch2_xattr_bcachefs_get()`, `bch2_target_to_text()`.
    pub fn write(&self, st: &SbState, to: &mut dyn fmt::Write) -> fmt::Result {
        let Some(info) = table::lookup(self.name) else {
            return write!(to, "{}", self.value);
        };
        match (info.kind, Target::decode(self.value)) {
            (Kind::Target, Target::Device(dev)) => match st.dev(DevIdx(dev)) {
                Some(there) => write!(to, "/dev/{}", there.bdev.name()),
                None if st.sb.member(dev).is_some() => write!(to, "offline device {dev}"),
                None => write!(to, "invalid device {dev}"),
            },
            _ => write_value(Some(&st.sb), info, self.value, to),
        }
    }
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
        assert!(is_known(b"project") && is_known(b"nocow"));
        assert!(!is_known(b"fsck") && !is_known(b""));
    }
}
