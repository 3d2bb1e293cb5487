// SPDX-License-Identifier: GPL-2.0

//! Finding the right copy of the superblock on one device.
//!
//! All copies are read. The newest intact one is used: a crash can leave copies of two ages. A
//! copy that is damaged is passed over, but never in favour of an older one than the newest that
//! is intact: what an outdated superblock leads to (journal, btree roots) has been overwritten.

use super::{
    finding::Finding,
    header::HEADER_BYTES,
    layout::{
        RawLayout,
        LAYOUT_BYTES,
        LAYOUT_SECTOR,
        PRIMARY_SECTOR, //
    },
    superblock::Superblock,
    RawSb,
};
use crate::{
    env::{
        num::{
            round_up_pow2,
            u64_of,
            usize_of, //
        },
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
};
use core::fmt;
use zerocopy::FromBytes as _;

/// Bytes read at first; enough for most superblocks.
const FIRST_READ_BYTES: usize = 16 << 10;
/// Sectors of a copy, where no layout can be read. C: `SUPERBLOCK_SIZE_DEFAULT`.
const DEFAULT_COPY_SECTORS: u64 = 2048;

/// Whole sectors that have the fixed part of a superblock.
const START_BYTES: usize = 1024;
const _: () = assert!(START_BYTES >= HEADER_BYTES && START_BYTES % 512 == 0);

/// A device to read from.
pub trait ReadSectors {
    /// Sectors of the device.
    fn nr_sectors(&self) -> u64;
    /// Reads whole sectors into `buf`.
    fn read(&self, sector: u64, buf: &mut [u8]) -> Result<()>;
}

/// Why a copy is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It could not be read.
    Io(Error),
    /// It lies past the end of the device, which has this many sectors.
    PastDevice(u64),
    /// It is damaged, or beyond what this implementation knows.
    Invalid(Finding),
    /// It is intact but from before this sequence number.
    Older {
        /// Its own sequence number.
        seq: u64,
        /// The newest one.
        newest: u64,
    },
    /// It is of another filesystem, or another device.
    Foreign,
}

impl Why {
    /// The code for the caller; none for what is only passed over because of another copy, of which
    /// there is more to say.
    pub fn error(&self) -> Option<Error> {
        match self {
            Why::Io(error) => Some(*error),
            Why::PastDevice(_) => Some(Error::SbPastDevice),
            Why::Invalid(finding) => Some(finding.error),
            Why::Older { .. } | Why::Foreign => None,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Io(error) => write!(f, "{error}"),
            Why::PastDevice(nr) => write!(f, "past the end of the device ({nr} sectors)"),
            Why::Invalid(finding) => write!(f, "{finding}"),
            Why::Older { seq, newest } => {
                write!(f, "outdated: seq {seq}, the newest copy has {newest}")
            }
            Why::Foreign => f.write_str("belongs to another filesystem or device"),
        }
    }
}

/// A copy, or the layout on its own, that is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Where it is.
    pub sector: u64,
    /// Why it is not used.
    pub why: Why,
}

impl Rejected {
    /// How much it says about the device as a whole.
    fn weight(&self) -> u8 {
        match &self.why {
            _ if self.sector == LAYOUT_SECTOR => 1,
            Why::Invalid(f) if f.is_unsupported() => 4,
            Why::Invalid(f) if f.error == Error::SbMagic => 1,
            Why::Invalid(_) => 3,
            Why::Io(_) | Why::PastDevice(_) => 2,
            Why::Older { .. } | Why::Foreign => 0,
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sector {
            LAYOUT_SECTOR => write!(f, "superblock layout at sector {}", self.sector)?,
            PRIMARY_SECTOR => write!(f, "primary superblock at sector {}", self.sector)?,
            _ => write!(f, "superblock copy at sector {}", self.sector)?,
        }
        write!(f, ": {}", self.why)
    }
}

/// The copy to use.
#[derive(Debug)]
pub struct Chosen {
    /// The superblock, all of it checked.
    pub sb: Superblock,
    /// Where it was.
    pub sector: u64,
    /// What was passed over.
    pub rejected: Vec<Rejected>,
}

/// There is no copy to use.
#[derive(Debug)]
pub struct Refused {
    /// The reason that says most.
    pub error: Error,
    /// What was looked at.
    pub rejected: Vec<Rejected>,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self {
            error,
            rejected: Vec::new(),
        }
    }
}

