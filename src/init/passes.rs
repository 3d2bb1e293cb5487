// SPDX-License-Identifier: GPL-2.0

//! What is done for each recovery pass.
//!
//! When a pass is run, and in which order, is in [`crate::check`]. To add one: a line in
//! [`PASSES`].

use super::{
    reaper::writing,
    rw::ReadWrite, //
};
use crate::{
    alloc::{
        check_enough,
        space::{
            complete_freespace,
            Engine, //
        },
        Usage, //
    },
    btree::{
        rewrite_nodes,
        Btrees, //
    },
    check::{
        buckets_in_use,
        check_alloc_info,
        check_alloc_to_lru_refs,
        check_allocations,
        check_backpointers_to_extents,
        check_btree_backpointers,
        check_directory_structure,
        check_dirents,
        check_extents,
        check_extents_to_backpointers,
        check_indirect_extents,
        check_inodes,
        check_lrus,
        check_nlinks,
        check_root,
        check_snapshot_trees,
        check_snapshots,
        check_subvol_children,
        check_subvols,
        check_subvolume_structure,
        check_topology,
        check_unreachable_inodes,
        check_xattrs,
        give_up_alloc,
        pass,
        Files,
        LostBtrees,
        Nodes,
        Plan,
        Report,
        Step, //
    },
    data::write::resume_operations,
    env::{
        pr_err,
        pr_info,
        pr_warn,
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        opts::OptId,
        sb::{
            flags,
            Superblock, //
        },
        values::subvolume::ROOT_SUBVOL, //
    },
    fs::change::{
        Changes,
        Numbers, //
    },
    journal::live::Start,
    sb::State,
    snapshots::{
        clean_up,
        View, //
    },
    sys::workqueue::WorkQueue,
};

/// A filesystem while it is mounted.
pub(super) struct Recovery {
    /// Which passes are run.
    pub(super) plan: Plan,
    pub(super) btrees: Arc<Btrees>,
    /// Where the journal goes on, if something may be written.
    pub(super) from: Option<Start>,
    /// What was found.
    pub(super) report: Report,
    /// Btrees that were given up, and are made anew.
    pub(super) lost: LostBtrees,
    /// Some of the entries of the journal could not be used.
    pub(super) lacks_entries: bool,
    /// What pointers say of their buckets was repaired, but not yet written.
    pub(super) amends_pointers: bool,
    /// Nodes that were looked for, because some were lost.
    pub(super) nodes: Nodes,
    /// Passes that were required, and were done, which is not noted yet.
    pub(super) done: u64,
    /// Space in use, once it was read.
    pub(super) usage: Usage,
    /// Snapshots and subvolumes, once these were read.
    pub(super) view: Option<Arc<View>>,
    /// Numbers of new inodes.
    pub(super) numbers: Arc<Numbers>,
    /// Once something may be written.
    pub(super) rw: Option<ReadWrite>,
    /// Whatever changes nodes runs here, on a stack of its own: that goes deep, and so does whoever
    /// mounts.
    pub(super) tasks: WorkQueue,
}

