// SPDX-License-Identifier: GPL-2.0

//! One node in memory.

use super::{
    health::Place,
    key_buf::KeyBuf,
    ptr::{
        NodePtr,
        COPIES_MAX, //
    },
};
use crate::{
    algo::node_keys::{
        self,
        Builder,
        NodeKeys,
        Spot, //
    },
    env::{
        num::u64_of,
        units::{
            DevIdx,
            SECTOR_SHIFT, //
        },
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::Key,
        bpos::Bpos,
        btree_id::BtreeId,
        node::{
            ENTRY_HEADER_BYTES,
            NODE_HEADER_BYTES, //
        },
    },
    sys::six::{
        HasSix,
        ReadGuard,
        Six,
        WriteGuard, //
    },
};
use core::sync::atomic::{
    AtomicBool,
    AtomicU64,
    AtomicUsize,
    Ordering, //
};

/// A node. What never changes is open, the rest is behind its lock.
///
/// C: `struct btree`.
pub struct Node {
    /// The btree it is in.
    pub btree: BtreeId,
    /// Levels above the leaves.
    pub level: u8,
    /// The lowest position it covers.
    pub min: Bpos,
    /// The highest position it covers.
    pub max: Bpos,
    /// The sequence number of its header.
    pub seq: u64,
    /// How often nodes at this place of the btree were replaced.
    pub(super) replaced: u32,
    /// The device and the sector it was read from.
    pub at: (DevIdx, u64),
    /// The pointer to it, as it was when the node was read or made.
    pub ptr: NodePtr,
    body: Six<Body>,
    dead: AtomicBool,
    /// As the body has it, to look at without its lock.
    settled: AtomicBool,
    used: AtomicBool,
    pin: AtomicU64,
    /// Words of keys from which on it is not to be merged.
    merge_below: AtomicUsize,
    accounted: AtomicU64,
    /// Damage of the pointers in it was reported.
    reported: AtomicBool,
}

/// What of a node changes; behind its lock.
pub struct Body {
    pub(super) keys: NodeKeys,
    /// Positions of keys that can not be right, ascending.
    invalid: Vec<Bpos>,
    /// Sectors of its log that are in use; 0 when it was never written.
    pub(super) written: u16,
    /// How many of them are on disk: fewer, while a write is under way.
    pub(super) on_disk: u16,
    /// How many of them the pointer to it says are in use.
    pub(super) told: u16,
    /// The newest journal entry with a key that is not on disk.
    pub(super) journal_seq: u64,
    /// The pointer to it, with the copies it still has.
    pub(super) ptr: NodePtr,
    /// The pointer that its btree has, as to where the copies are. Kept for roots, of which the
    /// pointer is in no node.
    pub(super) told_ptr: NodePtr,
    /// A write is under way.
    writing: bool,
    /// It is being replaced, and must not change.
    frozen: bool,
    /// It is new, and not yet part of its btree.
    pub(super) apart: bool,
}

/// A key in a node.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    /// The key.
    pub key: Key<'a>,
    /// Its value was found to be invalid when the node was read.
    pub invalid: bool,
    /// The place of the key after it.
    pub next: node_keys::Place,
}

impl HasSix for Node {
    type Body = Body;

    fn six(&self) -> &Six<Body> {
        &self.body
    }
}

/// What is known of a node when it was read or made.
pub(super) struct Parts {
    pub(super) seq: u64,
    pub(super) replaced: u32,
    pub(super) range: (Bpos, Bpos),
    pub(super) keys: NodeKeys,
    pub(super) invalid: Vec<Bpos>,
    pub(super) written: u16,
}

