// SPDX-License-Identifier: GPL-2.0

//! Superblocks.

use super::{
    show,
    Null, //
};
use format::format::sb::{
    show::{
        to_text,
        Detail, //
    },
    Superblock, //
};

/// Where the kind of checksum is, in the low byte of the first word of flags.
const FLAGS_AT: usize = 144;
const CSUM_KIND: u8 = 0xfc;

/// A superblock as if its checksum were right: its kind is made "none".
pub(crate) fn decode(data: &[u8]) {
    let mut bytes = data.to_vec();
    if let Some(b) = bytes.get_mut(FLAGS_AT) {
        *b &= !CSUM_KIND;
    }
    match Superblock::decode(&bytes, None) {
        Ok(sb) => to_text(&sb, Detail::Full, &mut Null).unwrap(),
        Err(finding) => show(&finding),
    }
}
