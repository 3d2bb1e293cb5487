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
    sys::{
        memory,
        shrinker::Shrink,
        six::IntentGuard,
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
/// The cache may take this share of the machine's memory: the kernel takes back what others need,
/// and what is not there has to be read from a device.
const MEMORY_SHARE: u64 = 2;
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

/// The nodes of one filesystem that are in memory. Each is read once, however many ask for it at
/// a time. Bounded by a share of the machine's memory, and shrunk when memory is short.
///
/// C: `struct btree_cache`.
pub struct NodeCache {
    shards: Vec<Mutex<Table<NodeKey, Entry>>>,
    bytes: AtomicU64,
    nodes: AtomicUsize,
    max_bytes: u64,
    /// Where reclaim goes on: shard, and slot in it.
    hand: AtomicUsize,
    reads: AtomicU64,
}

impl NodeCache {
    /// A cache that takes at most its share of the machine's memory.
    pub fn new() -> Result<Self> {
        Self::with_limit(memory::total_bytes().wrapping_div(MEMORY_SHARE))
    }

    /// A cache that takes about `max_bytes` at most.
    pub fn with_limit(max_bytes: u64) -> Result<Self> {
        let mut shards = Vec::with_capacity(SHARDS)?;
        for _ in 0..SHARDS {
            shards.push(Mutex::try_new(Table::new())?)?;
        }
        Ok(Self {
            shards,
            bytes: AtomicU64::new(0),
            nodes: AtomicUsize::new(0),
            max_bytes,
            hand: AtomicUsize::new(0),
            reads: AtomicU64::new(0),
        })
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
        self.max_bytes
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
                let loaded = load();
                self.reads.fetch_add(1, Ordering::Relaxed);
                *result = match &loaded {
                    Ok(node) => node.clone().map(Ok),
                    Err(e) => Some(Err(*e)),
                };
                drop(result);
                self.settle(shard, &key, &loaded);
                self.limit();
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
        let mut table = shard.lock();
        match loaded {
            Ok(Some(node)) => {
                if let Some(entry) = table.get_mut(key) {
                    *entry = Entry::Ready(node.clone());
                    node.set_accounted(node.memory_bytes());
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
    fn limit(&self) {
        // Twice round: the first round may only clear the marks of use.
        for _ in 0..4 {
            if self.memory_bytes() <= self.max_bytes || self.reclaim(SHARDS) == 0 {
                return;
            }
        }
    }

    /// Tries to drop `nr` nodes that were not used lately; returns how many it did.
    #[inline(never)]
    fn reclaim(&self, nr: usize) -> usize {
        let mut freed = 0usize;
        for _ in 0..SHARDS.saturating_mul(2) {
            if freed >= nr {
                break;
            }
            let at = self.hand.fetch_add(1, Ordering::Relaxed) & (SHARDS - 1);
            let Some(mut table) = self.shards.get(at).and_then(|s| s.try_lock()) else {
                continue;
            };
            freed = freed.saturating_add(self.reclaim_shard(&mut table, nr.saturating_sub(freed)));
        }
        freed
    }

    fn reclaim_shard(&self, table: &mut Table<NodeKey, Entry>, nr: usize) -> usize {
        let mut freed = 0usize;
        let mut slot = 0usize;
        while slot < table.capacity() && freed < nr {
            let unused = match table.peek_at(slot) {
                Some(Entry::Ready(node)) => !node.take_used(),
                _ => false,
            };
            if !unused {
                slot = slot.saturating_add(1);
                continue;
            }
            if !Self::retire(table.peek_at(slot)) {
                slot = slot.saturating_add(1);
                continue;
            }
            // The slot is looked at again: another element may have moved to it.
            if let Some(Entry::Ready(node)) = table.remove_at(slot) {
                self.bytes.fetch_sub(node.accounted(), Ordering::Relaxed);
                self.nodes.fetch_sub(1, Ordering::Relaxed);
                freed = freed.saturating_add(1);
            }
        }
        freed
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
        let shard = self.shard(&key)?;
        loop {
            let capacity = {
                let mut table = shard.lock();
                if !table.is_full() {
                    node.set_accounted(node.memory_bytes());
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
        let (key, bytes) = (node.ptr.cache_key(), node.memory_bytes());
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
        self.reclaim(nr)
    }
}

impl core::fmt::Debug for NodeCache {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "{} nodes, {} KiB of {} KiB, {} reads",
            self.nr_nodes(),
            self.memory_bytes() >> 10,
            self.max_bytes >> 10,
            u64_of(usize_of(self.nr_reads()))
        )
    }
}
