// SPDX-License-Identifier: GPL-2.0

//! The ioctls that the tools use, on any file of a mount and on the filesystem's control device.
//! Documentation/ioctl.rst says which are answered.
//!
//! | file          | holds                                                                 |
//! |---------------|-----------------------------------------------------------------------|
//! | `commands.rs` | [`Command`](commands::Command): the numbers, and the sizes of arguments |
//! | `arg.rs`      | an argument's bytes                                                   |
//! | `request.rs`  | [`Request`]: an argument, copied from the caller and checked           |
//! | `change.rs`   | checks of what asks for a change                                      |
//! | `answer.rs`   | [`Answer`]: what a filesystem says to a request                        |
//! | `records.rs`  | counters as the tools read them                                       |
//! | `subvolumes.rs` | lists of subvolumes, their paths, trees of snapshots                |
//!
//! A command goes three steps: the argument is copied and checked, then the filesystem is asked,
//! then the answer is copied back. Only the second step uses the filesystem, so that an unmount
//! does not wait for a caller whose memory does not come.

mod answer;
mod arg;
mod change;
mod commands;
mod records;
mod request;
mod subvolumes;

pub use answer::Answer;
pub use request::{
    Request,
    Subvolume, //
};
pub use subvolumes::Listing;

use crate::error::Result;

/// What an ioctl is made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// A file of a mount.
    File,
    /// The control device of a filesystem.
    Device,
    /// The control device that stands for all filesystems.
    All,
}

/// Whether a command changes files, by way of the file it is made on.
pub fn is_file_change(cmd: u32) -> bool {
    cmd == commands::REINHERIT_ATTRS
}

/// Does the command `cmd` with the argument at the address `arg`; `ask` asks the filesystem.
/// Returns what ioctl(2) returns.
///
/// C: `bch2_fs_ioctl()`, `bch2_fs_file_ioctl()`, `bch2_global_ioctl()`.
// Out of line: arguments are large, and the stack is small.
#[inline(never)]
pub fn control(
    on: On,
    cmd: u32,
    arg: usize,
    ask: impl FnOnce(&mut Request) -> Result<Answer>,
) -> Result<u32> {
    let mut request = Request::read(on, cmd, arg)?;
    let answer = ask(&mut request);
    request.finish(answer)
}
