// SPDX-License-Identifier: GPL-2.0

//! All btrees of a filesystem.

use super::{
    cache::NodeCache,
    fsck_ids::fsck_id,
    health::{
        Health,
        Place,
        What, //
    },
    iter::Iter,
    key_buf::KeyBuf,
    key_cache::KeyCache,
    node::{
        Body,
        Node, //
    },
    ptr::{
        NodeKey,
        NodePtr, //
    },
    read::Reader, //
};
use crate::{
    env::{
        pr_err,
        Arc,
        Vec, //
    },
    error::{
        fsck::FsckError,
        Error,
        Invalid,
        Result, //
    },
    format::{
        bkey::Key,
        bpos::Bpos,
        btree_id::{
            BtreeId,
            BTREE_ID_NR_MAX,
            BTREE_MAX_DEPTH, //
        },
        key_type::KeyType,
        values::{
            btree_ptr::BtreePtr,
            extent_entry::EntrySizes, //
        },
    },
    journal::{
        keys::{
            Amendments,
            JournalKeys, //
        },
        Blacklist,
        JournalContents,
        KeyCheck,
        Root, //
    },
    sb::SbState,
    sys::{
        shrinker::Shrinker,
        sync::SpinLock,
        workqueue::WorkQueue, //
    },
};
use core::sync::atomic::{
    AtomicBool,
    Ordering, //
};

/// What is known of one btree's root.
#[derive(Clone, Debug)]
pub(super) enum RootState {
    /// The btree is empty, besides what the overlay has.
    None,
    /// The root node.
    Node(Arc<Node>),
    /// There is a root, but it can not be read.
    Broken(Error),
}

/// What is laid over the btrees.
///
/// C: `c->journal_keys`.
struct Overlay {
    /// There is something.
    is_there: AtomicBool,
    keys: SpinLock<Option<Arc<JournalKeys>>>,
}

impl Overlay {
    fn try_new(keys: JournalKeys) -> Result<Self> {
        let is_there = !keys.is_empty() || keys.has_deltas();
        let keys = is_there.then(|| Arc::try_new(keys)).transpose()?;
        Ok(Self {
            is_there: AtomicBool::new(is_there),
            keys: SpinLock::try_new(keys)?,
        })
    }

    #[inline]
    fn get(&self) -> Option<Arc<JournalKeys>> {
        match self.is_there.load(Ordering::Acquire) {
            true => self.keys.lock().clone(),
            false => None,
        }
    }

    /// Lays `keys` over the btrees instead.
    fn replace(&self, keys: JournalKeys) -> Result {
        let keys = Arc::try_new(keys)?;
        let old = self.keys.lock().replace(keys);
        self.is_there.store(true, Ordering::Release);
        drop(old);
        Ok(())
    }

    fn clear(&self) {
        self.is_there.store(false, Ordering::Release);
        // Freed without the lock, as it may be much.
        let keys = self.keys.lock().take();
        drop(keys);
    }
}

/// All btrees of a filesystem, with the journal's keys laid over them.
pub struct Btrees {
    st: Arc<SbState>,
    overlay: Overlay,
    blacklist: Blacklist,
    roots: Vec<SpinLock<RootState>>,
    check: KeyCheck,
    cache: Arc<NodeCache>,
    keys: Arc<KeyCache>,
    /// Reads of nodes run here.
    tasks: WorkQueue,
    _shrinkers: (Shrinker<NodeCache>, Shrinker<KeyCache>),
    /// Pointers to roots that could not be read.
    broken: Vec<NodePtr>,
    /// What is left of damaged nodes is used.
    salvages: AtomicBool,
    /// Which btrees were found damaged.
    pub health: Health,
}

