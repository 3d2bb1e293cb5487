// SPDX-License-Identifier: GPL-2.0

//! Mounting: from devices and options to a filesystem that can be read.

use super::{
    errno::{
        errno,
        mount_errno, //
    },
    inode::load,
    ioctl::ControlNode,
    write::Writes,
    Bcachefs,
    Node, //
};
use crate::{
    algo::time::TimeUnits,
    ctl::{
        publish,
        Published, //
    },
    data::read_async::Reads,
    env::{
        num::sat_u32,
        pr_err,
        pr_info,
        units::DevIdx,
        Arc,
        Box,
        Vec, //
    },
    error::{
        errno::Errno,
        Error, //
    },
    format::{
        opts::{
            options,
            OptError,
            OptId,
            Opts,
            RUNTIME, //
        },
        sb::counters::Counter,
    },
    fs::{
        inode::root,
        stat::StatFs,
        SubvolInum, //
    },
    init::{
        Access,
        Filesystem, //
    },
    sb::SbState,
    sys::{
        block::BlockDevice,
        fs::{
            self,
            FileSystem,
            FsStat,
            FsType,
            INodeRef,
            MountLog,
            OpenError,
            Result,
            Seq,
            SuperBlock,
            SuperParams, //
        },
        sync::Mutex,
        unicode::Encoding,
        watchers::Watchers, //
    },
};
use core::ffi::CStr;
use kernel::ThisModule;

/// What statfs(2) calls the kind of filesystem. C: `BCACHEFS_SUPER_MAGIC`.
const MAGIC: u32 = 0xca45_1a4e;

static TYPE: FsType<Bcachefs> = FsType::new();

/// bcachefs, known to mount(2) as long as this exists.
pub type Registration = fs::Registration<Bcachefs>;

/// Makes bcachefs known to mount(2).
pub fn register(module: &'static ThisModule) -> Result<Registration> {
    TYPE.register(module)
}

/// A mounted filesystem.
pub struct Mount {
    /// What sysfs shows. The first to be dropped: that waits for readers, and nobody finds the
    /// filesystem there while it goes.
    _published: Published,
    /// The control device. Dropping it waits for those that are asking something.
    _control: ControlNode,
    /// Reads of file data. Before the filesystem, so that it is dropped first: that waits for
    /// reads under way, which hold the filesystem and its devices.
    pub(super) reads: Reads<Filesystem>,
    /// Where file data is written back. Dropping it waits for that.
    pub(super) writes: Writes,
    /// The filesystem.
    pub(super) fs: Arc<Filesystem>,
    /// The device whose block size direct reads have to keep to: that with the largest blocks.
    pub(super) direct: Option<DevIdx>,
    /// How times are stored.
    pub(super) times: TimeUnits,
    /// The options given at mount, and at remounts.
    given: Mutex<Box<Opts>>,
}

impl Mount {
    /// Whether access control lists count.
    pub(super) fn has_acl(&self) -> bool {
        self.fs.view.sb().opts.is_on(OptId::Acl)
    }

    /// Takes over options given at a remount, for this mount; those that can not change while it
    /// lasts stay as they are.
    ///
    /// C: `bch2_remount()`, which does so for `errors` only.
    fn change_options(&self, new: &Opts, log: &MountLog<'_>) {
        let (opts, mut given) = (&self.fs.view.sb().opts, self.given.lock());
        for option in options().filter(|o| new.is_defined(o.id)) {
            let value = new.get(option.id);
            match option.is(RUNTIME) {
                true => {
                    opts.set(option.id, value);
                    given.set(option.id, value);
                }
                false if opts.get(option.id) == value => (),
                false => log.warn(format_args!(
                    "option {} can not be changed by a remount",
                    option.name
                )),
            }
        }
    }
}

impl FileSystem for Bcachefs {
    type Options = Opts;
    type Data = Mount;
    type Key = SubvolInum;
    type INode = Node;

    const NAME: &'static CStr = c"bcachefs";

