// SPDX-License-Identifier: GPL-2.0

//! ioctl(2): on files, and on control devices.

use super::{
    errno::errno,
    Bcachefs,
    Mount, //
};
use crate::{
    ctl::ioctl::{
        control,
        Answer,
        On,
        Subvolume, //
    },
    error::{
        errno::Errno,
        Error, //
    },
    format::sb::Version,
    init::Filesystem,
    sys::{
        fs::{
            create_subvolume,
            remove_subvolume,
            Controls,
            INode,
            NewSubvolume,
            Result,
            UserPath, //
        },
        nodes::{
            self,
            Controlled,
            Handle, //
        },
        parameter,
    },
};

/// The control device for all filesystems exists as long as this.
pub type ControlRegistration = nodes::Registration;

/// The control device of a filesystem, `/dev/bcachefsN-ctl`.
pub(super) type ControlNode = nodes::Node<Filesystem>;

/// Makes `/dev/bcachefs-ctl`, and the module's parameter say which versions are known.
///
/// C: `bch2_chardev_init()`.
pub fn register_control() -> Result<ControlRegistration> {
    parameter::show_version(Version::NEWEST.0.into());
    nodes::Registration::try_new::<Filesystem>(c"bcachefs")
}

impl Controls for Bcachefs {
    fn label(mount: &Mount) -> &[u8] {
        mount.fs.view.sb().sb.label().bytes()
    }

    fn refuse_change(mount: &Mount) -> Errno {
        match mount.fs.read_write() {
            Ok(_) => Errno::EOPNOTSUPP,
            Err(_) => Errno::EROFS,
        }
    }

    fn control(inode: &INode<Self>, cmd: u32, arg: usize) -> Result<u32> {
        let fs = &inode.sb().data().fs;
        let mut failed = None;
        let done = control(On::File, cmd, arg, |request| {
            let Some(what) = request.subvolume().filter(|_| fs.read_write().is_ok()) else {
                return request.answer(fs);
            };
            match change_subvolume(inode, what) {
                Ok(()) => Ok(Answer::done()),
                Err(e) => {
                    failed = Some(e);
                    Err(Error::IoctlSubvolume)
                }
            }
        });
        done.map_err(|e| failed.unwrap_or(errno(e)))
    }
}

/// C: `bch2_ioctl_subvolume_create()`, `bch2_ioctl_subvolume_destroy()`.
fn change_subvolume(inode: &INode<Bcachefs>, what: Subvolume) -> Result {
    let at = |dirfd, text| UserPath { dirfd, text };
    match what {
        Subvolume::Create {
            dirfd,
            mode,
            path,
            snapshot,
        } => {
            let at = at(dirfd, path);
            create_subvolume(inode, &NewSubvolume { at, mode, snapshot })
        }
        Subvolume::Destroy { dirfd, path } => remove_subvolume(inode, at(dirfd, path)),
    }
}

/// C: `bch2_chardev_ioctl()`.
impl Controlled for Filesystem {
    fn control(node: &Handle<Self>, cmd: u32, arg: usize) -> Result<u32> {
        control(On::Device, cmd, arg, |request| {
            let answer = node.with(|fs| request.answer(fs));
            answer.unwrap_or(Err(Error::IoctlUnmounted))
        })
        .map_err(errno)
    }

    fn control_all(cmd: u32, arg: usize) -> Result<u32> {
        control(On::All, cmd, arg, |request| request.refuse()).map_err(errno)
    }
}
