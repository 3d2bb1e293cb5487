// SPDX-License-Identifier: GPL-2.0

//! Section `members_v2`: members that can grow, and members as text.

use super::{
    finding::Finding,
    members::{
        Member,
        Members, //
    },
    section::SectionType,
    superblock::Superblock,
    text::{
        write_names,
        DateTime,
        Human, //
    },
};
use crate::format::data_type::DataType;
use core::fmt;

/// C: `bch2_sb_members_v2_validate()`.
pub(super) fn validate(sb: &Superblock, body: &[u8]) -> Result<(), Finding> {
    Members::v2(body, sb.nr_devices()).validate(sb, SectionType::MEMBERS_V2)
}

/// C: `bch2_sb_members_v2_to_text()`.
pub(super) fn to_text(sb: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    members_to_text(sb, Members::v2(body, sb.nr_devices()), f)
}

pub(super) fn members_to_text(
    sb: &Superblock,
    members: Members<'_>,
    f: &mut dyn fmt::Write,
) -> fmt::Result {
    for (idx, m) in (0u8..=u8::MAX).zip(members) {
        if m.is_alive() {
            writeln!(f, "Device:                                     {idx}")?;
            member_to_text(sb, idx, &m, f)?;
        }
    }
    Ok(())
}

struct Names(&'static [&'static str], u64);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            0 => f.write_str("(none)"),
            v => write_names(f, self.0, v),
        }
    }
}

/// C: `bch2_member_to_text()`.
fn member_to_text(sb: &Superblock, idx: u8, m: &Member, f: &mut dyn fmt::Write) -> fmt::Result {
    let mut row = |name: &str, v: fmt::Arguments<'_>| writeln!(f, "  {name:<42}{v}");
    match m.group() {
        Some(g) => row("Label:", format_args!("{}", sb.groups().path(g)))?,
        None => row("Label:", format_args!("(none)"))?,
    }
    if !m.failure_domain().is_empty() {
        row("Failure domain:", format_args!("{}", m.failure_domain()))?;
    }
    row("UUID:", format_args!("{}", m.uuid()))?;
    let bytes = m.sectors().saturating_mul(512);
    row("Size:", format_args!("{}", Human(bytes)))?;
    let kinds = ["read errors:", "write errors:", "checksum errors:"];
    for (name, v) in kinds.iter().zip(m.errors()) {
        row(name, format_args!("{v}"))?;
    }
    let kinds = [
        "seqread iops:",
        "seqwrite iops:",
        "randread iops:",
        "randwrite iops:",
    ];
    for (name, v) in kinds.iter().zip(m.iops()) {
        row(name, format_args!("{v}"))?;
    }
    let bucket = u64::from(m.bucket_sectors()) << 9;
    row("Bucket size:", format_args!("{}", Human(bucket)))?;
    row("First bucket:", format_args!("{}", m.first_bucket()))?;
    row("Buckets:", format_args!("{}", m.nbuckets()))?;
    match m.last_mount() {
        0 => row("Last mount:", format_args!("(never)"))?,
        t => row("Last mount:", format_args!("{}", DateTime(t)))?,
    }
    row("Last superblock write:", format_args!("{}", m.seq()))?;
    row("State:", format_args!("{}", m.state().name()))?;
    let names = |v| Names(DataType::NAMES, v);
    row("Data allowed:", format_args!("{}", names(m.data_allowed())))?;
    let has = sb.replicas().data_on(idx);
    row("Has data:", format_args!("{}", names(has)))?;
    row("Rotational:", format_args!("{}", u8::from(m.rotational())))?;
    match 1u64.checked_shl(m.btree_bitmap_shift().into()) {
        Some(v) => row(
            "Btree allocated bitmap blocksize:",
            format_args!("{}", Human(v)),
        )?,
        None => row(
            "Btree allocated bitmap blocksize:",
            format_args!("(invalid shift {})", m.btree_bitmap_shift()),
        )?,
    }
    row(
        "Btree allocated bitmap:",
        format_args!("{:064b}", m.btree_allocated_bitmap()),
    )?;
    row("Durability:", format_args!("{}", m.durability()))?;
    row("Discard:", format_args!("{}", u8::from(m.discard())))?;
    let init = u8::from(m.freespace_initialized());
    row("Freespace initialized:", format_args!("{init}"))?;
    let resize = u8::from(m.resize_on_mount());
    row("Resize on mount:", format_args!("{resize}"))?;
    row("Last device name:", format_args!("{}", m.device_name()))?;
    row("Last device model:", format_args!("{}", m.device_model()))?;
    row("Last device serial:", format_args!("{}", m.device_serial()))?;
    if m.flush_errors() != 0 {
        row("Flush errors:", format_args!("{}", m.flush_errors()))?;
    }
    Ok(())
}
