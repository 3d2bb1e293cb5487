// SPDX-License-Identifier: GPL-2.0

//! Memory reclaim. Nothing asks for it here; tests call [`Shrink`] themselves.

use crate::{
    env::Arc,
    error::Result, //
};

/// A cache that can give memory back.
pub trait Shrink: Send + Sync + 'static {
    /// Objects that could be freed.
    fn count(&self) -> usize;
    /// Tries to free `nr` objects; returns how many were.
    fn scan(&self, nr: usize) -> usize;
}

/// A registered cache.
pub struct Shrinker(());

impl Shrinker {
    /// Registers `cache`; dropping the result ends that.
    pub fn register<T: Shrink>(_name: &'static core::ffi::CStr, _cache: Arc<T>) -> Result<Self> {
        Ok(Self(()))
    }
}
