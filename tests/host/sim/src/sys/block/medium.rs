// SPDX-License-Identifier: GPL-2.0

//! The inside of a device.

use super::{
    air::Air,
    faults::{
        Fault,
        Faults,
        Kind, //
    },
    log::{
        Durability,
        Entry,
        Power,
        What, //
    },
    Disk,
    SECTOR, //
};
use crate::error::{
    Error,
    Result, //
};
use std::{
    io,
    sync::{
        atomic::{
            AtomicU32,
            Ordering, //
        },
        Arc,
        Mutex,
        MutexGuard,
        PoisonError,
        RwLock, //
    },
};

/// What handles of a device share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) name: String,
    pub(super) nr_sectors: u64,
    pub(super) block_bytes: AtomicU32,
    pub(super) writable: bool,
    /// What reads see.
    disk: RwLock<Disk>,
    faults: Mutex<Faults>,
    log: Mutex<Log>,
    power: Power,
    pub(super) air: Air,
}

#[derive(Debug)]
struct Log {
    /// The contents before the first entry, if there is to be a log.
    first: Option<Disk>,
    entries: Vec<Entry>,
    /// When writes and discards began, whether there is a log or not.
    changes: Vec<u64>,
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(super) fn new(name: &str, disk: Disk, recorded_by: Option<&Power>) -> Self {
        Self {
            name: name.to_owned(),
            nr_sectors: disk.nr_sectors(),
            block_bytes: AtomicU32::new(SECTOR as u32),
            writable: true,
            log: Mutex::new(Log {
                first: recorded_by.map(|_| disk.clone()),
                entries: Vec::new(),
                changes: Vec::new(),
            }),
            disk: RwLock::new(disk),
            faults: Mutex::default(),
            power: recorded_by.cloned().unwrap_or_default(),
            air: Air::default(),
        }
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        locked(&self.faults)
    }

    pub(super) fn read(&self, sector: u64, buf: &mut [u8]) -> Result<()> {
        let fault = {
            let mut faults = self.faults();
            let end = sector * SECTOR as u64 + buf.len() as u64;
            if end > faults.damaged_from {
                return Err(Error::Io);
            }
            faults.next(Kind::Read)
        };
        if fault.is_some() {
            return Err(Error::Io);
        }
        let disk = self.disk.read().unwrap_or_else(PoisonError::into_inner);
        disk.read(sector, buf).map_err(|_| Error::Io)
    }

    pub(super) fn write(&self, sector: u64, buf: &[u8], how: Durability) -> Result<()> {
        let (mut sector, mut buf, mut fails) = (sector, buf, false);
        match self.faults().next(Kind::Write) {
            None => (),
            Some(Fault::Fail) => return Err(Error::Io),
            Some(Fault::FailHalf) => {
                buf = &buf[..buf.len() / SECTOR / 2 * SECTOR];
                fails = true;
            }
            Some(Fault::Misdirect(to)) => {
                sector = to.min(self.nr_sectors - (buf.len() / SECTOR) as u64);
            }
            Some(Fault::Lose) => buf = &[],
        }
        let what = What::Write {
            sector,
            data: buf.into(),
            how,
        };
        let entry = self.begin(what, |disk| disk.write(sector, buf))?;
        if fails {
            return Err(Error::Io);
        }
        self.end(entry);
        Ok(())
    }

    pub(super) fn discard(&self, sector: u64, nr: u64) -> Result<()> {
        match self.faults().next(Kind::Discard) {
            None => (),
            Some(Fault::Lose) => return Ok(()),
            Some(_) => return Err(Error::Io),
        }
        let what = What::Discard { sector, nr };
        let entry = Entry {
            begin: 0,
            end: 0,
            what: what.clone(),
        };
        let entry = self.begin(what, |disk| {
            (0..nr).try_for_each(|at| disk.write(sector + at, entry.sector(at)))
        })?;
        self.end(entry);
        Ok(())
    }

    pub(super) fn flush(&self) -> Result<()> {
        match self.faults().next(Kind::Flush) {
            None => (),
            Some(Fault::Lose) => return Ok(()),
            Some(_) => return Err(Error::Io),
        }
        let entry = self.begin(What::Flush, |_| Ok(()))?;
        self.end(entry);
        Ok(())
    }

    /// Begins something: changes what reads see. Gives its place in the log, if there is one.
    fn begin(
        &self,
        what: What,
        change: impl FnOnce(&mut Disk) -> io::Result<()>,
    ) -> Result<Option<usize>> {
        // Changes of the same sector are in the log in the order in which they were made.
        let mut disk = self.disk.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut disk).map_err(|_| Error::Io)?;
        let mut log = locked(&self.log);
        let begin = self.power.tick();
        if !matches!(what, What::Flush) {
            log.changes.push(begin);
        }
        if log.first.is_none() {
            return Ok(None);
        }
        log.entries.push(Entry {
            begin,
            end: u64::MAX,
            what,
        });
        Ok(Some(log.entries.len() - 1))
    }

    /// It is over and has worked.
    fn end(&self, entry: Option<usize>) {
        let mut log = locked(&self.log);
        let end = self.power.tick();
        if let Some(entry) = entry {
            log.entries[entry].end = end;
        }
    }
}

/// A device as a test sees it: what is done to it, and what goes wrong.
#[derive(Clone, Debug)]
pub struct Medium(pub(super) Arc<Inner>);

impl Medium {
    /// The device's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The clock.
    pub fn power(&self) -> &Power {
        &self.0.power
    }

    /// Sets the smallest unit of transfer, in bytes: a power of two from 512 on.
    pub fn set_block_bytes(&self, bytes: u32) {
        assert!(bytes.is_power_of_two() && bytes >= SECTOR as u32);
        self.0.block_bytes.store(bytes, Ordering::Relaxed);
    }

    /// How many hold the device or look at it like this.
    pub fn nr_users(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Makes something go wrong with one of `kind`, once `after` of them have gone well.
    pub fn inject(&self, kind: Kind, after: u64, fault: Fault) {
        self.0.faults().add(kind, after, false, fault);
    }

    /// Makes all of `kind` fail, once `after` of them have gone well.
    pub fn fail_from_then_on(&self, kind: Kind, after: u64) {
        self.0.faults().add(kind, after, true, Fault::Fail);
    }

    /// How many transfers went wrong since nothing was to.
    pub fn nr_faults(&self) -> u64 {
        self.0.faults().given
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.0.faults().clear();
    }

    /// How many writes and discards began at or after the moment `since`. What was halted then must
    /// not have made any.
    pub fn changes_since(&self, since: u64) -> usize {
        let log = locked(&self.0.log);
        log.changes.iter().filter(|at| **at >= since).count()
    }

    /// Keeps writes under way whose end a task is told of: nobody is, until this is called with
    /// `false`.
    pub fn hold_flights(&self, held: bool) {
        self.0.air.hold(held);
    }

    /// Waits until so many of them are under way.
    pub fn wait_for_flights(&self, nr: usize) {
        self.0.air.wait_for(nr);
    }

    /// The most of them that were under way at a time.
    pub fn most_flights(&self) -> usize {
        self.0.air.most()
    }

    /// What reads see now.
    pub fn contents(&self) -> Disk {
        let disk = self.0.disk.read().unwrap_or_else(PoisonError::into_inner);
        disk.clone()
    }

    /// What was on the device before all that is in the log, and the log. `None` of a device that
    /// has no log.
    pub(super) fn history(&self) -> Option<(Disk, Vec<Entry>)> {
        let log = locked(&self.0.log);
        Some((log.first.clone()?, log.entries.clone()))
    }
}
