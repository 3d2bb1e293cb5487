// SPDX-License-Identifier: GPL-2.0

//! All btrees of a filesystem.
//!
//! | file         | holds                                                          |
//! |--------------|----------------------------------------------------------------|
//! | `descend.rs` | from a node to those below it: in memory, or read              |
//! | `overlay.rs` | keys of the journal, and of repairs, laid over the btrees      |

mod descend;
mod overlay;

use self::overlay::Overlay;
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
    node::Node,
    ptr::NodePtr, //
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
        values::extent_entry::EntrySizes, //
    },
    journal::{
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
        let cache = Arc::try_new(NodeCache::try_new(st.counters.clone())?)?;
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