    fn fs_type() -> &'static FsType<Self> {
        &TYPE
    }

    fn parse_option(
        options: &mut Opts,
        key: &str,
        value: Option<&str>,
        log: &MountLog<'_>,
    ) -> Result<bool> {
        match options.parse_one(key, value) {
            Ok(()) => Ok(true),
            Err(OptError::Unknown { .. }) => Ok(false),
            Err(e) => {
                log.error(format_args!("{e}"));
                Err(errno(e.error()))
            }
        }
    }

    fn forces_read_only(options: &Opts) -> bool {
        options.forces_read_only()
    }

    fn open(
        devs: Vec<BlockDevice>,
        options: &Opts,
        read_only: bool,
        log: &MountLog<'_>,
    ) -> Result<Mount, OpenError> {
        start(devs, options, read_only).map_err(|e| {
            if matches!(e, Error::NewNeedsWriting | Error::CheckNeedsWriting) {
                return OpenError::NeedsWriting;
            }
            log.error(format_args!("{e}"));
            OpenError::Failed(mount_errno(e))
        })
    }

    fn params(mount: &Mount) -> SuperParams {
        let state = mount.fs.view.sb();
        let sb = &state.sb;
        let block_bytes = sb.block_bytes();
        SuperParams {
            magic: MAGIC,
            // Larger blocks than pages make no difference to reading.
            block_bits: u8::try_from(block_bytes.trailing_zeros()).map_or(12, |bits| bits.min(12)),
            max_bytes: MAX_FILE_BYTES,
            time_gran: mount.times.granularity_ns(),
            time_range: seconds(mount.times.granularity_ns()),
            uuid: sb.user_uuid().0,
            acl: mount.has_acl(),
            readahead_bytes: readahead_bytes(state),
            read_only: mount.fs.read_write().is_err(),
        }
    }

    fn root(sb: &SuperBlock<Self>) -> Result<INodeRef<Self>> {
        let root = root(&sb.data().fs.view).map_err(mount_errno)?;
        load(sb, root)
    }

    fn share(mount: &Mount, read_only: bool, log: &MountLog<'_>) -> Result {
        match read_only || mount.fs.read_write().is_ok() {
            true => Ok(()),
            false => refuse_write(log, Error::RemountShared),
        }
    }

    fn reconfigure(mount: &Mount, new: &Opts, read_only: bool, log: &MountLog<'_>) -> Result {
        match read_only {
            true => mount.fs.go_read_only().map_err(errno)?,
            false => match mount.fs.go_read_write() {
                Ok(()) => (),
                Err(e) => refuse_write(log, e)?,
            },
        }
        mount.change_options(new, log);
        Ok(())
    }

    fn sync(mount: &Mount) -> Result {
        mount.fs.view.sb().count(Counter::SYNC_FS);
        mount.fs.sync().map_err(errno)
    }

    fn freeze(mount: &Mount) -> Result {
        mount.fs.freeze().map_err(errno)
    }

    fn thaw(mount: &Mount) -> Result {
        mount.fs.thaw().map_err(errno)
    }

    fn statfs(mount: &Mount) -> Result<FsStat> {
        let sb = &mount.fs.view.sb().sb;
        let s = StatFs::of(&mount.fs.usage(), sb.block_sectors());
        Ok(FsStat {
            magic: MAGIC,
            block_bytes: sb.block_bytes(),
            blocks: s.blocks,
            free: s.free,
            available: s.available,
            inodes: s.files,
            free_inodes: s.files_free,
            uuid: sb.user_uuid().0,
            name_max: sat_u32(s.name_max),
        })
    }

    fn encoding(mount: &Mount) -> (Option<&Encoding>, bool) {
        let st = mount.fs.view.sb();
        (st.encoding.as_ref(), st.has_casefolding())
    }

    fn watchers(mount: &Mount) -> &Watchers {
        &mount.fs.view.sb().state.watchers
    }

    fn show_options(mount: &Mount, to: &mut Seq<'_>) -> Result {
        let st = mount.fs.view.sb();
        let given = mount.given.lock();
        let now = st.opts.now().map_err(errno)?;
        now.show(&given, Some(&st.sb), to)
            .map_err(|_| Errno::ENOMEM)
    }
}

/// How much to read ahead: so much for each device. C: `bch2_fs_ra_pages()`.
fn readahead_bytes(state: &SbState) -> u64 {
    let each = state.opts.get(OptId::DevReadahead);
    state
        .devices()
        .fold(0, |all: u64, _| all.saturating_add(each))
}

/// The longest file. C: `MAX_LFS_FILESIZE`.
const MAX_FILE_BYTES: u64 = (1 << 63) - 1;

/// The first and last second that can be stored, with times in units of `unit_ns`.
///
/// C: `s_time_min`, `s_time_max` in `bch2_fs_get_tree()`.
fn seconds(unit_ns: u32) -> (i64, i64) {
    let per_second = 1_000_000_000i64
        .checked_div(i64::from(unit_ns))
        .unwrap_or(1);
    let min = i64::MIN.checked_div(per_second).unwrap_or(i64::MIN);
    let max = i64::MAX.checked_div(per_second).unwrap_or(i64::MAX);
    (min.saturating_add(1), max)
}

fn start(devs: Vec<BlockDevice>, options: &Opts, read_only: bool) -> crate::error::Result<Mount> {
    let access = match read_only {
        true => Access::Read,
        false => Access::Write,
    };
    let fs = Filesystem::start_for(access, devs, options)?;
    let header = &fs.view.sb().sb;
    let times = TimeUnits::new(header.time_base_lo(), header.time_precision());
    let how = match access {
        Access::Read => "read-only",
        Access::Write => "read-write",
    };
    pr_info!(
        "{}: mounted {how}, version {}",
        fs.view.sb().name(),
        header.version()
    );
    let devices = fs.view.sb().devices();
    let direct = devices.max_by_key(|d| d.bdev.logical_block_bytes());
    let direct = direct.map(|d| d.idx);
    let control = control_node(&fs)?;
    Ok(Mount {
        _published: publish(&fs, control.number())?,
        _control: control,
        reads: Reads::try_new()?,
        writes: Writes::try_new()?,
        direct,
        times,
        given: Mutex::try_new(Box::try_new(options.clone())?)?,
        fs,
    })
}

/// Makes the filesystem's control device. C: `bch2_fs_chardev_init()`.
fn control_node(fs: &Arc<Filesystem>) -> crate::error::Result<ControlNode> {
    ControlNode::try_new(fs).map_err(|e| {
        let name = fs.view.sb().name();
        pr_err!("{name}: can not make the control device: errno {}", e.0);
        match e {
            Errno::ENOMEM => Error::NoMemory,
            _ => Error::ChardevInit,
        }
    })
}

/// Refuses to make a mounted filesystem writable.
fn refuse_write(log: &MountLog<'_>, e: Error) -> Result {
    log.error(format_args!("{e}"));
    Err(mount_errno(e))
}
