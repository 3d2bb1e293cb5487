// SPDX-License-Identifier: GPL-2.0

//! Section `members_v1`: members of fixed size, kept for old implementations.

use super::{
    finding::Finding,
    members::Members,
    members_v2::members_to_text,
    section::SectionType,
    superblock::Superblock, //
};
use core::fmt;

/// C: `bch2_sb_members_v1_validate()`.
pub(super) fn validate(sb: &Superblock, body: &[u8]) -> Result<(), Finding> {
    Members::v1(body, sb.nr_devices()).validate(sb, SectionType::MEMBERS_V1)
}

/// C: `bch2_sb_members_v1_to_text()`.
pub(super) fn to_text(sb: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    members_to_text(sb, Members::v1(body, sb.nr_devices()), f)
}
