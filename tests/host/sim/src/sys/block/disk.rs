// SPDX-License-Identifier: GPL-2.0

//! What is on a disk.

use super::SECTOR;
use std::{
    collections::HashMap,
    fmt,
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::Arc, //
};

/// Bytes of the pieces that changes are kept in.
const PIECE: usize = 4096;

/// The contents of a disk. A copy shares all that neither of the two changes afterwards.
#[derive(Clone)]
pub struct Disk {
    first: First,
    nr_sectors: u64,
    changed: HashMap<u64, Arc<[u8; PIECE]>>,
}

/// The contents at first.
#[derive(Clone)]
enum First {
    Zeros,
    Memory(Arc<Vec<u8>>),
    File(Arc<File>),
}

impl Disk {
    fn new(first: First, bytes: u64) -> Self {
        Self {
            first,
            nr_sectors: bytes / SECTOR as u64,
            changed: HashMap::new(),
        }
    }

    /// All zeros.
    pub fn zeros(nr_sectors: u64) -> Self {
        Self::new(First::Zeros, nr_sectors * SECTOR as u64)
    }

    /// The contents of a file, which is not changed.
    pub fn from_file(file: File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self::new(First::File(Arc::new(file)), bytes))
    }

    /// Bytes in memory, which are not changed.
    pub fn from_memory(bytes: Arc<Vec<u8>>) -> Self {
        let len = bytes.len() as u64;
        Self::new(First::Memory(bytes), len)
    }

    /// Size in sectors.
    pub fn nr_sectors(&self) -> u64 {
        self.nr_sectors
    }

    /// Reads `buf` full, whole sectors, from `sector` on.
    pub fn read(&self, sector: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut at = sector * SECTOR as u64;
        let mut rest = buf;
        while !rest.is_empty() {
            let (piece, skip) = (at / PIECE as u64, (at % PIECE as u64) as usize);
            let (part, more) = rest.split_at_mut(rest.len().min(PIECE - skip));
            match self.changed.get(&piece) {
                Some(data) => part.copy_from_slice(&data[skip..skip + part.len()]),
                None => self.read_first(at, part)?,
            }
            at += part.len() as u64;
            rest = more;
        }
        Ok(())
    }

    fn read_first(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        match &self.first {
            First::Zeros => buf.fill(0),
            First::Memory(bytes) => buf.copy_from_slice(&bytes[at as usize..][..buf.len()]),
            First::File(file) => file.read_exact_at(buf, at)?,
        }
        Ok(())
    }

    /// Writes `data`, whole sectors, at `sector`.
    pub fn write(&mut self, sector: u64, data: &[u8]) -> io::Result<()> {
        let mut at = sector * SECTOR as u64;
        let mut rest = data;
        while !rest.is_empty() {
            let skip = (at % PIECE as u64) as usize;
            let (part, more) = rest.split_at(rest.len().min(PIECE - skip));
            let piece = self.piece(at / PIECE as u64)?;
            piece[skip..skip + part.len()].copy_from_slice(part);
            at += part.len() as u64;
            rest = more;
        }
        Ok(())
    }

    /// A piece to be changed.
    fn piece(&mut self, nr: u64) -> io::Result<&mut [u8; PIECE]> {
        if !self.changed.contains_key(&nr) {
            let mut data = Arc::new([0; PIECE]);
            let at = nr * PIECE as u64;
            // The last one may be cut off.
            let len = (self.nr_sectors * SECTOR as u64 - at).min(PIECE as u64) as usize;
            self.read_first(at, &mut Arc::make_mut(&mut data)[..len])?;
            self.changed.insert(nr, data);
        }
        let data = self.changed.get_mut(&nr).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::make_mut(data))
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, changed) = (self.nr_sectors, self.changed.len());
        write!(f, "Disk({all} sectors, {changed} pieces changed)")
    }
}
