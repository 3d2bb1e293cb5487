// SPDX-License-Identifier: GPL-2.0

//! From block devices to the superblock and devices of a filesystem.

use super::{
    counters::Counters,
    damage::Damage,
    device_options::DeviceOpts,
    device_stats::DeviceStats,
    encoding,
    error_counts::ErrorCounts,
    io_errors::IoErrors,
    key,
    message_limit::MessageLimit,
    mode::StateCell,
    options::LiveOpts,
    read::read_super,
    state::{
        Device,
        SbState, //
    },
    time_stats::TimeStats,
    write::LiveSb,
};
use crate::{
    env::{
        pr_err,
        pr_warn,
        units::DevIdx,
        Arc,
        Box,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        opts::{
            OptId,
            Opts, //
        },
        sb::{
            assemble::{
                check_device,
                check_enough,
                check_member,
                missing,
                newest,
                DevMask, //
            },
            text::DateTime,
            Member,
            Superblock, //
        },
    },
    sys::{
        block::BlockDevice,
        workspace::Workspaces, //
    },
};
use core::sync::atomic::{
    AtomicBool,
    AtomicU64,
    AtomicU8, //
};

/// A device and its own superblock.
struct Candidate {
    bdev: BlockDevice,
    own: Superblock,
}

/// Reads the superblocks of `devs`, checks that they belong together and are enough, and puts
/// each device into its slot. `opts` are the options of the mount.
///
/// Everything that is wrong is reported, with the device and what can be done.
///
/// C: `bch2_fs_open()`.
pub fn open(devs: Vec<BlockDevice>, opts: &Opts) -> Result<SbState> {
    let mut candidates = Vec::with_capacity(devs.len())?;
    for bdev in devs {
        let own = read_super(&bdev, opts.sb_sector())?;
        candidates.push(Candidate { bdev, own })?;
    }
    let best = newest(candidates.iter().map(|c| &c.own));
    let Some(best) = best.and_then(|i| candidates.get(i)) else {
        pr_err!("no device to mount was given");
        return Err(Error::DevicesNone);
    };
    let sb = best.own.try_clone()?;
    let key = key::find(&sb, best.bdev.name())?;

    let all = options(&sb, opts)?;
    let devs = place(candidates, &sb, &all)?;
    let encoding = encoding::load(&sb, &all)?;
    let state = SbState {
        errors: ErrorCounts::of(&sb)?,
        sb,
        opts: LiveOpts::try_new(&all)?,
        key,
        workspaces: Workspaces::try_new()?,
        encoding,
        devs,
        damage: Damage::new(),
        counters: Arc::try_new(Counters::try_new()?)?,
        times: TimeStats::new(),
        state: StateCell::try_new()?,
        live: LiveSb::try_new()?,
        messages: MessageLimit::default(),
        checking: AtomicBool::new(false),
        buckets_taken: AtomicU64::new(0),
    };
    check_all_there(&state)?;
    Ok(state)
}

/// The options in effect, `opts` being those of the mount.
// Out of line: options are large, and the stack is small.
#[inline(never)]
fn options(sb: &Superblock, opts: &Opts) -> Result<Box<Opts>> {
    let mut all = Box::try_new(Opts::new())?;
    *all = Opts::from_superblock(sb);
    all.apply(opts);
    Ok(all)
}

/// Puts the devices into their slots, leaving out those that do not belong there.
///
/// C: `bch2_sbs_filter_dead()`, `bch2_dev_attach_bdev()`.
#[inline(never)]
fn place(candidates: Vec<Candidate>, sb: &Superblock, opts: &Opts) -> Result<Vec<Option<Device>>> {
    let mut slots: Vec<Option<Device>> = Vec::with_capacity(sb.nr_devices().into())?;
    for _ in 0..sb.nr_devices() {
        slots.push(None)?;
    }
    let split_ok = opts.is_on(OptId::NoSplitbrainCheck);
    for Candidate { bdev, own } in candidates {
        let (name, idx) = (bdev.name(), own.dev_idx());
        if let Err(stranger) = check_member(sb, &own, split_ok) {
            if stranger.can_leave_out() {
                pr_warn!("{name}: not using this device: it {stranger}");
                continue;
            }
            pr_err!("{name}: can not mount with this device: it {stranger}");
            return Err(stranger.error());
        }
        check_device(sb, idx, bdev.nr_sectors(), bdev.logical_block_bytes()).map_err(|f| {
            pr_err!("{name}: {f}");
            f.error
        })?;
        let slot = slots.get_mut(usize::from(idx));
        let (Some(slot), Some(member)) = (slot, member(sb, idx)?) else {
            continue;
        };
        if let Some(other) = slot {
            pr_err!(
                "{name}: device {idx} of filesystem {} is {} already: is one a copy of the other?",
                sb.user_uuid(),
                other.bdev.name()
            );
            return Err(Error::DeviceDuplicate);
        }
        *slot = Some(Device {
            bdev,
            idx: DevIdx(idx),
            own,
            opts: DeviceOpts::of(&member),
            member,
            errors: IoErrors::default(),
            stats: DeviceStats::new(),
            stopped: AtomicU8::new(0),
        });
    }
    Ok(slots)
}

/// Checks that enough devices are there, by the option `degraded`.
#[inline(never)]
fn check_all_there(state: &SbState) -> Result {
    let online: DevMask = state.online();
    let name = state.name();
    let enough = check_enough(&state.sb, &online, state.opts.degraded());
    for (dev, m) in missing(&state.sb, &online) {
        report_missing(state, dev, &m);
    }
    enough.map_err(|e| {
        pr_err!("{name}: {e}");
        Error::DevicesMissing
    })
}

/// Says what is known of a device that is not there, so that it can be found.
#[inline(never)]
fn report_missing(state: &SbState, dev: u8, m: &Member) {
    let name = state.name();
    pr_warn!("{name}: device {dev} is missing, UUID {}", m.uuid());
    let last = [
        ("name", m.device_name()),
        ("model", m.device_model()),
        ("serial number", m.device_serial()),
    ];
    for (what, text) in last.iter().filter(|(_, text)| !text.is_empty()) {
        pr_warn!("{name}: device {dev}: last seen with {what} {text}");
    }
    if m.last_mount() != 0 {
        pr_warn!(
            "{name}: device {dev}: last mounted {}",
            DateTime(m.last_mount())
        );
    }
}

/// What the filesystem says about device `idx`. Out of line: it is large, and the stack is small.
#[inline(never)]
fn member(sb: &Superblock, idx: u8) -> Result<Option<Box<Member>>> {
    match sb.member(idx) {
        Some(m) => Ok(Some(Box::try_new(m)?)),
        None => Ok(None),
    }
}
