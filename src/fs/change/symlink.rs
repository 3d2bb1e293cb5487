// SPDX-License-Identifier: GPL-2.0

//! What symbolic links hold. It is kept with the keys, in inline extents: so a link is there with
//! its target, or not at all, and no space has to be taken for it.

use crate::{
    alloc::space::Trans,
    btree::{
        trans::TransResult,
        KeyBuf, //
    },
    env::num::u64_of,
    error::Error,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::inode::Inode, //
    },
    snapshots::View,
};

/// Bytes of data in one key: what C has at most, and a whole number of sectors.
const CHUNK: usize = 1024;
/// Bytes of the longest target, without a NUL. C: `PATH_MAX`.
const TARGET_MAX: usize = 4095;
const SECTOR_SHIFT: u32 = 9;

/// Stages the target of the new link `inode`, which has its number, and sets the size.
///
/// C: `page_symlink()`, `bch2_write_data_inline()`.
pub(super) fn put(t: &mut Trans<'_>, view: &View, inode: &mut Inode, to: &[u8]) -> TransResult {
    if to.is_empty() || to.len() > TARGET_MAX {
        return Err(Error::SymlinkTooLong.into());
    }
    let block = u64::from(view.sb().sb.block_sectors()).max(1);
    let sectors = u64_of(to.len().div_ceil(1 << SECTOR_SHIFT));
    let end = sectors.checked_next_multiple_of(block).unwrap_or(sectors);
    let mut start = 0u64;
    for (chunk, is_last) in chunks(to) {
        let behind = match is_last {
            true => end,
            false => u64_of(CHUNK >> SECTOR_SHIFT).saturating_add(start),
        };
        let k = Bkey {
            key_type: KeyType::INLINE_DATA,
            p: Bpos::new(inode.inum, behind, inode.snapshot),
            size: u32::try_from(behind.saturating_sub(start)).unwrap_or(u32::MAX),
            ..Bkey::default()
        };
        t.update(BtreeId::EXTENTS, KeyBuf::of(k, chunk)?)?;
        start = behind;
    }
    (inode.size, inode.sectors) = (u64_of(to.len()), end);
    Ok(())
}

fn chunks(to: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    let nr = to.len().div_ceil(CHUNK);
    let all = to.chunks(CHUNK).enumerate();
    all.map(move |(i, chunk)| (chunk, i.saturating_add(1) == nr))
}
