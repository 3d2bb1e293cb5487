// SPDX-License-Identifier: GPL-2.0

//! Options as the superblock has them.

use super::table::{
    OptId,
    OptionInfo,
    Stored,
    ILOG2,
    ONE_BIAS,
    SECTORS, //
};
use crate::format::sb::{
    Superblock,
    Version, //
};

/// The value of `option` in the superblock, not checked; `None` when it is not there, or has no
/// meaning.
///
/// C: `bch2_opt_from_sb()`.
pub fn sb_value(sb: &Superblock, option: &OptionInfo) -> Option<u64> {
    if !has_place(sb, option) {
        return None;
    }
    let mut v = match option.stored {
        Stored::No | Stored::Member => return None,
        Stored::BlockSize => sb.block_sectors().into(),
        Stored::Sb(field) => sb.flag(field),
        Stored::Pair(lo, hi) => sb.flag(lo) | (sb.flag(hi) << 4),
        Stored::Ext(field) => sb.ext()?.flag(field),
    };
    if option.is(ONE_BIAS) {
        v = v.checked_sub(1)?;
    }
    if option.is(ILOG2) {
        v = 1u64.checked_shl(u32::try_from(v).ok()?)?;
    }
    if option.is(SECTORS) {
        v = v.checked_mul(512)?;
    }
    Some(v)
}

/// Options in the flags that came after version 1.13. Those in the section `ext` all did.
const NEW: [OptId; 7] = [
    OptId::WriteErrorTimeout,
    OptId::ChecksumErrRetryNr,
    OptId::EcMaxDataBlocks,
    OptId::MoveWritesFua,
    OptId::WritebackTimeout,
    OptId::ReconcileOnAcOnly,
    OptId::Casefold,
];

/// Whether the superblock has a place for an option, as far as its version goes.
fn has_place(sb: &Superblock, option: &OptionInfo) -> bool {
    let is_new = NEW.contains(&option.id) || matches!(option.stored, Stored::Ext(_));
    !is_new || sb.version() > Version::new(1, 13)
}

/// Puts a value of `option`, which is possible, into the superblock. Says whether it has a place
/// for it.
///
/// C: `__bch2_opt_set_sb()`.
pub fn set_sb_value(sb: &mut Superblock, option: &OptionInfo, v: u64) -> bool {
    if !has_place(sb, option) {
        return false;
    }
    let mut v = v;
    if option.is(SECTORS) {
        v >>= 9;
    }
    if option.is(ILOG2) {
        v = v.checked_ilog2().unwrap_or(0).into();
    }
    if option.is(ONE_BIAS) {
        v = v.saturating_add(1);
    }
    match option.stored {
        Stored::Sb(field) => sb.set_flag(field, v),
        Stored::Pair(lo, hi) => {
            sb.set_flag(lo, v & 15);
            sb.set_flag(hi, v >> 4);
        }
        Stored::No | Stored::BlockSize | Stored::Ext(_) | Stored::Member => return false,
    }
    true
}
