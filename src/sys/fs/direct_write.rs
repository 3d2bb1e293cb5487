// SPDX-License-Identifier: GPL-2.0

//! Regular files: writing past the page cache.

use super::{
    inode::INode,
    pinned::Pinned,
    taken::Taken,
    write::{
        block_bytes,
        round_down,
        FileWrite, //
    },
    Result, //
};
use crate::{
    bindings,
    env::num,
    error::errno::Errno,
    sys::{
        check,
        failed, //
    },
};
use core::ptr::NonNull;

/// Bytes that are copied or pinned at a time.
const DIRECT_BYTES: usize = 1 << 20;

/// A write that goes on after the system call. Dropping it ends it, with an error.
///
/// # Invariants
///
/// The request is for an open file of `T`, and nobody else completes it. Until it is ended, it and
/// the inode stay.
pub struct DirectEnd<T: FileWrite> {
    iocb: NonNull<bindings::kiocb>,
    inode: NonNull<INode<T>>,
    pos: u64,
    len: usize,
}

// SAFETY: Any thread may end a request.
unsafe impl<T: FileWrite> Send for DirectEnd<T> {}
// SAFETY: As above; a reference to it can not be used for anything but the inode.
unsafe impl<T: FileWrite> Sync for DirectEnd<T> {}

impl<T: FileWrite> DirectEnd<T> {
    /// The file.
    pub fn inode(&self) -> &INode<T> {
        // SAFETY: By the type invariant.
        unsafe { self.inode.as_ref() }
    }

    /// Ends the write: all of it was written, or not. May sleep.
    pub fn end(self, result: Result) {
        self.complete(match result {
            Ok(()) => isize::try_from(self.len).unwrap_or(isize::MAX),
            Err(e) => failed(e),
        });
        core::mem::forget(self);
    }

    fn complete(&self, ret: isize) {
        let pos = num::i64_of_bits(self.pos);
        let iocb = self.iocb.as_ptr();
        // SAFETY: By the type invariant; this is the only end, as whoever calls this is dropped.
        unsafe {
            if let Ok(done @ 1..) = usize::try_from(ret) {
                bindings::bch_rs_direct_done(iocb, pos, done);
            }
            self.inode().queued().end();
            bindings::bch_rs_direct_queued_end(iocb, pos, ret);
        }
    }
}

impl<T: FileWrite> Drop for DirectEnd<T> {
    fn drop(&mut self) {
        self.complete(failed(Errno::EIO));
    }
}

/// Writes whole blocks.
///
/// C: `bch2_direct_write()`.
///
/// # Safety
///
/// `iocb` and `from` must be of a write to `inode`, which is locked.
pub(super) unsafe fn write<T: FileWrite>(
    inode: &INode<T>,
    iocb: *mut bindings::kiocb,
    from: *mut bindings::iov_iter,
) -> isize {
    // SAFETY: By the function's contract.
    let (start, count, queues, pins) = unsafe {
        let count = bindings::iov_iter_count(from);
        let queues = count <= DIRECT_BYTES && bindings::bch_rs_direct_queues(iocb, count);
        let pins = T::is_written_as_it_is(inode)
            && Pinned::can_have(from, num::usize_of(block_bytes(inode)));
        ((*iocb).ki_pos, count, queues, pins)
    };
    let mut pos = num::u64_of_bits(start);
    let mut result = Ok(());
    while result.is_ok() {
        // SAFETY: As above. What is not pinned is there until the request is completed.
        let (data, left) = unsafe {
            let data = Taken::from_iter(from, DIRECT_BYTES, pins);
            (data, bindings::iov_iter_count(from))
        };
        let mut data = match data {
            Ok(data) => data,
            Err(e) => {
                result = Err(e);
                break;
            }
        };
        let got = data.nr_bytes();
        data.truncate(num::usize_of(round_down(inode, num::u64_of(got))));
        let len = data.nr_bytes();
        if len == 0 {
            if left != 0 || got != 0 {
                result = Err(Errno::EFAULT);
            }
            break;
        }
        // The memory of the process, which may be a mapping of the file, was copied or pinned
        // before.
        // SAFETY: As above. Nobody brings pages to the cache until they are unlocked below.
        let ready = unsafe {
            bindings::bch_rs_lock_pages_only(inode.as_ptr());
            check(bindings::bch_rs_direct_start(iocb, len))
        };
        if ready.is_ok() && queues && len == count && inode.queued().begin() {
            // SAFETY: Locked above. The other as before.
            return unsafe {
                bindings::bch_rs_unlock_pages(inode.as_ptr());
                queue(inode, iocb, pos, data)
            };
        }
        let end = pos.saturating_add(num::u64_of(len));
        result = ready.and_then(|()| T::write_direct(inode, pos, data, end));
        // SAFETY: As above; the inode is locked, and its pages are.
        unsafe {
            if result.is_ok() {
                bindings::bch_rs_direct_done(iocb, num::i64_of_bits(pos), len);
                if end > inode.size() {
                    bindings::bch_rs_set_longer(inode.as_ptr(), num::i64_of_bits(end));
                }
                (*iocb).ki_pos = num::i64_of_bits(end);
                pos = end;
            }
            bindings::bch_rs_unlock_pages(inode.as_ptr());
        }
        if result.is_ok() && len != got {
            result = Err(Errno::EFAULT);
        }
    }
    match (pos.saturating_sub(num::u64_of_bits(start)), result) {
        (0, Err(e)) => failed(e),
        (done, _) => isize::try_from(done).unwrap_or(isize::MAX),
    }
}

/// Writes when the system call has returned, too: a write that
/// [`begin()`](super::queued::Queued::begin) has counted.
///
/// # Safety
///
/// `iocb` must be of a write to `inode` that is completed by a call.
unsafe fn queue<T: FileWrite>(
    inode: &INode<T>,
    iocb: *mut bindings::kiocb,
    pos: u64,
    data: Taken,
) -> isize {
    let Some(iocb) = NonNull::new(iocb) else {
        inode.queued().end();
        return failed(Errno::EINVAL);
    };
    // SAFETY: The inode is ours, and locked. It is let go at the end.
    unsafe { bindings::bch_rs_direct_hold_inode(inode.as_ptr()) };
    // INVARIANT: The caller is told that the request will be completed.
    let end = DirectEnd {
        iocb,
        inode: NonNull::from(inode),
        pos,
        len: data.nr_bytes(),
    };
    T::start_direct(inode, pos, data, end);
    failed(EIOCBQUEUED)
}

/// What the VFS is told when a request will be completed by a call.
const EIOCBQUEUED: Errno = Errno(529);