impl Btrees {
    /// Reads the roots of all btrees. A root that can not be read makes its btree sick; it does
    /// not end the mount, as most of the filesystem may be readable without.
    ///
    /// C: `read_btree_roots()`.
    pub fn start(st: Arc<SbState>, journal: JournalContents) -> Result<Self> {
        let cache = Arc::try_new(NodeCache::new()?)?;
        let keys = Arc::try_new(KeyCache::try_new()?)?;
        let shrinkers = (
            Shrinker::register(c"bcachefs-btree-cache", cache.clone())?,
            Shrinker::register(c"bcachefs-key-cache", keys.clone())?,
        );
        let mut this = Self {
            check: journal.check,
            st,
            overlay: Overlay::try_new(journal.keys)?,
            blacklist: journal.blacklist,
            roots: Vec::with_capacity(usize::from(BTREE_ID_NR_MAX))?,
            cache,
            keys,
            tasks: WorkQueue::try_new(c"bcachefs-read")?,
            _shrinkers: shrinkers,
            broken: Vec::new(),
            salvages: AtomicBool::new(false),
            health: Health::try_new()?,
        };
        for id in (0..BTREE_ID_NR_MAX).map(BtreeId) {
            let state = match journal.roots.get(id) {
                None => RootState::None,
                Some(root) => match this.read_root(id, root) {
                    Ok(node) => RootState::Node(node),
                    Err(Error::NoMemory) => return Err(Error::NoMemory),
                    Err(e) => {
                        this.broken_root(id, root, e)?;
                        RootState::Broken(e)
                    }
                },
            };
            this.roots.push(SpinLock::try_new(state)?)?;
        }
        Ok(this)
    }

    #[cold]
    #[inline(never)]
    fn broken_root(&mut self, btree: BtreeId, root: &Root, e: Error) -> Result {
        let ptr = root
            .key()
            .and_then(|key| NodePtr::decode(btree, root.level, &key, self.entry_sizes()).ok());
        let place = ptr.map_or(
            Place {
                btree,
                level: root.level,
                pos: Bpos::MIN,
                at: None,
            },
            |ptr| ptr.place(),
        );
        pr_err!("root of btree {btree} ({place}): {e}");
        // Others were counted where they were found.
        if matches!(e, Error::RootRange | Error::RootUnreadable) {
            self.count(e);
        }
        self.st.errors.count(FsckError::BTREE_ROOT_READ_ERROR);
        self.health.found(place, What::Node(e));
        match ptr {
            Some(ptr) => self.broken.push(ptr),
            None => Ok(()),
        }
    }

    /// The pointer to the root of a btree that could not be read.
    pub fn broken_root_pointer(&self, btree: BtreeId) -> Option<NodePtr> {
        let mut broken = self.broken.iter();
        broken.find(|ptr| ptr.btree == btree).copied()
    }

    /// Counts damage under its id.
    fn count(&self, e: Error) {
        if let Some(id) = fsck_id(e) {
            self.st.errors.count(id);
        }
    }

    fn read_root(&self, btree: BtreeId, root: &Root) -> Result<Arc<Node>> {
        if root.level >= BTREE_MAX_DEPTH {
            return Err(Error::RootLevel);
        }
        let node = match root.key() {
            Some(key) => {
                let ptr = NodePtr::decode(btree, root.level, &key, self.entry_sizes())?;
                let read = || self.read_node(&ptr).map(Some);
                let node = self.cache.get(ptr.cache_key(), read);
                node.inspect_err(|e| self.note(ptr.place(), *e))?
            }
            None => None,
        };
        let node = node.ok_or(Error::RootUnreadable)?;
        if node.min != Bpos::MIN || node.max != Bpos::MAX {
            pr_err!(
                "root of btree {btree} covers only {} - {}",
                node.min,
                node.max
            );
            return Err(Error::RootRange);
        }
        Ok(node)
    }

    /// The root now; it can be another one a moment later.
    pub(super) fn root(&self, btree: BtreeId) -> RootState {
        match self.roots.get(usize::from(btree.0)) {
            Some(root) => root.lock().clone(),
            None => RootState::None,
        }
    }