impl Node {
    /// A node from its checked parts. In memory of its own from the start: it is large, and the
    /// stack is small.
    #[inline(never)]
    pub(super) fn new(ptr: &NodePtr, at: (DevIdx, u64), parts: Parts) -> Result<Arc<Self>> {
        Arc::try_new(Self {
            btree: ptr.btree,
            level: ptr.level,
            min: parts.range.0,
            max: parts.range.1,
            seq: parts.seq,
            replaced: parts.replaced,
            at,
            ptr: *ptr,
            body: Six::try_new(Body {
                keys: parts.keys,
                invalid: parts.invalid,
                written: parts.written,
                on_disk: parts.written,
                told: parts.written,
                journal_seq: 0,
                ptr: *ptr,
                told_ptr: *ptr,
                writing: false,
                frozen: false,
                apart: false,
            })?,
            dead: AtomicBool::new(false),
            settled: AtomicBool::new(true),
            pin: AtomicU64::new(0),
            merge_below: AtomicUsize::new(usize::MAX),
            accounted: AtomicU64::new(0),
            used: AtomicBool::new(true),
            reported: AtomicBool::new(false),
        })
    }

    /// A root without keys and without a place on disk: what is laid over it leads to its nodes.
    ///
    /// C: `bch2_btree_root_alloc_fake()`.
    #[inline(never)]
    pub(super) fn stand_in(btree: BtreeId, level: u8) -> Result<Arc<Self>> {
        let range = (Bpos::MIN, Bpos::MAX);
        let mut keys = Builder::new(range.0, range.1);
        keys.lay_out();
        let parts = Parts {
            seq: 0,
            replaced: 0,
            range,
            keys: keys.finish()?,
            invalid: Vec::new(),
            written: 0,
        };
        let ptr = NodePtr::of_new(btree, level, 0, range, [None; COPIES_MAX]);
        Self::new(&ptr, (DevIdx(0), 0), parts)
    }

    /// Whether it is one of [`stand_in`](Self::stand_in).
    pub(super) fn is_stand_in(&self) -> bool {
        self.ptr.copies().next().is_none()
    }

    /// Whether the node covers `pos`.
    #[inline]
    pub fn covers(&self, pos: Bpos) -> bool {
        self.min <= pos && pos <= self.max
    }

