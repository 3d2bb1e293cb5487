// SPDX-License-Identifier: GPL-2.0

//! From staged updates to the journal and the nodes.

use super::{
    attempt::{
        Before,
        Committed,
        RootChange, //
    },
    staged::{
        Staged,
        Update, //
    },
    Hooks,
    Trans,
    TransError,
    TransResult,
    Writer, //
};
use crate::{
    btree::{
        interior::Replacement,
        key_cache::put_changed,
        node::Body,
        write_buffer::Room,
        Btrees,
        KeyBuf,
        Node, //
    },
    env::{
        num::sat_u32,
        pr_err,
        Arc,
        Few,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        btree_id::BtreeId,
        key_type::KeyType,
        sb::counters::Counter,
        values::validate::Origin, //
    },
    journal::live::{
        Journal,
        Reservation,
        Watermark, //
    },
    sys::six::WriteGuard, //
};

/// The nodes of a transaction, in their order; those that change are locked for writing.
type Guards<'a> = Few<Option<WriteGuard<'a, Node>>, 4>;

/// What one node is going to get.
struct Target {
    /// Its index among the locked nodes.
    node: usize,
    /// Keys.
    nr: usize,
    /// Words of their values.
    value_u64s: usize,
}

impl<H: Hooks> Trans<'_, H> {
    /// Makes the staged updates, all or none: into one journal entry, whose number is returned, and
    /// the nodes. They are durable once that entry is. The nodes are let go, and those
    /// that have become small are merged.
    ///
    /// C: `bch2_trans_commit()`.
    pub fn commit(&mut self) -> TransResult<u64> {
        if self.staged.is_empty() && self.roots.is_empty() && self.buffered.is_empty() {
            self.reset();
            return Ok(0);
        }
        H::derive(self)?;
        self.validate()?;
        self.assign_cached()?;
        self.check_memory()?;
        let targets = self.targets()?;
        self.check_room(targets.iter())?;
        self.step()?;
        let seq = self.apply(&targets)?;
        self.btrees.sb().count(Counter::TRANSACTION_COMMIT);
        self.reset();
        self.merge_small();
        Ok(seq)
    }

    /// Nothing is written that would not be accepted when it is read.
    #[inline(never)]
    fn validate(&self) -> Result {
        let staged = self.staged.iter().map(|u| (u.btree, u.level, &u.key));
        let buffered = self.buffered.iter().map(|(btree, key)| (*btree, 0, key));
        for (btree, level, key) in staged.chain(buffered) {
            key.check_len()?;
            let mut key = key.key();
            if btree == BtreeId::ACCOUNTING {
                // It gets one with its place in the journal.
                key.k.version.lo = key.k.version.lo.max(1);
            }
            if key.k.key_type == KeyType::DELETED {
                continue;
            }
            let checked = self.btrees.key_check();
            if let Err(e) = checked.check(btree, level, Origin::Commit, &key) {
                pr_err!("btree {btree}: refusing to write key {}: {e}", key.k);
                return Err(Error::TransKeyInvalid);
            }
        }
        Ok(())
    }

    /// What each node is going to get, in the order of the updates.
    #[inline(never)]
    fn targets(&mut self) -> TransResult<Few<Target, 4>> {
        let mut targets: Few<Target, 4> = Few::new();
        for at in 0..self.staged.len() {
            let Some(u) = self.staged.nth(at) else {
                break;
            };
            if u.stays_in_cache() {
                continue;
            }
            let (btree, level, pos) = (u.btree, u.level, u.key.k.p);
            let value_u64s = u.key.value().len();
            let node = match u.node {
                Some(node) => node,
                None => self.lock(btree, level, pos)?,
            };
            match targets.last_mut().filter(|t| t.node == node) {
                Some(t) => {
                    t.nr = t.nr.saturating_add(1);
                    t.value_u64s = t.value_u64s.saturating_add(value_u64s);
                }
                None => targets.push(Target {
                    node,
                    nr: 1,
                    value_u64s,
                })?,
            }
        }
        Ok(targets)
    }

    /// Whether all keys fit; if not, the node they do not fit is split before the next attempt.
    ///
    /// C: `btree_key_can_insert()`.
    fn check_room<'t>(&mut self, targets: impl Iterator<Item = &'t Target>) -> TransResult {
        let node_sectors = self.btrees.sb().sb.node_sectors();
        for t in targets {
            let Some(node) = self.nodes.get(t.node) else {
                continue;
            };
            let wanted = t.max_u64s();
            if wanted > node.capacity_u64s(node_sectors) / 2 {
                return Err(Error::TransTooBig.into());
            }
            if node.is_frozen() {
                self.before = Before::Settled(node.node().clone());
                return Err(TransError::Restart);
            }
            if node.room_u64s(node_sectors) < wanted {
                self.before = Before::Split(node.node().clone(), wanted);
                return Err(TransError::Restart);
            }
        }
        Ok(())
    }

    /// When nodes take too much memory, has some written before more are changed: others may change
    /// them faster than they are written. Who writes back is exempt, and who replaces nodes.
    fn check_memory(&mut self) -> TransResult {
        let is_urgent = self.watermark.rank() >= Watermark::Reclaim.rank();
        let exempt = is_urgent || !self.replaced.is_empty() || !self.roots.is_empty();
        let is_crowded = !exempt && self.btrees.cache().is_crowded();
        if is_crowded && !core::mem::take(&mut self.has_written) {
            self.before = Before::NodesWritten;
            return Err(TransError::Restart);
        }
        Ok(())
    }

    /// Words of the journal that all of it takes.
    fn journal_u64s(&self) -> usize {
        let staged = self.staged.iter().map(|u| &u.key);
        let buffered = self.buffered.iter().map(|(_, key)| key);
        let roots = self.roots.iter().map(|r| &r.new);
        let keys = staged.chain(buffered).chain(roots);
        // Each with the header of its record.
        keys.map(|key| key.journal_u64s().saturating_add(1)).sum()
    }

    /// C: `bch2_trans_commit_write_locked()`.
    #[inline(never)]
    fn apply(&mut self, targets: &Few<Target, 4>) -> TransResult<u64> {
        let total = self.journal_u64s();
        let mut changed = self.btrees.key_cache().room(self.nr_to_change())?;
        // Readers inside hold their lock for a copy only.
        let mut guards = Guards::new();
        for (at, node) in self.nodes.iter_mut().enumerate() {
            let changes = targets.iter().any(|t| t.node == at);
            let ends = is_replaced(self.replaced, node.node());
            let root = is_told(&self.roots, node.node());
            guards.push((changes || ends || root).then(|| node.write()))?;
        }
        for t in targets.iter() {
            if let Some(Some(body)) = guards.get_mut(t.node) {
                if body.keys.reserve(t.value_u64s, t.nr)? && self.btrees.cache().grew(body) {
                    self.writer.journal.want_reclaim();
                }
            }
        }

        let buffer = match self.buffered.is_empty() {
            true => None,
            false => Some(self.writer.buffer.room(self.buffered.len())?),
        };

        let mut res = match self
            .writer
            .journal
            .try_reserve(sat_u32(total), self.watermark)
        {
            Ok(res) => res,
            Err(Error::JournalFull | Error::JournalRetry) => {
                drop(buffer);
                drop(guards);
                self.before = Before::JournalRoom(sat_u32(total));
                return Err(TransError::Restart);
            }
            Err(e) => return Err(e.into()),
        };
        let (seq, at) = res.place();
        self.committed = Committed { seq, at };
        for u in self.staged.iter_mut().filter(|u| u.stamp) {
            self.writer.hooks.stamp(u.btree, &mut u.key, seq);
        }
        let buffered = core::mem::take(&mut self.buffered);
        let (writer, mut guards) = (self.writer, guards);
        let (staged, cached) = (&mut self.staged, &mut self.cached);
        let done = insert_all(self.btrees, writer, staged, targets, &mut guards, &mut res)
            .and_then(|()| put_changed(self.btrees, writer, staged, cached, &mut changed, &mut res))
            .and_then(|()| switch_roots(self.btrees, &self.roots, &mut guards, &mut res))
            .and_then(|()| match buffer {
                Some(mut room) => add_buffered(writer, buffered, &mut room, &mut res),
                None => Ok(()),
            });
        if let Err(e) = done {
            // Can not happen, as memory was reserved, here and in the journal. A part is done and a
            // part is not, so none of this may reach the disk.
            writer.journal.halt(e);
            return Err(e.into());
        }
        // Before anybody can get to the new nodes, and while nobody reads the old ones: what is
        // changed in a new one must not be missed by who still has an old one.
        kill_replaced(self.replaced, &guards);
        drop(guards);
        if self.replaced.is_empty() && self.staged.iter().any(|u| u.key.is_deleted()) {
            self.note_small(targets.iter());
        }
        Ok(seq)
    }

    /// Notes which nodes are to be merged.
    #[inline(never)]
    fn note_small<'t>(&mut self, targets: impl Iterator<Item = &'t Target>) {
        let node_sectors = self.btrees.sb().sb.node_sectors();
        for node in targets.filter_map(|t| self.nodes.get(t.node)) {
            let limit = node.node().merge_limit(node, node_sectors);
            let node = match node.keys().live_u64s() < limit {
                true => node.node(),
                false => continue,
            };
            let is_noted = self.small.iter().any(|n| Arc::ptr_eq(n, node));
            if !is_noted && !self.btrees.is_root(node) && self.small.push(node.clone()).is_err() {
                // It stays small, until more is deleted.
                return;
            }
        }
    }
}

