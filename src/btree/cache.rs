// SPDX-License-Identifier: GPL-2.0

//! Nodes in memory.

use super::{
    node::Node,
    ptr::NodeKey,
    table::Table, //
};
use crate::{
    env::{
        num::{
            u64_of,
            usize_of, //
        },
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::sb::counters::Counter,
    sb::Counters,
    sys::{
        memory,
        shrinker::Shrink,
        six::{
            IntentGuard,
            WriteGuard, //
        },
        sync::Mutex, //
    },
};
use core::sync::atomic::{
    AtomicU64,
    AtomicUsize,
    Ordering, //
};

/// Shards, each with a lock of its own; a power of two.
const SHARDS: usize = 16;
/// The cache may take so many eighths of the memory that others leave: what is not there has to be
/// read from a device.
const MEMORY_EIGHTHS: u64 = 5;
/// This share of the machine's memory it may take in any case.
const LEAST_SHARE: u64 = 64;
/// The lock under which one thread reads a node and others wait, with what came of it, if anything.
type Loading = Arc<Mutex<Option<Result<Arc<Node>>>>>;

enum Entry {
    Ready(Arc<Node>),
    Loading(Loading),
    /// Reading failed because of what is on disk: it would fail again.
    Failed(Error),
}

/// What a shard has for a key.
enum Found {
    Node(Arc<Node>),
    Wait(Loading),
    Failed(Error),
    /// Nothing; the caller has to load it.
    Claimed,
}

/// What came of an attempt to drop nodes.
#[derive(Debug, Default)]
struct Dropped {
    /// Those that were dropped.
    nr: usize,
    /// Those that nobody has used lately, but that are in use now, or not on disk.
    kept: usize,
}

/// The nodes of one filesystem that are in memory. Each is read once, however many ask for it at
/// a time. Bounded by a share of the memory that others leave, and shrunk when that is short.
///
/// C: `struct btree_cache`.
pub struct NodeCache {
    shards: Vec<Mutex<Table<NodeKey, Entry>>>,
    bytes: AtomicU64,
    nodes: AtomicUsize,
    max_bytes: AtomicU64,
    /// Nodes to be written so that they can be dropped: it takes too much, or the kernel wants more
    /// back than it could get.
    wanted: AtomicUsize,
    /// Where reclaim goes on: shard, and slot in it.
    hand: AtomicUsize,
    reads: AtomicU64,
    counters: Arc<Counters>,
}

impl NodeCache {
    /// A cache that takes at most its share of the memory there is now.
    pub fn try_new(counters: Arc<Counters>) -> Result<Self> {
        let mut shards = Vec::with_capacity(SHARDS)?;
        for _ in 0..SHARDS {
            shards.push(Mutex::try_new(Table::new())?)?;
        }
        let cache = Self {
            shards,
            bytes: AtomicU64::new(0),
            nodes: AtomicUsize::new(0),
            max_bytes: AtomicU64::new(0),
            wanted: AtomicUsize::new(0),
            hand: AtomicUsize::new(0),
            reads: AtomicU64::new(0),
            counters,
        };
        cache.adapt();
        Ok(cache)
    }

    /// Nodes in the cache.
    pub fn nr_nodes(&self) -> usize {
        self.nodes.load(Ordering::Relaxed)
    }

    /// Bytes of memory they take.
    pub fn memory_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of memory they may take.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes.load(Ordering::Relaxed)
    }

    /// Sets how many bytes of memory the nodes may take by what others leave: what is changed can
    /// not be dropped at once when the kernel wants it back.
    pub(super) fn adapt(&self) {
        let left = memory::available_bytes().saturating_add(self.memory_bytes());
        let total = memory::total_bytes();
        let bytes = (left.min(total) >> 3).saturating_mul(MEMORY_EIGHTHS);
        let least = total.wrapping_div(LEAST_SHARE);
        self.max_bytes.store(bytes.max(least), Ordering::Relaxed);
    }

    /// Whether it takes so much more that who changes nodes has to write some.
    #[inline]
    pub(super) fn is_crowded(&self) -> bool {
        self.memory_bytes() > self.max_bytes().saturating_add(self.max_bytes() >> 3)
    }

    /// How many nodes have to be written for that enough can be dropped; they are going to be.
    pub(super) fn take_wanted(&self) -> usize {
        self.wanted.swap(0, Ordering::Relaxed)
    }

    /// How many nodes were read from a device so far.
    pub fn nr_reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    fn shard(&self, key: &NodeKey) -> Result<&Mutex<Table<NodeKey, Entry>>> {
        let nr = usize_of(key.hash ^ (key.hash >> 32)) & (SHARDS - 1);
        self.shards.get(nr).ok_or(Error::NoMemory)
    }

    /// The node with this key, read by `load` if it is not in memory. From when that is called
    /// nobody else has the node, until it has returned. `None` when `load` finds that it is not
    /// there to be read, or another one did.
    #[inline]
    pub fn get(
        &self,
        key: NodeKey,
        load: impl FnOnce() -> Result<Option<Arc<Node>>>,
    ) -> Result<Option<Arc<Node>>> {
        match self.peek(&key) {
            Some(node) => Ok(Some(node)),
            None => self.get_slow(key, load),
        }
    }

    /// The node with this key, if it is in memory.
    pub(super) fn peek(&self, key: &NodeKey) -> Option<Arc<Node>> {
        match self.shard(key).ok()?.lock().get_mut(key) {
            Some(Entry::Ready(node)) => {
                node.touch();
                Some(node.clone())
            }
            _ => None,
        }
    }

    #[inline(never)]
    fn get_slow(
        &self,
        key: NodeKey,
        load: impl FnOnce() -> Result<Option<Arc<Node>>>,
    ) -> Result<Option<Arc<Node>>> {
        let shard = self.shard(&key)?;
        let mine: Loading = Arc::try_new(Mutex::try_new(None)?)?;
        // Held from before others can see it until the node is there.
        let mut result = mine.lock();
        match self.find_or_claim(shard, &key, &mine)? {
            Found::Node(node) => Ok(Some(node)),
            Found::Failed(e) => Err(e),
            Found::Claimed => {
                // Before it is there: it may be the only one that can be dropped.
                self.limit();
                let loaded = load();
                self.reads.fetch_add(1, Ordering::Relaxed);
                *result = match &loaded {
                    Ok(node) => node.clone().map(Ok),
                    Err(e) => Some(Err(*e)),
                };
                drop(result);
                self.settle(shard, &key, &loaded);
                loaded
            }
            Found::Wait(theirs) => {
                drop(result);
                let theirs = theirs.lock();
                match &*theirs {
                    Some(Ok(node)) => Ok(Some(node.clone())),
                    Some(Err(e)) => Err(*e),
                    None => Ok(None),
                }
            }
        }
    }

    #[inline(never)]
    fn find_or_claim(
        &self,
        shard: &Mutex<Table<NodeKey, Entry>>,
        key: &NodeKey,
        mine: &Loading,
    ) -> Result<Found> {
        loop {
            let capacity = {
                let mut table = shard.lock();
                match table.get_mut(key) {
                    Some(Entry::Ready(node)) => {
                        node.touch();
                        return Ok(Found::Node(node.clone()));
                    }
                    Some(Entry::Loading(theirs)) => return Ok(Found::Wait(theirs.clone())),
                    Some(Entry::Failed(e)) => return Ok(Found::Failed(*e)),
                    None => (),
                }
                if !table.is_full() {
                    return match table.insert(*key, Entry::Loading(mine.clone())) {
                        None => Ok(Found::Claimed),
                        Some(_) => Err(Error::NoMemory),
                    };
                }
                table.capacity()
            };
            // Not under the lock: allocating may call the shrinker, which wants it.
            let room = Table::room(capacity)?;
            let old = shard.lock().grow(room);
            drop(old);
        }
    }

    /// Replaces the loading entry by what came of it.
    #[inline(never)]
    fn settle(
        &self,
        shard: &Mutex<Table<NodeKey, Entry>>,
        key: &NodeKey,
        loaded: &Result<Option<Arc<Node>>>,
    ) {
        // Not under the lock: whoever has locked the node may want to count it, too.
        let bytes = loaded.iter().flatten().map(|n| n.memory_bytes()).sum();
        let mut table = shard.lock();
        match loaded {
            Ok(Some(node)) => {
                if let Some(entry) = table.get_mut(key) {
                    *entry = Entry::Ready(node.clone());
                    node.set_accounted(bytes);
                    self.bytes.fetch_add(node.accounted(), Ordering::Relaxed);
                    self.nodes.fetch_add(1, Ordering::Relaxed);
                }
            }
            Err(e) if e.is_corruption() => {
                if let Some(entry) = table.get_mut(key) {
                    *entry = Entry::Failed(*e);
                }
            }
            Ok(None) | Err(_) => {
                table.remove(key);
            }
        }
    }

    /// Drops nodes until the cache is within its limit.
    pub(super) fn limit(&self) {
        if !self.drop_to(self.max_bytes(), 4) {
            self.wanted.fetch_max(1, Ordering::Relaxed);
        }
    }

    /// Drops nodes until there is some room below the limit; says whether there is. If not, nodes
    /// have to be written first.
    pub(super) fn make_room(&self) -> bool {
        let some = self.max_bytes() >> 4;
        self.drop_to(self.max_bytes().saturating_sub(some), usize::MAX)
    }

    /// Drops nodes until they take no more than `bytes`, a few in each of so many rounds; says
    /// whether they do.
    fn drop_to(&self, bytes: u64, rounds: usize) -> bool {
        for _ in 0..rounds {
            if self.memory_bytes() <= bytes {
                return true;
            }
            if self.reclaim(SHARDS).nr == 0 {
                break;
            }
        }
        self.memory_bytes() <= bytes
    }

    /// Tries to drop `nr` nodes that were not used lately.
    #[inline(never)]
    fn reclaim(&self, nr: usize) -> Dropped {
        let mut done = Dropped::default();
        // Twice round: the first time may only clear the marks of use.
        for _ in 0..SHARDS.saturating_mul(2) {
            if done.nr >= nr {
                break;
            }
            let at = self.hand.fetch_add(1, Ordering::Relaxed) & (SHARDS - 1);
            if let Some(mut table) = self.shards.get(at).and_then(|s| s.try_lock()) {
                self.reclaim_shard(&mut table, nr, &mut done);
            }
        }
        let nr = u64_of(done.nr);
        self.counters.add(Counter::BTREE_CACHE_REAP, nr);
        done
    }

    fn reclaim_shard(&self, table: &mut Table<NodeKey, Entry>, nr: usize, done: &mut Dropped) {
        let mut slot = 0usize;
        while slot < table.capacity() && done.nr < nr {
            let unused = match table.peek_at(slot) {
                Some(Entry::Ready(node)) => !node.take_used(),
                _ => false,
            };
            if !unused || !Self::retire(table.peek_at(slot)) {
                done.kept = done.kept.saturating_add(unused.into());
                slot = slot.saturating_add(1);
                continue;
            }
            // The slot is looked at again: another element may have moved to it.
            if let Some(Entry::Ready(node)) = table.remove_at(slot) {
                self.bytes.fetch_sub(node.accounted(), Ordering::Relaxed);
                self.nodes.fetch_sub(1, Ordering::Relaxed);
                done.nr = done.nr.saturating_add(1);
            }
        }
    }

    /// Ends the life of a node that is to be dropped, unless it is in use or not on disk: those
    /// that still hold it must not take it for what is read anew.
    fn retire(entry: Option<&Entry>) -> bool {
        let Some(Entry::Ready(node)) = entry else {
            return false;
        };
        match IntentGuard::try_lock(node) {
            Some(guard) if !node.covers_all() && guard.is_droppable() && node.is_unpinned() => {
                Node::kill(node);
                true
            }
            _ => false,
        }
    }

    /// Takes a new node in, one that nothing points to yet.
    pub(super) fn insert(&self, node: Arc<Node>) -> Result {
        let key = node.ptr.cache_key();
        let (shard, bytes) = (self.shard(&key)?, node.memory_bytes());
        loop {
            let capacity = {
                let mut table = shard.lock();
                if !table.is_full() {
                    node.set_accounted(bytes);
                    self.bytes.fetch_add(node.accounted(), Ordering::Relaxed);
                    self.nodes.fetch_add(1, Ordering::Relaxed);
                    let old = table.insert(key, Entry::Ready(node));
                    drop(table);
                    drop(old);
                    break;
                }
                table.capacity()
            };
            let room = Table::room(capacity)?;
            let old = shard.lock().grow(room);
            drop(old);
        }
        self.limit();
        Ok(())
    }

    /// Counts a node by the memory it takes now.
    pub(super) fn account(&self, node: &Arc<Node>) {
        self.account_as(node, node.memory_bytes());
    }

    /// The same for who has it locked for writing. Says whether that is too much, as nobody has
    /// noticed before.
    #[cold]
    pub(super) fn grew(&self, guard: &WriteGuard<'_, Node>) -> bool {
        let node = guard.node();
        self.account_as(node, node.bytes_with(guard));
        self.memory_bytes() > self.max_bytes() && self.wanted.fetch_max(1, Ordering::Relaxed) == 0
    }

    fn account_as(&self, node: &Arc<Node>, bytes: u64) {
        let key = node.ptr.cache_key();
        let Ok(shard) = self.shard(&key) else {
            return;
        };
        let mut table = shard.lock();
        if let Some(Entry::Ready(here)) = table.get_mut(&key) {
            if Arc::ptr_eq(here, node) {
                let more = bytes.wrapping_sub(node.set_accounted(bytes));
                self.bytes.fetch_add(more, Ordering::Relaxed);
            }
        }
    }

    /// Drops what is known of a node: it is going to be read with another range, or in another way.
    pub(super) fn forget(&self, key: NodeKey) {
        let Ok(shard) = self.shard(&key) else {
            return;
        };
        let old = shard.lock().remove(&key);
        if let Some(Entry::Ready(node)) = old {
            Node::kill(&node);
            self.bytes.fetch_sub(node.accounted(), Ordering::Relaxed);
            self.nodes.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Drops a node that was replaced.
    pub(super) fn remove(&self, node: &Node) {
        let key = node.ptr.cache_key();
        let Ok(shard) = self.shard(&key) else {
            return;
        };
        let old = shard.lock().remove(&key);
        if old.is_some() {
            self.bytes.fetch_sub(node.accounted(), Ordering::Relaxed);
            self.nodes.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether a node has keys that are not on disk.
    pub(super) fn has_dirty(&self) -> Result<bool> {
        let mut found = Vec::new();
        self.dirty_up_to(u64::MAX, &mut found, 1)?;
        Ok(!found.is_empty())
    }

    /// Nodes with keys that are not on disk and that pin a journal entry up to `seq`; at most as
    /// many as `found` has room for.
    pub(super) fn dirty_up_to(&self, seq: u64, found: &mut Vec<Arc<Node>>, max: usize) -> Result {
        found.reserve(max)?;
        for shard in &self.shards {
            let table = shard.lock();
            for slot in 0..table.capacity() {
                let Some(Entry::Ready(node)) = table.peek_at(slot) else {
                    continue;
                };
                if node.pinned_up_to(seq) && found.len() < max {
                    found.push(node.clone())?;
                }
            }
        }
        Ok(())
    }
}

impl Shrink for NodeCache {
    fn count(&self) -> usize {
        self.nr_nodes()
    }

    fn scan(&self, nr: usize) -> usize {
        let done = self.reclaim(nr);
        self.counters.add(Counter::BTREE_CACHE_SCAN, 1);
        let missing = nr.saturating_sub(done.nr).min(done.kept);
        self.wanted.fetch_max(missing, Ordering::Relaxed);
        done.nr
    }
}

impl core::fmt::Debug for NodeCache {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "{} nodes, {} KiB of {} KiB, {} reads",
            self.nr_nodes(),
            self.memory_bytes() >> 10,
            self.max_bytes() >> 10,
            u64_of(usize_of(self.nr_reads()))
        )
    }
}