/// What is done for each pass. Those that are not here are not supported, or there is nothing to be
/// done for them.
pub(super) const PASSES: &[Step<Recovery>] = &[
    step(pass::SCAN_FOR_BTREE_NODES, |m| m.nodes.scan(&m.btrees)),
    step(pass::CHECK_TOPOLOGY, topology),
    step(pass::ACCOUNTING_READ, accounting_read),
    step(pass::SNAPSHOTS_READ, snapshots_read),
    step(pass::SET_MAY_GO_RW, set_may_go_rw),
    step(pass::JOURNAL_REPLAY, journal_replay),
    step(pass::CHECK_ALLOCATIONS, |m| m.check(check_allocations)),
    step(pass::CHECK_ALLOC_INFO, |m| m.check(check_alloc_info)),
    step(pass::CHECK_LRUS, |m| m.check(check_lrus)),
    step(pass::CHECK_BTREE_BACKPOINTERS, |m| {
        m.check(check_btree_backpointers)
    }),
    step(pass::CHECK_BACKPOINTERS_TO_EXTENTS, |m| {
        m.check(check_backpointers_to_extents)
    }),
    step(pass::CHECK_EXTENTS_TO_BACKPOINTERS, |m| {
        m.check(check_extents_to_backpointers)
    }),
    step(pass::CHECK_ALLOC_TO_LRU_REFS, |m| {
        m.check(check_alloc_to_lru_refs)
    }),
    step(pass::CHECK_INODES, |m| m.check_files(check_inodes)),
    step(pass::CHECK_EXTENTS, |m| m.check_files(check_extents)),
    step(pass::CHECK_INDIRECT_EXTENTS, |m| {
        m.check_files(check_indirect_extents)
    }),
    step(pass::CHECK_DIRENTS, |m| m.check_files(check_dirents)),
    step(pass::CHECK_XATTRS, |m| m.check_files(check_xattrs)),
    step(pass::CHECK_ROOT, |m| m.check_files(check_root)),
    step(pass::CHECK_UNREACHABLE_INODES, |m| {
        m.check_files(check_unreachable_inodes)
    }),
    step(pass::CHECK_DIRECTORY_STRUCTURE, |m| {
        m.check_files(check_directory_structure)
    }),
    step(pass::CHECK_NLINKS, |m| m.check_files(check_nlinks)),
    step(pass::CHECK_SNAPSHOT_TREES, |m| {
        m.check(check_snapshot_trees)
    }),
    step(pass::CHECK_SNAPSHOTS, |m| m.check(check_snapshots)),
    step(pass::CHECK_SUBVOLS, subvolumes),
    step(pass::CHECK_SUBVOL_CHILDREN, |m| {
        m.check(check_subvol_children)
    }),
    step(pass::CHECK_SUBVOLUME_STRUCTURE, |m| {
        m.check_files(check_subvolume_structure)
    }),
    step(pass::DELETE_DEAD_SNAPSHOTS, delete_dead_snapshots),
    step(pass::FS_FREESPACE_INIT, fs_freespace_init),
    step(pass::RESUME_LOGGED_OPS, resume_logged_ops),
    step(pass::DELETE_DEAD_INODES, delete_dead_inodes),
];

const fn step(stable: u8, run: fn(&mut Recovery) -> Result) -> Step<Recovery> {
    let is_whole = true;
    Step {
        stable,
        run,
        is_whole,
    }
}

impl Recovery {
    /// What is known before the first pass.
    pub(super) fn try_new(
        plan: Plan,
        btrees: Arc<Btrees>,
        from: Option<Start>,
        numbers: Arc<Numbers>,
    ) -> Result<Self> {
        Ok(Self {
            report: Report::new(plan.fsck),
            plan,
            btrees,
            from,
            lost: LostBtrees::default(),
            lacks_entries: false,
            amends_pointers: false,
            nodes: Nodes::default(),
            done: 0,
            usage: Usage::default(),
            view: None,
            numbers,
            rw: None,
            tasks: WorkQueue::try_new(c"bcachefs-check")?,
        })
    }

    /// Takes void journal sequence numbers out of the superblock that no node has, if all nodes
    /// were read: those that are older than all that the journal keeps.
    ///
    /// C: `bch2_blacklist_entries_gc()`, which only looks at nodes that happened to be read.
    #[inline(never)]
    fn drop_void_numbers(&self, rw: &ReadWrite) -> Result {
        if !self.plan.runs(pass::CHECK_TOPOLOGY) {
            return Ok(());
        }
        let kept_from = rw.journal().oldest_pinned();
        // From now on, the newest entry says that those before are not needed.
        rw.journal().write_entry()?;
        rw.journal().flush()?;
        let (st, health) = (self.btrees.sb(), &self.btrees.health);
        st.change_super(|sb| {
            let (mut kept, mut nr) = (Vec::new(), 0usize);
            for range in sb.blacklist().ranges() {
                nr = nr.saturating_add(1);
                if range.1 > kept_from || health.has_void(range) {
                    kept.push(range)?;
                }
            }
            if kept.len() == nr {
                return Ok(false);
            }
            pr_info!(
                "{}: {nr} ranges of void numbers, {} are kept",
                st.name(),
                kept.len()
            );
            sb.set_blacklist(&kept)?;
            Ok(true)
        })
    }

