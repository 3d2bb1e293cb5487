// SPDX-License-Identifier: GPL-2.0

//! The numbers of the ioctls. C: `bcachefs_ioctl.h`, of 1.13 to 1.39.

use super::On;

/// All numbers have this in the middle.
const TYPE: u32 = 0xbc;

/// `FS_IOC_GOINGDOWN`, which is not of bcachefs alone.
const GOING_DOWN: u32 = 0x8004_587d;

const WRITE: u32 = 1;
const READ: u32 = 2;

/// C: `_IOC()`.
const fn number(direction: u32, nr: u32, bytes: u32) -> u32 {
    (direction << 30) | (bytes << 16) | (TYPE << 8) | nr
}

/// What a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    DiskAdd,
    DiskRemove,
    DiskOnline,
    DiskOffline,
    DiskSetState,
    Data,
    DiskResize,
    DiskResizeJournal,
    FsckOnline,
    SubvolumeCreate,
    SubvolumeDestroy,
}

/// What a number asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    QueryUuid,
    FsUsage,
    DevUsage,
    DevUsageV2,
    ReadSuper,
    DiskGetIdx,
    QueryAccounting,
    QueryCounters,
    /// Something that a filesystem mounted read-only does not do.
    Change(Change),
    /// Options of a file are to be inherited again; the argument is its name.
    Reinherit,
    /// A change of a file, whose argument makes no difference.
    FileChange,
    /// A [`Command::FileChange`] for administrators.
    AdminFileChange,
    FsckOffline,
    /// The subvolumes that have a name in the file's.
    SubvolumeList,
    SubvolumeToPath,
    /// In the second version or not.
    SnapshotTree(bool),
    /// Ends all writing at once.
    GoingDown,
    /// A question that is not answered yet.
    NotYet,
}

/// A command's number, and what it can be made on.
struct Entry(u32, Command, Where);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    /// Files and the filesystem's device.
    Filesystem,
    File,
    All,
}

const fn entry(direction: u32, nr: u32, bytes: u32, command: Command) -> Entry {
    Entry(number(direction, nr, bytes), command, Where::Filesystem)
}

const fn change(nr: u32, bytes: u32, change: Change) -> Entry {
    entry(WRITE, nr, bytes, Command::Change(change))
}

const fn on_file(direction: u32, nr: u32, bytes: u32, command: Command) -> Entry {
    Entry(number(direction, nr, bytes), command, Where::File)
}

/// C: `BCHFS_IOC_REINHERIT_ATTRS`.
pub(super) const REINHERIT_ATTRS: u32 = number(READ, 64, 8);

/// The second number of a change is that of `_v2`, which has room for a message.
const COMMANDS: &[Entry] = &[
    entry(READ, 1, 16, Command::QueryUuid),
    entry(READ | WRITE, 11, 64, Command::FsUsage),
    entry(READ | WRITE, 11, 280, Command::DevUsage),
    entry(WRITE, 12, 32, Command::ReadSuper),
    entry(WRITE, 13, 8, Command::DiskGetIdx),
    entry(READ | WRITE, 18, 32, Command::DevUsageV2),
    entry(WRITE, 21, 32, Command::QueryAccounting),
    entry(WRITE, 21, 8, Command::QueryCounters),
    change(4, 16, Change::DiskAdd),
    change(23, 32, Change::DiskAdd),
    change(5, 16, Change::DiskRemove),
    change(24, 32, Change::DiskRemove),
    change(6, 16, Change::DiskOnline),
    change(25, 32, Change::DiskOnline),
    change(7, 16, Change::DiskOffline),
    change(26, 32, Change::DiskOffline),
    change(8, 16, Change::DiskSetState),
    change(22, 32, Change::DiskSetState),
    change(10, 112, Change::Data),
    change(14, 24, Change::DiskResize),
    change(27, 40, Change::DiskResize),
    change(15, 24, Change::DiskResizeJournal),
    change(28, 40, Change::DiskResizeJournal),
    change(20, 16, Change::FsckOnline),
    on_file(WRITE, 16, 32, Command::Change(Change::SubvolumeCreate)),
    on_file(WRITE, 29, 48, Command::Change(Change::SubvolumeCreate)),
    on_file(WRITE, 17, 32, Command::Change(Change::SubvolumeDestroy)),
    on_file(WRITE, 30, 48, Command::Change(Change::SubvolumeDestroy)),
    // BCHFS_IOC_SET_REFLINK_P_MAY_UPDATE_OPTS, _PROPAGATE_REFLINK_P_OPTS,
    // _UNPOISON, _CLEAR_DAMAGE.
    Entry(REINHERIT_ATTRS, Command::Reinherit, Where::File),
    on_file(0, 65, 0, Command::AdminFileChange),
    on_file(0, 66, 0, Command::FileChange),
    on_file(WRITE, 68, 24, Command::FileChange),
    on_file(0, 71, 0, Command::FileChange),
    on_file(READ | WRITE, 31, 24, Command::SubvolumeList),
    on_file(READ | WRITE, 32, 16, Command::SubvolumeToPath),
    on_file(READ | WRITE, 33, 24, Command::SnapshotTree(false)),
    on_file(READ | WRITE, 35, 24, Command::SnapshotTree(true)),
    // BCH_IOCTL_QUERY_BTREE_KEYS.
    entry(READ | WRITE, 34, 72, Command::NotYet),
    // BCHFS_IOC_PREAD_RAW, _READDIR_FLAGS, _GET_DAMAGE.
    on_file(READ | WRITE, 67, 48, Command::NotYet),
    on_file(READ | WRITE, 69, 40, Command::NotYet),
    on_file(READ | WRITE, 70, 8, Command::NotYet),
    Entry(number(WRITE, 19, 24), Command::FsckOffline, Where::All),
    Entry(GOING_DOWN, Command::GoingDown, Where::File),
];

impl Command {
    /// The command of a number, if there is one for what it is made on.
    pub(super) fn of(on: On, cmd: u32) -> Option<Self> {
        let entry = COMMANDS.iter().find(|e| e.0 == cmd)?;
        let fits = match entry.2 {
            Where::Filesystem => on != On::All,
            Where::File => on == On::File,
            Where::All => on == On::All,
        };
        fits.then_some(entry.1)
    }
}

/// How many bytes the argument has, by the number; more may follow.
pub(super) const fn arg_bytes(cmd: u32) -> u32 {
    (cmd >> 16) & 0x3fff
}
