// SPDX-License-Identifier: GPL-2.0

//! Devices that fail to write while the filesystem is mounted: they are written no more, if the
//! others are enough. As in C, when nothing could be written for some time; and, which C does not
//! do, when one can not say that what it has is safe.

use super::{
    Device,
    SbState, //
};
use crate::{
    env::{
        pr_err,
        time::monotonic_ns, //
    },
    error::Result,
    format::{
        opts::OptId,
        sb::{
            assemble::{
                check_enough,
                Degraded,
                DevMask, //
            },
            flags,
            members::MemberState,
            Superblock, //
        },
    },
};

const NS_PER_SECOND: u64 = 1_000_000_000;

impl SbState {
    /// Whether all writes to `dev` failed for as long as the option `write_error_timeout` says.
    ///
    /// C: `bch2_io_error_work()`.
    pub fn fails_for_long(&self, dev: &Device) -> bool {
        let most = self.opts.get(OptId::WriteErrorTimeout);
        let failing = dev.errors.failing_ns(monotonic_ns());
        dev.is_writable() && failing.is_some_and(|ns| ns / NS_PER_SECOND >= most)
    }

    /// Has nothing be written to `dev` any more but the superblock, which says what became of it:
    /// it is read-only; or "failed", when it `lost` something, so that all else is read first.
    /// Whether that can be: all that is there has to be readable without the device, and there
    /// have to be as many others to write to as are required. Of several who ask, all are told the
    /// same.
    ///
    /// C: `__bch2_dev_set_state()`, `bch2_dev_state_allowed()`.
    pub fn stop_device(&self, dev: &Device, lost: bool) -> Result<bool> {
        let (state, why) = match lost {
            true => (
                MemberState::EVACUATING,
                "what was written to it may be lost",
            ),
            false => (MemberState::RO, "nothing can be written to it"),
        };
        let (idx, mut is_stopped, mut is_new) = (dev.idx.0, false, false);
        self.change_super(|sb| {
            is_new = dev.is_writable();
            is_stopped = !is_new || self.can_do_without(sb, idx);
            is_new &= is_stopped;
            if is_new {
                dev.stop(state);
                sb.update_member(idx, |m| m.set_state(state));
            }
            Ok(is_new)
        })?;
        let (name, on) = (self.name(), dev.bdev.name());
        match (is_stopped, is_new) {
            (true, false) => (),
            (true, true) => pr_err!("{name}: {on}: {why}: it is not written any more"),
            (false, _) => pr_err!("{name}: {on}: {why}, and the filesystem needs it"),
        }
        Ok(is_stopped)
    }

    fn can_do_without(&self, sb: &Superblock, idx: u8) -> bool {
        let (mut online, mut nr_writable) = (DevMask::default(), 0u64);
        for dev in self.devices().filter(|d| d.idx.0 != idx) {
            if dev.is_writable() {
                nr_writable = nr_writable.saturating_add(1);
            }
            if !dev.is_stopped() {
                online.add(dev.idx.0);
            }
        }
        let required = [flags::META_REPLICAS_REQ, flags::DATA_REPLICAS_REQ];
        let required = required.map(|field| sb.flag(field).max(1));
        nr_writable >= required.into_iter().max().unwrap_or(1)
            && check_enough(sb, &online, Degraded::Yes).is_ok()
    }
}
