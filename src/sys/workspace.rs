// SPDX-License-Identifier: GPL-2.0

//! What decompression works with, kept for the next time: the memory of decompressors, and
//! buffers. Reads would otherwise allocate and free hundreds of KiB each. The kernel can have it
//! back when memory is short.

use super::{
    compress::Codecs,
    shrinker::{
        Shrink,
        Shrinker, //
    },
    sync::SpinLock, //
};
use crate::{
    env::{
        Arc,
        Vec, //
    },
    error::Result, //
};
use core::ops::{
    Deref,
    DerefMut, //
};

/// The most workspaces that are kept. More exist only while as many are in use: decompression does
/// not sleep, so there is one for each CPU at most, or few more.
const KEPT_MAX: usize = 16;

/// What one decompression works with. Has memory only for what it was used for so far.
#[derive(Default)]
pub struct Workspace {
    /// The decompressors.
    pub codecs: Codecs,
    /// For compressed data that came in pieces.
    pub stored: Buffer,
    /// For decompressed data of which the wanted parts have to be copied.
    pub output: Buffer,
}

/// Memory that grows to what was asked of it.
#[derive(Default)]
pub struct Buffer(Vec<u8>);

impl Buffer {
    /// The first `nr_bytes`; they hold whatever they were last used for.
    pub fn sized(&mut self, nr_bytes: usize) -> Result<&mut [u8]> {
        if self.0.len() < nr_bytes {
            // Not by growing: that would copy what nobody wants.
            self.0 = Vec::new();
            self.0 = Vec::from_elem(0u8, nr_bytes)?;
        }
        Ok(self.0.get_mut(..nr_bytes).unwrap_or(&mut []))
    }
}

/// Workspaces that nobody is using.
struct Kept(SpinLock<Vec<Workspace>>);

impl Kept {
    /// Keeps `space`, or gives it back when there are enough.
    fn keep(&self, space: Workspace) -> Option<Workspace> {
        let mut kept = self.0.lock();
        if kept.len() >= KEPT_MAX {
            return Some(space);
        }
        // There is room, so nothing is allocated.
        let _ = kept.push(space);
        None
    }

    fn take(&self) -> Option<Workspace> {
        self.0.lock().pop()
    }
}

impl Shrink for Kept {
    fn count(&self) -> usize {
        self.0.lock().len()
    }

    fn scan(&self, nr: usize) -> usize {
        // Freed without the lock.
        (0..nr).map_while(|_| self.take()).count()
    }
}

/// The workspaces of a filesystem.
///
/// C: the mempools of `struct bch_fs_compress`.
pub struct Workspaces {
    kept: Arc<Kept>,
    _shrinker: Shrinker<Kept>,
}

impl Workspaces {
    /// None so far.
    pub fn try_new() -> Result<Self> {
        let kept = Kept(SpinLock::try_new(Vec::with_capacity(KEPT_MAX)?)?);
        let kept = Arc::try_new(kept)?;
        Ok(Self {
            _shrinker: Shrinker::register(c"bcachefs-workspaces", kept.clone())?,
            kept,
        })
    }

    /// One for the caller alone, until that is dropped.
    pub fn get(&self) -> Lease<'_> {
        Lease {
            kept: &self.kept,
            space: self.kept.take().unwrap_or_default(),
        }
    }
}

/// A workspace in use; goes back when dropped.
pub struct Lease<'a> {
    kept: &'a Kept,
    space: Workspace,
}

impl Deref for Lease<'_> {
    type Target = Workspace;

    fn deref(&self) -> &Workspace {
        &self.space
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut Workspace {
        &mut self.space
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // What is too much is freed here, without the lock.
        drop(self.kept.keep(core::mem::take(&mut self.space)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_kept() {
        let all = Workspaces::try_new().unwrap();
        let mut one = all.get();
        one.output.sized(100).unwrap().fill(7);
        assert_eq!(one.output.sized(50).unwrap(), [7; 50]);
        // Another one in the meantime has memory of its own.
        assert!(all.get().output.sized(3).unwrap() == [0; 3]);
        drop(one);
        assert_eq!(all.get().output.sized(100).unwrap(), [7; 100]);
        assert_eq!(all.get().output.sized(200).unwrap(), [0; 200]);
    }

    #[test]
    fn few_are_kept() {
        let all = Workspaces::try_new().unwrap();
        let many: std::vec::Vec<_> = (0..KEPT_MAX + 3).map(|_| all.get()).collect();
        drop(many);
        assert_eq!(all.kept.count(), KEPT_MAX);
        assert_eq!(all.kept.scan(3), 3);
        assert_eq!(all.kept.count(), KEPT_MAX - 3);
        assert_eq!(all.kept.scan(KEPT_MAX), KEPT_MAX - 3);
    }
}
