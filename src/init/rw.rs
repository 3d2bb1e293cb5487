// SPDX-License-Identifier: GPL-2.0

//! Going read-write, and the way back.

use crate::{
    env::{
        pr_err,
        pr_info,
        pr_warn,
        Arc, //
    },
    error::{
        Error,
        Result, //
    },
    format::sb::{
        flags,
        Superblock,
        Version, //
    },
    journal::live::{
        Journal,
        Start, //
    },
    sb::{
        SbState,
        State, //
    },
};

/// The only version that is written yet.
const WRITABLE: Version = Version::new(1, 13);

/// Refuses superblocks of filesystems that can not be written yet.
pub(super) fn check_superblock(st: &SbState) -> Result {
    let checked = may_write(&st.sb);
    if checked.is_err() {
        let (name, version) = (st.name(), st.sb.version());
        pr_err!("{name}: version {version}: can not be mounted read-write");
    }
    for dev in st.devices().filter(|d| d.is_writable()) {
        if !dev.bdev.is_writable() {
            pr_err!("{}: can not be written to", dev.bdev.name());
            return Err(Error::ReadOnly);
        }
    }
    checked
}

fn may_write(sb: &Superblock) -> Result {
    if sb.version() != WRITABLE {
        return Err(Error::ReadWriteUnsupported);
    }
    if sb.flag(flags::INITIALIZED) == 0 {
        return Err(Error::ReadWriteNew);
    }
    if !sb.is_clean() {
        return Err(Error::ReadWriteUnclean);
    }
    let ext = sb.ext();
    let passes = ext.map_or([0; 2], |ext| ext.recovery_passes_required());
    let lost = ext.map_or(0, |ext| ext.btrees_lost_data());
    let errors = sb.flag(flags::HAS_ERRORS) | sb.flag(flags::HAS_TOPOLOGY_ERRORS);
    if passes != [0; 2] || lost != 0 || errors != 0 {
        return Err(Error::ReadWriteNeedsFsck);
    }
    Ok(())
}

/// What a filesystem has in addition while it is read-write.
pub struct ReadWrite {
    /// The journal.
    pub journal: Arc<Journal>,
}

impl ReadWrite {
    /// Marks the filesystem not clean, starts the journal, and writes its first entry: whether that
    /// works is to be known before anything is changed.
    ///
    /// C: `__bch2_fs_read_write()`.
    pub(super) fn start(st: &Arc<SbState>, from: &Start) -> Result<Self> {
        st.mark_dirty()?;
        let started = Journal::start(st.clone(), from);
        let written = started.and_then(|journal| journal.write_entry().map(|_| journal));
        match written {
            Ok(journal) if st.state.change(State::ReadOnly, State::ReadWrite) => {
                Ok(Self { journal })
            }
            Ok(_) => Err(st.state.first_error().unwrap_or(Error::Io)),
            Err(e) => {
                st.end_super();
                Err(e)
            }
        }
    }

    /// Ends writing, with the superblock of a clean shutdown if everything is on disk.
    ///
    /// C: `bch2_fs_read_only()`.
    pub(super) fn stop(&self, st: &SbState) -> Result {
        let stopped = match st.state.change(State::ReadWrite, State::ReadOnly) {
            true => self.shut_down(st),
            // It was ended before, by an error or by somebody else.
            false => Ok(()),
        };
        st.end_super();
        if let Err(e) = &stopped {
            pr_err!("{}: not shut down cleanly: {e}", st.name());
        }
        stopped
    }

    fn shut_down(&self, st: &SbState) -> Result {
        let last = self.journal.stop()?;
        if !last.is_empty {
            pr_warn!(
                "{}: not shut down cleanly: what journal entries from {} on hold is not written back",
                st.name(),
                self.journal.oldest_pinned()
            );
            return Ok(());
        }
        let (records, positions) = (self.journal.clean_records()?, self.journal.positions()?);
        st.mark_clean(last.seq, &records, &positions)?;
        pr_info!("{}: shut down cleanly, journal seq {}", st.name(), last.seq);
        Ok(())
    }
}
