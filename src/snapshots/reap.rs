// SPDX-License-Identifier: GPL-2.0

//! Keys and nodes of dead snapshots are removed, see [`dead`](super::dead). Each step leaves
//! everything as it should be, so it can end at any of them, and be begun again later.

use super::{
    dead::{
        Act,
        Change,
        Dead,
        CHANGES_MAX, //
    },
    delete::delete_unused,
    keys::{
        delete,
        put_snapshot,
        put_tree,
        tree,
        Writing, //
    },
    View,
};
use crate::{
    btree::{
        trans::{
            Hooks,
            Trans,
            TransResult, //
        },
        KeyBuf, //
    },
    env::{
        num::u64_of,
        pr_err,
        pr_info,
        sort,
        time::monotonic_ns,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::snapshot::Snapshot, //
    },
    sys::sync::atomic::Ordering,
};

/// The btrees whose keys belong to snapshots, in 1.13.
const BTREES: [BtreeId; 4] = [
    BtreeId::EXTENTS,
    BtreeId::INODES,
    BtreeId::DIRENTS,
    BtreeId::XATTRS,
];
/// Places whose keys go in one transaction.
const BATCH: usize = 8;
/// Most keys that do: at one place there may be any number.
const KEYS_MAX: usize = 64;
/// Nanoseconds between messages that say how far it has got.
const TELL_NS: u64 = 10_000_000_000;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Nodes of snapshot trees.
    pub nodes: u64,
    /// Keys that were deleted.
    pub deleted: u64,
    /// Keys that went to another snapshot.
    pub moved: u64,
}

/// How far it has got.
struct Progress<'a, H> {
    w: &'a Writing<'a, H>,
    view: &'a View,
    dead: &'a Dead,
    done: Reaped,
    told: u64,
}

/// Deletes subvolumes that nobody can use any more, and what their snapshots leave. Ends early when
/// `stop` says so, to be called again later. One at a time does this.
///
/// C: `bch2_delete_dead_snapshots()`.
pub fn clean_up<H: Hooks>(w: &Writing<'_, H>, view: &View, stop: &dyn Fn() -> bool) -> Result {
    let _one = view.cleaning.lock();
    delete_unused(w, view, stop)?;
    reap(w, view, stop).map(drop)
}