    /// Changes the root of a btree. The caller holds the intent lock of the root before.
    pub(super) fn set_root(&self, root: Arc<Node>) {
        if let Some(place) = self.roots.get(usize::from(root.btree.0)) {
            let old = core::mem::replace(&mut *place.lock(), RootState::Node(root));
            drop(old);
        }
    }

    /// Whether this node is the root of its btree.
    pub(super) fn is_root(&self, node: &Arc<Node>) -> bool {
        let is =
            |root: &RootState| matches!(root, RootState::Node(root) if Arc::ptr_eq(root, node));
        // All others cover less, except for one that is all that a root points to.
        node.covers_all()
            && self
                .roots
                .get(usize::from(node.btree.0))
                .is_some_and(|root| is(&root.lock()))
    }

    /// Whether a btree has a root, readable or not.
    pub fn exists(&self, btree: BtreeId) -> bool {
        !matches!(self.root(btree), RootState::None)
    }

    /// The root node of a btree, if it has one that can be read.
    pub fn root_node(&self, btree: BtreeId) -> Option<Arc<Node>> {
        match self.root(btree) {
            RootState::Node(node) => Some(node),
            RootState::None | RootState::Broken(_) => None,
        }
    }

    /// The pointer to the root of a btree, and its level: that above the root's. `None` when there
    /// is no root.
    pub fn root_pointer(&self, btree: BtreeId) -> Result<Option<(u8, KeyBuf)>> {
        match self.root(btree) {
            RootState::None => Ok(None),
            // It is in memory only.
            RootState::Node(root) if root.is_stand_in() => Ok(None),
            RootState::Node(root) => Ok(Some((root.level.saturating_add(1), root.pointer()?))),
            RootState::Broken(e) => Err(e),
        }
    }

    /// The level of the root of a btree; 0 when there is none.
    pub fn root_level(&self, btree: BtreeId) -> u8 {
        self.root_node(btree).map_or(0, |root| root.level)
    }

    /// Why the root of a btree can not be read, if that is so.
    pub fn root_error(&self, btree: BtreeId) -> Option<Error> {
        match self.root(btree) {
            RootState::Broken(e) => Some(e),
            RootState::None | RootState::Node(_) => None,
        }
    }

    /// Has `root` be the root of its btree, before anything is changed.
    pub(super) fn stand_in(&self, root: Arc<Node>) {
        self.health.forget(root.btree);
        self.set_root(root);
    }

    /// Lays `amendments` over the btrees, in front of what is there already. Before anything is
    /// changed.
    pub fn amend(&self, amendments: Amendments) -> Result {
        if amendments.is_empty() {
            return Ok(());
        }
        let amended = match self.overlay() {
            Some(keys) => keys.amended(amendments),
            None => JournalKeys::new().amended(amendments),
        };
        self.overlay.replace(amended?)
    }

    /// From here on, what is left of damaged nodes is used, or no more.
    pub fn set_salvaging(&self, is: bool) {
        self.salvages.store(is, Ordering::Release);
    }

    /// Whether what is left of damaged nodes is used.
    pub fn is_salvaging(&self) -> bool {
        self.salvages.load(Ordering::Acquire)
    }

    /// Gives up what a btree has in nodes, and says whether there was something: it begins anew,
    /// with the keys that the journal has. For btrees that can be made of others, before anything
    /// is changed.
    ///
    /// C: `bch2_btree_root_alloc_fake()` for a root that can not be read.
    pub fn abandon_nodes(&self, btree: BtreeId) -> bool {
        let Some(root) = self.roots.get(usize::from(btree.0)) else {
            return false;
        };
        let old = core::mem::replace(&mut *root.lock(), RootState::None);
        self.health.forget(btree);
        if let Some(over) = self.overlay() {
            over.forget_pointers(btree);
        }
        !matches!(old, RootState::None)
    }

    /// The devices and the superblock.
    pub fn sb(&self) -> &Arc<SbState> {
        &self.st
    }

    /// The keys from the journal that are laid over the btrees, if there are any.
    pub fn overlay(&self) -> Option<Arc<JournalKeys>> {
        self.overlay.get()
    }

