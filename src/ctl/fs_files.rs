// SPDX-License-Identifier: GPL-2.0

//! Files about the whole filesystem.

use super::damage;
use crate::{
    alloc::UsageBase,
    env::num::u64_of,
    format::sb::text::{
        DateTime,
        Human, //
    },
    init::{
        Filesystem,
        State, //
    },
};
use core::fmt::{
    self,
    Write, //
};

/// A file.
pub(super) struct File {
    /// Its name.
    pub(super) name: &'static str,
    /// Writes its contents.
    pub(super) show: fn(&Filesystem, &mut dyn Write) -> fmt::Result,
}

/// Files of the filesystem's own directory. C: `bch2_fs_files`.
pub(super) const TOP: &[File] = &[
    File {
        name: "btree_cache_size",
        show: btree_cache_size,
    },
    File {
        name: "errors",
        show: errors,
    },
];

/// Files of `internal`. C: `bch2_fs_internal_files`.
pub(super) const INTERNAL: &[File] = &[
    File {
        name: "alloc_debug",
        show: alloc_debug,
    },
    File {
        name: "btree_cache",
        show: btree_cache,
    },
    File {
        name: "btree_key_cache",
        show: btree_key_cache,
    },
    File {
        name: "copygc_wait",
        show: copygc_wait,
    },
    File {
        name: "damage",
        show: damage::show,
    },
    File {
        name: "disk_groups",
        show: disk_groups,
    },
    File {
        name: "flags",
        show: flags,
    },
    File {
        name: "internal_uuid",
        show: internal_uuid,
    },
    File {
        name: "journal_debug",
        show: journal_debug,
    },
    File {
        name: "usage_base",
        show: usage_base,
    },
];

fn btree_cache_size(fs: &Filesystem, to: &mut dyn Write) -> fmt::Result {
    writeln!(to, "{}", Human(fs.view.btrees.cache().memory_bytes()))
}

/// C: `bch2_fs_errors_to_text()`.
fn errors(fs: &Filesystem, to: &mut dyn Write) -> fmt::Result {
    fs.view.sb().errors.for_each(|e| {
        let (first, last) = (DateTime(e.first), DateTime(e.last));
        writeln!(to, "{:<47} {:<7} {first} {last}", e.id.name(), e.nr)
    })
}

/// C: `bch2_btree_cache_to_text()`.
fn btree_cache(fs: &Filesystem, to: &mut dyn Write) -> fmt::Result {
    let cache = fs.view.btrees.cache();
    let (bytes, nodes) = (Human(cache.memory_bytes()), cache.nr_nodes());
    writeln!(to, "{:<32}{bytes} ({nodes})", "live:")?;
    writeln!(to, "{:<32}{}", "limit:", Human(cache.max_bytes()))?;
    writeln!(to, "{:<32}{}", "read since mount:", cache.nr_reads())
}

fn btree_key_cache(fs: &Filesystem, to: &mut dyn Write) -> fmt::Result {
    write!(to, "{}", fs.view.btrees.key_cache())
}

/// C: `bch2_copygc_wait_to_text()`.
fn copygc_wait(fs: &Filesystem, to: &mut dyn Write) -> fmt::Result {
    let Some(space) = fs.space() else {
        return writeln!(to, "{:<32}0", "running:");
    };
    let running = u8::from(space.copygc_is_running());
    let wait = Human(space.copygc_wait().saturating_mul(512));
    writeln!(to, "{:<32}{running}", "running:")?;
    writeln!(to, "{:<32}{wait}", "Currently calculated wait:")
}

/// C: `bch2_disk_groups_to_text()`.
fn disk_groups(fs: &Filesystem, to: &mut dyn Write) -> fmt::Result {
    let groups = fs.view.sb().sb.groups();
    for (nr, group) in (0u8..=u8::MAX).zip(groups.iter()) {
        if !group.is_deleted() {
            writeln!(to, "{nr}: {}", groups.path(nr))?;
        }
    }
    Ok(())
}

/// C: `bch2_fs_flag_strs`.
fn flags(fs: &Filesystem, to: &mut dyn Write) -> fmt::Result {
    let state = fs.state().get();
    let btrees = &fs.view.btrees;
    let set = [
        ("started", state != State::Starting),
        ("btree_running", true),
        ("rw", state == State::ReadWrite),
        ("emergency_ro", state == State::EmergencyReadOnly),
        ("error", fs.view.sb().errors.since_mount() != 0),
        ("topology_error", btrees.health.sick().next().is_some()),
    ];
    let mut comma = "";
    for (name, _) in set.iter().filter(|(_, is)| *is) {
        write!(to, "{comma}{name}")?;
        comma = ",";
    }
    writeln!(to)
}

fn internal_uuid(fs: &Filesystem, to: &mut dyn Write) -> fmt::Result {
    writeln!(to, "{}", fs.view.sb().sb.uuid())
}

/// Sectors, and inodes. C: `bch2_fs_alloc_debug_to_text()`.
fn alloc_debug(fs: &Filesystem, to: &mut dyn Write) -> fmt::Result {
    let usage = fs.usage();
    let reserved = fs.space().map_or(0, |space| space.nr_reserved());
    for (what, n) in [
        ("capacity:", usage.capacity),
        ("used:", usage.used),
        ("free:", usage.free),
        ("reserved by writes:", reserved),
        ("inodes:", usage.nr_inodes),
    ] {
        writeln!(to, "{what:<24}{n}")?;
    }
    Ok(())
}

/// The journal as it is now, or as it was found at mount while nothing is written to it.
///
/// C: `bch2_journal_debug_to_text()`.
fn journal_debug(fs: &Filesystem, to: &mut dyn Write) -> fmt::Result {
    if let Ok(rw) = fs.read_write() {
        let j = rw.journal();
        let (newest, pinned) = (j.newest(), j.oldest_pinned());
        for (what, n) in [
            (
                "dirty journal entries:",
                newest.saturating_sub(pinned).saturating_add(1),
            ),
            ("seq:", newest),
            ("last_seq:", pinned),
            ("flushed_seq_ondisk:", j.flushed()),
        ] {
            writeln!(to, "{what:<28}{n}")?;
        }
        return writeln!(to, "{:<28}{:?}", "watermark:", j.watermark());
    }
    let j = &fs.journal;
    let dirty = match j.clean {
        true => 0,
        false => j.last.saturating_sub(j.first).saturating_add(1),
    };
    for (what, n) in [
        ("dirty journal entries:", dirty),
        ("seq:", j.last),
        ("seq_ondisk:", j.highest),
        ("last_seq:", j.first),
        ("flushed_seq_ondisk:", j.last),
        ("keys laid over btrees:", u64_of(j.nr_keys)),
    ] {
        writeln!(to, "{what:<28}{n}")?;
    }
    Ok(())
}

/// C: `bch2_fs_usage_base_to_text()`.
fn usage_base(fs: &Filesystem, to: &mut dyn Write) -> fmt::Result {
    let u = match UsageBase::read(&fs.view.btrees) {
        Ok(u) => u,
        Err(e) => return writeln!(to, "not known: {e}"),
    };
    for (what, sectors) in [
        ("hidden:", u.hidden),
        ("btree:", u.btree),
        ("data:", u.data),
        ("cached:", u.cached),
        ("reserved:", u.reserved),
    ] {
        writeln!(to, "{what:<16}{sectors}")?;
    }
    Ok(())
}
