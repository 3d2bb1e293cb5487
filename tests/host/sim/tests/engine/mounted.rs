// SPDX-License-Identifier: GPL-2.0

//! Filesystems as they are mounted, on devices whose writes are recorded.

use super::new::devices;
use sim::{
    env::{
        Arc,
        Vec as EnvVec, //
    },
    error::Result,
    format::{
        opts::Opts,
        values::{
            inode::ROOT_INUM,
            subvolume::ROOT_SUBVOL, //
        },
    },
    fs::SubvolInum,
    init::{
        Access,
        Filesystem, //
    },
    sys::block::{
        BlockDevice,
        Disk,
        Medium,
        Power,
        PowerCut,
        Replay, //
    },
};
use std::ops::Range;

/// The root directory.
pub(crate) const ROOT: SubvolInum = SubvolInum {
    subvol: ROOT_SUBVOL,
    inum: ROOT_INUM,
};

/// Mounts `disks`, for writing, behind a power supply of several.
pub(crate) fn mount(
    disks: Vec<Disk>,
    power: &Power,
    options: &str,
) -> (Arc<Filesystem>, Vec<Medium>) {
    powered(Access::Write, disks, power, options).unwrap()
}

/// Mounts `disks`.
pub(crate) fn start(
    access: Access,
    disks: Vec<Disk>,
    options: &str,
) -> Result<(Arc<Filesystem>, Vec<Medium>)> {
    powered(access, disks, &Power::new(), options)
}

fn powered(
    access: Access,
    disks: Vec<Disk>,
    power: &Power,
    options: &str,
) -> Result<(Arc<Filesystem>, Vec<Medium>)> {
    let (devs, media) = devices(disks, power);
    let mut opts = Opts::default();
    opts.parse_list(options)?;
    Filesystem::start_for(access, devs, &opts).map(|fs| (fs, media))
}

/// What is on them now.
pub(crate) fn contents(media: &[Medium]) -> Vec<Disk> {
    media.iter().map(Medium::contents).collect()
}

/// Calls `f` with what is left on each device when the power is lost, at `nr` moments of `time` and
/// at its end.
pub(crate) fn after_cuts(
    media: &[Medium],
    time: Range<u64>,
    nr: u64,
    mut f: impl FnMut(PowerCut, Vec<Disk>),
) {
    let mut replays: Vec<_> = media.iter().map(|m| Replay::new(m).unwrap()).collect();
    for seed in 0..=nr {
        let at = time.start + (time.end - time.start) * seed / nr;
        let cut = PowerCut { at, seed };
        f(cut, replays.iter_mut().map(|r| r.image(cut)).collect());
    }
}

/// A fresh look at the devices.
pub(crate) fn look(media: &[Medium]) -> Arc<Filesystem> {
    let (mut devs, disks) = (EnvVec::new(), contents(media));
    for (i, disk) in disks.into_iter().enumerate() {
        devs.push(BlockDevice::of_disk(&format!("checked{i}"), disk))
            .unwrap();
    }
    Filesystem::start(devs, &Opts::default()).unwrap()
}
