// SPDX-License-Identifier: GPL-2.0

//! Files that have something done at once, whatever is written to them.

use crate::{
    alloc::space::renew_generations,
    btree::{
        flush_write_buffer,
        write_back, //
    },
    error::{
        Error,
        Result, //
    },
    init::Filesystem,
    sys::shrinker::Shrink, //
};

/// A file.
pub(super) struct Trigger {
    /// Its name.
    pub(super) name: &'static str,
    /// Does it; with what was written.
    pub(super) run: fn(&Filesystem, &str) -> Result,
}

/// Those in `internal`. C: the files `trigger_*` in `bch2_fs_internal_files`.
pub(super) const TRIGGERS: &[Trigger] = &[
    Trigger {
        name: "trigger_btree_cache_shrink",
        run: |fs, text| shrink(fs.view.btrees.cache(), text),
    },
    Trigger {
        name: "trigger_btree_key_cache_shrink",
        run: |fs, text| shrink(fs.view.btrees.key_cache(), text),
    },
    Trigger {
        name: "trigger_btree_write_buffer_flush",
        run: |fs, _| {
            let engine = fs.read_write()?.engine();
            flush_write_buffer(engine.btrees, engine.writer)
        },
    },
    Trigger {
        name: "trigger_delete_dead_snapshots",
        run: |fs, _| fs.delete_dead_snapshots(),
    },
    Trigger {
        name: "trigger_discards",
        run: discards,
    },
    Trigger {
        name: "trigger_emergency_read_only",
        run: |fs, _| {
            fs.end_writing();
            Ok(())
        },
    },
    Trigger {
        name: "trigger_gc",
        run: |fs, _| renew_generations(fs.read_write()?.engine()).map(drop),
    },
    // The same thread drops cached data.
    Trigger {
        name: "trigger_invalidates",
        run: discards,
    },
    Trigger {
        name: "trigger_journal_commit",
        run: journal_write,
    },
    Trigger {
        name: "trigger_journal_flush",
        run: journal_flush,
    },
    Trigger {
        name: "trigger_journal_writes",
        run: journal_write,
    },
];

/// Drops as much of a cache as `text` says, of what can be dropped.
fn shrink(cache: &impl Shrink, text: &str) -> Result {
    let nr = text.trim().parse().map_err(|_| Error::TriggerNumber)?;
    cache.scan(nr);
    Ok(())
}

/// Who makes buckets free looks for some now. C: `bch2_do_discards()`, `bch2_do_invalidates()`.
fn discards(fs: &Filesystem, _: &str) -> Result {
    fs.read_write()?.engine().writer.hooks.want_discards();
    Ok(())
}

/// The journal is written. C: `bch2_journal_flush()`, `bch2_journal_do_writes()`.
fn journal_write(fs: &Filesystem, _: &str) -> Result {
    fs.read_write()?.journal().flush()
}

/// What the journal holds now is written back. C: `bch2_journal_flush_all_pins()`,
/// `bch2_journal_meta()`.
fn journal_flush(fs: &Filesystem, _: &str) -> Result {
    let engine = fs.read_write()?.engine();
    let newest = engine.writer.journal.newest();
    write_back(engine.btrees, engine.writer, newest)?;
    engine.writer.journal.flush()
}
