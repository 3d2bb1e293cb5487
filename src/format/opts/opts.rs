// SPDX-License-Identifier: GPL-2.0

//! A set of option values.

use super::{
    error::OptError,
    parse::{
        parse,
        validate, //
    },
    store::sb_value,
    table::{
        lookup,
        options,
        Kind,
        OptId,
        OptionInfo,
        Stored,
        HIDDEN,
        MOUNT,
        MOUNT_OLD,
        NR_OPTS, //
    },
    text::write_value,
};
use crate::{
    env::pr_warn,
    format::sb::{
        assemble::Degraded,
        layout::PRIMARY_SECTOR,
        Superblock, //
    },
};
use core::fmt;

const _: () = assert!(NR_OPTS <= 128, "the mask has 128 bits");

/// What to do when the filesystem is found to be inconsistent.
///
/// C: `enum bch_error_actions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// Report it and go on.
    Continue,
    /// Repair what is safe to repair; otherwise go read-only.
    FixSafe,
    /// Stop the machine.
    Panic,
    /// Go read-only.
    ReadOnly,
}

/// Values for some of the options; the others have their defaults.
///
/// C: `struct bch_opts`.
#[derive(Clone, PartialEq, Eq)]
pub struct Opts {
    values: [u64; NR_OPTS],
    defined: u128,
}

impl Default for Opts {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Opts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let defined = options().filter(|o| self.is_defined(o.id));
        f.debug_map()
            .entries(defined.map(|o| (o.name, self.get(o.id))))
            .finish()
    }
}

/// Why an option has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It belongs to the filesystem: it is set there, or in sysfs, not by a mount.
    MountOld,
    /// It was an option once, and what it chose is no choice any more.
    Obsolete,
}

/// What became of a mount option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was set.
    Set(OptId),
    /// It is known and its value possible, but it has no effect.
    Ignored(Ignored),
}

/// A name that other versions have for an option.
enum OldName {
    /// It is the same as this option.
    Same(OptId),
    /// As a flag, it is the same as this value of this option.
    Is(OptId, u64),
    /// It is a number from 1 to 4 that has no effect.
    Replicas,
    /// It is a flag that has no effect.
    Flag,
    /// It is an option of a device, not for mounting.
    Device(OptId),
}

fn old_name(name: &str) -> Option<OldName> {
    Some(match name {
        "quota" => OldName::Same(OptId::Usrquota),
        "reconstruct_alloc" => OldName::Same(OptId::DangerouslyReconstructAlloc),
        "very_degraded" => OldName::Is(OptId::Degraded, 2),
        "metadata_replicas_required" | "data_replicas_required" => OldName::Replicas,
        "shard_inode_numbers" | "inodes_use_key_cache" | "btree_node_mem_ptr_optimization" => {
            OldName::Flag
        }
        "bucket" | "fs_size" => OldName::Device(OptId::BucketSize),
        _ => return None,
    })
}

impl OnError {
    /// That of a value of the option.
    pub const fn of(value: u64) -> Self {
        match value {
            0 => OnError::Continue,
            2 => OnError::Panic,
            3 => OnError::ReadOnly,
            _ => OnError::FixSafe,
        }
    }
}

impl Opts {
    /// How many options there are.
    pub const NR: usize = NR_OPTS;

    /// A set without any value.
    pub const fn new() -> Self {
        Self {
            values: [0; NR_OPTS],
            defined: 0,
        }
    }

    /// What the superblock says. Values that are not possible are reported and left out.
    ///
    /// C: `bch2_opts_from_sb()`.
    pub fn from_superblock(sb: &Superblock) -> Self {
        let mut opts = Self::new();
        for option in options() {
            let Some(v) = sb_value(sb, option) else {
                continue;
            };
            match validate(option, v) {
                Ok(()) => opts.set(option.id, v),
                // Fields that older versions did not have are zero.
                Err(_) if v == 0 => (),
                // Old versions put other things there.
                Err(_) if matches!(option.stored, Stored::Ext(_)) => (),
                Err(_) => pr_warn!(
                    "superblock: option {}: value {v} is not possible, using the default",
                    option.name
                ),
            }
        }
        opts
    }

