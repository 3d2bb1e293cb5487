// SPDX-License-Identifier: GPL-2.0

//! A few open buckets.

use super::bucket::OpenRef;

/// The most there can be. C: `OPEN_BUCKET_LIST_MAX`.
const LIST_MAX: usize = 15;

/// References to a few open buckets, in order.
///
/// C: `struct open_buckets`.
#[derive(Debug)]
pub struct OpenList {
    refs: [Option<OpenRef>; LIST_MAX],
    nr: usize,
}

impl Default for OpenList {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenList {
    /// An empty list.
    pub const fn new() -> Self {
        Self {
            refs: [const { None }; LIST_MAX],
            nr: 0,
        }
    }

    /// Adds to the end; gives the reference back when the list is full.
    pub fn push(&mut self, at: OpenRef) -> Result<(), OpenRef> {
        match self.refs.get_mut(self.nr) {
            Some(slot) => {
                *slot = Some(at);
                self.nr = self.nr.wrapping_add(1);
                Ok(())
            }
            None => Err(at),
        }
    }

    /// Takes the last out.
    pub fn pop(&mut self) -> Option<OpenRef> {
        self.nr = self.nr.checked_sub(1)?;
        self.refs.get_mut(self.nr)?.take()
    }

    /// Takes one out, and keeps the order of the others.
    pub fn remove(&mut self, at: usize) -> Option<OpenRef> {
        let taken = self.refs.get_mut(..self.nr)?.get_mut(at)?.take();
        self.nr = self.nr.checked_sub(1)?;
        let mut slots = self.refs.iter_mut().skip(at);
        if let Some(mut hole) = slots.next() {
            for slot in slots {
                *hole = slot.take();
                hole = slot;
            }
        }
        taken
    }

    /// The references.
    pub fn iter(&self) -> impl Iterator<Item = &OpenRef> {
        self.refs.iter().flatten()
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.nr
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.nr == 0
    }
}
