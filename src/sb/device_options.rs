// SPDX-License-Identifier: GPL-2.0

//! What can be changed about a device while its filesystem is mounted.

use super::{
    Device,
    SbState, //
};
use crate::{
    env::{
        num::low_u8,
        time::real_seconds, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        opts::OptId,
        sb::Member, //
    },
    sys::sync::atomic::{
        AtomicBool,
        AtomicU8,
        Ordering, //
    },
};

/// The options of a device that count now; others are as they were at the mount.
///
/// C: a part of `mi` of `struct bch_dev`.
pub(super) struct DeviceOpts {
    discard: AtomicBool,
    durability: AtomicU8,
}

impl DeviceOpts {
    /// Those that the superblock has.
    pub(super) fn of(member: &Member) -> Self {
        Self {
            discard: AtomicBool::new(member.discard()),
            durability: AtomicU8::new(member.durability()),
        }
    }
}

impl Device {
    /// How many copies one on this device counts for.
    pub fn durability(&self) -> u8 {
        self.opts.durability.load(Ordering::Relaxed)
    }

    /// Whether its own options say that space that has become free is discarded; the mount can
    /// [say otherwise](SbState::discards).
    pub fn discard(&self) -> bool {
        self.opts.discard.load(Ordering::Relaxed)
    }
}

impl SbState {
    /// Changes an option of a device, in the superblock as well. [`Error::DeviceOptionFixed`] when
    /// that takes more than to say so: its state and its label.
    ///
    /// C: `bch2_opt_set_sb()`.
    pub fn set_device_option(&self, dev: &Device, id: OptId, v: u64) -> Result {
        let change: fn(&mut Member, u64) = match id {
            OptId::Discard => |m, v| m.set_discard(v != 0),
            OptId::Durability => |m, v| m.set_durability(low_u8(v)),
            OptId::Rotational => |m, v| m.set_rotational(v != 0),
            _ => return Err(Error::DeviceOptionFixed),
        };
        self.change_super(|sb| {
            sb.update_member(dev.idx.0, |m| change(m, v));
            Ok(true)
        })?;
        match id {
            OptId::Discard => dev.opts.discard.store(v != 0, Ordering::Relaxed),
            OptId::Durability => dev.opts.durability.store(low_u8(v), Ordering::Relaxed),
            _ => (),
        }
        Ok(())
    }

    /// Has the errors of a device be counted from now on, beside all that there were.
    ///
    /// C: `bch2_dev_errors_reset()`.
    pub fn reset_io_errors(&self, dev: &Device) -> Result {
        let (errors, now) = (dev.all_errors(), real_seconds());
        self.change_super(|sb| {
            sb.update_member(dev.idx.0, |m| m.reset_errors(errors, now));
            Ok(true)
        })
    }
}
