// SPDX-License-Identifier: GPL-2.0

//! Handles: what an NFS client remembers a file by, and how the file is found from it again, with
//! the directories above it, and the way down to it from one of those.

use super::{
    dirent::{
        self,
        FIRST_OFFSET, //
    },
    inode::find,
    SubvolInum, //
};
use crate::{
    env::Vec,
    error::{
        Error,
        Result, //
    },
    format::values::inode::Inode,
    snapshots::View,
};

/// Identifies a file as long as it exists.
///
/// C: `struct bcachefs_fid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    /// The file.
    pub at: SubvolInum,
    /// The generation of its inode, which another file that gets the number does not have.
    pub generation: u32,
}

impl Handle {
    /// Bytes in a handle.
    pub const BYTES: usize = 16;

    /// The handle of the file `at`.
    pub const fn of(at: SubvolInum, inode: &Inode) -> Self {
        Self {
            at,
            generation: inode.generation,
        }
    }

    /// The bytes a client gets. They never leave the machine but through it, so their order is the
    /// processor's.
    pub fn encode(self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        let inum = self.at.inum.to_ne_bytes();
        let subvol = self.at.subvol.to_ne_bytes();
        let generation = self.generation.to_ne_bytes();
        let bytes = inum.iter().chain(&subvol).chain(&generation);
        for (to, from) in out.iter_mut().zip(bytes) {
            *to = *from;
        }
        out
    }

    /// The handle that the bytes of a client are; any bytes are one.
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, s0, s1, s2, s3, g0, g1, g2, g3] = *bytes;
        Self {
            at: SubvolInum {
                inum: u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
                subvol: u32::from_ne_bytes([s0, s1, s2, s3]),
            },
            generation: u32::from_ne_bytes([g0, g1, g2, g3]),
        }
    }
}

/// The directory that has a name of `at`, whose inode is given; `None` when the inode knows none.
///
/// C: `bch2_get_parent()`.
pub const fn parent(at: SubvolInum, inode: &Inode) -> Option<SubvolInum> {
    if inode.dir == 0 {
        return None;
    }
    Some(SubvolInum {
        subvol: match inode.parent_subvol {
            0 => at.subvol,
            parent => parent,
        },
        inum: inode.dir,
    })
}

/// A name of `at` in the directory `dir`.
///
/// C: `bch2_get_name()`. Unlike there, all names are looked at when the one that the inode
/// remembers is not there.
pub fn name_in(view: &View, dir: SubvolInum, at: SubvolInum) -> Result<Vec<u8>> {
    let inode = find(view, at)?;
    let start = match inode.dir == dir.inum && inode.dir_offset >= FIRST_OFFSET {
        true => Some(inode.dir_offset),
        false => None,
    };
    for from in start.into_iter().chain([FIRST_OFFSET]) {
        let (mut name, mut copied) = (None, Ok(()));
        dirent::readdir(view, dir, from, |entry| {
            if entry.target == at {
                let mut found = Vec::new();
                copied = found.extend_from_slice(entry.name);
                name = Some(found);
            }
            // The place that the inode remembers is that of one entry.
            name.is_none() && start != Some(from)
        })?;
        copied?;
        if let Some(name) = name {
            return Ok(name);
        }
    }
    there(None)
}

/// What was looked for.
fn there<T>(found: Option<T>) -> Result<T> {
    found.ok_or(Error::NameNotFound)
}

/// The way from a directory down to a file.
#[derive(Debug, Default)]
pub struct Way {
    /// The directories on it, from the one above the file up to the one that it starts at.
    pub dirs: Vec<SubvolInum>,
    /// The names on it, with `/` between.
    pub path: Vec<u8>,
}

/// The way from the directory `top` down to `at`. [`Error::NameNotFound`] when `at` is not below.
///
/// C: `bch2_inum_to_path()`, `bch2_inum_to_path_in_subvol()`. Unlike there, directories that are
/// above themselves do not keep anybody.
pub fn way_from(view: &View, top: SubvolInum, at: SubvolInum) -> Result<Way> {
    let mut way = Way::default();
    let mut here = at;
    // Where it was some steps ago: after twice as many, somewhere else has to have been reached.
    let (mut before, mut steps, mut limit) = (at, 0u32, 1u32);
    while here != top {
        let dir = there(parent(here, &find(view, here)?))?;
        let name = name_in(view, dir, here)?;
        // From the end: names are turned round, too, and all of it in the end.
        if !way.path.is_empty() {
            way.path.push(b'/')?;
        }
        for b in name.iter().rev() {
            way.path.push(*b)?;
        }
        way.dirs.push(dir)?;
        here = dir;
        there((here != before).then_some(()))?;
        steps = steps.saturating_add(1);
        if steps == limit {
            (before, steps, limit) = (here, 0, limit.saturating_mul(2));
        }
    }
    way.path.reverse();
    Ok(way)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_handle() {
        let handle = Handle {
            at: SubvolInum {
                subvol: 0x0a0b_0c0d,
                inum: 0x1122_3344_5566_7788,
            },
            generation: 0x99aa_bbcc,
        };
        let bytes = handle.encode();
        assert_eq!(bytes[..8], 0x1122_3344_5566_7788_u64.to_ne_bytes());
        assert_eq!(bytes[8..12], 0x0a0b_0c0d_u32.to_ne_bytes());
        assert_eq!(Handle::decode(&bytes), handle);
    }

    #[test]
    fn directories_above() {
        let at = SubvolInum { subvol: 7, inum: 1 };
        let mut inode = Inode::default();
        assert_eq!(parent(at, &inode), None);
        inode.dir = 4096;
        let here = SubvolInum {
            subvol: 7,
            inum: 4096,
        };
        assert_eq!(parent(at, &inode), Some(here));
        inode.parent_subvol = 1;
        assert_eq!(parent(at, &inode), Some(SubvolInum { subvol: 1, ..here }));
    }
}
