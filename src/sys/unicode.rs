// SPDX-License-Identifier: GPL-2.0

//! Names compared without case, by the kernel's Unicode tables.

use super::check_ptr;
use crate::{
    bindings,
    error::{
        errno::Errno,
        Error,
        Result, //
    },
};
use core::ptr::NonNull;

/// The rules for comparing names in UTF-8 without case: canonical decomposition, case folded,
/// characters without appearance left out. They are those of Unicode 12.1, and never change:
/// hashes of names are on disk.
///
/// C: `utf8_load()` of `BCH_FS_DEFAULT_UTF8_ENCODING`.
///
/// # Invariants
///
/// A map that was loaded, and that nobody else unloads.
pub struct Encoding(NonNull<bindings::unicode_map>);

// SAFETY: A map never changes.
unsafe impl Send for Encoding {}
// SAFETY: As above.
unsafe impl Sync for Encoding {}

impl Encoding {
    /// Loads the rules. `None` when the kernel has none.
    pub fn load() -> Result<Option<Self>> {
        // SAFETY: Returns a map or an errno.
        match check_ptr(unsafe { bindings::bch_rs_unicode_load() }) {
            // INVARIANT: The map is new, and ours.
            Ok(map) => Ok(NonNull::new(map).map(Self)),
            Err(Errno::ENOMEM) => Err(Error::NoMemory),
            Err(_) => Ok(None),
        }
    }

    /// `name` as it is compared, to the front of `to`: its length. `None` when it is no UTF-8, or
    /// when `to` is too short: it takes one byte more than the result has.
    pub fn fold(&self, name: &[u8], to: &mut [u8]) -> Option<usize> {
        // SAFETY: By the type invariant; both slices are given with their lengths.
        let len = unsafe {
            bindings::bch_rs_unicode_fold(
                self.0.as_ptr(),
                name.as_ptr(),
                name.len(),
                to.as_mut_ptr(),
                to.len(),
            )
        };
        usize::try_from(len).ok()
    }

    /// The C object, for a superblock that does not outlive this.
    pub(super) fn as_ptr(&self) -> *mut bindings::unicode_map {
        self.0.as_ptr()
    }
}

impl Drop for Encoding {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::bch_rs_unicode_unload(self.0.as_ptr()) };
    }
}