    /// The value, or the default.
    pub fn get(&self, id: OptId) -> u64 {
        match self.is_defined(id) {
            true => self.values.get(id.index()).copied().unwrap_or(0),
            false => id.info().default,
        }
    }

    /// Whether the set has a value for it.
    pub const fn is_defined(&self, id: OptId) -> bool {
        self.defined & (1 << (id.index() & 127)) != 0
    }

    /// Whether a flag is on.
    pub fn is_on(&self, id: OptId) -> bool {
        self.get(id) != 0
    }

    /// Sets a value, which must be possible; see [`validate`].
    pub fn set(&mut self, id: OptId, v: u64) {
        if let Some(slot) = self.values.get_mut(id.index()) {
            *slot = v;
            self.defined |= 1 << (id.index() & 127);
        }
    }

    /// Takes over all values that `other` has. C: `bch2_opts_apply()`.
    pub fn apply(&mut self, other: &Self) {
        for option in options().filter(|o| other.is_defined(o.id)) {
            self.set(option.id, other.get(option.id));
        }
    }

    /// Takes one mount option; `value` is what follows the "=". An option without effect is
    /// accepted with a message where the C implementation accepts it too.
    pub fn parse_one<'a>(
        &mut self,
        key: &'a str,
        value: Option<&'a str>,
    ) -> Result<(), OptError<'a>> {
        match self.parse_mount(key, value)? {
            Outcome::Set(_) => (),
            Outcome::Ignored(Ignored::MountOld) => pr_warn!(
                "option {key} has no effect at mount; set it in sysfs or with bcachefs set-fs-option"
            ),
            Outcome::Ignored(Ignored::Obsolete) => {
                pr_warn!("option {key} has no effect any more");
            }
        }
        Ok(())
    }

    /// As [`Opts::parse_one`], without messages.
    ///
    /// C: `bch2_parse_one_mount_opt()`, which however lets unknown options pass.
    pub fn parse_mount<'a>(
        &mut self,
        key: &'a str,
        value: Option<&'a str>,
    ) -> Result<Outcome, OptError<'a>> {
        if let Some(outcome) = self.parse_name(key, value, value)? {
            return Ok(outcome);
        }
        // "noflag"
        if let (Some(name), None) = (key.strip_prefix("no"), value) {
            if let Some(outcome) = self.parse_name(name, Some("0"), value)? {
                return Ok(outcome);
            }
        }
        Err(OptError::Unknown { name: key })
    }

    /// Takes an option by its exact name. `None` when there is none of this name. `given` is what
    /// an error is to show.
    fn parse_name<'a>(
        &mut self,
        name: &str,
        value: Option<&'a str>,
        given: Option<&'a str>,
    ) -> Result<Option<Outcome>, OptError<'a>> {
        let option = match (lookup(name), old_name(name)) {
            (Some(option), _) => option,
            (None, Some(OldName::Same(id))) => id.info(),
            (None, Some(old)) => return self.parse_old(old, value, given).map(Some),
            (None, None) => return Ok(None),
        };
        if !option.is(MOUNT) && !option.is(MOUNT_OLD) {
            return Err(OptError::NotForMount { option });
        }
        let v = parse(option, implied(option, value)).map_err(|why| OptError::Value {
            option,
            value: given,
            why,
        })?;
        if option.is(MOUNT_OLD) {
            return Ok(Some(Outcome::Ignored(Ignored::MountOld)));
        }
        self.set(option.id, v);
        Ok(Some(Outcome::Set(option.id)))
    }

    fn parse_old<'a>(
        &mut self,
        old: OldName,
        value: Option<&'a str>,
        given: Option<&'a str>,
    ) -> Result<Outcome, OptError<'a>> {
        // Options whose values these have.
        let like = match old {
            OldName::Is(..) | OldName::Flag => OptId::Verbose.info(),
            OldName::Replicas => OptId::DataReplicas.info(),
            OldName::Same(id) | OldName::Device(id) => {
                return Err(OptError::NotForMount { option: id.info() })
            }
        };
        let v = parse(like, value).map_err(|why| OptError::Value {
            option: match old {
                OldName::Is(id, _) => id.info(),
                _ => like,
            },
            value: given,
            why,
        })?;
        match old {
            OldName::Is(id, is) => {
                if v != 0 {
                    self.set(id, is);
                }
                Ok(Outcome::Set(id))
            }
            _ => Ok(Outcome::Ignored(Ignored::Obsolete)),
        }
    }

    /// Takes a string of mount options, separated by commas.
    ///
    /// C: `bch2_parse_mount_opts()`.
    pub fn parse_list<'a>(&mut self, list: &'a str) -> Result<(), OptError<'a>> {
        for item in list.split(',').filter(|item| !item.is_empty()) {
            match item.split_once('=') {
                Some((key, value)) => self.parse_one(key, Some(value))?,
                None => self.parse_one(item, None)?,
            }
        }
        Ok(())
    }

    /// Writes the options that were given at mount and differ from their defaults, each with a
    /// comma in front. `given` has what was given, `self` what is in effect.
    ///
    /// C: `bch2_show_options()`.
    pub fn show(
        &self,
        given: &Self,
        sb: Option<&Superblock>,
        f: &mut dyn fmt::Write,
    ) -> fmt::Result {
        let shown = options().filter(|o| o.is(MOUNT) && !o.is(HIDDEN));
        for o in shown.filter(|o| given.is_defined(o.id) && self.get(o.id) != o.default) {
            let v = self.get(o.id);
            match (o.kind, v) {
                (Kind::Bool, 0) => write!(f, ",no{}", o.name)?,
                (Kind::Bool, _) => write!(f, ",{}", o.name)?,
                _ => {
                    write!(f, ",{}=", o.name)?;
                    write_value(sb, o, v, f)?;
                }
            }
        }
        Ok(())
    }

    /// Whether these options make a mount read-only, whatever else was asked for.
    ///
    /// C: `bch2_fs_opt_version_init()`.
    pub fn forces_read_only(&self) -> bool {
        self.is_on(OptId::Norecovery) || self.is_on(OptId::Nochanges)
    }

    /// What to do when devices are missing.
    pub fn degraded(&self) -> Degraded {
        Self::degraded_of(self.get(OptId::Degraded))
    }

    /// What to do when devices are missing, by a value of the option.
    pub const fn degraded_of(value: u64) -> Degraded {
        match value {
            1 => Degraded::Yes,
            2 => Degraded::Very,
            _ => Degraded::No,
        }
    }

    /// What to do about inconsistencies.
    pub fn on_error(&self) -> OnError {
        OnError::of(self.get(OptId::Errors))
    }

    /// The sector of the superblock copy to use, if one was asked for.
    pub fn sb_sector(&self) -> Option<u64> {
        let sector = self.get(OptId::Sb);
        (self.is_defined(OptId::Sb) && sector != PRIMARY_SECTOR).then_some(sector)
    }
}

/// What a value that was left out means, and other spellings.
fn implied<'a>(option: &OptionInfo, value: Option<&'a str>) -> Option<&'a str> {
    let value = match (option.kind, value) {
        (Kind::Bool | Kind::Choice(_), None) => Some("1"),
        (_, value) => value,
    };
    match (option.id, value) {
        (OptId::Degraded, Some("1" | "true")) => Some("yes"),
        (OptId::Degraded, Some("0" | "false")) => Some("no"),
        _ => value,
    }
}
