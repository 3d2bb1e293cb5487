// SPDX-License-Identifier: GPL-2.0

//! Filesystems: what the VFS calls, as traits with safe methods.
//!
//! A filesystem implements the traits below on one type and registers it with [`FsType`]. The
//! operation tables of C are constants made from these implementations.
//!
//! | file         | holds                                                                     |
//! |--------------|---------------------------------------------------------------------------|
//! | `acl.rs`     | POSIX access control lists                                                |
//! | `attr.rs`    | statx, file flags, `statfs`                                               |
//! | `change.rs`  | changing attributes                                                       |
//! | `context.rs` | mount requests: options, sharing of superblocks, messages to the caller    |
//! | `dir.rs`     | lookup and readdir                                                        |
//! | `direct.rs`  | direct reads, past the page cache                                         |
//! | `direct_write.rs` | direct writes                                                        |
//! | `export.rs`  | handles of files, for NFS servers                                         |
//! | `fiemap.rs`  | where the data of a file is                                               |
//! | `file.rs`    | regular files: the page cache                                             |
//! | `fresh.rs`   | inodes that are about to be made                                          |
//! | `hold.rs`    | what is held while an ioctl changes something                             |
//! | `inode.rs`   | inodes and the cache they are in                                          |
//! | `ioctl.rs`   | ioctl(2)                                                                  |
//! | `life.rs`    | inodes that are written back, or leave memory                             |
//! | `link.rs`    | symbolic links                                                            |
//! | `make.rs`    | new files                                                                 |
//! | `names.rs`   | changing directories                                                      |
//! | `queued.rs`  | writes past the page cache that go on                                     |
//! | `quota.rs`   | quotactl                                                                  |
//! | `remap.rs`   | sharing data between files                                                |
//! | `sb.rs`      | superblocks                                                               |
//! | `seq.rs`     | text for `/proc/mounts`                                                   |
//! | `subvolume.rs` | filesystems within the filesystem                                       |
//! | `taken.rs`   | what a process writes past the page cache                                 |
//! | `pinned.rs`  | the same, where the process has it                                        |
//! | `types.rs`   | filesystem types and their registration                                   |
//! | `write.rs`   | regular files: what iomap wants when they are written                     |
//! | `write_back.rs` | dirty folios on their way to the devices                                |
//! | `write_ops.rs` | regular files: write(2), fsync(2), fallocate(2), the size                 |
//! | `xattr.rs`   | extended attributes                                                       |
//!
//! Life of a mount: [`FileSystem::open`] makes the data from the devices, then the root inode is
//! looked up. At unmount the kernel evicts all inodes, then the data is dropped, which closes the
//! devices. Inodes are freed after an RCU grace period, so their private part is dropped *after*
//! the mount's data and must not depend on it; unloading the module waits for that.

mod acl;
mod attr;
mod change;
mod context;
mod dir;
mod direct;
mod direct_write;
mod export;
mod fiemap;
mod file;
mod fresh;
mod hold;
mod inode;
mod ioctl;
mod life;
mod link;
mod make;
mod names;
mod pinned;
mod queued;
mod quota;
mod remap;
mod sb;
mod seq;
mod subvolume;
mod taken;
mod types;
mod write;
mod write_back;
mod write_ops;
mod xattr;

pub use self::{
    acl::{AclEntry, AclKind},
    attr::{FileFlags, FsStat, Stat},
    change::{Changeable, NewAttributes, Time, XattrMode},
    context::MountLog,
    dir::DirEmitter,
    direct::DirectRead,
    direct_write::DirectEnd,
    export::{
        Exported,
        HANDLE_BYTES, //
    },
    fiemap::MapList,
    file::{FileData, LockedFolio},
    inode::{INode, INodeParams, INodeRef, InodeBits, Shown},
    ioctl::Controls,
    life::Life,
    names::{Made, Names, NewNode, Over, Place},
    quota::{QuotaAccount, QuotaChange, QuotaGrace, QuotaGraceChange, Quotas},
    sb::{SuperBlock, SuperParams},
    seq::Seq,
    subvolume::{
        create_subvolume,
        remove_subvolume,
        NewSubvolume,
        Subvolumes,
        UserPath, //
    },
    taken::Taken,
    types::{FsType, Registration},
    write::FileWrite,
    write_back::DirtyRun,
    write_ops::set_size,
    xattr::{XattrHandler, XattrList}, //
};

use super::{
    block::BlockDevice,
    unicode::Encoding,
    watchers::Watchers, //
};
use crate::{
    env::Vec,
    error::errno::Errno, //
};
use core::ffi::CStr;

/// The result of what a filesystem does for the VFS.
pub type Result<T = (), E = Errno> = core::result::Result<T, E>;

