// SPDX-License-Identifier: GPL-2.0

//! Options as the superblock has them.

use super::table::{
    OptionInfo,
    Stored,
    ILOG2,
    ONE_BIAS,
    SECTORS, //
};
use crate::format::sb::Superblock;

/// The value of `option` in the superblock, not checked; `None` when it is not there, or has no
/// meaning.
///
/// C: `bch2_opt_from_sb()`.
pub fn sb_value(sb: &Superblock, option: &OptionInfo) -> Option<u64> {
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
