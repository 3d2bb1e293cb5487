// SPDX-License-Identifier: GPL-2.0

//! Room that new nodes need for what is not known before they are made.

use crate::{
    btree::node::Node,
    env::Vec,
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId, //
    },
};

/// How often an update is begun again because a new node had too little room.
const TRIES: usize = 16;
/// Words a new node gets more room for each time it had too little.
const STEP: usize = 8;

/// Where new nodes of an update had too little room when it was tried.
#[derive(Default)]
pub(super) struct Rooms {
    rooms: Vec<Room>,
    tries: usize,
}

/// A part of a btree level, and the words that are to come there.
struct Room {
    btree: BtreeId,
    level: u8,
    range: (Bpos, Bpos),
    u64s: usize,
}

impl Rooms {
    /// Words that what replaces `node` has to have room for, of which `known` are known anyway.
    pub(super) fn wanted(&self, node: &Node, known: usize) -> usize {
        let noted = self.rooms.iter().filter(|r| r.is_in(node)).map(|r| r.u64s);
        noted.max().unwrap_or(0).max(known)
    }

    /// Notes that `node`, which was just made, had no room for `u64s` words.
    pub(super) fn note(&mut self, node: &Node, u64s: usize) -> Result {
        self.tries = self.tries.saturating_add(1);
        if self.tries > TRIES {
            return Err(Error::BtreeUpdateTooBig);
        }
        if let Some(known) = self.rooms.iter_mut().find(|r| r.is_in(node)) {
            known.u64s = known.u64s.saturating_add(STEP).max(u64s);
            return Ok(());
        }
        self.rooms.push(Room {
            btree: node.btree,
            level: node.level,
            range: (node.min, node.max),
            u64s,
        })
    }
}

impl Room {
    /// Whether some of it is in `node`.
    fn is_in(&self, node: &Node) -> bool {
        let (min, max) = self.range;
        (self.btree, self.level) == (node.btree, node.level) && min <= node.max && node.min <= max
    }
}