    /// Has `check` check, and repair.
    fn check(&mut self, check: fn(Engine<'_>, &mut Report) -> Result) -> Result {
        let rw = self.rw.as_ref().ok_or(Error::ReadOnly)?;
        let (engine, report) = (rw.engine(), &mut self.report);
        self.tasks.call(|| check(engine, report))?
    }

    /// Btrees that have lost something, now or earlier: by bit.
    fn lost_data(&self) -> u64 {
        let sb = &self.btrees.sb().sb;
        let before = sb.ext().map_or(0, |e| e.btrees_lost_data());
        before | self.lost.bits()
    }

    /// The same of passes about files.
    fn check_files(&mut self, check: fn(&mut Files<'_>) -> Result) -> Result {
        let rw = self.rw.as_ref().ok_or(Error::ReadOnly)?;
        let mut files = Files {
            engine: rw.engine(),
            view: self.view.as_ref().ok_or(Error::ReadOnly)?,
            numbers: &self.numbers,
            lost: self.lost_data(),
            report: &mut self.report,
        };
        self.tasks.call(|| check(&mut files))?
    }

    /// What it takes to run transactions: of passes behind `set_may_go_rw`.
    pub(super) fn engine(&self) -> Result<Engine<'_>> {
        let rw = self.rw.as_ref().ok_or(Error::ReadOnly)?;
        Ok(rw.engine())
    }
}

impl Recovery {
    /// A pass was done: what it did is made safe, and it is not required any more if all that was
    /// found is repaired. Passes from before something could be written are noted later.
    ///
    /// C: `bch2_clear_recovery_pass_required()`.
    pub(super) fn pass_done(&mut self, stable: u8) -> Result {
        if self.plan.requires(stable) {
            self.done |= Plan::bit(stable);
        }
        let st = self.btrees.sb();
        let Some(rw) = self.rw.as_ref() else {
            return Ok(());
        };
        let may = st.state.get() == State::ReadWrite && self.report.is_clean();
        if self.done == 0 || !may {
            return Ok(());
        }
        rw.journal().flush()?;
        let done = core::mem::take(&mut self.done);
        st.change_super(|sb| {
            let had = sb.ext().map_or(0, |e| e.recovery_passes_required()[0]);
            sb.change_recovery(|required, _| *required &= !done)?;
            Ok(had & done != 0)
        })
    }