/// Removes dead snapshots, if there may be any; `None` when there are none. Ends early when `stop`
/// says so, to be called again later.
///
/// C: `__bch2_delete_dead_snapshots()`.
pub fn reap<H: Hooks>(
    w: &Writing<'_, H>,
    view: &View,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Reaped>> {
    if !view.has_dead.swap(false, Ordering::AcqRel) {
        return Ok(None);
    }
    // Until it is certain that nothing is left.
    let done = reap_all(w, view, stop);
    if done.is_err() || stop() {
        view.has_dead.store(true, Ordering::Release);
    }
    done
}

#[inline(never)]
fn reap_all<H: Hooks>(
    w: &Writing<'_, H>,
    view: &View,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Reaped>> {
    let dead = {
        let _trees = view.gate.hold_trees();
        read(w, view)?
    };
    let name = w.btrees.sb().name();
    if dead.nr() != 0 {
        pr_info!("{name}: deleting {} dead snapshots", dead.nr());
    }
    let mut p = Progress {
        w,
        view,
        dead: &dead,
        done: Reaped::default(),
        told: monotonic_ns(),
    };
    if dead.nr() != 0 {
        for btree in BTREES {
            if !p.all_keys(btree, stop)? {
                return Ok(Some(p.done));
            }
        }
    }
    let mut done = p.done;
    done.nodes = nodes(w, view, &dead)?;
    if done == Reaped::default() {
        return Ok(None);
    }
    pr_info!(
        "{name}: deleted {} snapshots: {} keys deleted, {} moved",
        done.nodes,
        done.deleted,
        done.moved
    );
    Ok(Some(done))
}

/// Reads all nodes. One that can not be read may be anything: then nothing is done.
fn read<H: Hooks>(w: &Writing<'_, H>, view: &View) -> Result<Dead> {
    w.btrees.health.require(BtreeId::SNAPSHOTS)?;
    let mut found = Vec::new();
    let mut iter = w.btrees.iter(BtreeId::SNAPSHOTS, 0, Bpos::MIN);
    while let Some(key) = iter.next()? {
        let id = u32::try_from(key.k.p.offset).ok();
        let s = Snapshot::decode(key.v).ok();
        let is_snapshot = key.k.key_type == KeyType::SNAPSHOT;
        let Some(both) = id.zip(s).filter(|_| is_snapshot) else {
            let name = w.btrees.sb().name();
            pr_err!("{name}: snapshots: key {} is no snapshot", key.k);
            return Err(Error::SnapshotsUnclear);
        };
        found.push(both)?;
    }
    let mut used = Vec::new();
    for (_, subvol) in view.subvols.iter() {
        used.push(subvol.snapshot)?;
    }
    sort::sort_by(&mut used, u32::cmp);
    let is_used = |id: u32| used.binary_search(&id).is_ok();
    Dead::of(found.iter().map(|(id, s)| (*id, *s, is_used(*id))))
}

impl<H: Hooks> Progress<'_, H> {
    /// Removes keys of a btree until there are none; whether it came to that.
    ///
    /// Who moves data may split an extent whose first part then ends before the place where this
    /// is. The last part ends where the whole did: so when none is found from start to end, there
    /// is none left to be split either.
    fn all_keys(&mut self, btree: BtreeId, stop: &dyn Fn() -> bool) -> Result<bool> {
        loop {
            let before = self.done;
            if !self.keys(btree, stop)? {
                return Ok(false);
            }
            if !btree.is_extents() || self.done == before {
                return Ok(true);
            }
        }
    }

    /// Removes keys of a btree, from its start to its end; whether it got there.
    fn keys(&mut self, btree: BtreeId, stop: &dyn Fn() -> bool) -> Result<bool> {
        let mut from = Bpos::MIN;
        loop {
            let places = self.places(btree, from)?;
            let Some(last) = places.last() else {
                return Ok(true);
            };
            from = last.next_offset();
            for batch in places.chunks(BATCH) {
                self.settle(btree, batch)?;
                if stop() {
                    return Ok(false);
                }
            }
            self.tell(btree, from);
            if from == Bpos::MAX {
                return Ok(true);
            }
        }
    }

    /// Some places with keys that go, from `from` on.
    fn places(&self, btree: BtreeId, from: Bpos) -> Result<Vec<Bpos>> {
        let mut places: Vec<Bpos> = Vec::new();
        let mut iter = self.w.btrees.iter(btree, 0, from);
        while let Some(k) = iter.advance()? {
            let is_known = places.last().is_some_and(|p| p.same_place(k.p));
            if !is_known && self.dead.concerns(k.p.snapshot) {
                if places.len() == BATCH.saturating_mul(8) {
                    break;
                }
                places.push(k.p.with_snapshot(0))?;
            }
        }
        Ok(places)
    }

    fn settle(&mut self, btree: BtreeId, places: &[Bpos]) -> Result {
        let mut most = KEYS_MAX;
        loop {
            match self.settle_some(btree, places, most) {
                Ok(true) => return Ok(()),
                Ok(false) => (),
                // Large ones: one by one then.
                Err(Error::TransTooBig) if most > 1 => most = 1,
                Err(e) => return Err(e),
            }
        }
    }

    /// Settles not more than `most` keys; whether that was all.
    fn settle_some(&mut self, btree: BtreeId, places: &[Bpos], most: usize) -> Result<bool> {
        let (w, dead) = (self.w, self.dead);
        let change = || {
            w.run(|t| {
                let (mut done, mut left) = (Reaped::default(), most);
                let mut is_all = true;
                for place in places {
                    is_all = settle(t, self.view, dead, (btree, *place), &mut left, &mut done)?;
                    if !is_all {
                        break;
                    }
                }
                t.commit()?;
                Ok((done, is_all))
            })
        };
        let (done, is_all) = match dead.moves() {
            true => {
                let moved = || self.view.table.moves.change(change);
                self.view.unsettled.change(&w.writer.journal, moved)
            }
            false => change(),
        }?;
        self.done.deleted = self.done.deleted.saturating_add(done.deleted);
        self.done.moved = self.done.moved.saturating_add(done.moved);
        Ok(is_all)
    }

    fn tell(&mut self, btree: BtreeId, at: Bpos) {
        let now = monotonic_ns();
        if now.saturating_sub(self.told) >= TELL_NS {
            self.told = now;
            pr_info!(
                "{}: deleting dead snapshots: btree {btree} at {at}, {} keys deleted, {} moved",
                self.w.btrees.sb().name(),
                self.done.deleted,
                self.done.moved
            );
        }
    }
}

/// Stages what becomes of the keys at one place; whether that is all, and not more than may be
/// `left`. The highest come first: a whiteout goes after what it has hidden.
#[inline(never)]
fn settle<H: Hooks>(
    t: &mut Trans<'_, H>,
    view: &View,
    dead: &Dead,
    (btree, place): (BtreeId, Bpos),
    left: &mut usize,
    done: &mut Reaped,
) -> TransResult<bool> {
    let (mut keys, mut types) = (Vec::new(), Vec::new());
    let (mut from, until) = (place, place.with_snapshot(u32::MAX));
    while let Some(key) = t.next(btree, from, until)? {
        let p = key.k.p;
        types.push((p.snapshot, key.k.key_type))?;
        keys.push(key)?;
        if p.snapshot == u32::MAX {
            break;
        }
        from = p.successor();
    }
    let acts = dead.settle(&types, |id, above| view.table.is_ancestor(id, above))?;
    for (key, act) in keys.iter().zip(acts.iter()).rev() {
        if *act != Act::Keep {
            let Some(rest) = left.checked_sub(1) else {
                return Ok(false);
            };
            *left = rest;
        }
        match act {
            Act::Keep => (),
            Act::Delete => {
                t.delete(btree, key.k.p)?;
                done.deleted = done.deleted.saturating_add(1);
            }
            Act::MoveTo(snapshot) => {
                t.delete(btree, key.k.p)?;
                let mut moved = KeyBuf::copy_of(&key.key())?;
                moved.k.p.snapshot = *snapshot;
                t.update(btree, moved)?;
                done.moved = done.moved.saturating_add(1);
            }
        }
    }
    Ok(true)
}

/// Removes nodes that have no keys any more, and makes right what others say of them; how many.
fn nodes<H: Hooks>(w: &Writing<'_, H>, view: &View, planned: &Dead) -> Result<u64> {
    let _trees = view.gate.hold_trees();
    let mut dead = read(w, view)?;
    // What has died meanwhile still has keys.
    dead.only(planned);
    let mut changes = dead.renumber(|id, above| view.table.is_ancestor(id, above))?;
    let nr = dead.nr();
    let steps = dead.take_out()?;
    let all = steps.iter().map(|s| s.len()).sum::<usize>();
    if changes.len().saturating_add(all) <= CHANGES_MAX {
        for step in steps.iter() {
            changes.extend_from_slice(step)?;
        }
        put(w, &changes)?;
    } else {
        for some in changes.chunks(CHANGES_MAX) {
            put(w, some)?;
        }
        for step in steps.iter() {
            put(w, step)?;
        }
    }
    Ok(u64_of(nr))
}

fn put<H: Hooks>(w: &Writing<'_, H>, changes: &[Change]) -> Result {
    w.run(|t| {
        for change in changes {
            put_change(t, change)?;
        }
        t.commit()
    })?;
    Ok(())
}

fn put_change<H: Hooks>(t: &mut Trans<'_, H>, change: &Change) -> TransResult {
    match &change.to {
        Some(s) => put_snapshot(t, change.id, s)?,
        None => delete(t, BtreeId::SNAPSHOTS, change.id)?,
    }
    let Some((id, root)) = change.root_of else {
        return Ok(());
    };
    if root == 0 {
        return delete(t, BtreeId::SNAPSHOT_TREES, id);
    }
    match tree(t, id)? {
        Some(mut of) => {
            of.root_snapshot = root;
            put_tree(t, id, &of)
        }
        None => Ok(()),
    }
}