    /// What is laid over the key at exactly this place: a key or a deletion.
    #[inline]
    pub(super) fn laid_over(&self, btree: BtreeId, level: u8, pos: Bpos) -> Result<Option<KeyBuf>> {
        match self.overlay() {
            None => Ok(None),
            Some(over) => copy(over.at(btree, level, pos)),
        }
    }

    /// The first key or deletion that is laid over a btree at or after `pos`, up to `end`.
    #[inline]
    pub(super) fn laid_over_next(
        &self,
        btree: BtreeId,
        pos: Bpos,
        end: Bpos,
    ) -> Result<Option<KeyBuf>> {
        match self.overlay() {
            None => Ok(None),
            Some(over) => copy(over.next(btree, pos).filter(|k| k.k.p <= end)),
        }
    }

    /// Something was written to this place, whose node is locked: what was laid over it does not
    /// count any more.
    #[inline]
    pub(super) fn note_written(&self, btree: BtreeId, level: u8, pos: Bpos) {
        if let Some(over) = self.overlay() {
            over.note_written(btree, level, pos);
        }
    }

    /// Takes the keys from the journal away: all of them are in the btrees.
    ///
    /// C: `bch2_journal_keys_put_initial()`.
    pub(super) fn drop_overlay(&self) {
        self.overlay.clear();
    }

    /// Void journal sequence numbers.
    pub fn blacklist(&self) -> &Blacklist {
        &self.blacklist
    }

    /// How long each kind of extent entry is.
    pub fn entry_sizes(&self) -> &EntrySizes {
        self.check.entry_sizes()
    }

    /// Whether keys can be right.
    pub(super) fn key_check(&self) -> &KeyCheck {
        &self.check
    }

    /// The nodes in memory.
    pub fn cache(&self) -> &NodeCache {
        &self.cache
    }

    /// Keys with values that may be newer than those in their nodes.
    pub fn key_cache(&self) -> &KeyCache {
        &self.keys
    }

    pub(super) fn reader_for<'a>(&'a self, health: &'a Health) -> Reader<'a> {
        Reader {
            st: &self.st,
            blacklist: &self.blacklist,
            check: &self.check,
            health,
            salvage: false,
        }
    }

    /// Reads a node; when none of its copies is whole, what is left of it, if that is to be.
    #[inline(never)]
    fn read_or_salvage(&self, ptr: &NodePtr) -> Result<Arc<Node>> {
        let mut reader = self.reader_for(&self.health);
        match reader.read(ptr) {
            Err(e) if e.is_corruption() && self.is_salvaging() => {
                reader.salvage = true;
                // What is a passing trouble does not make a node a lost one.
                reader
                    .read(ptr)
                    .map_err(|again| if again.is_corruption() { e } else { again })
            }
            read => read,
        }
    }

    /// Reads the node that `ptr` points to, past the cache: what is on the devices. On a stack of
    /// its own: whoever wants a node may be deep in a call already.
    pub fn read_node(&self, ptr: &NodePtr) -> Result<Arc<Node>> {
        self.tasks.call(|| self.read_or_salvage(ptr))?
    }

    /// The child of the interior node `parent` that covers `pos`; `None` when the parent is no
    /// longer part of its btree.
    ///
    /// C: `bch2_btree_node_get()`.
    pub(super) fn child(
        &self,
        parent: &Node,
        pos: Bpos,
        over: Option<&JournalKeys>,
    ) -> Result<Option<Arc<Node>>> {
        if over.is_none() {
            if let Some(node) = self.cached_child(parent, pos) {
                return Ok(Some(node));
            }
        }
        self.find_or_read_child(parent, pos, over)
    }

