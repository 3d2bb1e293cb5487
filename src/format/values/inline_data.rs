// SPDX-License-Identifier: GPL-2.0

//! File data kept in the key itself.

use super::reflink::REFLINK_V_BYTES;
use crate::format::{
    bkey::Key,
    key_type::KeyType, //
};
use core::fmt;

/// The data of an `inline_data` or `indirect_inline_data` key; `None` for other keys. It may be
/// longer than the extent, and it may be shorter: the rest reads as zero.
///
/// C: `struct bch_inline_data`, `bkey_inline_data_p()`.
pub fn inline_data<'a>(key: &Key<'a>) -> Option<&'a [u8]> {
    let start = match key.k.key_type {
        KeyType::INLINE_DATA => 0,
        KeyType::INDIRECT_INLINE_DATA => REFLINK_V_BYTES,
        _ => return None,
    };
    Some(key.v.get(start..).unwrap_or(&[]))
}

/// Shows the length and the first bytes of inline data. C: `key_type_inline_data_to_text()`.
pub(super) struct Shown<'a>(pub(super) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "datalen {}: ", self.0.len())?;
        self.0
            .iter()
            .take(32)
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