/// A filesystem: its types, and what mounts do.
pub trait FileSystem: Sized + 'static {
    /// The mount options collected so far.
    type Options: Default + Send;
    /// What a mount keeps. Holds the block devices.
    type Data: Send + Sync;
    /// What identifies an inode within a mount.
    type Key: Copy + Eq + Send + Sync;
    /// The filesystem's part of an inode. Dropped in a context that must not sleep.
    type INode: Send + Sync;

    /// The name for mount(2).
    const NAME: &'static CStr;

    /// Where the type is registered.
    fn fs_type() -> &'static FsType<Self>;

    /// Takes one mount option; `value` is `None` for a bare word. `false` if there is no option
    /// of that name.
    fn parse_option(
        options: &mut Self::Options,
        key: &str,
        value: Option<&str>,
        log: &MountLog<'_>,
    ) -> Result<bool>;

    /// Starts the filesystem on `devs`. For a read-only mount, they are not open for writing
    /// unless it failed with [`OpenError::NeedsWriting`] before.
    fn open(
        devs: Vec<BlockDevice>,
        options: &Self::Options,
        read_only: bool,
        log: &MountLog<'_>,
    ) -> Result<Self::Data, OpenError>;

    /// What the VFS has to know of a mount.
    fn params(data: &Self::Data) -> SuperParams;

    /// The root directory's inode.
    fn root(sb: &SuperBlock<Self>) -> Result<INodeRef<Self>>;

    /// A mount request for devices that are mounted already, with another read-only flag than
    /// `read_only`; whether the mount may be shared.
    fn share(data: &Self::Data, read_only: bool, log: &MountLog<'_>) -> Result;

    /// A remount, with the options given this time.
    fn reconfigure(
        data: &Self::Data,
        options: &Self::Options,
        read_only: bool,
        log: &MountLog<'_>,
    ) -> Result;

    /// Waits until all changes so far are safe.
    fn sync(data: &Self::Data) -> Result;

    /// Makes all changes so far safe, and writes nothing by itself until [`thaw`](Self::thaw). The
    /// VFS lets nobody change anything meanwhile.
    fn freeze(data: &Self::Data) -> Result;

    /// Ends [`freeze`](Self::freeze).
    fn thaw(data: &Self::Data) -> Result;

    /// Whether the options ask for a read-only mount.
    fn forces_read_only(options: &Self::Options) -> bool;

    /// Space and objects, used and free.
    fn statfs(data: &Self::Data) -> Result<FsStat>;

    /// The rules for comparing names of directories that do so without case, and whether there are
    /// such directories.
    fn encoding(data: &Self::Data) -> (Option<&Encoding>, bool);

    /// Who is told of errors.
    fn watchers(data: &Self::Data) -> &Watchers;

    /// Prints the mount options, each with a comma in front.
    fn show_options(data: &Self::Data, to: &mut Seq<'_>) -> Result;
}

/// Why a filesystem could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// It is to be started once more, with devices that are open for writing.
    NeedsWriting,
    /// Anything else.
    Failed(Errno),
}

/// Directories.
pub trait Directory: FileSystem {
    /// The inode that `name` leads to, if there is such an entry.
    fn lookup(dir: &INode<Self>, name: &[u8]) -> Result<Option<INodeRef<Self>>>;

    /// Emits the entries from `to.pos()` on, in the order of their positions, until `emit()`
    /// returns `false`. "." and ".." have positions 0 and 1 and are not this function's.
    fn readdir(dir: &INode<Self>, to: &mut DirEmitter<'_>) -> Result;

    /// A position in a form that 31 bits are enough for; less than [`DirEmitter::NARROW_END`].
    /// Several positions may have the same one, and those below 2 are as they are.
    fn narrow(dir: &INode<Self>, pos: u64) -> u32;

    /// The first position whose short form is `cookie`.
    fn widen(dir: &INode<Self>, cookie: u32) -> u64;
}

/// Attributes of all kinds of files, and symbolic links.
pub trait Attributes: FileSystem {
    /// The extended attributes' name spaces, with `None` at the end.
    const XATTRS: &'static [Option<&'static XattrHandler<Self>>];

    /// Completes the result of statx(2), which has all that is in a [`INodeParams`] already.
    fn stat(inode: &INode<Self>, stat: &mut Stat<'_>);

    /// The flags and the project that user space can ask for.
    fn flags(inode: &INode<Self>) -> FileFlags;

    /// The target of a symbolic link.
    fn read_link(inode: &INode<Self>) -> Result<Vec<u8>>;

    /// The value of an extended attribute of name space `space` to the front of `buf`, or only its
    /// length when there is no `buf`. Returns the length.
    fn get_xattr(
        inode: &INode<Self>,
        space: i32,
        name: &[u8],
        buf: Option<&mut [u8]>,
    ) -> Result<usize>;

    /// The names of all extended attributes.
    fn list_xattr(inode: &INode<Self>, to: &mut XattrList<'_>) -> Result;

    /// An access control list, if the inode has one.
    fn get_acl(inode: &INode<Self>, kind: AclKind) -> Result<Option<Vec<AclEntry>>>;
}

/// Everything that the operation tables need.
pub trait Complete:
    FileSystem
    + Directory
    + Names
    + Subvolumes
    + Attributes
    + Changeable
    + Life
    + FileData
    + FileWrite
    + Exported
    + Controls
    + Quotas
{
}

impl<T> Complete for T where
    T: FileSystem
        + Directory
        + Names
        + Subvolumes
        + Attributes
        + Changeable
        + Life
        + FileData
        + FileWrite
        + Exported
        + Controls
        + Quotas
{
}
