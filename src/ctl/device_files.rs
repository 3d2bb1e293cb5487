// SPDX-License-Identifier: GPL-2.0

//! Files about one device.

use crate::{
    alloc::device_usage,
    env::time,
    format::{
        data_type::DataType,
        sb::text::write_names, //
    },
    init::Filesystem,
    sb::Device, //
};
use core::fmt::{
    self,
    Write, //
};

/// A file.
pub(super) struct File {
    /// Its name.
    pub(super) name: &'static str,
    /// Writes its contents.
    pub(super) show: fn(&Filesystem, &Device, &mut dyn Write) -> fmt::Result,
}

/// The files of a device's directory, besides its options. C: `bch2_dev_files`.
pub(super) const FILES: &[File] = &[
    File {
        name: "alloc_debug",
        show: alloc_debug,
    },
    File {
        name: "first_bucket",
        show: |_, dev, to| writeln!(to, "{}", dev.member.first_bucket()),
    },
    File {
        name: "has_data",
        show: has_data,
    },
    File {
        name: "io_done",
        show: io_done,
    },
    File {
        name: "io_errors",
        show: io_errors,
    },
    File {
        name: "nbuckets",
        show: |_, dev, to| writeln!(to, "{}", dev.member.nbuckets()),
    },
    File {
        name: "uuid",
        show: |_, dev, to| writeln!(to, "{}", dev.member.uuid()),
    },
];

/// Buckets, sectors in use and sectors that are lost between them, by what they hold.
///
/// C: `bch2_dev_usage_to_text()`.
fn alloc_debug(fs: &Filesystem, dev: &Device, to: &mut dyn Write) -> fmt::Result {
    let usage = match device_usage(&fs.view.btrees, dev.idx) {
        Ok(usage) => usage,
        Err(e) => return writeln!(to, "not known: {e}"),
    };
    writeln!(
        to,
        "{:<16}{:>16}{:>16}{:>16}",
        "", "buckets", "sectors", "fragmented"
    )?;
    for (name, [buckets, sectors, fragmented]) in DataType::NAMES.iter().zip(usage) {
        writeln!(to, "{name:<16}{buckets:>16}{sectors:>16}{fragmented:>16}")?;
    }
    writeln!(to, "{:<16}{:>16}", "capacity", dev.member.nbuckets())
}

fn has_data(fs: &Filesystem, dev: &Device, to: &mut dyn Write) -> fmt::Result {
    let on = fs
        .view
        .sb()
        .with_super(|sb| sb.replicas().data_on(dev.idx.0));
    write_names(to, DataType::NAMES, on)?;
    writeln!(to)
}

/// Bytes by what they hold, as JSON. C: `dev_io_done_to_text()`.
fn io_done(_: &Filesystem, dev: &Device, to: &mut dyn Write) -> fmt::Result {
    writeln!(to, "{{")?;
    for (direction, after) in [("read", ","), ("write", "")] {
        writeln!(to, "  \"{direction}\": {{")?;
        let mut kinds = (0u8..).zip(DataType::NAMES).skip(1).peekable();
        while let Some((nr, name)) = kinds.next() {
            let sectors = match direction {
                "read" => dev.stats.read_sectors(DataType(nr)),
                _ => dev.stats.written_sectors(DataType(nr)),
            };
            let comma = if kinds.peek().is_some() { "," } else { "" };
            let bytes = sectors.saturating_mul(512);
            writeln!(to, "    \"{name}\": {bytes}{comma}")?;
        }
        writeln!(to, "  }}{after}")?;
    }
    writeln!(to, "}}")
}

/// Seconds of each unit of time, and its name.
const UNITS: &[(u64, &str)] = &[
    (1, "s"),
    (60, "m"),
    (3600, "h"),
    (24 * 3600, "d"),
    (7 * 24 * 3600, "w"),
    (365 * 24 * 3600 + 6 * 3600, "y"),
];

/// C: `bch2_dev_io_errors_to_text()`.
fn io_errors(fs: &Filesystem, dev: &Device, to: &mut dyn Write) -> fmt::Result {
    let now = fs.view.sb().with_super(|sb| sb.member(dev.idx.0));
    let m = now.as_ref().unwrap_or(&dev.member);
    let kinds = ["read:", "write:", "checksum:"];
    let all = dev.all_errors();
    writeln!(to, "IO errors since filesystem creation")?;
    for (kind, n) in kinds.iter().zip(all) {
        writeln!(to, "  {kind:<10}{n}")?;
    }

    let seconds = time::real_seconds().saturating_sub(m.errors_reset_time());
    // The largest unit of which there are two.
    let fits = |u: &&(u64, &str)| seconds >= u.0.saturating_mul(2);
    let (unit, name) = UNITS.iter().rev().find(fits).unwrap_or(&(1, "s"));
    let n = seconds.checked_div(*unit).unwrap_or(0);
    writeln!(to, "IO errors since {n} {name} ago")?;
    for ((kind, n), before) in kinds.iter().zip(all).zip(m.errors_at_reset()) {
        writeln!(to, "  {kind:<10}{}", n.wrapping_sub(before))?;
    }
    match m.flush_errors() {
        0 => Ok(()),
        n => writeln!(to, "Flush errors (device not honoring FUA/flush):{n}"),
    }
}
