// SPDX-License-Identifier: GPL-2.0

//! Filesystems as they are mounted, on devices whose writes are recorded.

use super::new::devices;
use sim::{
    env::{
        Arc,
        Vec as EnvVec, //
    },
    error::Result,
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

/// A fresh look at the devices.
pub(crate) fn look(media: &[Medium]) -> Arc<Filesystem> {
    let (mut devs, disks) = (EnvVec::new(), contents(media));
    for (i, disk) in disks.into_iter().enumerate() {
        devs.push(BlockDevice::of_disk(&format!("checked{i}"), disk))
            .unwrap();
    }
    Filesystem::start(devs, &Opts::default()).unwrap()
}
