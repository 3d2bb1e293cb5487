// SPDX-License-Identifier: GPL-2.0

//! One attempt at a transaction, and running it until one succeeds.

use super::{
    staged::{
        Staged,
        Update, //
    },
    Hooks,
    TransError,
    TransResult,
    Writer, //
};
use crate::{
    algo::node_keys::Spot,
    btree::{
        interior::{
            self,
            Replacement, //
        },
        key_cache::Locked,
        key_cache::{
            flush_some,
            CachedKey, //
        },
        reclaim::write_some,
        Btrees,
        KeyBuf,
        Node, //
    },
    env::{
        wants_restart,
        Arc,
        Vec, //
    },
    error::Result,
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        sb::counters::Counter, //
    },
    journal::live::Watermark,
    sys::six::IntentGuard, //
};

/// What has to happen before the next attempt.
pub(in crate::btree) enum Before {
    Nothing,
    /// Somebody else holds this node.
    Unlocked(Arc<Node>),
    /// Somebody else holds this cached key.
    KeyUnlocked(Arc<CachedKey>),
    /// Too many cached keys wait for being brought to their nodes.
    KeysFlushed,
    /// Nodes take too much memory, and some have to be written.
    NodesWritten,
    /// The journal has no room for so many words.
    JournalRoom(u32),
    /// A node has no room for the keys it is to get, so many words.
    Split(Arc<Node>, usize),
    /// A btree has no root.
    Root(BtreeId),
    /// A node is being replaced, or written, and can not be changed until that has ended.
    Settled(Arc<Node>),
    /// There is none: what was to be done can not be done, and need not.
    Pointless,
}

impl Before {
    /// Counts why a transaction starts over.
    pub(in crate::btree) fn count(&self, btrees: &Btrees) {
        let counter = match self {
            Self::Unlocked(_) | Self::KeyUnlocked(_) => Counter::TRANS_RESTART_WOULD_DEADLOCK,
            Self::KeysFlushed => Counter::TRANS_BLOCKED_JOURNAL_RECLAIM,
            Self::JournalRoom(_) => Counter::TRANS_RESTART_JOURNAL_RES_GET,
            Self::Split(..) => Counter::TRANS_RESTART_BTREE_NODE_SPLIT,
            Self::Settled(_) => Counter::TRANS_RESTART_SPLIT_RACE,
            // There is no counter for these.
            Self::Nothing | Self::NodesWritten | Self::Root(_) | Self::Pointless => return,
        };
        btrees.sb().count(counter);
    }
}

/// A new root. The pointers to roots, and those in new ones, are in no node that is updated.
pub struct RootChange {
    /// The pointer to the root so far.
    pub old: KeyBuf,
    /// The pointer to the new one.
    pub new: KeyBuf,
    /// The new one.
    pub node: Arc<Node>,
    /// Pointers to new nodes in the new root.
    pub children: Vec<KeyBuf>,
}

/// Where a key was looked up.
pub(super) struct Seen {
    /// The index of the node among the locked ones.
    pub(super) node: usize,
    /// The place where the search began.
    pub(super) spot: Spot,
    /// Where it has ended.
    pub(super) found: Bpos,
}

/// A transaction in the making: the nodes it has locked and the updates it has staged.
///
/// C: `struct btree_trans`.
pub struct Trans<'a, H> {
    /// The btrees.
    pub btrees: &'a Btrees,
    /// The journal, and triggers.
    pub writer: &'a Writer<H>,
    /// How far down the reserves of the journal and of space this may go.
    pub watermark: Watermark,
    /// Nodes may be made from what is kept in reserve.
    uses_reserve: bool,
    /// Nodes that this transaction replaces: the new ones are used in their place.
    pub(in crate::btree) replaced: &'a [Replacement],
    pub(in crate::btree) nodes: Vec<IntentGuard<Node>>,
    pub(in crate::btree) cached: Vec<IntentGuard<CachedKey>>,
    pub(in crate::btree) staged: Staged,
    pub(super) buffered: Vec<(BtreeId, KeyBuf)>,
    pub(in crate::btree) roots: Vec<RootChange>,
    /// Nodes that were small after the commit.
    pub(super) small: Vec<Arc<Node>>,
    pub(in crate::btree) before: Before,
    pub(super) committed: Committed,
    /// A node it had locked before, and where it has looked something up there: the next one it
    /// wants may be the same, and what it looks up the next key.
    recent: Option<Arc<Node>>,
    recent_spot: Option<Spot>,
    /// The root it came from last.
    root: Option<Arc<Node>>,
    /// What was looked up last.
    pub(super) seen: Option<Seen>,
    /// It did its share for that not too many cached keys wait.
    pub(in crate::btree) has_flushed: bool,
    /// It did its share for that nodes do not take too much memory.
    pub(super) has_written: bool,
    /// How many attempts there were before this one, and how many steps this one has done.
    pub(in crate::btree) attempt: u32,
    step: u32,
}

