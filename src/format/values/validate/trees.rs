// SPDX-License-Identifier: GPL-2.0

//! Subvolumes and snapshots.

use super::{
    super::{
        snapshot::{
            Snapshot,
            SnapshotState, //
        },
        subvolume::{
            SubvolState,
            Subvolume,
            SUBVOL_MAX, //
        },
    },
    context::ValidateCtx,
};
use crate::{
    error::{
        fsck::FsckError,
        Invalid, //
    },
    format::{
        bkey::Key,
        bpos::Bpos, //
    },
};

/// Whether a position is `0:id` with an id from 1 to `max`.
fn is_id(p: Bpos, max: u64) -> bool {
    p.inode == 0 && (1..=max).contains(&p.offset)
}

/// C: `bch2_subvolume_validate()`, without what needs other keys.
pub(super) fn subvolume(key: &Key<'_>, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let s = Subvolume::decode(key.v)?;
    let problem = if !is_id(key.k.p, SUBVOL_MAX) {
        (FsckError::SUBVOL_POS_BAD, "invalid pos")
    } else if s.snapshot == 0 {
        (FsckError::SUBVOL_SNAPSHOT_BAD, "invalid snapshot")
    } else if s.inode == 0 {
        (FsckError::SUBVOL_INODE_BAD, "invalid inode")
    } else if s.pad != 0 {
        (FsckError::SUBVOL_PAD_NONZERO, "reserved pad field nonzero")
    } else if ctx.committing() && matches!(s.state, SubvolState::Invalid(_)) {
        (FsckError::SUBVOL_STATE_BAD, "invalid state")
    } else {
        return Ok(());
    };
    Err(Invalid::new(problem.0, problem.1))
}

/// C: `bch2_snapshot_validate()`, without what needs other keys.
pub(super) fn snapshot(key: &Key<'_>, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    if !is_id(key.k.p, u32::MAX.into()) {
        return Err(Invalid::new(FsckError::SNAPSHOT_POS_BAD, "bad pos"));
    }
    let s = Snapshot::decode(key.v)?;
    let id = key.k.p.offset;
    if s.parent != 0 && u64::from(s.parent) <= id {
        return Err(Invalid::with(
            FsckError::SNAPSHOT_PARENT_BAD,
            "bad parent node",
            s.parent.into(),
            id,
        ));
    }
    check_children(s.children, id)?;
    check_skiplist(&s)?;
    if s.pad != 0 {
        return Err(Invalid::new(
            FsckError::SNAPSHOT_PAD_NONZERO,
            "reserved pad field nonzero",
        ));
    }
    if ctx.committing() {
        check_commit(&s)?;
    }
    Ok(())
}

fn check_children([left, right]: [u32; 2], id: u64) -> Result<(), Invalid> {
    if left < right {
        return Err(Invalid::new(
            FsckError::SNAPSHOT_CHILDREN_NOT_NORMALIZED,
            "children not normalized",
        ));
    }
    if left != 0 && left == right {
        return Err(Invalid::new(
            FsckError::SNAPSHOT_CHILD_DUPLICATE,
            "duplicate child nodes",
        ));
    }
    if u64::from(left) >= id {
        return Err(Invalid::with(
            FsckError::SNAPSHOT_CHILD_BAD,
            "bad child node",
            left.into(),
            id,
        ));
    }
    Ok(())
}

fn check_skiplist(s: &Snapshot) -> Result<(), Invalid> {
    if !s.skip.is_sorted() {
        return Err(Invalid::new(
            FsckError::SNAPSHOT_SKIPLIST_NOT_NORMALIZED,
            "skiplist not normalized",
        ));
    }
    for id in s.skip {
        if id != 0 && id < s.parent {
            return Err(Invalid::with(
                FsckError::SNAPSHOT_SKIPLIST_BAD,
                "bad skiplist node",
                id.into(),
                s.parent.into(),
            ));
        }
    }
    Ok(())
}

/// What may be found on disk but not written.
fn check_commit(s: &Snapshot) -> Result<(), Invalid> {
    if let SnapshotState::Invalid(state) = s.state {
        return Err(Invalid::with(
            FsckError::SNAPSHOT_STATE_BAD,
            "invalid state",
            state.into(),
            0,
        ));
    }
    Ok(())
}

/// C: `bch2_snapshot_tree_validate()`.
pub(super) fn snapshot_tree(key: &Key<'_>, _: &ValidateCtx<'_>) -> Result<(), Invalid> {
    if !is_id(key.k.p, u32::MAX.into()) {
        return Err(Invalid::new(FsckError::SNAPSHOT_TREE_POS_BAD, "bad pos"));
    }
    Ok(())
}
