// SPDX-License-Identifier: GPL-2.0

//! Which write point a stream of writes uses. Files that are written at the same time use different
//! ones, so that each is in one piece; but each write point holds buckets that nobody else can
//! fill, so there are fewer of them when space is short.

use crate::env::num::u64_of;

/// The most there are. C: `WRITE_POINT_MAX`.
pub const POINTS_MAX: usize = 32;

#[derive(Clone, Copy, Debug, Default)]
struct Point {
    stream: u64,
    last_used: u64,
}

/// The write points' users, by index.
///
/// C: `write_points`, `write_points_hash`, `write_points_nr`.
#[derive(Debug)]
pub struct Points {
    points: [Point; POINTS_MAX],
    nr: usize,
}

/// The write point that a stream is to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its index.
    pub index: usize,
    /// Another stream used it last: what it has open is of that one.
    pub was_others: bool,
}

/// What is stranded in `nr` write points is more than a share of what is free.
/// C: `too_many_writepoints()`.
fn too_many(nr: usize, share: u64, free_sectors: u64, bucket_sectors: u64) -> bool {
    let stranded = u64_of(nr).saturating_mul(bucket_sectors);
    stranded.saturating_mul(share) > free_sectors
}

impl Default for Points {
    fn default() -> Self {
        Self::new()
    }
}

impl Points {
    /// All of them, used by nobody.
    pub const fn new() -> Self {
        Self {
            points: [Point {
                stream: 0,
                last_used: 0,
            }; POINTS_MAX],
            nr: POINTS_MAX,
        }
    }

    /// How many are in use.
    pub const fn nr(&self) -> usize {
        self.nr
    }

    /// The write point for `stream` (not 0), at time `now`: its own, or the one that was not used
    /// for longest. One more comes into use if there is space for it: `free_sectors` in the
    /// filesystem, with buckets of up to `bucket_sectors`.
    ///
    /// C: `writepoint_find()`.
    pub fn choose(
        &mut self,
        stream: u64,
        now: u64,
        free_sectors: u64,
        bucket_sectors: u64,
    ) -> Option<Chosen> {
        let used = self.points.get(..self.nr)?;
        let own = used.iter().position(|p| p.stream == stream);
        if own.is_none()
            && self.nr < POINTS_MAX
            && !too_many(self.nr, 32, free_sectors, bucket_sectors)
        {
            self.nr = self.nr.wrapping_add(1);
        }
        let used = self.points.get_mut(..self.nr)?;
        let oldest = || {
            let all = used.iter().enumerate();
            all.min_by_key(|(_, p)| p.last_used).map(|(index, _)| index)
        };
        let index = own.or_else(oldest)?;
        let point = used.get_mut(index)?;
        let was_others = point.stream != stream && point.stream != 0;
        *point = Point {
            stream,
            last_used: now,
        };
        Some(Chosen { index, was_others })
    }

    /// When no bucket can be had: takes one write point out of use if they hold too much. Whoever
    /// asks then has it [give up](super::WritePoint::give_up) its buckets, and tries again. `seen`
    /// is [`Points::nr`] from before; when it is less by now, somebody else did it, and there is no
    /// index.
    ///
    /// C: `try_decrease_writepoints()`.
    pub fn shrink(
        &mut self,
        seen: usize,
        free_sectors: u64,
        bucket_sectors: u64,
    ) -> Option<Option<usize>> {
        if self.nr < seen {
            return Some(None);
        }
        if self.nr <= 1 || !too_many(self.nr, 8, free_sectors, bucket_sectors) {
            return None;
        }
        self.nr = self.nr.wrapping_sub(1);
        if let Some(last) = self.points.get_mut(self.nr) {
            *last = Point::default();
        }
        Some(Some(self.nr))
    }
}

/// The stream of an inode's writes, or of a process's; not 0. C: `writepoint_hashed()`.
pub const fn stream(id: u64) -> u64 {
    id | 1
}