/// Finds the superblock of a device. With `only`, just the copy at that sector is considered.
///
/// C: `bch2_read_super()`.
pub fn choose(dev: &impl ReadSectors, only: Option<u64>) -> Result<Chosen, Refused> {
    let mut search = Search {
        dev,
        intact: Vec::new(),
        rejected: Vec::new(),
    };
    match only {
        Some(sector) => search.try_copy(sector)?,
        None => search.try_all()?,
    }
    search.finish()
}

/// An intact copy.
struct Intact {
    sector: u64,
    sb: Superblock,
}

struct Search<'a, D> {
    dev: &'a D,
    /// The newest intact copies, all of the same age.
    intact: Vec<Intact>,
    rejected: Vec<Rejected>,
}

impl<D: ReadSectors> Search<'_, D> {
    fn reject(&mut self, sector: u64, why: Why) -> Result<()> {
        self.rejected.push(Rejected { sector, why })
    }

    fn try_all(&mut self) -> Result<()> {
        self.try_copy(PRIMARY_SECTOR)?;
        let found = self.locations()?;
        for sector in found.as_deref().unwrap_or(&[]) {
            if *sector != PRIMARY_SECTOR {
                self.try_copy(*sector)?;
            }
        }
        if found.is_none() {
            self.try_defaults()?;
        }
        Ok(())
    }

    /// Tries the places where copies are put by default. That there is none says nothing.
    fn try_defaults(&mut self) -> Result<()> {
        let known = self.rejected.len();
        self.try_copy(PRIMARY_SECTOR.saturating_add(DEFAULT_COPY_SECTORS))?;
        self.try_copy(self.dev.nr_sectors().saturating_sub(DEFAULT_COPY_SECTORS))?;
        self.rejected.truncate(known);
        Ok(())
    }

    /// Where copies may be: from the layout in the primary, else the layout on its own, else the
    /// layout in a damaged primary.
    #[inline(never)]
    fn locations(&mut self) -> Result<Option<Vec<u64>>> {
        if let Some(primary) = self.intact.first() {
            if let Ok(found) = offsets(&primary.sb.layout)? {
                return Ok(Some(found));
            }
        }
        match self.read_layout()? {
            Some(found) => Ok(Some(found)),
            None => self.read_damaged_layout(),
        }
    }

    /// C: `read_layout_sector()`.
    fn read_layout(&mut self) -> Result<Option<Vec<u64>>> {
        let mut bytes = Vec::from_elem(0, LAYOUT_BYTES)?;
        let why = match self.dev.read(LAYOUT_SECTOR, &mut bytes) {
            Err(error) => Why::Io(error),
            Ok(()) => match RawLayout::ref_from_bytes(&bytes) {
                Err(_) => return Ok(None),
                Ok(layout) => match offsets(layout)? {
                    Ok(found) => return Ok(Some(found)),
                    Err(finding) => Why::Invalid(finding),
                },
            },
        };
        self.reject(LAYOUT_SECTOR, why)?;
        Ok(None)
    }

    fn read_damaged_layout(&self) -> Result<Option<Vec<u64>>> {
        let mut bytes = Vec::from_elem(0, START_BYTES)?;
        if self.dev.read(PRIMARY_SECTOR, &mut bytes).is_err() {
            return Ok(None);
        }
        match RawSb::read(&bytes) {
            Some(head) => Ok(offsets(&head.layout)?.ok()),
            None => Ok(None),
        }
    }

    /// Reads and sorts in one copy.
    #[inline(never)]
    fn try_copy(&mut self, sector: u64) -> Result<()> {
        let sb = match self.read_copy(sector) {
            Ok(sb) => sb,
            Err(Why::Io(Error::NoMemory)) => return Err(Error::NoMemory),
            Err(why) => return self.reject(sector, why),
        };
        if let Some(first) = self.intact.first() {
            let (seq, newest) = (sb.seq(), first.sb.seq());
            if first.sb.uuid() != sb.uuid() || first.sb.dev_idx() != sb.dev_idx() {
                return self.reject(sector, Why::Foreign);
            }
            if seq < newest {
                return self.reject(sector, Why::Older { seq, newest });
            }
            if seq > newest {
                let older = Why::Older {
                    seq: newest,
                    newest: seq,
                };
                while let Some(old) = self.intact.pop() {
                    self.reject(old.sector, older)?;
                }
            }
        }
        self.intact.push(Intact { sector, sb })
    }

    /// Reads one copy and checks that it is intact.
    ///
    /// C: `read_one_super()`.
    #[inline(never)]
    fn read_copy(&self, sector: u64) -> Result<Superblock, Why> {
        let mut bytes = Vec::new();
        self.read_more(sector, FIRST_READ_BYTES, &mut bytes)?;
        let need = Superblock::start(&bytes).map_err(Why::Invalid)?;
        if need > bytes.len() {
            self.read_more(sector, need, &mut bytes)?;
        }
        Superblock::read(&bytes).map_err(|finding| match finding.error {
            Error::NoMemory => Why::Io(Error::NoMemory),
            _ => Why::Invalid(finding),
        })
    }

    /// Reads up to `len` bytes; fewer where the device ends.
    fn read_more(&self, sector: u64, len: usize, bytes: &mut Vec<u8>) -> Result<(), Why> {
        let past = Why::PastDevice(self.dev.nr_sectors());
        let left = self.dev.nr_sectors().checked_sub(sector).ok_or(past)?;
        if left == 0 {
            return Err(past);
        }
        let len = round_up_pow2(u64_of(len), 512).unwrap_or(u64::MAX);
        let len = usize_of(len.min(left.saturating_mul(512)));
        bytes.resize(len, 0).map_err(Why::Io)?;
        self.dev.read(sector, bytes).map_err(Why::Io)
    }

    /// Takes the first of the newest intact copies that is valid.
    #[inline(never)]
    fn finish(mut self) -> Result<Chosen, Refused> {
        let intact = core::mem::take(&mut self.intact);
        let mut chosen: Option<Intact> = None;
        for copy in intact {
            if chosen.is_some() {
                continue;
            }
            match copy.sb.validate(Some(copy.sector)) {
                Ok(()) => chosen = Some(copy),
                Err(f) => self.reject(copy.sector, Why::Invalid(f))?,
            }
        }
        match chosen {
            Some(Intact { sector, sb }) => Ok(Chosen {
                sb,
                sector,
                rejected: self.rejected,
            }),
            None => Err(Refused {
                error: reason(&self.rejected),
                rejected: self.rejected,
            }),
        }
    }
}

/// Where a layout says the copies are, if it is valid.
fn offsets(layout: &RawLayout) -> Result<Result<Vec<u64>, Finding>> {
    if let Err(finding) = layout.validate() {
        return Ok(Err(finding));
    }
    let mut found = Vec::new();
    for sector in layout.offsets() {
        found.push(sector)?;
    }
    Ok(Ok(found))
}

/// The reason that says most; the first of equal ones.
pub(super) fn reason(rejected: &[Rejected]) -> Error {
    let mut best: Option<&Rejected> = None;
    for r in rejected {
        if best.is_none_or(|b| r.weight() > b.weight()) {
            best = Some(r);
        }
    }
    best.and_then(|r| r.why.error())
        .unwrap_or(Error::SbNoCopies)
}
