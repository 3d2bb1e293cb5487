// SPDX-License-Identifier: GPL-2.0

//! Which nodes of a btree are there, and making it of other ones.

use super::{
    found::FoundNode,
    node::Node,
    ptr::NodePtr,
    Btrees,
    KeyBuf, //
};
use crate::{
    env::{
        sort::sort_by,
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId, //
    },
    journal::keys::Amendments,
};

/// The level of a root that stands in for a real one: right above the leaves.
const ROOT_LEVEL: u8 = 1;

/// A node that a pointer leads to, and that can not be used.
#[derive(Clone, Copy, Debug)]
pub struct LostNode {
    /// The pointer.
    pub ptr: NodePtr,
    /// Why.
    pub error: Error,
}

/// What there is of a btree. It takes memory for each leaf.
#[derive(Debug, Default)]
pub struct Survey {
    /// Leaves that can be read, in order of where they begin.
    pub leaves: Vec<FoundNode>,
    /// Nodes that can not.
    pub lost: Vec<LostNode>,
    /// How many leaves have pointers of the first version, which do not say where they begin.
    pub without_range: u64,
    /// How many pointers to nodes can not be used.
    pub bad_pointers: u64,
    /// Where leaves have keys that can not be used, and that nothing newer hides.
    pub bad_keys: Vec<Bpos>,
}

impl Survey {
    /// Whether all nodes are there, and cover everything.
    pub fn is_whole(&self) -> bool {
        let mut from = Some(Bpos::MIN);
        let fits = self.leaves.iter().all(|leaf| {
            let begins = from == Some(leaf.min());
            from = (leaf.max() != Bpos::MAX).then(|| leaf.max().successor());
            begins
        });
        let complete = self.without_range != 0 || fits && from.is_none();
        complete && self.lost.is_empty() && self.bad_pointers == 0
    }
}

impl Btrees {
    /// Reads all nodes of a btree that has a root that can be read.
    #[inline(never)]
    pub fn survey(&self, btree: BtreeId) -> Result<Survey> {
        let mut survey = Survey::default();
        let mut left: Vec<Arc<Node>> = Vec::new();
        if let Some(root) = self.root_node(btree) {
            left.push(root)?;
        }
        while let Some(node) = left.pop() {
            if node.level == 0 {
                self.survey_leaf(&node, &mut survey)?;
                continue;
            }
            self.survey_children(&node, &mut survey, &mut left)?;
        }
        sort_by(&mut survey.leaves, |a, b| a.min().cmp(&b.min()));
        Ok(survey)
    }

    fn survey_leaf(&self, leaf: &Node, survey: &mut Survey) -> Result {
        match FoundNode::of(leaf, 0) {
            Some(found) => survey.leaves.push(found)?,
            None => survey.without_range = survey.without_range.saturating_add(1),
        }
        let over = self.overlay();
        for pos in leaf.read().invalid() {
            let hidden = over
                .as_ref()
                .is_some_and(|o| o.at(leaf.btree, 0, *pos).is_some());
            if !hidden {
                survey.bad_keys.push(*pos)?;
            }
        }
        Ok(())
    }

    /// Looks at the nodes that `parent` points to. Of the leaves only what is found is kept: they
    /// may be many.
    #[inline(never)]
    fn survey_children(
        &self,
        parent: &Node,
        survey: &mut Survey,
        left: &mut Vec<Arc<Node>>,
    ) -> Result {
        let (btree, level) = (parent.btree, parent.level.saturating_sub(1));
        let mut keys = self.iter(btree, parent.level, parent.min).until(parent.max);
        while let Some(key) = keys.next()?.filter(|k| k.k.p <= parent.max) {
            let Ok(ptr) = NodePtr::decode(btree, level, &key, self.entry_sizes()) else {
                survey.bad_pointers = survey.bad_pointers.saturating_add(1);
                continue;
            };
            let read = || self.read_node(&ptr).map(Some);
            let node = match self.cache().get(ptr.cache_key(), read) {
                Ok(Some(node)) if fits(&node, &ptr) => node,
                Ok(_) => {
                    let error = Error::SurveyNode;
                    survey.lost.push(LostNode { ptr, error })?;
                    continue;
                }
                Err(error) if error.is_corruption() || error == Error::NodeNoDevice => {
                    survey.lost.push(LostNode { ptr, error })?;
                    continue;
                }
                Err(e) => return Err(e),
            };
            match level {
                0 => self.survey_leaf(&node, survey)?,
                _ => left.push(node)?,
            }
        }
        survey.bad_pointers = survey.bad_pointers.saturating_add(keys.nr_unusable());
        Ok(())
    }

    /// Tries again to read a node that could not be read, which may be in another way now.
    pub fn read_again(&self, lost: &LostNode) -> Result<()> {
        self.cache().forget(lost.ptr.cache_key());
        self.read_node(&lost.ptr).map(drop)
    }

    /// Tries again to read the root of `btree`.
    pub fn read_root_again(&self, btree: BtreeId) -> Result<()> {
        let ptr = self.broken_root_pointer(btree).ok_or(Error::SurveyRoot)?;
        self.cache().forget(ptr.cache_key());
        let root = self
            .cache()
            .get(ptr.cache_key(), || self.read_node(&ptr).map(Some))?;
        match root.filter(|root| root.covers_all()) {
            Some(root) => {
                self.stand_in(root);
                Ok(())
            }
            None => Err(Error::SurveyRootRange),
        }
    }

    /// Has `btree` consist of `leaves`, which cover everything, without overlaps, and of what the
    /// journal has; of the latter alone when there are none. All above the leaves is made anew when
    /// the journal is replayed. Before anything is changed.
    ///
    /// C: `bch2_get_scanned_nodes()`.
    #[inline(never)]
    pub fn make_of(&self, btree: BtreeId, leaves: &[FoundNode]) -> Result {
        if leaves.is_empty() {
            self.abandon_nodes(btree);
            self.health.mark_checked(btree);
            return Ok(());
        }
        let root = Node::stand_in(btree, ROOT_LEVEL)?;
        let mut amendments = Amendments::default();
        amendments.forget_pointers(btree);
        for leaf in leaves {
            amendments.add(btree, ROOT_LEVEL, &leaf.pointer()?.key())?;
        }
        self.amend(amendments)?;
        for leaf in leaves {
            // It may be there with another range.
            self.cache().forget(leaf.cache_key());
            if leaf.is_cut() {
                self.health.wants_rewrite(btree, 0, leaf.max());
            }
        }
        self.stand_in(root);
        self.health.mark_checked(btree);
        Ok(())
    }

    /// Deletes keys that can not be used, in what is laid over the btree.
    pub fn delete_unusable(&self, btree: BtreeId, keys: &[Bpos]) -> Result {
        let mut amendments = Amendments::default();
        for pos in keys {
            amendments.add(btree, 0, &KeyBuf::deletion(*pos).key())?;
        }
        self.amend(amendments)
    }
}

/// Whether a node covers what the pointer to it says.
fn fits(node: &Node, ptr: &NodePtr) -> bool {
    node.max == ptr.max && ptr.min().is_none_or(|min| min == node.min)
}
