// SPDX-License-Identifier: GPL-2.0

//! The directories that every filesystem begins with.

use super::{
    dirent::hash_info,
    SubvolInum, //
};
use crate::{
    algo::time::{
        TimeUnits,
        Timespec, //
    },
    btree::KeyBuf,
    data::inode::inode_key,
    env::{
        random_u64,
        time::real_seconds,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        opts::OptId,
        sb::Features,
        values::{
            dirent::{
                Dirent,
                FileType,
                Target, //
            },
            inode::{
                Inode,
                ROOT_INUM, //
            },
            kinds::StrHashType,
            subvolume::ROOT_SUBVOL, //
        },
    },
    sb::SbState,
};

/// The first inode number after that of the root directory.
const LOST_AND_FOUND_INO: u64 = ROOT_INUM + 1;
/// The directory for what has lost its name.
pub const LOST_AND_FOUND: &[u8] = b"lost+found";

/// Adds the keys of the root directory, which holds `lost+found`, to `keys`.
///
/// C: the end of `bch2_fs_initialize()`.
pub fn first_directories(st: &SbState, snapshot: u32, keys: &mut Vec<(BtreeId, KeyBuf)>) -> Result {
    let root = Inode {
        inum: ROOT_INUM,
        snapshot,
        mode: 0o040755,
        subvol: ROOT_SUBVOL,
        // The name `..` of what it holds.
        nlink: 1,
        ..new_inode(st)
    };
    let at = SubvolInum {
        subvol: ROOT_SUBVOL,
        inum: ROOT_INUM,
    };
    let offset = hash_info(at, &root)?.dirent(LOST_AND_FOUND);
    let lost = Inode {
        inum: LOST_AND_FOUND_INO,
        snapshot,
        mode: 0o040700,
        dir: ROOT_INUM,
        dir_offset: offset,
        ..new_inode(st)
    };
    for inode in [&root, &lost] {
        keys.push((BtreeId::INODES, inode_key(inode)?))?;
    }
    let dirent = Dirent {
        target: Target::Inode(LOST_AND_FOUND_INO),
        file_type: FileType::DIR,
        name: LOST_AND_FOUND,
        folded: None,
    };
    let mut value = [0; 64];
    let len = dirent.encode(&mut value).ok_or(Error::Overflow)?;
    let k = Bkey {
        key_type: KeyType::DIRENT,
        p: Bpos::new(ROOT_INUM, offset, snapshot),
        ..Bkey::default()
    };
    let key = KeyBuf::of(k, value.get(..len).unwrap_or(&value))?;
    keys.push((BtreeId::DIRENTS, key))
}

/// An inode as it is when it is new, without a number.
///
/// C: `bch2_inode_init()`.
pub fn new_inode(st: &SbState) -> Inode {
    let units = TimeUnits::new(st.sb.time_base_lo(), st.sb.time_precision());
    let now = units.raw(Timespec {
        sec: i64::try_from(real_seconds()).unwrap_or(0),
        nsec: 0,
    });
    Inode {
        hash_seed: random_u64(),
        str_hash: str_hash(st),
        atime: now,
        ctime: now,
        mtime: now,
        otime: now,
        ..Inode::default()
    }
}

/// How names in new directories are hashed.
///
/// C: `bch2_str_hash_opt_to_type()`.
pub(super) fn str_hash(st: &SbState) -> StrHashType {
    match st.opts.get(OptId::StrHash) {
        0 => StrHashType::CRC32C,
        1 => StrHashType::CRC64,
        _ if st.sb.features().has(Features::NEW_SIPHASH) => StrHashType::SIPHASH,
        _ => StrHashType::SIPHASH_OLD,
    }
}
