// SPDX-License-Identifier: GPL-2.0

//! Arguments, copied from the caller and checked: all that needs no filesystem.

use super::{
    answer::Answer,
    arg::{
        fault,
        Arg,
        DeviceName,
        BY_INDEX, //
    },
    change,
    commands::{
        arg_bytes,
        Change,
        Command, //
    },
    subvolumes::{
        Listing,
        PathOf,
        TreeOf, //
    },
    On,
};
use crate::{
    env::num::{
        usize_of,
        usize_of_u32, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        data_type::DataType,
        values::accounting::Counted, //
    },
    sys::{
        block::DevNr,
        caller, //
    },
};

/// The flag that asks for a device's own superblock. C: `BCH_READ_DEV`.
const READ_DEV: u32 = 1 << 5;
/// The flag that asks for counters as they were at the mount. C: `BCH_IOCTL_QUERY_COUNTERS_MOUNT`.
const AT_MOUNT: u16 = 1 << 0;

/// What the filesystem is asked for.
pub struct Request {
    /// The address of the argument, where most answers go.
    arg: usize,
    pub(super) what: What,
}

pub(super) enum What {
    Uuid,
    FsUsage {
        /// Bytes that there is room for.
        room: usize,
    },
    DevUsage(DeviceName, DevUsageHead),
    Superblock {
        /// The device whose own superblock is wanted.
        dev: Option<DeviceName>,
        /// Bytes that there is room for.
        room: u64,
        /// Where it goes.
        to: usize,
    },
    DeviceIndex(DevNr),
    /// Taken out by whoever makes the list, who knows the file.
    SubvolumeList(Option<Listing>, usize),
    SubvolumeToPath(PathOf),
    SnapshotTree(TreeOf),
    Accounting {
        /// The types that are wanted, as bits.
        types: u32,
        /// Bytes that there is room for.
        room: usize,
    },
    Counters {
        nr: u16,
        at_mount: bool,
    },
    Change {
        /// The device that has to exist.
        dev: Option<DeviceName>,
        message: Option<Message>,
    },
    /// A change of subvolumes, which takes paths.
    Subvolume(Subvolume, Option<Message>),
    /// The address of a name.
    Reinherit(usize),
    GoingDown {
        /// What was changed so far is made durable before.
        flush: bool,
    },
    NotYet,
}

/// A change of subvolumes: paths are relative to an open directory, `dirfd`, and given by their
/// addresses.
///
/// C: `struct bch_ioctl_subvolume`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subvolume {
    /// A new one is to be made at `path`.
    Create {
        /// What paths are relative to.
        dirfd: u32,
        /// Permissions.
        mode: u16,
        /// Where it is to be.
        path: usize,
        /// It is a snapshot: read-only or not, of what is at this path, or, with 0, of what it is
        /// in itself.
        snapshot: Option<(bool, usize)>,
    },
    /// One is to be deleted.
    Destroy {
        /// What the path is relative to.
        dirfd: u32,
        /// Where it is.
        path: usize,
    },
}

impl Subvolume {
    fn of(what: Change, arg: &Arg) -> Self {
        let (flags, dirfd, path) = (arg.u32(0), arg.u32(4), arg.address(16));
        if what == Change::SubvolumeDestroy {
            return Self::Destroy { dirfd, path };
        }
        let read_only = flags & change::SNAPSHOT_RO != 0;
        let snapshot = (flags & change::SNAPSHOT != 0).then(|| (read_only, arg.address(24)));
        Self::Create {
            dirfd,
            mode: arg.u16(8),
            path,
            snapshot,
        }
    }
}

/// What the head of an answer about a device repeats.
pub(super) struct DevUsageHead {
    pub(super) dev: u64,
    pub(super) flags: u32,
    /// How many types of data are wanted, in the second version.
    pub(super) nr_types: Option<u8>,
}

/// Where a caller wants to have said why a change failed. C: `struct bch_ioctl_err_msg`.
#[derive(Clone, Copy)]
pub(super) struct Message {
    pub(super) to: usize,
    pub(super) room: usize,
}

