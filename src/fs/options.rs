// SPDX-License-Identifier: GPL-2.0

//! The options of an inode: user space sees those set on the inode itself as attributes
//! `bcachefs.*`, and those in effect, inherited ones too, as `bcachefs_effective.*`.

use crate::{
    env::units::DevIdx,
    error::{
        Error,
        Result, //
    },
    format::{
        opts::{
            table::{
                self,
                Kind,
                INODE, //
            },
            text::write_value,
            OptId,
            OptionInfo, //
        },
        sb::{
            groups::Target,
            Version, //
        },
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

macro_rules! stored {
    ($($name:ident),*) => {
        /// The values as stored, in the order of [`INODE_OPTIONS`]: plus one, 0 for "not set".
        fn stored(inode: &Inode) -> [u64; INODE_OPTIONS.len()] {
            [$(u64::from(inode.$name)),*]
        }

        /// Stores a value.
        fn store(inode: &mut Inode, option: OptionNr, stored: u64) -> Result {
            let mut nr = 0u8;
            $(
                if nr == option.0 {
                    inode.$name = stored.try_into().map_err(|_| Error::Overflow)?;
                }
                nr = nr.wrapping_add(1);
            )*
            let _ = nr;
            Ok(())
        }

        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($name),)*];
    };
}

stored! {
    data_checksum, compression, project, background_compression, data_replicas, promote_target,
    foreground_target, background_target, erasure_code, nocow, inodes_32bit, casefold
}

/// Which option of inodes: its place in [`INODE_OPTIONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionNr(u8);

impl OptionNr {
    /// How many options inodes have in versions before 1.24.
    const FIRST: u8 = 10;

    /// The option of this name, which has to be one that a filesystem of `version` has.
    pub fn of(name: &str, version: Version) -> Result<Self> {
        let nr = (0..).zip(INODE_OPTIONS).find(|(_, n)| *n == name);
        let (nr, _) = nr.ok_or(Error::InodeOptionUnknown)?;
        match nr < Self::FIRST || version >= Version::new(1, 24) {
            true => Ok(Self(nr)),
            false => Err(Error::InodeOptionUnsupported),
        }
    }

    const fn bit(self) -> u16 {
        1 << (self.0 & 15)
    }

    /// The option as all options are described.
    pub fn info(self) -> Option<&'static OptionInfo> {
        table::lookup(INODE_OPTIONS.get(usize::from(self.0))?)
    }

    /// Whether it is the project that an inode counts for.
    pub fn is_project(self) -> bool {
        self.info().is_some_and(|o| o.id == OptId::Project)
    }

    /// Sets it on this inode.
    pub fn set(self, inode: &mut Inode, value: u64) -> Result {
        store(inode, self, value.checked_add(1).ok_or(Error::Overflow)?)?;
        inode.fields_set |= self.bit();
        Ok(())
    }

    /// It is what the directory `above` has, from now on.
    pub fn inherit(self, inode: &mut Inode, above: Option<&Inode>) -> Result {
        let theirs = above.and_then(|dir| stored(dir).get(usize::from(self.0)).copied());
        inode.fields_set &= !self.bit();
        store(inode, self, theirs.unwrap_or(0))
    }

    /// Whether data that is written already is to be changed in the background because of it.
    ///
    /// C: the end of `bch2_xattr_bcachefs_set()`.
    pub fn moves_data(self, inode: &Inode) -> bool {
        match self.info().map(|o| o.id) {
            Some(OptId::BackgroundTarget | OptId::BackgroundCompression) => true,
            Some(OptId::Compression) => inode.background_compression <= 1,
            _ => false,
        }
    }
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
    fn options_are_set_and_inherited() {
        // The bits of `fields_set` are in this order.
        assert_eq!(NAMES, INODE_OPTIONS);
        let old = Version::new(1, 13);
        let mut dir = Inode::default();
        for (nr, name) in INODE_OPTIONS.iter().enumerate().take(10) {
            let option = OptionNr::of(name, old).unwrap();
            assert_eq!(option.info().unwrap().name, *name);
            let mut inode = Inode::default();
            option.set(&mut inode, nr as u64).unwrap();
            option.set(&mut dir, nr as u64 + 1).unwrap();
            let shown: std::vec::Vec<_> = options(&inode)
                .map(|o| (o.name, o.value, o.is_own))
                .collect();
            assert_eq!(shown, [(*name, nr as u64, true)]);
            option.inherit(&mut inode, Some(&dir)).unwrap();
            let shown: std::vec::Vec<_> = options(&inode)
                .map(|o| (o.name, o.value, o.is_own))
                .collect();
            assert_eq!(shown, [(*name, nr as u64 + 1, false)]);
            option.inherit(&mut inode, None).unwrap();
            assert_eq!(inode, Inode::default());
        }
        let casefold = OptionNr::of("casefold", old);
        assert_eq!(casefold, Err(Error::InodeOptionUnsupported));
        assert!(OptionNr::of("casefold", Version::new(1, 24)).is_ok());
        let unknown = OptionNr::of("metadata_target", old);
        assert_eq!(unknown, Err(Error::InodeOptionUnknown));
        let wide = OptionNr::of("compression", old).unwrap();
        assert_eq!(wide.set(&mut dir, 255), Err(Error::Overflow));
        assert!(OptionNr::of("project", old).unwrap().is_project());
        assert!(!wide.is_project());
    }

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