/// Adds what is staged to the journal and to the nodes, which are locked for writing.
fn insert_all<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    staged: &Staged,
    targets: &Few<Target, 4>,
    guards: &mut Guards<'_>,
    res: &mut Reservation<'_>,
) -> Result {
    let mut updates = staged.iter().filter(|u| !u.stays_in_cache());
    for t in targets.iter() {
        let Some(Some(guard)) = guards.get_mut(t.node) else {
            continue;
        };
        for u in updates.by_ref().take(t.nr) {
            insert(guard, u, res)?;
            btrees.note_written(u.btree, u.level, u.key.k.p);
        }
        note_pin(guard, res.seq(), res.seq(), &writer.journal);
    }
    Ok(())
}

/// Makes new roots known, and new pointers to roots. From this journal entry on, they are in every
/// one.
fn switch_roots(
    btrees: &Btrees,
    roots: &[RootChange],
    guards: &mut Guards<'_>,
    res: &mut Reservation<'_>,
) -> Result {
    let nr = if roots.is_empty() {
        0
    } else {
        guards.iter().count()
    };
    for at in 0..nr {
        match guards.get_mut(at) {
            Some(Some(body)) if is_told(roots, body.node()) => body.told_ptr = body.ptr,
            _ => (),
        }
    }
    for change in roots {
        let (node, new) = (&change.node, &change.new);
        let header = new.header()?;
        res.set_root(node.btree, node.level, header.words(), new.value())?;
        btrees.set_root(node.clone());
        btrees.sb().count(Counter::BTREE_NODE_SET_ROOT);
    }
    Ok(())
}

