// SPDX-License-Identifier: GPL-2.0

//! The options of a mounted filesystem, some of which change while it is mounted.

use super::{
    Device,
    SbState, //
};
use crate::{
    env::Box,
    error::Result,
    format::{
        opts::{
            options,
            parse::parse,
            store::set_sb_value,
            BadValue,
            Kind,
            OnError,
            OptId,
            OptionInfo,
            Opts, //
        },
        sb::{
            assemble::Degraded,
            groups::Target,
            Features, //
        },
    },
    sys::sync::atomic::{
        AtomicBool,
        AtomicU64,
        Ordering, //
    },
};

/// The values in effect, for all options.
///
/// C: `opts` of `struct bch_fs`.
pub struct LiveOpts {
    values: [AtomicU64; Opts::NR],
    /// Somebody has chosen whether to discard, for all devices.
    discard_is_chosen: AtomicBool,
}

impl LiveOpts {
    /// Those of `opts`, and defaults for the others.
    // Out of line: options are large, and the stack is small.
    #[inline(never)]
    pub(super) fn try_new(opts: &Opts) -> Result<Box<Self>> {
        let this = Box::try_new(Self {
            values: [const { AtomicU64::new(0) }; Opts::NR],
            discard_is_chosen: AtomicBool::new(false),
        })?;
        for option in options() {
            this.set(option.id, opts.get(option.id));
        }
        let chosen = opts.is_defined(OptId::Discard);
        this.discard_is_chosen.store(chosen, Ordering::Relaxed);
        Ok(this)
    }

    /// The value.
    pub fn get(&self, id: OptId) -> u64 {
        let value = self.values.get(id.index());
        value.map_or(0, |v| v.load(Ordering::Relaxed))
    }

    /// Whether a flag is on.
    pub fn is_on(&self, id: OptId) -> bool {
        self.get(id) != 0
    }

    /// Changes a value, which must be possible. Who looks at it next gets the new one.
    pub fn set(&self, id: OptId, v: u64) {
        if let Some(value) = self.values.get(id.index()) {
            value.store(v, Ordering::Relaxed);
        }
        if id == OptId::Discard {
            self.discard_is_chosen.store(true, Ordering::Relaxed);
        }
    }

    /// What to do when devices are missing.
    pub fn degraded(&self) -> Degraded {
        Opts::degraded_of(self.get(OptId::Degraded))
    }

    /// What to do about inconsistencies.
    pub fn on_error(&self) -> OnError {
        OnError::of(self.get(OptId::Errors))
    }

    /// Whether nothing may be written, whatever else was asked for.
    pub fn forces_read_only(&self) -> bool {
        self.is_on(OptId::Norecovery) || self.is_on(OptId::Nochanges)
    }

    /// All values as they are now.
    #[inline(never)]
    pub fn now(&self) -> Result<Box<Opts>> {
        let mut all = Box::try_new(Opts::new())?;
        for option in options() {
            all.set(option.id, self.get(option.id));
        }
        Ok(all)
    }
}

impl SbState {
    /// Whether space of `dev` that has become free is discarded: as the mount says, or else the
    /// device's entry in the superblock.
    ///
    /// C: `bch2_discard_opt_enabled()`.
    pub fn discards(&self, dev: &Device) -> bool {
        let wanted = match self.opts.discard_is_chosen.load(Ordering::Relaxed) {
            true => self.opts.is_on(OptId::Discard),
            false => dev.discard(),
        };
        wanted && dev.bdev.supports_discard()
    }

    /// The value of an option that `text` says, also of one that names a device or a label.
    ///
    /// C: `bch2_opt_parse()`, `bch2_opt_target_parse()`.
    pub fn parse_option(&self, option: &OptionInfo, text: &str) -> Result<u64, BadValue> {
        match option.kind {
            Kind::Target => self.target(text).map(Target::encode),
            _ => parse(option, Some(text)),
        }
    }

    /// Changes an option of the filesystem, in the superblock as well, if that has it.
    ///
    /// C: `bch2_opt_set_sb()`.
    pub fn set_option(&self, option: &OptionInfo, v: u64) -> Result {
        let erasure_code = option.id == OptId::ErasureCode && v != 0;
        self.change_super(|sb| {
            if erasure_code {
                sb.change_features(1 << Features::EC, 0);
            }
            Ok(set_sb_value(sb, option, v))
        })?;
        self.opts.set(option.id, v);
        Ok(())
    }

    fn target(&self, text: &str) -> Result<Target, BadValue> {
        if text.is_empty() || text == "none" {
            return Ok(Target::None);
        }
        let name = text.strip_prefix("/dev/").unwrap_or(text);
        if let Some(dev) = self.devices().find(|d| d.bdev.name() == name) {
            return Ok(Target::Device(dev.idx.0));
        }
        let group = self.sb.groups().find(text);
        group.map(Target::Group).ok_or(BadValue::NotChoice)
    }
}