/// When a transaction was committed. Of two that changed, or read, the same key, the later one is
/// the greater one; the default is before all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Committed {
    /// The journal entry.
    pub seq: u64,
    /// The place in it.
    pub(super) at: u32,
}

/// Calls `f` until it neither asks for a restart nor fails. What `f` does to the outside must not
/// hurt when it is done again.
///
/// C: `bch2_trans_do()`, `commit_do()`.
pub fn run<T, H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    watermark: Watermark,
    mut f: impl FnMut(&mut Trans<'_, H>) -> TransResult<T>,
) -> Result<T> {
    let mut t = Trans::new(btrees, writer, watermark, &[]);
    loop {
        btrees.sb().count(Counter::TRANSACTION_BEGIN);
        match f(&mut t) {
            Ok(value) => {
                t.merge_small();
                return Ok(value);
            }
            Err(TransError::Failed(e)) => return Err(e),
            Err(TransError::Restart) => t.prepare()?,
        }
    }
}

impl<'a, H: Hooks> Trans<'a, H> {
    pub(in crate::btree) fn new(
        btrees: &'a Btrees,
        writer: &'a Writer<H>,
        watermark: Watermark,
        replaced: &'a [Replacement],
    ) -> Self {
        Self {
            btrees,
            writer,
            watermark,
            uses_reserve: false,
            replaced,
            nodes: Vec::new(),
            cached: Vec::new(),
            staged: Staged::default(),
            buffered: Vec::new(),
            roots: Vec::new(),
            small: Vec::new(),
            before: Before::Nothing,
            committed: Committed::default(),
            recent: None,
            recent_spot: None,
            root: None,
            seen: None,
            has_flushed: false,
            has_written: false,
            attempt: 0,
            step: 0,
        }
    }

    /// Nodes that this transaction needs may be made from the space that is kept in reserve: it
    /// frees space, or what it takes was reserved before.
    ///
    /// C: `BCH_TRANS_COMMIT_no_enospc`.
    pub fn use_reserve(&mut self) {
        self.uses_reserve = true;
    }

    /// How far down the reserves of space this may go.
    fn space_watermark(&self) -> Watermark {
        match self.uses_reserve {
            true => self.watermark.max(Watermark::Btree),
            false => self.watermark,
        }
    }

    /// Before each step that may ask for a restart: does so without a reason, in kernels that are
    /// built to.
    ///
    /// C: `trans_maybe_inject_restart()`.
    #[inline]
    pub(in crate::btree) fn step(&mut self) -> TransResult {
        let step = self.step;
        self.step = step.saturating_add(1);
        match wants_restart(self.attempt, step) {
            true => {
                let st = self.btrees.sb();
                st.count(Counter::TRANS_RESTART_INJECTED);
                Err(TransError::Restart)
            }
            false => Ok(()),
        }
    }