impl Request {
    /// Copies and checks the argument of the command `cmd`.
    pub(super) fn read(on: On, cmd: u32, arg: usize) -> Result<Self> {
        let command = Command::of(on, cmd).ok_or(Error::IoctlUnknown)?;
        let what = match command {
            Command::QueryUuid => What::Uuid,
            Command::FsUsage => What::FsUsage {
                room: usize_of_u32(Arg::read(cmd, arg)?.u32(56)),
            },
            Command::DevUsage => dev_usage(&Arg::read(cmd, arg)?, false)?,
            Command::DevUsageV2 => dev_usage(&Arg::read(cmd, arg)?, true)?,
            Command::ReadSuper => superblock(&Arg::read(cmd, arg)?)?,
            Command::DiskGetIdx => {
                let nr = Arg::read(cmd, arg)?.u64(0);
                admin()?;
                What::DeviceIndex(sane(DevNr::from_user(nr))?)
            }
            Command::SubvolumeList => {
                let arg = Arg::read(cmd, arg)?;
                What::SubvolumeList(Some(Listing::of(&arg)?), arg.address(8))
            }
            Command::SubvolumeToPath => What::SubvolumeToPath(PathOf::of(&Arg::read(cmd, arg)?)?),
            Command::SnapshotTree(second) => {
                What::SnapshotTree(TreeOf::of(&Arg::read(cmd, arg)?, second)?)
            }
            Command::QueryAccounting => accounting(&Arg::read(cmd, arg)?)?,
            Command::QueryCounters => {
                let arg = Arg::read(cmd, arg)?;
                let flags = arg.u16(2);
                sane((flags & !AT_MOUNT == 0 && arg.is_zero(4, 4)).then_some(()))?;
                What::Counters {
                    nr: arg.u16(0),
                    at_mount: flags & AT_MOUNT != 0,
                }
            }
            Command::Change(what @ (Change::SubvolumeCreate | Change::SubvolumeDestroy)) => {
                let arg = Arg::read(cmd, arg)?;
                change::check(what, &arg)?;
                What::Subvolume(Subvolume::of(what, &arg), message(what, cmd, &arg))
            }
            Command::Change(what) => {
                let arg = Arg::read(cmd, arg)?;
                What::Change {
                    dev: change::check(what, &arg)?,
                    message: message(what, cmd, &arg),
                }
            }
            Command::Reinherit => What::Reinherit(arg),
            Command::FileChange => What::Change {
                dev: None,
                message: None,
            },
            Command::AdminFileChange => {
                admin()?;
                What::Change {
                    dev: None,
                    message: None,
                }
            }
            Command::FsckOffline => {
                sane((Arg::read(cmd, arg)?.u64(0) == 0).then_some(()))?;
                admin()?;
                What::NotYet
            }
            Command::GoingDown => going_down(cmd, arg)?,
            Command::NotYet => What::NotYet,
        };
        Ok(Self { arg, what })
    }

    /// The change of subvolumes that is asked for; it is made above.
    pub fn subvolume(&self) -> Option<Subvolume> {
        match self.what {
            What::Subvolume(what, _) => Some(what),
            _ => None,
        }
    }

    /// The list of subvolumes that is asked for; it is made above.
    pub fn listing(&mut self) -> Option<Listing> {
        match &mut self.what {
            What::SubvolumeList(listing, _) => listing.take(),
            _ => None,
        }
    }

    /// The address of the name of what is to inherit options again; that is done above.
    pub fn reinherit(&self) -> Option<usize> {
        match self.what {
            What::Reinherit(name) => Some(name),
            _ => None,
        }
    }

    /// What is said to a request that can not be answered yet.
    pub fn refuse(&self) -> Result<Answer> {
        Err(Error::IoctlNotYet)
    }

