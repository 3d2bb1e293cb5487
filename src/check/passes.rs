// SPDX-License-Identifier: GPL-2.0

//! Recovery passes: which of them a mount runs, and running them.
//!
//! What a pass does is in the table of functions that `init` hands to [`run`]. The order, and when
//! a pass is run, is here.

use crate::{
    env::{
        num::{
            low_u32,
            u64_of,
            usize_of,
            usize_of_u8, //
        },
        pr_err,
        pr_info,
        pr_warn, //
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
            flags,
            passes::{
                flag::{
                    ALWAYS,
                    FSCK,
                    SILENT, //
                },
                from_stable,
                passes, //
            },
            Superblock, //
        },
    },
};
use core::fmt;

/// The numbers on disk of passes that others speak of. C: `enum bch_recovery_pass_stable`.
pub mod pass {
    /// Are buckets free.
    pub const ALLOC_READ: u8 = 0;
    /// Snapshot trees and subvolumes are read.
    pub const SNAPSHOTS_READ: u8 = 3;
    /// Do the nodes of btrees cover all there is to cover.
    pub const CHECK_TOPOLOGY: u8 = 4;
    /// What is derived of keys is counted anew.
    pub const CHECK_ALLOCATIONS: u8 = 5;
    /// From here on something may be written.
    pub const SET_MAY_GO_RW: u8 = 8;
    /// What the journal has goes to the btrees.
    pub const JOURNAL_REPLAY: u8 = 9;
    /// Indices of buckets.
    pub const CHECK_ALLOC_INFO: u8 = 10;
    /// Entries of LRUs.
    pub const CHECK_LRUS: u8 = 11;
    /// Backpointers of places that do not exist.
    pub const CHECK_BTREE_BACKPOINTERS: u8 = 12;
    /// Backpointers of keys that do not exist.
    pub const CHECK_BACKPOINTERS_TO_EXTENTS: u8 = 13;
    /// Keys without backpointer.
    pub const CHECK_EXTENTS_TO_BACKPOINTERS: u8 = 14;
    /// Buckets that are missing in an LRU.
    pub const CHECK_ALLOC_TO_LRU_REFS: u8 = 15;
    /// The index of free space is completed.
    pub const FS_FREESPACE_INIT: u8 = 16;
    /// What inodes say of themselves.
    pub const CHECK_INODES: u8 = 24;
    /// Trees of snapshots.
    pub const CHECK_SNAPSHOT_TREES: u8 = 18;
    /// Their nodes.
    pub const CHECK_SNAPSHOTS: u8 = 19;
    /// Subvolumes.
    pub const CHECK_SUBVOLS: u8 = 20;
    /// Which subvolumes are in others.
    pub const CHECK_SUBVOL_CHILDREN: u8 = 35;
    /// Subvolumes above themselves.
    pub const CHECK_SUBVOLUME_STRUCTURE: u8 = 36;
    /// Keys and nodes of snapshots that are not used.
    pub const DELETE_DEAD_SNAPSHOTS: u8 = 21;
    /// What extents are of.
    pub const CHECK_EXTENTS: u8 = 25;
    /// Shared extents.
    pub const CHECK_INDIRECT_EXTENTS: u8 = 26;
    /// Names of files.
    pub const CHECK_DIRENTS: u8 = 27;
    /// Extended attributes.
    pub const CHECK_XATTRS: u8 = 28;
    /// The root directory.
    pub const CHECK_ROOT: u8 = 29;
    /// Names for inodes that have lost theirs.
    pub const CHECK_UNREACHABLE_INODES: u8 = 40;
    /// Directories above themselves.
    pub const CHECK_DIRECTORY_STRUCTURE: u8 = 30;
    /// How many names files have.
    pub const CHECK_NLINKS: u8 = 31;
    /// Operations that were interrupted are ended.
    pub const RESUME_LOGGED_OPS: u8 = 23;
    /// Files without a name are deleted.
    pub const DELETE_DEAD_INODES: u8 = 32;
    /// Nodes that no pointer leads to are looked for.
    pub const SCAN_FOR_BTREE_NODES: u8 = 37;
    /// Counters are read.
    pub const ACCOUNTING_READ: u8 = 39;
}

