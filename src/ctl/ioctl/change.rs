// SPDX-License-Identifier: GPL-2.0

//! Checks of what asks for a change. A filesystem that is mounted read-only refuses all of them,
//! and one that is mounted read-write can not do most of them yet; but a caller that asks for
//! nonsense, or has not the right to ask, is told that first.

use super::{
    arg::{
        Arg,
        DeviceName,
        BY_INDEX, //
    },
    commands::Change,
    request::{
        admin,
        sane, //
    },
};
use crate::{
    error::Result,
    format::sb::members::MemberState, //
};

/// The flags that say which losses are accepted. C: `BCH_FORCE_IF_LOST`,
/// `BCH_FORCE_IF_DEGRADED`.
const FORCE: u32 = 0xf;
/// C: `BCH_DATA_OP_NR`.
const DATA_OPS: u16 = 5;
/// C: `BCH_SUBVOL_SNAPSHOT_CREATE`, `BCH_SUBVOL_SNAPSHOT_RO`.
pub(super) const SNAPSHOT: u32 = 1 << 0;
pub(super) const SNAPSHOT_RO: u32 = 1 << 1;

/// How long an argument is in the first version, which has no message.
pub(super) fn bytes_without_message(what: Change) -> usize {
    match what {
        Change::DiskResize | Change::DiskResizeJournal => 24,
        Change::Data => 112,
        Change::SubvolumeCreate | Change::SubvolumeDestroy => 32,
        _ => 16,
    }
}

/// Checks an argument. Returns the device that has to exist.
///
/// C: `bch2_ioctl_disk_add()` and so on.
pub(super) fn check(what: Change, arg: &Arg) -> Result<Option<DeviceName>> {
    let flags = arg.u32(0);
    let only = |known: u32| sane((flags & !known == 0).then_some(()));
    let pad = |at, len| sane(arg.is_zero(at, len).then_some(()));
    match what {
        Change::DiskAdd | Change::DiskOnline => {
            admin()?;
            only(0)?;
            pad(4, 4)?;
            // The path has to be there; it is not looked at.
            arg.device(8, 0)?;
            Ok(None)
        }
        Change::DiskRemove | Change::DiskOffline => {
            admin()?;
            only(FORCE | BY_INDEX)?;
            pad(4, 4)?;
            arg.device(8, flags).map(Some)
        }
        Change::DiskSetState => {
            admin()?;
            only(FORCE | BY_INDEX)?;
            pad(5, 3)?;
            sane(MemberState::NAMES.get(usize::from(arg.u8(4))))?;
            arg.device(8, flags).map(Some)
        }
        Change::Data => {
            admin()?;
            sane((arg.u16(0) < DATA_OPS && arg.u32(4) == 0).then_some(()))?;
            Ok(None)
        }
        Change::DiskResize | Change::DiskResizeJournal => {
            admin()?;
            only(BY_INDEX)?;
            pad(4, 4)?;
            let fits = what == Change::DiskResize || arg.u64(16) <= u32::MAX.into();
            sane(fits.then_some(()))?;
            arg.device(8, flags).map(Some)
        }
        Change::FsckOnline => {
            sane((arg.u64(0) == 0).then_some(()))?;
            admin()?;
            Ok(None)
        }
        Change::SubvolumeCreate => {
            only(SNAPSHOT | SNAPSHOT_RO)?;
            let source = arg.u64(24) != 0 || flags & SNAPSHOT_RO != 0;
            sane((flags & SNAPSHOT != 0 || !source).then_some(()))?;
            Ok(None)
        }
        Change::SubvolumeDestroy => {
            only(0)?;
            Ok(None)
        }
    }
}