    /// All passes were run.
    ///
    /// C: the end of `bch2_fs_recovery()`.
    pub(super) fn finish(&mut self) -> Result {
        let Some(rw) = self.rw.as_ref().filter(|_| self.from.is_some()) else {
            return Ok(());
        };
        let st = self.btrees.sb();
        if st.state.get() != State::ReadWrite {
            return Ok(());
        }
        rw.engine().writer.hooks.hold(None);
        let (repaired, left) = (self.report.repaired, self.report.left);
        if repaired != 0 || left != 0 {
            pr_info!(
                "{}: {repaired} errors were fixed, {left} were not",
                st.name()
            );
            rw.journal().flush()?;
        }
        if self.plan.checks_allocations() {
            let engine = rw.engine();
            let nr = rewrite_nodes(engine.btrees, engine.writer)?;
            if nr != 0 {
                pr_info!("{}: {nr} btree nodes were written anew", st.name());
            }
            engine.btrees.set_salvaging(false);
        }
        self.drop_void_numbers(rw)?;
        let anew = self.plan.makes_all_anew() && left == 0;
        let all = self.plan.checks_all(PASSES) && left == 0;
        st.change_super(|sb| {
            let before = sb.ext().map_or(0, |e| e.btrees_lost_data());
            let derived = LostBtrees::all_derived().bits();
            let after = match (anew, self.plan.checks_files()) {
                _ if all => 0,
                (true, true) => before & LostBtrees::of_snapshots().bits(),
                (true, false) => before & !derived,
                _ => before,
            };
            let had = sb.flag(flags::HAS_ERRORS) | sb.flag(flags::HAS_TOPOLOGY_ERRORS);
            if left != 0 {
                sb.set_flag(flags::HAS_ERRORS, 1);
            }
            if anew {
                sb.set_flag(flags::HAS_TOPOLOGY_ERRORS, 0);
            }
            if all {
                sb.set_flag(flags::HAS_ERRORS, 0);
            }
            sb.change_recovery(|_, lost| *lost = after)?;
            Ok(left != 0 || repaired != 0 || before != after || had != 0)
        })?;
        rw.start_discarding()
    }
}

/// C: `bch2_check_topology()`, `bch2_reconstruct_alloc()`.
#[inline(never)]
fn topology(m: &mut Recovery) -> Result {
    m.lost = check_topology(&m.btrees, &mut m.report, &mut m.nodes)?;
    if m.btrees.sb().opts.is_on(OptId::DangerouslyReconstructAlloc) {
        give_up_alloc(&m.btrees, &mut m.lost);
    }
    if !m.lost.is_empty() {
        m.plan.add_alloc_passes();
    }
    if m.lost.has_sources() {
        m.plan.add_topology_passes();
        m.done |= Plan::bit(pass::SCAN_FOR_BTREE_NODES);
    }
    m.nodes = Nodes::default();
    Ok(())
}

/// C: `bch2_accounting_read()`.
#[inline(never)]
fn accounting_read(m: &mut Recovery) -> Result {
    let reserve = m.btrees.sb().opts.get(OptId::GcReservePercent);
    match Usage::read(&m.btrees, reserve) {
        Ok(usage) => m.usage = usage,
        Err(e) => pr_warn!("can not read the accounting, space in use is not known: {e}"),
    }
    check_data_is_there(&m.btrees)
}

/// Whether user data can be read with the devices that are there. Damage of the accounting is no
/// reason not to read.
fn check_data_is_there(btrees: &Btrees) -> Result {
    match check_enough(btrees) {
        Err(e) if e != Error::DevicesMissingData => {
            pr_warn!("can not read the accounting, so data may be on missing devices: {e}");
            Ok(())
        }
        checked => checked,
    }
}

/// C: `bch2_snapshots_read()`.
#[inline(never)]
fn snapshots_read(m: &mut Recovery) -> Result {
    let view = View::of(m.btrees.clone())?;
    if !m.plan.runs(pass::CHECK_ROOT) {
        has_root(&view)?;
    }
    m.view = Some(Arc::try_new(view)?);
    Ok(())
}

/// Whether the root directory is there. C: the pass `lookup_root_inode` of later versions.
fn has_root(view: &View) -> Result {
    let root = match view.subvolume(ROOT_SUBVOL) {
        Ok(root) => root,
        Err(Error::SubvolumeNotFound) => return no_root(format_args!("its subvolume")),
        Err(e) => {
            pr_err!("can not find the root subvolume: {e}");
            return Err(e);
        }
    };
    let pos = Bpos::new(0, root.inode, root.snapshot);
    match view.lookup(BtreeId::INODES, pos)? {
        Some(_) => Ok(()),
        None => no_root(format_args!("inode {}", root.inode)),
    }
}

#[cold]
fn no_root(what: core::fmt::Arguments<'_>) -> Result {
    pr_err!("the root directory, {what}, does not exist: run bcachefs fsck");
    Err(Error::RootInodeMissing)
}

/// Refuses to write to what is damaged, as far as that is known.
fn refuse_damaged(btrees: &Btrees) -> Result {
    match btrees.health.sick().next() {
        None => Ok(()),
        Some(btree) => {
            pr_err!("{}: btree {btree} is damaged", btrees.sb().name());
            Err(Error::ReadWriteDamaged)
        }
    }
}

/// C: `bch2_set_may_go_rw()`, `bch2_fs_read_write_early()`.
#[inline(never)]
fn set_may_go_rw(m: &mut Recovery) -> Result {
    refuse_damaged(&m.btrees)?;
    let from = m.from.as_ref().ok_or(Error::ReadOnly)?;
    // Before anything is written: what can not be counted can not be repaired.
    let sb = &m.btrees.sb().sb;
    let was_lost = sb.ext().is_some_and(|e| e.has_lost_data(BtreeId::ALLOC));
    let held = match m.plan.checks_allocations() {
        true => {
            let lost = was_lost || m.lost.has(BtreeId::ALLOC);
            let (held, repaired) = buckets_in_use(&m.btrees, &mut m.report, lost)?;
            if repaired {
                // Data can be lost by that, but no node.
                m.amends_pointers = true;
                m.plan.add_checks(PASSES);
                m.done |= Plan::bit(pass::CHECK_TOPOLOGY);
            }
            Some(held)
        }
        false => None,
    };
    m.btrees.sb().state.started();
    let rw = ReadWrite::begin(&m.btrees, from, |sb| note_lost(sb, m))?;
    let space = &rw.engine().writer.hooks;
    if let Some(held) = held {
        space.hold(Some(Arc::try_new(held)?));
    }
    if m.lost.has(BtreeId::FREESPACE) {
        space.lose_freespace();
    }
    m.rw = Some(rw);
    Ok(())
}

/// Has the superblock say what was given up, and which passes make it anew: should the power be
/// lost meanwhile, the next mount runs them again.
fn note_lost(sb: &mut Superblock, m: &Recovery) -> Result {
    let (plan, lost) = (&m.plan, m.lost);
    if lost.is_empty() && !m.lacks_entries && !m.amends_pointers {
        return Ok(());
    }
    if lost.has(BtreeId::FREESPACE) {
        for idx in 0..sb.nr_devices() {
            sb.update_member(idx, |m| m.set_freespace_initialized(false));
        }
    }
    sb.change_recovery(|required, lost_data| {
        *required |= plan.required();
        *lost_data |= lost.bits();
    })
}

/// C: `bch2_journal_replay()`.
#[inline(never)]
fn journal_replay(m: &mut Recovery) -> Result {
    let rw = m.rw.as_ref().ok_or(Error::ReadOnly)?;
    // It may have to write nodes back.
    m.tasks.call(|| rw.replay())?
}

/// C: `bch2_fs_freespace_init()`: when adding a device did not come to its end.
fn fs_freespace_init(m: &mut Recovery) -> Result {
    complete_freespace(m.engine()?)
}

/// C: `bch2_check_subvols()`.
fn subvolumes(m: &mut Recovery) -> Result {
    let rw = m.rw.as_ref().ok_or(Error::ReadOnly)?;
    let view = m.view.as_ref().ok_or(Error::ReadOnly)?;
    let lost = m.lost_data();
    let (engine, report) = (rw.engine(), &mut m.report);
    m.tasks.call(|| check_subvols(engine, view, lost, report))?
}

/// C: `bch2_delete_dead_snapshots()`.
fn delete_dead_snapshots(m: &mut Recovery) -> Result {
    let view = m.view.as_ref().ok_or(Error::ReadOnly)?;
    let w = writing(m.engine()?);
    m.tasks.call(|| clean_up(&w, view, &|| false))?
}

/// C: `bch2_resume_logged_ops()`.
fn resume_logged_ops(m: &mut Recovery) -> Result {
    let view = m.view.as_ref().ok_or(Error::ReadOnly)?;
    let engine = m.engine()?;
    m.tasks.call(|| resume_operations(engine, view))?
}

/// C: `bch2_delete_dead_inodes()`.
fn delete_dead_inodes(m: &mut Recovery) -> Result {
    let changes = Changes {
        view: m.view.as_ref().ok_or(Error::ReadOnly)?,
        engine: m.engine()?,
        numbers: &m.numbers,
    };
    m.tasks.call(|| remove_dead(&changes))?
}

/// Removes inodes that nobody has a name or an open file of.
#[inline(never)]
pub(super) fn remove_dead(changes: &Changes<'_>) -> Result {
    let nr = changes.remove_dead()?;
    if nr != 0 {
        let name = changes.view.sb().name();
        pr_info!("{name}: removed {nr} inodes without names");
    }
    Ok(())
}