    /// Lets all go and waits for what the last attempt lacked.
    ///
    /// C: `bch2_trans_begin()`.
    #[inline(never)]
    fn prepare(&mut self) -> Result {
        self.reset();
        (self.attempt, self.step) = (self.attempt.saturating_add(1), 0);
        self.before.count(self.btrees);
        match core::mem::replace(&mut self.before, Before::Nothing) {
            Before::Nothing | Before::Pointless => Ok(()),
            Before::Unlocked(node) => {
                // Taken along: the next attempt most likely begins with other nodes, and then has
                // to let it go again, but it has waited for its turn.
                drop(IntentGuard::lock(node));
                Ok(())
            }
            Before::KeyUnlocked(key) => {
                drop(IntentGuard::lock(key));
                Ok(())
            }
            Before::KeysFlushed => {
                self.has_flushed = true;
                let _timed = self.btrees.sb().times.blocked_key_cache_flush.begin();
                flush_some(self.btrees, self.writer)
            }
            Before::NodesWritten => {
                self.has_written = true;
                write_some(self.btrees, self.writer)
            }
            Before::JournalRoom(u64s) => self.writer.journal.wait_for_space(u64s, self.watermark),
            Before::Split(node, u64s) => {
                interior::split(self.btrees, self.writer, self.space_watermark(), node, u64s)
            }
            Before::Root(btree) => {
                interior::make_root(self.btrees, self.writer, self.space_watermark(), btree)
            }
            Before::Settled(node) => {
                self.writer.settled.wait(|| node.is_settled());
                Ok(())
            }
        }
    }

    /// Merges nodes that have become small.
    #[inline]
    pub(super) fn merge_small(&mut self) {
        if self.small.is_empty() {
            return;
        }
        self.reset();
        for node in core::mem::take(&mut self.small) {
            // In the end it frees space.
            let watermark = self.watermark.max(Watermark::Btree);
            interior::merge(self.btrees, self.writer, watermark, node);
        }
    }

    /// Forgets updates and lets nodes go.
    pub fn reset(&mut self) {
        let seen = self.seen.take();
        if let Some(last) = self.nodes.pop() {
            let at = self.nodes.len();
            self.recent_spot = seen.filter(|s| s.node == at).map(|s| s.spot);
            self.recent = Some(last.unlock());
        }
        self.nodes.clear();
        self.cached.clear();
        self.staged.clear();
        self.buffered.clear();
        self.roots.clear();
    }

    /// Stages `key`, a key proper or a deletion.
    ///
    /// C: `bch2_trans_update()`.
    pub fn update(&mut self, btree: BtreeId, key: KeyBuf) -> TransResult {
        self.update_level(btree, 0, key)
    }

    /// Stages a pointer to a node, in a node of `level`.
    pub(in crate::btree) fn update_level(
        &mut self,
        btree: BtreeId,
        level: u8,
        key: KeyBuf,
    ) -> TransResult {
        let pos = key.k.p;
        let locked = self.lock_key(btree, level, pos)?;
        let update = self.staged.add(btree, level, key)?;
        if let Locked::Node(node) = locked {
            update.node = Some(node);
            if let Some(seen) = self.seen.as_ref().filter(|s| s.node == node) {
                if seen.found == pos || seen.spot.pos() == pos {
                    update.spot = Some(seen.spot);
                }
            }
        }
        Ok(())
    }

    /// Stages `key` in place of an update that is staged.
    pub fn restage(&mut self, btree: BtreeId, level: u8, key: KeyBuf) -> TransResult {
        self.staged.add(btree, level, key)?;
        Ok(())
    }

    /// Deletes the key at `pos`.
    pub fn delete(&mut self, btree: BtreeId, pos: Bpos) -> TransResult {
        self.update(btree, KeyBuf::deletion(pos))
    }

    /// Stages `key` for the write buffer.
    ///
    /// C: `bch2_trans_update_buffered()`, `bch2_disk_accounting_mod()`.
    pub fn buffer(&mut self, btree: BtreeId, key: KeyBuf) -> TransResult {
        Ok(self.buffered.push((btree, key))?)
    }

    /// Has the number of the journal entry written into the update of the key at `pos`; see
    /// [`Hooks::stamp`].
    pub fn stamp(&mut self, btree: BtreeId, pos: Bpos) {
        if let Some(update) = self.staged.get_mut(btree, 0, pos) {
            update.stamp = true;
        }
    }