    /// Copies the answer to the caller. Returns what ioctl(2) returns.
    pub(super) fn finish(self, answer: Result<Answer>) -> Result<u32> {
        match answer {
            Ok(answer) => {
                let to = match &self.what {
                    What::Superblock { to, .. } => *to,
                    What::SubvolumeToPath(PathOf { to, .. }) => *to,
                    _ => self.arg,
                };
                if let What::SubvolumeList(_, to) = self.what {
                    fault(caller::write(to, &answer.entries))?;
                }
                fault(caller::write(to, &answer.bytes))?;
                answer.value
            }
            Err(e) => {
                let message = match self.what {
                    What::Change { message, .. } | What::Subvolume(_, message) => message,
                    _ => None,
                };
                if let Some(message) = message {
                    message.say(e)?;
                }
                Err(e)
            }
        }
    }
}

impl Message {
    /// C: `bch2_copy_ioctl_err_msg()`.
    fn say(&self, e: Error) -> Result {
        let text = e.text().as_bytes();
        let text = text.get(..self.room).unwrap_or(text);
        fault(caller::write(self.to, text))
    }
}

/// The message of a change whose argument has one: it is the last 16 bytes.
fn message(what: Change, cmd: u32, arg: &Arg) -> Option<Message> {
    let bytes = usize_of_u32(arg_bytes(cmd));
    if bytes == change::bytes_without_message(what) {
        return None;
    }
    let at = bytes.checked_sub(16)?;
    Some(Message {
        to: arg.address(at),
        room: usize_of_u32(arg.u32(at.saturating_add(8))),
    })
}

/// The flags are `FSOP_GOING_FLAGS_DEFAULT`, `_LOGFLUSH` and `_NOLOGFLUSH`.
///
/// C: `bch2_ioc_goingdown()`.
fn going_down(cmd: u32, arg: usize) -> Result<What> {
    admin()?;
    let flags = Arg::read(cmd, arg)?.u32(0);
    sane((flags <= 2).then_some(()))?;
    Ok(What::GoingDown { flush: flags != 2 })
}

/// C: `bch2_ioctl_dev_usage()`, `bch2_ioctl_dev_usage_v2()`.
fn dev_usage(arg: &Arg, second: bool) -> Result<What> {
    let flags = arg.u32(8);
    let pad = if second { 14 } else { 13 };
    // C looks at no more of the padding, and callers may rely on it.
    sane((flags & !BY_INDEX == 0 && arg.is_zero(pad, 3)).then_some(()))?;
    let head = DevUsageHead {
        dev: arg.u64(0),
        flags,
        nr_types: second.then(|| arg.u8(13).min(DataType::NR)),
    };
    Ok(What::DevUsage(arg.device(0, flags)?, head))
}

/// C: `bch2_ioctl_read_super()`.
fn superblock(arg: &Arg) -> Result<What> {
    admin()?;
    let flags = arg.u32(0);
    sane((flags & !(BY_INDEX | READ_DEV) == 0 && arg.is_zero(4, 4)).then_some(()))?;
    Ok(What::Superblock {
        dev: match flags & READ_DEV {
            0 => None,
            _ => Some(arg.device(8, flags)?),
        },
        room: arg.u64(16),
        to: arg.address(24),
    })
}

/// C: `bch2_ioctl_query_accounting()`.
fn accounting(arg: &Arg) -> Result<What> {
    let types = arg.u32(28);
    // How large the files of others are, and what snapshots there are.
    let private = Counted::Inum(0).type_bit() | Counted::Snapshot(0, 0).type_bit();
    if types & private != 0 {
        admin()?;
    }
    Ok(What::Accounting {
        types,
        room: usize_of(u64::from(arg.u32(24)).saturating_mul(8)),
    })
}

/// The caller has to be an administrator.
pub(super) fn admin() -> Result {
    match caller::is_admin() {
        true => Ok(()),
        false => Err(Error::IoctlNonAdmin),
    }
}

/// The value of an argument that makes sense.
pub(super) fn sane<T>(value: Option<T>) -> Result<T> {
    value.ok_or(Error::IoctlBadArg)
}