    /// Locks it for reading.
    #[inline]
    pub fn read(&self) -> ReadGuard<'_, Body> {
        self.body.read()
    }

    /// Whether the node was replaced or dropped: what holds it has to look for its place again,
    /// from the root. To be asked after locking; stays as it is while an intent lock is held.
    #[inline]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Whether it can be changed and replaced: neither of them, nor a write, is under way. Or it is
    /// dead. Takes no lock, so that it can be waited for.
    pub(super) fn is_settled(&self) -> bool {
        self.is_dead() || self.settled.load(Ordering::Acquire)
    }

    /// Says that it is being replaced, or is no more. Those that wait have to be woken.
    pub(super) fn set_frozen(guard: &mut WriteGuard<'_, Self>, frozen: bool) {
        guard.frozen = frozen;
        Self::note_settled(guard);
    }

    /// The same of a write.
    pub(super) fn set_writing(guard: &mut WriteGuard<'_, Self>, writing: bool) {
        guard.writing = writing;
        Self::note_settled(guard);
    }

    fn note_settled(guard: &WriteGuard<'_, Self>) {
        let settled = !guard.frozen && !guard.writing;
        guard.node().settled.store(settled, Ordering::Release);
    }

    /// Ends the life of a node; see [`is_dead`](Self::is_dead). Readers that have looked before
    /// still see it as it was.
    pub(super) fn kill(node: &Arc<Self>) {
        node.dead.store(true, Ordering::Release);
    }

    /// The pointer to it, which is on disk.
    pub(super) fn pointer(&self) -> Result<KeyBuf> {
        let body = self.read();
        key_of(&body.ptr, body.on_disk)
    }

    /// The pointer to a root that its btree has: there may be fewer copies by now.
    pub(super) fn told_pointer(&self) -> Result<KeyBuf> {
        let body = self.read();
        key_of(&body.told_ptr, body.on_disk)
    }

    /// Whether it covers everything: it is the root of its btree, or all that the root points to.
    pub fn covers_all(&self) -> bool {
        self.min == Bpos::MIN && self.max == Bpos::MAX
    }

    /// Whether it has so few keys that it should be merged with another.
    ///
    /// C: `BTREE_FOREGROUND_MERGE_THRESHOLD`.
    pub(super) fn is_small(&self, node_sectors: u16) -> bool {
        let body = self.read();
        body.keys.live_u64s() < self.merge_limit(&body, node_sectors)
    }

    /// Words of keys below which it is small.
    pub(super) fn merge_limit(&self, body: &Body, node_sectors: u16) -> usize {
        let third = body.capacity_u64s(node_sectors) / 3;
        third.min(self.merge_below.load(Ordering::Relaxed))
    }

    /// With `live` words of keys there is no other it can be merged with: not before it has three
    /// quarters of them.
    pub(super) fn merge_below(&self, live: usize) {
        let below = live.saturating_sub(live >> 2);
        self.merge_below.store(below, Ordering::Relaxed);
    }

    /// Whether it has keys that are not on disk, and because of them pins a journal entry up to
    /// `seq`. A look from outside; another moment the answer can be another.
    pub(super) fn pinned_up_to(&self, seq: u64) -> bool {
        let pin = self.pin.load(Ordering::Relaxed);
        pin != 0 && pin <= seq
    }

    /// Whether it pins no journal entry.
    pub(super) fn is_unpinned(&self) -> bool {
        self.pin.load(Ordering::Relaxed) == 0
    }

    /// Sets what it counts for in the cache, in bytes. What it was before is returned.
    pub(super) fn set_accounted(&self, bytes: u64) -> u64 {
        self.accounted.swap(bytes, Ordering::Relaxed)
    }

    /// What it counts for in the cache, in bytes.
    pub(super) fn accounted(&self) -> u64 {
        self.accounted.load(Ordering::Relaxed)
    }

    /// Lets it pin `seq` as well, of which the caller has a pin; he has to give up the pin that is
    /// returned. The node is locked for writing.
    pub(super) fn add_pin(&self, seq: u64) -> u64 {
        match self.pin.load(Ordering::Relaxed) {
            old if old != 0 && old <= seq => seq,
            old => {
                self.pin.store(seq, Ordering::Relaxed);
                old
            }
        }
    }

    /// The journal entry it pins; 0 when everything is on disk. Changes only under the write lock,
    /// or by the one that writes the node.
    pub(super) fn pin(&self) -> &AtomicU64 {
        &self.pin
    }

    /// Bytes of memory the node takes.
    pub fn memory_bytes(&self) -> u64 {
        self.bytes_with(&self.read())
    }

    /// The same, with what is in it.
    pub(super) fn bytes_with(&self, body: &Body) -> u64 {
        u64_of(size_of::<Self>()).saturating_add(body.keys.bytes())
    }

    /// Notes that the node was wanted.
    #[inline]
    pub(super) fn touch(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether damage of the pointers in it has not been reported yet; it is now.
    pub(super) fn report_once(&self) -> bool {
        !self.reported.swap(true, Ordering::Relaxed)
    }

    /// Where the node is, with position `pos` in it.
    pub fn place(&self, pos: Bpos) -> Place {
        Place {
            btree: self.btree,
            level: self.level,
            pos,
            at: Some(self.at),
        }
    }

    /// Whether the node was wanted since the last time this was asked.
    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }
}

impl core::fmt::Debug for Node {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (btree, level) = (self.btree, self.level);
        write!(f, "btree {btree} level {level} {} - {}", self.min, self.max)
    }
}

impl Body {
    /// The keys.
    pub fn keys(&self) -> &NodeKeys {
        &self.keys
    }

    /// Positions of keys that can not be right.
    pub(super) fn invalid(&self) -> &[Bpos] {
        &self.invalid
    }

    /// Whether no key was found damaged.
    pub(super) fn all_valid(&self) -> bool {
        self.invalid.is_empty()
    }

    /// Whether it is being replaced, and must not change.
    pub(super) fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Whether a write is under way.
    pub(super) fn is_writing(&self) -> bool {
        self.writing
    }

