// SPDX-License-Identifier: GPL-2.0

//! Filesystems as they are mounted, on devices whose writes are recorded.

use sim::{
    env::{
        Arc,
        Vec as EnvVec, //
    },
    format::opts::Opts,
    init::{
        Access,
        Filesystem, //
    },
    sys::block::{
        BlockDevice,
        Disk,
        Medium,
        Power, //
    },
};

/// Mounts `disks`, for writing.
pub(crate) fn mount(
    disks: Vec<Disk>,
    power: &Power,
    options: &str,
) -> (Arc<Filesystem>, Vec<Medium>) {
    start(Access::Write, disks, power, options)
}

/// Mounts `disks`.
pub(crate) fn start(
    access: Access,
    disks: Vec<Disk>,
    power: &Power,
    options: &str,
) -> (Arc<Filesystem>, Vec<Medium>) {
    let (mut devs, mut media) = (EnvVec::new(), Vec::new());
    for (i, disk) in disks.into_iter().enumerate() {
        let dev = BlockDevice::recorded(&format!("disk{i}"), disk, power);
        media.push(dev.medium());
        devs.push(dev).unwrap();
    }
    let mut opts = Opts::default();
    opts.parse_list(options).unwrap();
    let fs = Filesystem::start_for(access, devs, &opts).unwrap();
    (fs, media)
}

pub(crate) fn contents(media: &[Medium]) -> Vec<Disk> {
    media.iter().map(Medium::contents).collect()
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
