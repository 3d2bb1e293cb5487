// SPDX-License-Identifier: GPL-2.0

//! Superblocks and options.

use super::{
    show,
    Null, //
};
use error::error::{
    Error,
    Result, //
};
use format::format::{
    opts::Opts,
    sb::{
        copies::{
            choose,
            ReadSectors, //
        },
        show::{
            to_text,
            Detail, //
        },
        Superblock, //
    },
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

/// A device that is as short as the input.
struct Disk<'a>(&'a [u8]);

impl ReadSectors for Disk<'_> {
    fn nr_sectors(&self) -> u64 {
        self.0.len() as u64 / 512
    }

    fn read(&self, sector: u64, buf: &mut [u8]) -> Result<()> {
        let at = usize::try_from(sector).unwrap().checked_mul(512);
        let from = at.and_then(|at| self.0.get(at..at.checked_add(buf.len())?));
        buf.copy_from_slice(from.ok_or(Error::DeviceReadPastEnd)?);
        Ok(())
    }
}

/// The copies of a device, from the sector of the layout on; checksums as in [`decode`].
pub(crate) fn copies(data: &[u8]) {
    let mut bytes = vec![0; 7 * 512];
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    if let Some(b) = bytes.get_mut(8 * 512 + FLAGS_AT) {
        *b &= !CSUM_KIND;
    }
    match choose(&Disk(&bytes), None) {
        Ok(chosen) => chosen.rejected.iter().for_each(show),
        Err(refused) => refused.rejected.iter().for_each(show),
    }
}

/// Mount options, as text; what is accepted is shown.
pub(crate) fn options(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut opts = Opts::new();
    for item in text.split(',') {
        let (key, value) = match item.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (item, None),
        };
        if let Err(e) = opts.parse_mount(key, value) {
            show(&e);
        }
    }
    opts.show(&opts, None, &mut Null).unwrap();
}