/// The passes of 1.13 in the order in which they run, by number on disk, and when each is.
///
/// One is not where the C implementation has it: `check_allocations` comes behind the replay here,
/// because keys can be changed only then. Replay can not take a bucket that is in use by mistake
/// all the same: those are counted, and held, before it.
///
/// C (Linux 6.12): `BCH_RECOVERY_PASSES()`.
const V1_13: &[(u8, u8)] = &[
    (41, SILENT),
    (pass::SCAN_FOR_BTREE_NODES, 0),
    (pass::CHECK_TOPOLOGY, 0),
    (pass::ACCOUNTING_READ, ALWAYS),
    (pass::ALLOC_READ, ALWAYS),
    (1, ALWAYS), // stripes_read
    (2, 0),      // initialize_subvolumes
    (pass::SNAPSHOTS_READ, ALWAYS),
    (6, ALWAYS | SILENT), // trans_mark_dev_sbs
    (7, ALWAYS | SILENT), // fs_journal_alloc
    (pass::SET_MAY_GO_RW, ALWAYS | SILENT),
    (pass::JOURNAL_REPLAY, ALWAYS),
    (pass::CHECK_ALLOCATIONS, FSCK),
    (pass::CHECK_ALLOC_INFO, FSCK),
    (pass::CHECK_LRUS, FSCK),
    (pass::CHECK_BTREE_BACKPOINTERS, FSCK),
    (pass::CHECK_BACKPOINTERS_TO_EXTENTS, FSCK),
    (pass::CHECK_EXTENTS_TO_BACKPOINTERS, FSCK),
    (pass::CHECK_ALLOC_TO_LRU_REFS, FSCK),
    (pass::FS_FREESPACE_INIT, ALWAYS | SILENT),
    (17, 0), // bucket_gens_init
    (38, 0), // reconstruct_snapshots
    (pass::CHECK_SNAPSHOT_TREES, FSCK),
    (pass::CHECK_SNAPSHOTS, FSCK),
    (pass::CHECK_SUBVOLS, FSCK),
    (pass::CHECK_SUBVOL_CHILDREN, FSCK),
    (pass::DELETE_DEAD_SNAPSHOTS, FSCK),
    (22, 0), // fs_upgrade_for_subvolumes
    (pass::CHECK_INODES, FSCK),
    (pass::CHECK_EXTENTS, FSCK),
    (pass::CHECK_INDIRECT_EXTENTS, FSCK),
    (pass::CHECK_DIRENTS, FSCK),
    (pass::CHECK_XATTRS, FSCK),
    (pass::CHECK_ROOT, FSCK),
    (pass::CHECK_UNREACHABLE_INODES, FSCK),
    (pass::CHECK_SUBVOLUME_STRUCTURE, FSCK),
    (pass::CHECK_DIRECTORY_STRUCTURE, FSCK),
    (pass::CHECK_NLINKS, FSCK),
    (pass::RESUME_LOGGED_OPS, ALWAYS),
    (pass::DELETE_DEAD_INODES, ALWAYS),
    (33, 0), // fix_reflink_p
    (34, 0), // set_fs_needs_rebalance
];

/// What is done for a pass.
pub struct Step<M> {
    /// The number of the pass on disk.
    pub stable: u8,
    /// Does it.
    pub run: fn(&mut M) -> Result,
    /// It does all of what the pass has to do; if not, it is no substitute for the pass when that
    /// is required.
    pub is_whole: bool,
}

/// A bit that no pass has: for passes of versions to come.
const UNKNOWN: u64 = 1 << 63;

const fn bit(stable: u8) -> u64 {
    1u64.wrapping_shl(low_u32(u64_of(usize_of_u8(stable))))
}

fn name(stable: u8) -> &'static str {
    from_stable(stable).map_or("(unknown pass)", |p| p.name)
}

/// A set of passes, by number on disk.
#[derive(Clone, Copy)]
struct Names(u64);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for stable in (0..64).filter(|s| self.0 & bit(*s) != 0) {
            write!(f, "{comma}{}", name(stable))?;
            comma = ",";
        }
        Ok(())
    }
}

/// Which passes a mount runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// All of them, by number on disk.
    run: u64,
    /// Those that the superblock asks for.
    required: u64,
    /// Those that somebody or something asked for by name: the superblock, an option, a finding.
    named: u64,
    /// The option `fsck`.
    pub fsck: bool,
}

impl Plan {
    /// The passes of a mount that only reads: those that read.
    pub fn reading() -> Self {
        let run = bit(pass::ACCOUNTING_READ) | bit(pass::SNAPSHOTS_READ);
        Self {
            run,
            ..Self::default()
        }
    }

    /// The passes of a filesystem that was mounted to be read, and now is to be written: all that
    /// it takes for that, and nothing that was done when it was mounted.
    pub fn remounting(sb: &Superblock, opts: &Opts) -> Self {
        let all = Self::writing(sb, opts);
        Self {
            run: all.run & !Self::reading().run,
            ..all
        }
    }

