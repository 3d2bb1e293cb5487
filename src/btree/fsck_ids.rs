// SPDX-License-Identifier: GPL-2.0

//! Under which id the superblock counts each way in which a node can be wrong.

use crate::error::{
    fsck::FsckError,
    Error, //
};

/// The id that `e`, found in a node or on the way to one, is counted under. `None` for failures
/// that are no inconsistency, and for [`Error::NodeKeys`], whose id comes from the key.
pub(super) fn fsck_id(e: Error) -> Option<FsckError> {
    Some(match e {
        Error::NodeMagic => FsckError::BTREE_NODE_BAD_MAGIC,
        Error::NodeSeq => FsckError::BTREE_NODE_BAD_SEQ,
        Error::NodeWrongBtree => FsckError::BTREE_NODE_BAD_BTREE,
        Error::NodeLevel => FsckError::BTREE_NODE_BAD_LEVEL,
        Error::NodeRange => FsckError::BTREE_NODE_BAD_MIN_KEY,
        Error::NodeFormat => FsckError::BTREE_NODE_BAD_FORMAT,
        Error::NodeChecksum => FsckError::BSET_BAD_CSUM,
        Error::NodeChecksumKind => FsckError::BSET_UNKNOWN_CSUM,
        Error::NodeVersion => FsckError::BTREE_NODE_UNSUPPORTED_VERSION,
        Error::NodeTruncated => FsckError::BSET_PAST_END_OF_BTREE_NODE,
        Error::NodeIncomplete => FsckError::BTREE_NODE_DATA_MISSING,
        Error::NodeBsetPlace => FsckError::BSET_WRONG_SECTOR_OFFSET,
        Error::NodeVoid => FsckError::FIRST_BSET_BLACKLISTED_JOURNAL_SEQ,
        Error::NodeGap => FsckError::BTREE_NODE_TOPOLOGY_GAP_BETWEEN_NODES,
        Error::NodeNoChild => FsckError::BTREE_NODE_TOPOLOGY_BAD_MAX_KEY,
        Error::NodeOtherRange => FsckError::BTREE_NODE_TOPOLOGY_BAD_MIN_KEY,
        Error::RootRange => FsckError::BTREE_ROOT_BAD_MIN_KEY,
        Error::RootUnreadable => FsckError::BTREE_ROOT_BKEY_INVALID,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever says that a node is damaged is counted, by one way or the other.
    #[test]
    fn every_topology_error_has_an_id() {
        for e in Error::ALL.iter().filter(|e| e.name().starts_with("Node")) {
            // Counted by the check of the key: the pointer's. C has no id for a missing key.
            let not_here = matches!(
                e,
                Error::NodeKeys
                    | Error::NodeChildKind
                    | Error::NodeChildInvalid
                    | Error::NodeTooBig
                    | Error::NodeNoKey
            );
            assert_eq!(fsck_id(*e).is_none() && e.is_corruption(), not_here, "{e}");
        }
    }
}