    /// The same, when the child is in memory and there is nothing the matter with it or with the
    /// pointer to it.
    #[inline]
    fn cached_child(&self, parent: &Node, pos: Bpos) -> Option<Arc<Node>> {
        let (id, max) = {
            let body = parent.read();
            let key = body.first_from(pos).filter(|_| !parent.is_dead())?;
            (BtreePtr::decode(&key).ok()??.v2?, key.k.p)
        };
        let key = NodeKey {
            hash: id.seq,
            btree: parent.btree,
            level: parent.level.saturating_sub(1),
        };
        let node = self.cache.peek(&key)?;
        (node.max == max && node.min == id.min_key && node.covers(pos)).then_some(node)
    }

    #[inline(never)]
    fn find_or_read_child(
        &self,
        parent: &Node,
        pos: Bpos,
        over: Option<&JournalKeys>,
    ) -> Result<Option<Arc<Node>>> {
        while let Some(ptr) = self.child_ptr(parent, pos, over)? {
            let key = ptr.cache_key();
            let node = self.cache.get(key, || {
                // The node may have been in memory until just now, and written: only from here on
                // nobody changes it, nor what the parent says of it.
                let now = self.child_ptr(parent, pos, over)?;
                let now = now.filter(|now| now.cache_key() == key);
                now.map(|ptr| self.read_node(&ptr)).transpose()
            });
            let Some(node) = node.inspect_err(|e| self.note(ptr.place(), *e))? else {
                continue;
            };
            // Two pointers can name one node; only one of them can be right about its range.
            if node.max != ptr.max || ptr.min().is_some_and(|min| min != node.min) {
                return Err(self.other_range(&node, &ptr));
            }
            return Ok(Some(node));
        }
        Ok(None)
    }

    /// The node of `level` that covers `pos`; `None` when the btree has no root.
    pub(super) fn find_node(
        &self,
        btree: BtreeId,
        level: u8,
        pos: Bpos,
    ) -> Result<Option<Arc<Node>>> {
        loop {
            let node = match self.root(btree) {
                RootState::Node(root) => root,
                RootState::None => return Ok(None),
                RootState::Broken(e) => return Err(e),
            };
            if node.level < level {
                return Err(Error::BtreeNoLevel);
            }
            match self.find_below(&node, level, pos)? {
                Some(found) => return Ok(Some(found)),
                None if node.level == level => return Ok(Some(node)),
                None => (),
            }
        }
    }

    /// The node of `level` below `node` that covers `pos`, which `node` does; `None` when it is on
    /// that level itself, or a node on the way is no longer part of the btree.
    #[inline]
    pub(super) fn find_below(
        &self,
        node: &Node,
        level: u8,
        pos: Bpos,
    ) -> Result<Option<Arc<Node>>> {
        if node.level <= level {
            return Ok(None);
        }
        let over = self.overlay();
        let mut found = self.child(node, pos, over.as_deref())?;
        while let Some(node) = found.take_if(|n| n.level > level) {
            found = self.child(&node, pos, over.as_deref())?;
        }
        Ok(found)
    }

    #[cold]
    #[inline(never)]
    fn other_range(&self, node: &Node, ptr: &NodePtr) -> Error {
        let e = Error::NodeOtherRange;
        if node.report_once() {
            pr_err!(
                "btree node ({ptr}): in memory it covers {} - {} ({})",
                node.min,
                node.max,
                node.place(ptr.max)
            );
            self.count(e);
        }
        self.note(ptr.place(), e);
        e
    }

    /// Marks the btree of `place` sick when `e` says that it is damaged there.
    #[cold]
    #[inline(never)]
    fn note(&self, place: Place, e: Error) {
        if e.is_corruption() && self.health.found(place, What::Node(e)) {
            pr_err!("btree {} is damaged at {place}: {e}", place.btree);
        }
    }

    /// Keeps and counts that a key that passed for good when it was read can not be used after all.
    pub fn bad_key(&self, place: Place, invalid: Invalid) {
        self.st.errors.count(invalid.id);
        self.health.found(place, What::Key(invalid));
    }

