// SPDX-License-Identifier: GPL-2.0

//! What a task must not wait for when it allocates memory.

use crate::bindings;
use core::marker::PhantomData;

/// As long as it is there, allocations of this task do not make filesystems write or drop anything
/// to get memory: that could need what the task holds. Scopes can be nested, and end in reverse
/// order.
///
/// C: `memalloc_nofs_save()`.
#[must_use]
pub struct NoFs {
    before: u32,
    /// Of this task.
    not_send: PhantomData<*const ()>,
}

impl NoFs {
    /// Begins a scope.
    pub fn enter() -> Self {
        Self {
            // SAFETY: Sets a flag of the current task.
            before: unsafe { bindings::memalloc_nofs_save() },
            not_send: PhantomData,
        }
    }
}

impl Drop for NoFs {
    fn drop(&mut self) {
        // SAFETY: Restores what the same task had.
        unsafe { bindings::memalloc_nofs_restore(self.before) };
    }
}