    /// Whether options ask for passes that change something.
    pub fn is_asked_for(opts: &Opts) -> bool {
        opts.is_on(OptId::Fsck)
            || opts.is_on(OptId::DangerouslyReconstructAlloc)
            || opts.get(OptId::RecoveryPasses) != 0
    }

    /// The passes of a read-write mount of the filesystem with superblock `sb`.
    ///
    /// C: `should_run_recovery_pass()`, and what `bch2_fs_recovery()` adds to the options.
    pub fn writing(sb: &Superblock, opts: &Opts) -> Self {
        let ext = sb.ext();
        let [mut required, more] = ext.map_or([0; 2], |ext| ext.recovery_passes_required());
        if more != 0 {
            required |= UNKNOWN;
        }
        if sb.flag(flags::HAS_TOPOLOGY_ERRORS) != 0 {
            required |= bit(pass::CHECK_TOPOLOGY);
        }
        let mut named = required | of_option(opts.get(OptId::RecoveryPasses));
        if opts.is_on(OptId::DangerouslyReconstructAlloc) {
            named |= alloc_passes() | bit(pass::CHECK_TOPOLOGY);
        }
        let fsck = opts.is_on(OptId::Fsck);
        if fsck {
            // The C implementation does so in debug builds; others begin with it again once they
            // come across damage.
            named |= bit(pass::CHECK_TOPOLOGY);
        }
        let mut run = named;
        for (stable, when) in V1_13 {
            if when & ALWAYS != 0 || fsck && when & FSCK != 0 {
                run |= bit(*stable);
            }
        }
        let excluded = of_option(opts.get(OptId::RecoveryPassesExclude));
        run &= !(excluded & !(bit(pass::SET_MAY_GO_RW) | bit(pass::JOURNAL_REPLAY)));
        if let Some(last) = last(opts) {
            run &= !behind(last);
        }
        Self {
            run,
            required,
            named: named & run,
            fsck,
        }
    }

    /// Whether a pass is run.
    pub const fn runs(&self, stable: u8) -> bool {
        self.run & bit(stable) != 0
    }

    /// Whether it is not to be relied on what the btrees say of buckets.
    pub const fn checks_allocations(&self) -> bool {
        self.runs(pass::CHECK_ALLOCATIONS)
    }

    /// Whether the superblock asks for a pass.
    pub const fn requires(&self, stable: u8) -> bool {
        self.required & bit(stable) != 0
    }

    /// The bit of a pass in a set.
    pub const fn bit(stable: u8) -> u64 {
        bit(stable)
    }

    /// Adds passes that were found to be necessary: those that make the allocation information
    /// anew.
    pub fn add_alloc_passes(&mut self) {
        let more = alloc_passes();
        self.run |= more;
        self.named |= more;
        self.required |= more;
    }

    /// Adds passes that were found to be necessary because something was lost that can not be made
    /// of other things: should the power be lost, they are run again.
    ///
    /// C: `bch2_btree_lost_data()`.
    pub fn add_topology_passes(&mut self) {
        let more = bit(pass::CHECK_TOPOLOGY) | bit(pass::SCAN_FOR_BTREE_NODES);
        self.named |= more;
        self.required |= more;
        self.run |= more;
    }

    /// Something is lost of which nobody knows what it was: all is to be checked that `steps` can,
    /// and if the power is lost meanwhile, again.
    pub fn add_checks<M>(&mut self, steps: &[Step<M>]) {
        let checks = V1_13.iter().filter(|(_, when)| when & FSCK != 0);
        let have = |stable: u8| steps.iter().any(|s| s.stable == stable && s.is_whole);
        let more = checks.filter(|(stable, _)| have(*stable));
        let more = more.fold(bit(pass::CHECK_TOPOLOGY), |all, (s, _)| all | bit(*s));
        self.run |= more;
        self.named |= more;
        self.required |= more;
    }

    /// Whether all is made anew that the passes about allocations can.
    pub const fn makes_all_anew(&self) -> bool {
        let all = alloc_passes() | bit(pass::CHECK_TOPOLOGY);
        self.run & all == all
    }

    /// Whether all is checked about files.
    pub const fn checks_files(&self) -> bool {
        let all = bit(pass::CHECK_TOPOLOGY)
            | bit(pass::CHECK_INODES)
            | bit(pass::CHECK_EXTENTS)
            | bit(pass::CHECK_DIRENTS)
            | bit(pass::CHECK_XATTRS)
            | bit(pass::CHECK_UNREACHABLE_INODES)
            | bit(pass::CHECK_DIRECTORY_STRUCTURE)
            | bit(pass::CHECK_NLINKS);
        self.run & all == all
    }

