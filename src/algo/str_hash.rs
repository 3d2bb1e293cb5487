// SPDX-License-Identifier: GPL-2.0

//! Hashes of names: where the entry of a directory or an extended attribute is looked for.
//!
//! A name's hash is the offset its key is stored at, or the first free one after it.

use crate::{
    env::hash::{
        crc32c,
        crc64,
        sha256,
        siphash24, //
    },
    format::values::{
        inode::{
            Inode,
            InodeFlags, //
        },
        kinds::StrHashType,
        xattr::XattrType,
    },
};

/// Lowest offset of a directory entry: 0 and 1 stand for `.` and `..` where directories are read.
pub const FIRST_DIRENT_OFFSET: u64 = 2;

/// Longest name of an extended attribute, without prefix.
const XATTR_NAME_MAX: usize = 255;

/// How the names of one directory or the attributes of one inode are hashed.
///
/// C: `struct bch_hash_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashInfo {
    kind: StrHashType,
    /// Directory entries use only the low 31 bits, for 32-bit programs.
    is_31bit: bool,
    key: [u64; 2],
}

impl HashInfo {
    /// What `inode` says. `None` when the kind of hash is unknown.
    ///
    /// C: `bch2_hash_info_init()`.
    pub fn of(inode: &Inode) -> Option<Self> {
        let key = match inode.str_hash {
            StrHashType::SIPHASH_OLD => {
                let [k0, k1, ..] = words(&sha256(&inode.hash_seed.to_le_bytes()));
                [k0, k1]
            }
            StrHashType::CRC32C | StrHashType::CRC64 | StrHashType::SIPHASH => [inode.hash_seed, 0],
            _ => return None,
        };
        Some(Self {
            kind: inode.str_hash,
            is_31bit: inode.flags.has(InodeFlags::DIRENT_OFFSET_31BIT),
            key,
        })
    }

    /// The offset at which to look first for the directory entry `name`.
    ///
    /// C: `bch2_dirent_hash()`.
    pub fn dirent(&self, name: &[u8]) -> u64 {
        let hash = self.hash(&[], name);
        let hash = if self.is_31bit {
            hash & 0x7fff_ffff
        } else {
            hash
        };
        hash.max(FIRST_DIRENT_OFFSET)
    }

    /// The offset at which to look first for the attribute `name`, given without its prefix.
    ///
    /// C: `bch2_xattr_hash()`.
    pub fn xattr(&self, namespace: XattrType, name: &[u8]) -> u64 {
        self.hash(&[namespace.0], name)
    }

    /// Hashes `prefix`, of at most one byte, followed by `name`.
    fn hash(&self, prefix: &[u8], name: &[u8]) -> u64 {
        let [k0, k1] = self.key;
        match self.kind {
            StrHashType::CRC32C => {
                let seed = crc32c(u32::MAX, &k0.to_le_bytes());
                u64::from(crc32c(crc32c(seed, prefix), name))
            }
            StrHashType::CRC64 => {
                let seed = crc64(u64::MAX, &k0.to_le_bytes());
                crc64(crc64(seed, prefix), name) >> 1
            }
            _ => siphash_in_two(k0, k1, prefix, name) >> 1,
        }
    }
}

/// SipHash of `prefix` (at most one byte) and then `name`, as the C implementation computes it
/// when it is given them in two steps.
///
/// It collects bytes in blocks of eight. After a block that both steps contributed to, what is
/// left over goes to where the second step began in its block, not to the start; the bytes before
/// are those of the earlier block, and as many bytes are lost at the end. All filesystems have
/// hashes of that kind on disk, so that is what the hash of an attribute's name is.
fn siphash_in_two(k0: u64, k1: u64, prefix: &[u8], name: &[u8]) -> u64 {
    if prefix.is_empty() {
        return siphash24(k0, k1, name);
    }
    let used = prefix.len();
    let mut message = [0; XATTR_NAME_MAX + 1];
    let total = used.saturating_add(name.len()).min(message.len());
    let left_over = total & 7;
    let whole = total & !7;
    let from = if whole > 0 && left_over > 0 {
        // The last, partial block: earlier bytes first, then the rest of the name.
        let rest = name.get(whole.saturating_sub(used)..).unwrap_or(&[]);
        for (to, b) in message
            .iter_mut()
            .skip(whole)
            .zip(prefix.iter().chain(rest))
        {
            *to = *b;
        }
        whole
    } else {
        total
    };
    for (to, b) in message.iter_mut().take(from).zip(prefix.iter().chain(name)) {
        *to = *b;
    }
    siphash24(k0, k1, message.get(..total).unwrap_or(&message))
}