    /// The updates so far, in order of btree, level and position; those of pointers to nodes, too.
    pub fn updates(&self) -> impl Iterator<Item = &Update> {
        self.staged.iter()
    }

    /// When it was committed.
    pub fn committed(&self) -> Committed {
        self.committed
    }

    /// Changed roots.
    pub fn root_changes(&self) -> &[RootChange] {
        &self.roots
    }

    /// Whether it may wait for a lock.
    pub(in crate::btree) fn holds_nothing(&self) -> bool {
        self.nodes.is_empty() && self.cached.is_empty()
    }

    /// The node of a level that covers `pos`, locked for intent: its index in `nodes`.
    ///
    /// C: `bch2_btree_path_traverse()`.
    pub(in crate::btree) fn lock(
        &mut self,
        btree: BtreeId,
        level: u8,
        pos: Bpos,
    ) -> TransResult<usize> {
        self.step()?;
        // Those that are replaced are held, too, but not used.
        let replaced = |n: &Arc<Node>| self.replaced.iter().any(|r| r.is_of(btree, Some(n)));
        let covers = |n: &Node| n.btree == btree && n.level == level && n.covers(pos);
        let held = |g: &IntentGuard<Node>| covers(g.node()) && !replaced(g.node());
        if let Some(at) = self.nodes.iter().position(held) {
            return Ok(at);
        }
        if let Some(at) = self.lock_recent(covers)? {
            return Ok(at);
        }
        loop {
            let stored = self.find(btree, level, pos)?;
            let replaced = self
                .replaced
                .iter()
                .find(|r| r.is_of(btree, stored.as_ref()));
            let node = replaced.and_then(|r| r.new_at(level, pos)).or(stored);
            let Some(node) = node else {
                self.before = Before::Root(btree);
                return Err(TransError::Restart);
            };
            let guard = self.intent(node)?;
            if !guard.node().is_dead() {
                let at = self.nodes.len();
                self.nodes.push(guard)?;
                return Ok(at);
            }
        }
    }

    /// The node of a level that covers `pos`; see [`Btrees::find_node`].
    #[inline]
    fn find(&mut self, btree: BtreeId, level: u8, pos: Bpos) -> Result<Option<Arc<Node>>> {
        let root = self
            .root
            .as_ref()
            .filter(|r| r.btree == btree && !r.is_dead());
        if let Some(root) = root.filter(|r| r.level > level) {
            if let Some(node) = self.btrees.find_below(root, level, pos)? {
                return Ok(Some(node));
            }
        }
        self.root = self.btrees.root_node(btree);
        self.btrees.find_node(btree, level, pos)
    }

    /// Locks the node that was used last, if it is one that `covers` accepts.
    #[inline]
    fn lock_recent(&mut self, covers: impl Fn(&Node) -> bool) -> TransResult<Option<usize>> {
        if !self.replaced.is_empty() {
            return Ok(None);
        }
        let Some(node) = self.recent.take_if(|n| covers(n) && !n.is_dead()) else {
            return Ok(None);
        };
        let guard = self.intent(node)?;
        if guard.node().is_dead() {
            return Ok(None);
        }
        let at = self.nodes.len();
        self.nodes.push(guard)?;
        self.seen = self.recent_spot.take().map(|spot| Seen {
            node: at,
            found: spot.pos(),
            spot,
        });
        Ok(Some(at))
    }

    /// Lets go of all nodes but the first `nr`.
    pub(in crate::btree) fn let_go(&mut self, nr: usize) {
        self.nodes.truncate(nr);
        self.seen = self.seen.take().filter(|s| s.node < nr);
    }

    /// The intent lock of a node. Waits for it when that is allowed.
    #[inline]
    fn intent(&mut self, node: Arc<Node>) -> TransResult<IntentGuard<Node>> {
        match IntentGuard::try_lock_owned(node) {
            Ok(guard) => Ok(guard),
            Err(node) if self.holds_nothing() => Ok(IntentGuard::lock(node)),
            Err(node) => {
                self.before = Before::Unlocked(node);
                Err(TransError::Restart)
            }
        }
    }
}
