// SPDX-License-Identifier: GPL-2.0

//! Section `replicas_v0`: replicas entries of which any one device is enough.

use super::{
    finding::Finding,
    replicas::Replicas,
    superblock::Superblock, //
};
use core::fmt;

/// C: `bch2_sb_replicas_v0_validate()`.
pub(super) fn validate(sb: &Superblock, body: &[u8]) -> Result<(), Finding> {
    Replicas::v0(body).validate(sb)
}

/// C: `bch2_sb_replicas_v0_to_text()`.
pub(super) fn to_text(_: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    Replicas::v0(body).to_text(f)
}
