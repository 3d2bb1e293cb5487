// SPDX-License-Identifier: GPL-2.0

//! Keys that go from one snapshot to another, while others read.
//!
//! When a snapshot has one child left, its keys become those of the child: nobody sees a
//! difference. But who walks over a place, key by key, may look at the child's place before, and
//! at the other one's after it, and find nothing. So whoever reads notes what was moved when he
//! began, and begins again if it is more afterwards.

use crate::{
    error::Result,
    sys::sync::{
        atomic::{
            AtomicU64,
            Ordering, //
        },
        Mutex,
        MutexGuard,
        Once, //
    },
};

/// How often a reader is disturbed before he has no more keys moved.
const TRIES: u32 = 3;

/// How many times keys were moved.
pub(super) struct Moves {
    /// Odd while they are.
    nr: AtomicU64,
    /// Held while they are; there once anything was moved.
    moving: Once<Mutex<()>>,
}

impl Moves {
    /// Calls `read`, again if keys were moved meanwhile.
    #[inline]
    pub(super) fn read<T>(&self, mut read: impl FnMut() -> Result<T>) -> Result<T> {
        match self.try_read(&mut read)? {
            Some(found) => Ok(found),
            None => self.read_again(read),
        }
    }

    /// `None` if keys were moved meanwhile.
    #[inline]
    fn try_read<T>(&self, read: &mut impl FnMut() -> Result<T>) -> Result<Option<T>> {
        let before = self.nr.load(Ordering::Acquire);
        if before & 1 != 0 {
            return Ok(None);
        }
        let found = read()?;
        Ok((self.nr.load(Ordering::Acquire) == before).then_some(found))
    }

    #[cold]
    #[inline(never)]
    fn read_again<T>(&self, mut read: impl FnMut() -> Result<T>) -> Result<T> {
        for _ in 0..TRIES {
            // What is under way, ends; and readers do not wait for each other.
            drop(self.moving());
            if let Some(found) = self.try_read(&mut read)? {
                return Ok(found);
            }
        }
        let _moving = self.moving();
        read()
    }

    /// As long as this exists, no keys are moved.
    fn moving(&self) -> Option<MutexGuard<'_, ()>> {
        self.moving.get().map(Mutex::lock)
    }

    /// Calls `change`, which moves keys. It must hold no locks.
    pub(super) fn change<T>(&self, change: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.moving.get().is_none() {
            self.moving.set(Mutex::try_new(())?);
        }
        let _moving = self.moving();
        self.nr.fetch_add(1, Ordering::AcqRel);
        let done = change();
        self.nr.fetch_add(1, Ordering::AcqRel);
        done
    }
}

impl Default for Moves {
    fn default() -> Self {
        Self {
            nr: AtomicU64::new(0),
            moving: Once::new(None),
        }
    }
}

impl core::fmt::Debug for Moves {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} moves", self.nr.load(Ordering::Relaxed))
    }
}