fn words(digest: &[u8; 32]) -> [u64; 4] {
    let mut out = [0; 4];
    for (to, from) in out.iter_mut().zip(digest.chunks_exact(8)) {
        *to = super::raw_set::word(from);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn info(kind: StrHashType) -> HashInfo {
        let inode = Inode {
            str_hash: kind,
            hash_seed: 0x0123_4567_89ab_cdef,
            ..Inode::default()
        };
        HashInfo::of(&inode).unwrap()
    }

    /// SipHash-2-4 taking its input in steps, with the C implementation's way of collecting.
    fn siphash_by_steps(key: [u64; 2], steps: &[&[u8]]) -> u64 {
        let mut blocks: Vec<u8> = Vec::new();
        let mut buf = [0u8; 8];
        let mut total = 0usize;
        for step in steps {
            let mut rest = *step;
            let used = total % 8;
            total += rest.len();
            if used > 0 {
                let n = rest.len().min(8 - used);
                buf[used..used + n].copy_from_slice(&rest[..n]);
                rest = &rest[n..];
                if used + n < 8 {
                    continue;
                }
                blocks.extend(buf);
            }
            while rest.len() >= 8 {
                blocks.extend(&rest[..8]);
                rest = &rest[8..];
            }
            // Not at the start of the block.
            let n = rest.len();
            let end = (used + n).min(8);
            buf[used..end].copy_from_slice(&rest[..end - used]);
        }
        // What the last, padded block holds is the first `total % 8` bytes of the buffer.
        blocks.extend(&buf[..total % 8]);
        siphash24(key[0], key[1], &blocks)
    }

    #[test]
    fn attribute_names_hash_as_in_two_steps() {
        for len in 0..=255 {
            let name: Vec<u8> = (0..len).map(|i| (i * 31 + 7) as u8 | 1).collect();
            let i = info(StrHashType::SIPHASH);
            let want = siphash_by_steps(i.key, &[&[3], &name]) >> 1;
            assert_eq!(i.xattr(XattrType(3), &name), want, "{len}");
        }
    }

    #[test]
    fn kinds_differ_and_unknown_ones_are_refused() {
        let kinds = [
            StrHashType::CRC32C,
            StrHashType::CRC64,
            StrHashType::SIPHASH_OLD,
            StrHashType::SIPHASH,
        ];
        let hashes = kinds.map(|k| info(k).dirent(b"name"));
        for (i, a) in hashes.iter().enumerate() {
            assert!(hashes.iter().skip(i + 1).all(|b| a != b));
            assert!(*a < 1 << 63);
        }
        assert!(hashes[0] <= u64::from(u32::MAX));
        let unknown = Inode {
            str_hash: StrHashType(4),
            ..Inode::default()
        };
        assert!(HashInfo::of(&unknown).is_none());
    }

    #[test]
    fn narrow_directories_have_narrow_hashes() {
        let mut inode = Inode {
            str_hash: StrHashType::SIPHASH,
            flags: InodeFlags::DIRENT_OFFSET_31BIT,
            ..Inode::default()
        };
        let narrow = HashInfo::of(&inode).unwrap();
        inode.flags = InodeFlags::default();
        let wide = HashInfo::of(&inode).unwrap();
        for name in [&b"a"[..], b"bb", b"ccc"] {
            assert_eq!(
                narrow.dirent(name),
                (wide.dirent(name) & 0x7fff_ffff).max(2)
            );
            assert_eq!(
                narrow.xattr(XattrType::USER, name),
                wide.xattr(XattrType::USER, name)
            );
        }
    }
}
