// SPDX-License-Identifier: GPL-2.0

//! Files that have something done at once, whatever is written to them.

use crate::{
    btree::write_back,
    error::Result,
    init::Filesystem, //
};

/// A file.
pub(super) struct Trigger {
    /// Its name.
    pub(super) name: &'static str,
    /// Does it.
    pub(super) run: fn(&Filesystem) -> Result,
}

/// Those in `internal`. C: the files `trigger_*` in `bch2_fs_internal_files`.
pub(super) const TRIGGERS: &[Trigger] = &[
    Trigger {
        name: "trigger_discards",
        run: discards,
    },
    Trigger {
        name: "trigger_emergency_read_only",
        run: |fs| {
            fs.end_writing();
            Ok(())
        },
    },
    // The same thread drops cached data.
    Trigger {
        name: "trigger_invalidates",
        run: discards,
    },
    Trigger {
        name: "trigger_journal_flush",
        run: journal_flush,
    },
    Trigger {
        name: "trigger_journal_writes",
        run: |fs| fs.read_write()?.journal().flush(),
    },
];

/// Who makes buckets free looks for some now. C: `bch2_do_discards()`, `bch2_do_invalidates()`.
fn discards(fs: &Filesystem) -> Result {
    fs.read_write()?.engine().writer.hooks.want_discards();
    Ok(())
}

/// What the journal holds now is written back. C: `bch2_journal_flush_all_pins()`,
/// `bch2_journal_meta()`.
fn journal_flush(fs: &Filesystem) -> Result {
    let engine = fs.read_write()?.engine();
    let newest = engine.writer.journal.newest();
    write_back(engine.btrees, engine.writer, newest)?;
    engine.writer.journal.flush()
}
