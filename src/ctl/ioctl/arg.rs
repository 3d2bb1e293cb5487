// SPDX-License-Identifier: GPL-2.0

//! An argument's bytes.

use super::commands::arg_bytes;
use crate::{
    env::num::{
        usize_of,
        usize_of_u32, //
    },
    error::{
        errno::Errno,
        Error,
        Result, //
    },
    sys::caller,
};

/// The longest argument, without what follows it.
const ARG_MAX: usize = 280;

/// A device's longest name, in bytes.
const NAME_MAX: usize = 64;

/// The flag that says that a device is given by its number. C: `BCH_BY_INDEX`.
pub(super) const BY_INDEX: u32 = 1 << 4;

/// An argument, as copied from the caller. In it are numbers in the order of bytes of the machine.
pub(super) struct Arg([u8; ARG_MAX]);

impl Arg {
    /// Copies the argument of the command `cmd`.
    pub(super) fn read(cmd: u32, from: usize) -> Result<Self> {
        let mut arg = Self([0; ARG_MAX]);
        let len = usize_of_u32(arg_bytes(cmd)).min(ARG_MAX);
        if let Some(to) = arg.0.get_mut(..len) {
            fault(caller::read(from, to))?;
        }
        Ok(arg)
    }

    /// `len` bytes at `at`; none when they are not within the argument.
    pub(super) fn bytes(&self, at: usize, len: usize) -> &[u8] {
        let end = at.saturating_add(len);
        self.0.get(at..end).unwrap_or_default()
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes(at, N).try_into().unwrap_or([0; N])
    }

    pub(super) fn u8(&self, at: usize) -> u8 {
        u8::from_ne_bytes(self.array(at))
    }

    pub(super) fn u16(&self, at: usize) -> u16 {
        u16::from_ne_bytes(self.array(at))
    }

    pub(super) fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.array(at))
    }

    pub(super) fn u64(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.array(at))
    }

    /// An address in the caller's memory.
    pub(super) fn address(&self, at: usize) -> usize {
        usize_of(self.u64(at))
    }

    /// Whether `len` bytes of padding are zero.
    pub(super) fn is_zero(&self, at: usize, len: usize) -> bool {
        self.bytes(at, len).iter().all(|b| *b == 0)
    }

    /// The device that the number or address at `at` says, by `flags`.
    ///
    /// C: `bch2_device_lookup()`.
    pub(super) fn device(&self, at: usize, flags: u32) -> Result<DeviceName> {
        if flags & BY_INDEX != 0 {
            return Ok(DeviceName::Index(self.u64(at)));
        }
        let mut name = Name {
            bytes: [0; NAME_MAX],
            len: 0,
        };
        name.len = fault(caller::read_text(self.address(at), &mut name.bytes))?;
        Ok(DeviceName::Path(name))
    }
}

/// How a caller says which device is meant.
pub(super) enum DeviceName {
    /// By its slot.
    Index(u64),
    /// By its path.
    Path(Name),
}

/// A name, cut off where no device has one that long.
pub(super) struct Name {
    bytes: [u8; NAME_MAX],
    len: usize,
}

impl Name {
    /// The name, without the directory that devices are in.
    pub(super) fn of_device(&self) -> &[u8] {
        let name = self.bytes.get(..self.len).unwrap_or_default();
        name.strip_prefix(b"/dev/").unwrap_or(name)
    }
}

/// What copying from or to the caller gives.
pub(super) fn fault<T>(copied: Result<T, Errno>) -> Result<T> {
    copied.map_err(|_| Error::IoctlMemory)
}