/// Ends the life of those nodes that a transaction has replaced.
fn kill_replaced(replaced: &[Replacement], guards: &Guards<'_>) {
    if replaced.is_empty() {
        return;
    }
    for guard in guards.iter().flatten() {
        if is_replaced(replaced, guard.node()) {
            Node::kill(guard.node());
        }
    }
}

/// Whether the pointer to this node, which is the root already, changes.
fn is_told(roots: &[RootChange], node: &Arc<Node>) -> bool {
    roots.iter().any(|r| Arc::ptr_eq(&r.node, node))
}

/// Whether a transaction that replaces nodes replaces this one.
fn is_replaced(replaced: &[Replacement], node: &Arc<Node>) -> bool {
    replaced.iter().any(|r| r.is_of(node.btree, Some(node)))
}

impl<H: Hooks> Trans<'_, H> {
    /// Inserts a key that is in the journal already: what it is made of is in entries from
    /// `oldest`, which the caller has pinned, to `newest`.
    ///
    /// C: `bch2_trans_commit()` with `BCH_TRANS_COMMIT_no_journal_res`.
    pub(in crate::btree) fn insert_journalled(
        &mut self,
        (btree, level): (BtreeId, u8),
        key: &KeyBuf,
        (oldest, newest): (u64, u64),
    ) -> TransResult {
        let at = self.lock(btree, level, key.k.p)?;
        self.insert_journalled_at(at, key, (oldest, newest))?;
        self.reset();
        Ok(())
    }

    /// Inserts a key that repairs have laid over a btree, and adds it to the journal. No triggers
    /// run: what follows from it is counted anew.
    pub(in crate::btree) fn insert_amended(
        &mut self,
        (btree, level): (BtreeId, u8),
        key: &KeyBuf,
    ) -> TransResult {
        let at = self.lock(btree, level, key.k.p)?;
        let target = Target {
            node: at,
            nr: 1,
            value_u64s: key.value().len(),
        };
        self.check_room(core::iter::once(&target))?;
        let (journal, watermark) = (&self.writer.journal, self.watermark);
        if let Some(guard) = self.nodes.get_mut(at) {
            let u64s = sat_u32(key.journal_u64s().saturating_add(1));
            let mut body = guard.write();
            body.keys.reserve(target.value_u64s, target.nr)?;
            let mut res = match journal.try_reserve(u64s, watermark) {
                Ok(res) => res,
                Err(Error::JournalFull | Error::JournalRetry) => {
                    drop(body);
                    self.before = Before::JournalRoom(u64s);
                    return Err(TransError::Restart);
                }
                Err(e) => return Err(e.into()),
            };
            let done = add_to_journal(&mut res, btree, level, key);
            if let Err(e) = done.and_then(|()| body.insert(None, key)) {
                journal.halt(e);
                return Err(e.into());
            }
            self.btrees.note_written(btree, level, key.k.p);
            note_pin(&mut body, res.seq(), res.seq(), journal);
        }
        self.reset();
        Ok(())
    }

    /// As [`insert_journalled`](Self::insert_journalled), in a locked node, which stays locked.
    pub(in crate::btree) fn insert_journalled_at(
        &mut self,
        at: usize,
        key: &KeyBuf,
        (oldest, newest): (u64, u64),
    ) -> TransResult {
        let target = Target {
            node: at,
            nr: 1,
            value_u64s: key.value().len(),
        };
        self.check_room(core::iter::once(&target))?;
        if let Some(guard) = self.nodes.get_mut(at) {
            let (btree, level) = (guard.node().btree, guard.node().level);
            let mut body = guard.write();
            body.insert(None, key)?;
            self.btrees.note_written(btree, level, key.k.p);
            note_pin(&mut body, oldest, newest, &self.writer.journal);
        }
        if key.is_deleted() {
            self.note_small(core::iter::once(&target));
        }
        Ok(())
    }
}

