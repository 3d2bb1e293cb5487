// SPDX-License-Identifier: GPL-2.0

//! Space for nodes: given out, taken back, and used again as soon as it may be.

use sim::{
    btree::{
        interior::NodePlace,
        ptr::NodePtr,
        trans::{
            Hooks,
            Trans,
            TransResult,
            Writer, //
        },
        Btrees,
        KeyBuf, //
    },
    env::{
        units::{
            DevIdx,
            Sectors, //
        },
        Arc,
        Vec as EnvVec, //
    },
    error::{
        Error,
        Result as BchResult, //
    },
    format::{
        bkey::{
            Bkey,
            Key, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::extent_entry::Ptr, //
    },
    journal::live::{
        Journal,
        Watermark, //
    },
};
use std::{
    collections::{
        HashMap,
        HashSet, //
    },
    sync::Mutex,
};

/// A btree with a key for each place that a node has, as the allocator's would have: what changes a
/// node's place changes this one, too.
const SPACE: BtreeId = BtreeId::DAMAGE;

/// Places at the end of the device. A node's place is free again once it is safe that nothing
/// points to it; what is there then is thrown away.
pub(crate) struct Pool {
    journal: Arc<Journal>,
    node_sectors: u64,
    total: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    free: Vec<u64>,
    /// In the hands of who makes a node.
    out: HashSet<u64>,
    used: HashSet<u64>,
    /// Of nodes that were replaced, free once this journal entry is safe.
    waiting: Vec<(u64, u64)>,
    /// By the place of a new node: those of the ones it replaces.
    replaces: HashMap<u64, Vec<u64>>,
}

impl Pool {
    /// The last three quarters of the device, where an empty filesystem has nothing.
    pub(crate) fn new(btrees: &Btrees, journal: Arc<Journal>) -> Self {
        let st = btrees.sb();
        let node_sectors = u64::from(st.sb.node_sectors());
        let dev = st.devices().next().unwrap();
        let end = dev.bdev.nr_sectors() / node_sectors - (4096 / node_sectors).max(1);
        let free: Vec<u64> = (end / 4..end).map(|nr| nr * node_sectors).collect();
        Self {
            journal,
            node_sectors,
            total: free.len(),
            state: Mutex::new(State {
                free,
                ..State::default()
            }),
        }
    }

    /// Every place is where it should be: those of the btrees' nodes are in use, and no other.
    pub(crate) fn check(&self, btrees: &Btrees) {
        let nodes = check_space(btrees);
        let s = self.state.lock().unwrap();
        assert_eq!(s.used, nodes);
        assert!(s.out.is_empty(), "{} places are lost", s.out.len());
        assert_eq!(s.free.len() + s.waiting.len() + s.used.len(), self.total);
    }

    /// Places that are not in use now.
    pub(crate) fn available(&self) -> usize {
        self.total - self.state.lock().unwrap().used.len()
    }

    fn place(&self, at: u64) -> NodePlace {
        let mut place = NodePlace {
            copies: Default::default(),
            token: 0,
        };
        place.copies[0] = Some(Ptr {
            dev: DevIdx(0),
            offset: Sectors(at),
            generation: 0,
            cached: false,
            unwritten: false,
        });
        place
    }

    /// Frees what has become safe.
    fn collect(&self, btrees: &Btrees) {
        let flushed = self.journal.flushed();
        let mut s = self.state.lock().unwrap();
        let (safe, wait): (Vec<_>, Vec<_>) =
            s.waiting.drain(..).partition(|(seq, _)| *seq <= flushed);
        s.waiting = wait;
        drop(s);
        for (_, at) in &safe {
            let dev = btrees.sb().devices().next().unwrap();
            if self.journal.halted().is_none() {
                let _ = dev.bdev.discard(*at, self.node_sectors);
            }
        }
        let mut s = self.state.lock().unwrap();
        s.free.extend(safe.into_iter().map(|(_, at)| at));
    }
}

fn sector(ptr: &NodePtr) -> u64 {
    ptr.copies().next().unwrap().offset.0
}

fn sector_of(btrees: &Btrees, btree: BtreeId, key: &KeyBuf) -> Option<u64> {
    let ptr = NodePtr::decode(btree, 0, &key.key(), btrees.entry_sizes()).ok()?;
    Some(sector(&ptr))
}

/// There is a key for the place of each node, and no other. Returns the places.
pub(crate) fn check_space(btrees: &Btrees) -> HashSet<u64> {
    let mut nodes = HashSet::new();
    for btree in (0..63).map(BtreeId) {
        let Some(root) = btrees.root_node(btree) else {
            continue;
        };
        nodes.insert(root.at.1);
        for level in 1..=root.level {
            let mut iter = btrees.iter(btree, level, Bpos::MIN);
            while let Some(key) = iter.next().unwrap() {
                let ptr = NodePtr::decode(btree, level - 1, &key, btrees.entry_sizes());
                assert!(nodes.insert(sector(&ptr.unwrap())));
            }
        }
    }
    let mut keys = HashSet::new();
    let mut iter = btrees.iter(SPACE, 0, Bpos::MIN);
    while let Some(key) = iter.next().unwrap() {
        keys.insert(key.k.p.inode);
    }
    assert_eq!(keys, nodes);
    nodes
}

/// Stages that there is a node at a place now, or that there is none.
fn note(t: &mut Trans<'_, Pool>, at: u64, there: bool) -> TransResult {
    let key_type = match there {
        true => KeyType::WHITEOUT,
        false => KeyType::DELETED,
    };
    let k = Bkey {
        key_type,
        p: Bpos::new(at, 0, u32::MAX),
        ..Bkey::default()
    };
    t.update(SPACE, KeyBuf::of(k, &[])?)
}

impl Hooks for Pool {
    fn derive(t: &mut Trans<'_, Self>) -> TransResult {
        let btrees = t.btrees;
        let sector = |btree, key: &KeyBuf| sector_of(btrees, btree, key);
        let inner = t.updates().filter(|u| u.level > 0);
        let inner: Vec<_> = inner
            .map(|u| (u.btree, u.level, u.key.k.p, sector(u.btree, &u.key)))
            .collect();
        let (mut made, mut moved, mut merged) = (Vec::new(), Vec::new(), Vec::new());
        for (btree, level, pos, new) in inner {
            let old = t.old(btree, level, pos)?;
            let old = old.and_then(|old| sector(btree, &old));
            match new {
                Some(new) if old != Some(new) => {
                    made.push(new);
                    moved.extend(old.map(|old| (new, old)));
                }
                Some(_) => (),
                None => merged.extend(old),
            }
        }
        for change in t.root_changes() {
            let btree = change.node.btree;
            let new = sector(btree, &change.new).unwrap();
            made.push(new);
            made.extend(change.children.iter().filter_map(|key| sector(btree, key)));
            moved.extend(sector(btree, &change.old).map(|old| (new, old)));
        }
        // What was merged into another goes with any of the new ones.
        moved.extend(merged.iter().map(|old| (made[0], *old)));
        for new in made {
            note(t, new, true)?;
        }
        for (_, old) in &moved {
            note(t, *old, false)?;
        }
        let mut s = t.writer.hooks.state.lock().unwrap();
        for (new, _) in &moved {
            s.replaces.remove(new);
        }
        for (new, old) in moved {
            s.replaces.entry(new).or_default().push(old);
        }
        Ok(())
    }

    fn stamp(&self, _: BtreeId, _: &mut KeyBuf, _: u64) {}

    fn counted(&self, _: &Key<'_>) {}

    fn alloc_nodes(
        &self,
        btrees: &Btrees,
        _: &Writer<Self>,
        _: Watermark,
        nr: usize,
        places: &mut EnvVec<NodePlace>,
    ) -> BchResult {
        places.reserve(nr)?;
        for flush in [false, true] {
            if flush {
                self.journal.flush()?;
            }
            self.collect(btrees);
            let mut s = self.state.lock().unwrap();
            if s.free.len() >= nr {
                let rest = s.free.len() - nr;
                for at in s.free.split_off(rest) {
                    s.out.insert(at);
                    places.push(self.place(at))?;
                }
                return Ok(());
            }
        }
        Err(Error::NodeNoPlace)
    }

    fn place_done(&self, place: NodePlace, used: bool) {
        let at = place.copies[0].unwrap().offset.0;
        let newest = self.journal.newest();
        let mut s = self.state.lock().unwrap();
        assert!(s.out.remove(&at), "a place that nobody has");
        let old = s.replaces.remove(&at);
        if !used {
            s.free.push(at);
            return;
        }
        s.used.insert(at);
        for old in old.into_iter().flatten() {
            assert!(s.used.remove(&old), "replaced twice");
            s.waiting.push((newest, old));
        }
    }
}
