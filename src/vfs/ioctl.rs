// SPDX-License-Identifier: GPL-2.0

//! ioctl(2): on files, and on control devices.

use super::{
    errno::{
        errno,
        reported, //
    },
    inode::{
        changes,
        committed,
        load,
        Times, //
    },
    names::may_get_project_of,
    subvolume::list_subvolumes,
    Bcachefs,
    Mount, //
};
use crate::{
    ctl::ioctl::{
        control,
        is_file_change,
        Answer,
        On,
        Subvolume, //
    },
    env::Vec,
    error::{
        errno::Errno,
        Error, //
    },
    format::{
        sb::Version,
        values::dirent::NAME_MAX, //
    },
    fs::dirent::lookup,
    init::Filesystem,
    sys::{
        caller,
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
    fn label(mount: &Mount, to: &mut [u8]) {
        mount.fs.view.sb().with_super(|sb| {
            for (to, from) in to.iter_mut().zip(sb.label().bytes()) {
                *to = *from;
            }
        });
    }

    fn set_label(mount: &Mount, label: &[u8]) -> Result {
        mount.fs.read_write().map_err(errno)?;
        let st = mount.fs.view.sb();
        st.change_super(|sb| sb.set_label(label).map(|()| true))
            .map_err(errno)
    }

    fn is_change(cmd: u32) -> bool {
        is_file_change(cmd)
    }

    fn control(
        inode: &INode<Self>,
        cmd: u32,
        arg: usize,
        may_search: &dyn Fn(&INode<Self>) -> bool,
    ) -> Result<u32> {
        let fs = &inode.sb().data().fs;
        let subvol = inode.key().subvol;
        let mut failed = None;
        let done = control(On::File, cmd, arg, |request| {
            if let Some(list) = request.listing() {
                return list_subvolumes(inode, list, may_search);
            }
            if fs.read_write().is_err() {
                return request.answer(fs, subvol);
            }
            let made = match (request.subvolume(), request.reinherit()) {
                (Some(what), _) => change_subvolume(inode, what).map(|()| 0),
                (_, Some(name)) => reinherit(inode, name),
                _ => return request.answer(fs, subvol),
            };
            match made {
                Ok(value) => Ok(Answer::done(value)),
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

/// What has the name at the address `name` in a directory gets the options that it inherits from
/// it. Returns whether that changed any.
///
/// C: `bch2_ioc_reinherit_attrs()`.
fn reinherit(dir: &INode<Bcachefs>, name: usize) -> Result<u32> {
    let changes = changes(dir.sb().data())?;
    let mut text = Vec::from_elem(0u8, NAME_MAX.saturating_add(1)).map_err(errno)?;
    let len = caller::read_text(name, &mut text)?;
    let name = text.get(..len).unwrap_or_default();
    let found = lookup(changes.view, dir.key(), &dir.data().inode(), name);
    let found = found.map_err(|e| reported("lookup in", dir, e))?;
    let inode = load(dir.sb(), found.ok_or(Errno::ENOENT)?)?;
    let _locked = inode.lock();
    let done = may_get_project_of(&inode, dir)
        .and_then(|()| changes.reinherit(dir.key(), inode.key()))
        .map_err(|e| reported("inheriting options", &inode, e))?;
    Ok(match done {
        Some((changed, at)) => {
            committed(&inode, &changed, at, Times::default());
            1
        }
        None => 0,
    })
}

/// C: `bch2_chardev_ioctl()`.
impl Controlled for Filesystem {
    fn control(node: &Handle<Self>, cmd: u32, arg: usize) -> Result<u32> {
        control(On::Device, cmd, arg, |request| {
            let answer = node.with(|fs| request.answer(fs, 0));
            answer.unwrap_or(Err(Error::IoctlUnmounted))
        })
        .map_err(errno)
    }

    fn control_all(cmd: u32, arg: usize) -> Result<u32> {
        control(On::All, cmd, arg, |request| request.refuse()).map_err(errno)
    }
}
