// SPDX-License-Identifier: GPL-2.0

//! A caller of system calls: each thread is one, with memory of its own.

use crate::error::errno::Errno;
use std::cell::RefCell;

type Result<T = ()> = core::result::Result<T, Errno>;

/// A caller's memory, and what it may do.
#[derive(Default)]
pub struct Caller {
    /// Whether it may administer the system.
    pub admin: bool,
    /// Whether it may have more than quotas allow.
    pub exceeds_quotas: bool,
    /// Whether it has got a signal.
    pub interrupted: bool,
    /// The address of the first byte of `memory`.
    pub start: usize,
    /// All memory that it has.
    pub memory: Vec<u8>,
}

thread_local! {
    static CALLER: RefCell<Caller> = RefCell::default();
}

/// The thread's caller.
pub fn with<R>(f: impl FnOnce(&mut Caller) -> R) -> R {
    CALLER.with_borrow_mut(f)
}

fn within<R>(at: usize, len: usize, f: impl FnOnce(&mut [u8]) -> R) -> Result<R> {
    with(|c| {
        let start = at.checked_sub(c.start)?;
        c.memory.get_mut(start..start.checked_add(len)?).map(f)
    })
    .ok_or(Errno::EFAULT)
}

/// Copies what is at the address `from` to `to`.
pub fn read(from: usize, to: &mut [u8]) -> Result {
    within(from, to.len(), |memory| to.copy_from_slice(memory))
}

/// Copies `bytes` to the address `to`.
pub fn write(to: usize, bytes: &[u8]) -> Result {
    within(to, bytes.len(), |memory| memory.copy_from_slice(bytes))
}

/// Copies the text at the address `from` to `to`, as much as fits, and returns its length there.
pub fn read_text(from: usize, to: &mut [u8]) -> Result<usize> {
    let room = to.len().saturating_sub(1);
    for at in 0..room {
        read(from.checked_add(at).ok_or(Errno::EFAULT)?, &mut to[at..=at])?;
        if to[at] == 0 {
            return Ok(at);
        }
    }
    to[room] = 0;
    Ok(room)
}

/// Whether the caller may administer the system.
pub fn is_admin() -> bool {
    with(|c| c.admin)
}

/// Whether the caller may have more than quotas allow.
pub fn may_exceed_quotas() -> bool {
    with(|c| c.exceeds_quotas)
}

/// Whether the caller has got a signal.
pub fn is_interrupted() -> bool {
    with(|c| c.interrupted)
}
