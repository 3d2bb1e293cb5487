// SPDX-License-Identifier: GPL-2.0

//! Positions in directories for callers that have 31 bits for them.

use crate::format::values::{
    inode::{
        Inode,
        InodeFlags, //
    },
    kinds::StrHashType,
};

/// Behind the last entry of any directory. C: `BCH2_READDIR_32_EOF`.
pub const COOKIE_END: u32 = 0x7fff_ffff;
/// The first position that stands for entries proper.
const FIRST: u32 = 2;

/// How positions in one directory are made shorter. Those of entries are hashes of their names, of
/// which the upper bits are kept: several entries may then have the same position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookies {
    shift: u32,
}

impl Cookies {
    /// Of the directory `inode`.
    ///
    /// C: `bch2_dir_cookie_shift()`.
    pub const fn of(inode: &Inode) -> Self {
        let shift = if inode.flags.has(InodeFlags::DIRENT_OFFSET_31BIT) {
            0
        } else if inode.str_hash.0 == StrHashType::CRC32C.0 {
            1
        } else {
            32
        };
        Self { shift }
    }

    /// The short form of a position; never [`COOKIE_END`].
    ///
    /// C: `bch2_dir_pos_to_32()`.
    pub fn narrow(self, pos: u64) -> u32 {
        let short = if pos < u64::from(FIRST) {
            pos
        } else {
            (pos >> self.shift).max(u64::from(FIRST).min(pos))
        };
        u32::try_from(short).map_or(COOKIE_END.wrapping_sub(1), |short| {
            short.min(COOKIE_END.wrapping_sub(1))
        })
    }

    /// The first position that has a short form.
    ///
    /// C: `bch2_dir_pos_from_32()`.
    pub fn widen(self, cookie: u32) -> u64 {
        if cookie >= COOKIE_END {
            u64::MAX
        } else if cookie <= FIRST {
            cookie.into()
        } else {
            u64::from(cookie) << self.shift
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(str_hash: StrHashType, flags: InodeFlags) -> Cookies {
        Cookies::of(&Inode {
            str_hash,
            flags,
            ..Inode::default()
        })
    }

    #[test]
    fn short_forms() {
        let none = InodeFlags(0);
        let wide = cookies(StrHashType::SIPHASH, none);
        let crc = cookies(StrHashType::CRC32C, none);
        let short = cookies(StrHashType::SIPHASH, InodeFlags::DIRENT_OFFSET_31BIT);
        for c in [wide, crc, short] {
            for pos in [0, 1, 2] {
                assert_eq!(c.narrow(pos), u32::try_from(pos).unwrap());
                assert_eq!(c.widen(c.narrow(pos)), pos);
            }
            assert_eq!(c.narrow(u64::MAX), COOKIE_END - 1);
            assert_eq!(c.widen(COOKIE_END), u64::MAX);
        }
        assert_eq!(wide.narrow(0x1234_5678_9abc_def0), 0x1234_5678);
        assert_eq!(wide.widen(0x1234_5678), 0x1234_5678_0000_0000);
        assert_eq!(wide.narrow(0x1_0000_0000), 2);
        assert_eq!(crc.narrow(0xffff_fffe), COOKIE_END - 1);
        assert_eq!(crc.narrow(0x8000_0000), 0x4000_0000);
        assert_eq!(short.narrow(0x7fff_fffe), 0x7fff_fffe);
    }

    #[test]
    fn no_entry_is_skipped() {
        for c in [0, 1, 32].map(|shift| Cookies { shift }) {
            let mut pos = 2_u64;
            while pos < 1 << 62 {
                for pos in [pos, pos + 1] {
                    let from = c.widen(c.narrow(pos));
                    assert!(from <= pos, "{c:?} {pos:x}");
                    assert_eq!(c.narrow(from), c.narrow(pos));
                }
                pos += pos / 3 * 2 + 1;
            }
        }
    }
}