impl Target {
    /// Most words its keys take in the node.
    fn max_u64s(&self) -> usize {
        let headers = self
            .nr
            .saturating_mul(crate::algo::key_format::MAX_KEY_U64S);
        self.value_u64s.saturating_add(headers)
    }
}

/// Adds a key to the journal and to its node.
fn insert(body: &mut Body, update: &Update, res: &mut Reservation<'_>) -> Result {
    add_to_journal(res, update.btree, update.level, &update.key)?;
    body.insert(update.spot.as_ref(), &update.key)
}

/// Adds a key to the journal.
pub(in crate::btree) fn add_to_journal(
    res: &mut Reservation<'_>,
    btree: BtreeId,
    level: u8,
    key: &KeyBuf,
) -> Result {
    res.add_key(btree, level, key.header()?.words(), key.value())
}

/// Adds keys to the journal and to the write buffer.
fn add_buffered<H: Hooks>(
    writer: &Writer<H>,
    keys: Vec<(BtreeId, KeyBuf)>,
    room: &mut Room<'_>,
    res: &mut Reservation<'_>,
) -> Result {
    for (btree, mut key) in keys {
        if btree == BtreeId::ACCOUNTING {
            key.k.version = res.version();
            writer.hooks.counted(&key.key());
        }
        add_to_journal(res, btree, 0, &key)?;
        room.add(&writer.journal, btree, key, res.seq())?;
    }
    Ok(())
}

/// Keeps journal entry `seq`, which is reserved or pinned, until the node is written. It has keys
/// of entries up to `newest` now.
fn note_pin(guard: &mut WriteGuard<'_, Node>, seq: u64, newest: u64, journal: &Journal) {
    guard.journal_seq = guard.journal_seq.max(newest);
    let node = guard.node();
    if node.pinned_up_to(seq) {
        return;
    }
    journal.pin(seq);
    match node.add_pin(seq) {
        0 => (),
        older => journal.unpin(older),
    }
}