    /// Whether all is checked that there is to check, with what `steps` has.
    pub fn checks_all<M>(&self, steps: &[Step<M>]) -> bool {
        let mut checks = V1_13.iter().filter(|(_, when)| when & FSCK != 0);
        let have = |stable: u8| steps.iter().any(|s| s.stable == stable && s.is_whole);
        self.fsck && checks.all(|(stable, _)| self.runs(*stable) && have(*stable))
    }

    /// The passes that the superblock asks for, or has to from now on.
    pub const fn required(&self) -> u64 {
        self.required
    }

    /// Refuses a plan that ends before something can be written, and one with a pass that `steps`
    /// does not have, unless it is only part of a check of everything. To be called before
    /// something is changed.
    pub fn check<M>(&self, steps: &[Step<M>]) -> Result {
        if !self.runs(pass::JOURNAL_REPLAY) {
            return Err(Error::RecoveryPassLast);
        }
        let whole = steps.iter().filter(|s| s.is_whole);
        let have = whole.fold(0, |all, s| all | bit(s.stable));
        let lacks = self.named & !have;
        if lacks == 0 {
            return Ok(());
        }
        let names = Names(lacks);
        pr_err!("recovery passes that are not supported yet: {names}: run bcachefs fsck");
        match lacks & self.required {
            0 => Err(Error::PassUnsupported),
            _ => Err(Error::ReadWriteNeedsFsck),
        }
    }

    /// Says which passes the superblock asks for.
    pub fn announce(&self, fs: impl fmt::Display) {
        if self.required != 0 {
            let names = Names(self.required);
            pr_info!("{fs}: superblock requires following recovery passes to be run: {names}");
        }
    }
}

/// The passes that make the allocation information anew.
const fn alloc_passes() -> u64 {
    bit(pass::CHECK_ALLOCATIONS)
        | bit(pass::CHECK_ALLOC_INFO)
        | bit(pass::CHECK_LRUS)
        | bit(pass::CHECK_BTREE_BACKPOINTERS)
        | bit(pass::CHECK_BACKPOINTERS_TO_EXTENTS)
        | bit(pass::CHECK_EXTENTS_TO_BACKPOINTERS)
        | bit(pass::CHECK_ALLOC_TO_LRU_REFS)
}

/// Passes that an option names, which has them by position in the table of all versions.
fn of_option(set: u64) -> u64 {
    let named = |(nr, _): &(u32, _)| set & 1u64.wrapping_shl(*nr) != 0;
    let all = (0u32..).zip(passes()).filter(named);
    all.fold(0, |all, (_, p)| all | bit(p.stable))
}

/// The last pass that is to be run; the option says nothing when it is 0.
fn last(opts: &Opts) -> Option<u8> {
    let nr = opts.get(OptId::RecoveryPassLast);
    let pass = passes().nth(usize_of(nr)).filter(|_| nr != 0)?;
    Some(pass.stable)
}

/// Passes that come behind one in the order of the C implementation.
fn behind(last: u8) -> u64 {
    let mut passed = passes().skip_while(|p| p.stable != last);
    let _ = passed.next();
    passed.fold(0, |all, p| all | bit(p.stable))
}

/// Runs the passes of `plan` in order. After each, `done` is told its number.
///
/// C: `bch2_run_recovery_passes()`.
pub fn run<M>(
    plan: impl Fn(&M) -> Plan,
    steps: &[Step<M>],
    mount: &mut M,
    mut done: impl FnMut(&mut M, u8) -> Result,
) -> Result {
    let (mut left_out, mut in_part) = (0, 0);
    for (stable, when) in V1_13 {
        let plan = plan(mount);
        if !plan.runs(*stable) {
            continue;
        }
        let name = name(*stable);
        let Some(step) = steps.iter().find(|s| s.stable == *stable) else {
            if when & ALWAYS == 0 {
                left_out |= bit(*stable);
            }
            continue;
        };
        // What every mount does is no news.
        let is_news = when & (ALWAYS | SILENT) == 0;
        if is_news {
            pr_info!("{name}...");
        }
        (step.run)(mount).inspect_err(|e| pr_err!("{name}: {e}"))?;
        match step.is_whole {
            true => done(mount, *stable)?,
            false => in_part |= bit(*stable),
        }
        if is_news {
            pr_info!("{name}... done");
        }
    }
    if in_part != 0 {
        let names = Names(in_part);
        pr_warn!("recovery passes that are supported in part: {names}");
    }
    if left_out != 0 {
        let names = Names(left_out);
        pr_warn!("recovery passes that are not supported yet, left out: {names}");
        pr_warn!("run bcachefs fsck for them");
    }
    Ok(())
}
