// SPDX-License-Identifier: GPL-2.0

//! The first mount: what a filesystem has from then on.
//!
//! Until the superblock says that the filesystem is initialized, nothing of it counts, and the next
//! mount begins anew. It says so when all is there and in the journal.

use crate::{
    alloc::space::{
        complete_freespace,
        count_new_devices,
        mark_metadata_buckets,
        Engine, //
    },
    btree::KeyBuf,
    env::{
        pr_info,
        Vec, //
    },
    error::Result,
    format::{
        btree_id::BtreeId,
        values::inode::ROOT_INUM, //
    },
    fs::first::first_directories,
    journal::live::Watermark,
    snapshots::{
        first_subvolume,
        FIRST_SNAPSHOT, //
    },
};

/// Makes all that a filesystem begins with, in btrees that are empty, and has the superblock say
/// that it is there.
///
/// C: `bch2_fs_initialize()`.
#[inline(never)]
pub(super) fn set_up(engine: Engine<'_>) -> Result {
    let st = engine.btrees.sb();
    pr_info!("{}: initializing new filesystem", st.name());
    // In this order: without free buckets there is no node, and without nodes nothing else.
    count_new_devices(engine)?;
    mark_metadata_buckets(engine)?;
    complete_freespace(engine)?;
    add_first_keys(engine)?;
    engine.writer.journal.flush()?;
    st.mark_initialized()
}

fn add_first_keys(engine: Engine<'_>) -> Result {
    let mut keys: Vec<(BtreeId, KeyBuf)> = Vec::new();
    first_subvolume(ROOT_INUM, &mut keys)?;
    first_directories(engine.btrees.sb(), FIRST_SNAPSHOT, &mut keys)?;
    engine.run(Watermark::Reclaim, |t| {
        for (btree, key) in &keys {
            t.update(*btree, KeyBuf::copy_of(&key.key())?)?;
        }
        t.commit()
    })?;
    Ok(())
}