    /// Whether all keys are on disk, or on their way.
    pub(super) fn is_written(&self) -> bool {
        self.written != 0 && self.keys.fresh_u64s() == 0
    }

    /// Whether all keys are on disk, and found there.
    pub(super) fn is_clean(&self) -> bool {
        self.is_written() && !self.writing && self.told == self.written
    }

    /// Whether it can be dropped and read again as it is: nobody is going to replace it, or to make
    /// it part of a btree.
    pub(super) fn is_droppable(&self) -> bool {
        self.is_clean() && !self.frozen && !self.apart
    }

    /// Words of keys that a node of `node_sectors` can have.
    pub(super) fn capacity_u64s(&self, node_sectors: u16) -> usize {
        let bytes = usize::from(node_sectors) << SECTOR_SHIFT;
        bytes.saturating_sub(NODE_HEADER_BYTES) >> 3
    }

    /// Words of keys that can be added before the log of a node of `node_sectors` is full.
    ///
    /// C: `bch2_btree_keys_u64s_remaining()`.
    pub(super) fn room_u64s(&self, node_sectors: u16) -> usize {
        let left = usize::from(node_sectors.saturating_sub(self.written)) << SECTOR_SHIFT;
        let header = match self.written {
            0 => NODE_HEADER_BYTES,
            _ => ENTRY_HEADER_BYTES,
        };
        // What was never written is written as one set with all keys.
        let unwritten = match self.written {
            0 => self.keys.live_u64s(),
            _ => self.keys.fresh_u64s(),
        };
        (left.saturating_sub(header) >> 3).saturating_sub(unwritten)
    }

    /// The place of the first key at or after `pos`.
    #[inline]
    pub fn search(&self, pos: Bpos) -> node_keys::Place {
        self.keys.search(&pos)
    }

    /// The key at `place`; `None` at the end.
    #[inline]
    pub fn key_at(&self, place: node_keys::Place) -> Option<Slot<'_>> {
        let placed = self.keys.key_at(place)?;
        Some(Slot {
            key: placed.key,
            invalid: self.is_invalid(placed.key.k.p),
            next: placed.next,
        })
    }

    /// The first key at or after the position of `spot`, and whether its value was found to be
    /// invalid.
    #[inline]
    pub(super) fn key_from(&self, spot: &Spot) -> Option<(Key<'_>, bool)> {
        let key = self.keys.key_from(spot)?;
        Some((key, self.is_invalid(key.k.p)))
    }

    /// The key at exactly the position of `spot`, and whether its value was found to be invalid.
    #[inline]
    pub(super) fn get(&self, spot: &Spot) -> Option<(Key<'_>, bool)> {
        Some((self.keys.get_at(spot)?, self.is_invalid(spot.pos())))
    }

    /// The first key at or after `pos`, unless its value was found to be invalid.
    #[inline]
    pub(super) fn first_from(&self, pos: Bpos) -> Option<Key<'_>> {
        let key = self.keys.first_from(&pos);
        key.filter(|key| !self.is_invalid(key.k.p))
    }

    #[inline]
    fn is_invalid(&self, pos: Bpos) -> bool {
        !self.invalid.is_empty() && self.invalid.binary_search(&pos).is_ok()
    }

    /// Inserts a key; [`NodeKeys::insert`] says when it fails. `spot` is where a search in this
    /// node has ended before.
    pub(super) fn insert(&mut self, spot: Option<&Spot>, key: &KeyBuf) -> Result {
        self.keys.insert_near(spot, &key.k, key.value())?;
        if self.invalid.is_empty() {
            return Ok(());
        }
        if let Ok(at) = self.invalid.binary_search(&key.k.p) {
            self.invalid.remove(at);
        }
        Ok(())
    }
}

fn key_of(ptr: &NodePtr, on_disk: u16) -> Result<KeyBuf> {
    ptr.key(on_disk)?.ok_or(Error::NodeNoIdentity)
}