    /// What `parent` says of its child that covers `pos`.
    fn child_ptr(
        &self,
        parent: &Node,
        pos: Bpos,
        over: Option<&JournalKeys>,
    ) -> Result<Option<NodePtr>> {
        let body = parent.read();
        if parent.is_dead() {
            return Ok(None);
        }
        let found = self.find_child(parent, &body, pos, over);
        drop(body);
        match found {
            Ok(ptr) => Ok(Some(ptr)),
            Err(e) => {
                self.no_child(parent, pos, e);
                Err(e)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn no_child(&self, parent: &Node, pos: Bpos, e: Error) {
        if parent.report_once() {
            pr_err!(
                "btree {} node {} - {} ({}): no usable pointer to the node there: {e}",
                parent.btree,
                parent.min,
                parent.max,
                parent.place(pos)
            );
            self.count(e);
        }
        self.note(parent.place(pos), e);
    }

    fn find_child(
        &self,
        parent: &Node,
        body: &Body,
        pos: Bpos,
        overlay: Option<&JournalKeys>,
    ) -> Result<NodePtr> {
        let range = overlay.map(|o| o.range(parent.btree, parent.level));
        let range = range.unwrap_or_default();
        let mut over = overlay.map_or(0, |o| o.lower_bound(range, pos));
        let mut place = body.search(pos);
        loop {
            let stored = body.key_at(place);
            over = overlay.map_or(0, |o| o.counting(over, range.end));
            let over_key = (over < range.end)
                .then(|| overlay.and_then(|o| o.key(over)))
                .flatten()
                .filter(|k| k.k.p <= parent.max);
            let over_pos = over_key.map_or(Bpos::MAX, |k| k.k.p);
            let key = match (stored, over_key) {
                (Some(slot), over) if over.is_none() || slot.key.k.p < over_pos => {
                    place = slot.next;
                    if slot.invalid {
                        return Err(Error::NodeChildInvalid);
                    }
                    slot.key
                }
                (stored, Some(key)) => {
                    if let Some(slot) = stored.filter(|s| s.key.k.p == over_pos) {
                        place = slot.next;
                    }
                    over = over.saturating_add(1);
                    key
                }
                _ => return Err(Error::NodeNoChild),
            };
            if key.k.key_type == KeyType::DELETED {
                continue;
            }
            let level = parent.level.saturating_sub(1);
            let ptr = NodePtr::decode(parent.btree, level, &key, self.entry_sizes())?;
            return match ptr.min() {
                Some(min) if min > pos => Err(Error::NodeGap),
                _ => Ok(ptr),
            };
        }
    }

    /// The keys of one level of a btree in order, from `start` on; level 0 is the keys proper.
    pub fn iter(&self, btree: BtreeId, level: u8, start: Bpos) -> Iter<'_> {
        Iter::new(self, btree, level, start)
    }

    /// The key at exactly `pos`.
    pub fn lookup(&self, btree: BtreeId, pos: Bpos) -> Result<Option<Found<'_>>> {
        let mut iter = self.iter(btree, 0, pos).until(pos);
        match iter.advance()? {
            Some(k) if k.p == pos => Ok(Some(Found { iter })),
            _ => Ok(None),
        }
    }
}

#[cold]
fn copy(key: Option<Key<'_>>) -> Result<Option<KeyBuf>> {
    key.map(|key| KeyBuf::copy_of(&key)).transpose()
}

impl core::fmt::Debug for Btrees {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Btrees").finish_non_exhaustive()
    }
}

/// A key that was looked up. Holds the node it is in.
pub struct Found<'a> {
    iter: Iter<'a>,
}

impl Found<'_> {
    /// The key.
    pub fn key(&self) -> Key<'_> {
        self.iter.current().unwrap_or(Key {
            k: Default::default(),
            v: &[],
        })
    }

    /// Where the key is.
    pub fn place(&self) -> Place {
        self.iter.place()
    }
}

impl<'a> From<Iter<'a>> for Found<'a> {
    /// The key an iterator stands on.
    fn from(iter: Iter<'a>) -> Self {
        Self { iter }
    }
}
