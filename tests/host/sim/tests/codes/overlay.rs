// SPDX-License-Identifier: GPL-2.0

//! Keys laid over a filesystem as the journal's are, but which no validator has seen: only so can
//! be shown what follows from memory that was changed after the check, or from a mistake in it.

use crate::{
    engine::space::devices,
    image, //
};
use sim::{
    alloc::space::{
        Engine,
        Space, //
    },
    btree::{
        trans::Writer,
        Btrees, //
    },
    env::{
        Arc,
        Vec as EnvVec, //
    },
    error::Result,
    format::{
        bkey::{
            Bkey,
            RawBkey, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        opts::Opts, //
    },
    journal::{
        self,
        live::{
            Journal,
            Start, //
        },
    },
    sb,
    snapshots::View, //
};
use zerocopy::IntoBytes as _;

/// The first snapshot, and the first subvolume's root.
pub(crate) const LEAF: u32 = u32::MAX;
pub(crate) const ROOT: u64 = 4096;

#[derive(Default)]
pub(crate) struct Overlay {
    keys: Vec<(BtreeId, Vec<u8>)>,
    pub(crate) options: &'static str,
    /// Whether the bytes of the last one are missing.
    pub(crate) is_cut: bool,
}

/// A filesystem with an overlay that can be changed.
pub(crate) struct Written {
    pub(crate) view: View,
    writer: Writer<Space>,
}

impl Written {
    pub(crate) fn engine(&self) -> Engine<'_> {
        Engine {
            btrees: &self.view.btrees,
            writer: &self.writer,
        }
    }
}

impl Overlay {
    pub(crate) fn with(btree: BtreeId, key_type: KeyType, p: Bpos, size: u32, v: &[u8]) -> Self {
        let mut overlay = Self::default();
        overlay.add(btree, key_type, p, size, v);
        overlay
    }

    pub(crate) fn add(&mut self, btree: BtreeId, key_type: KeyType, p: Bpos, size: u32, v: &[u8]) {
        let k = Bkey {
            key_type,
            p,
            size,
            ..Bkey::default()
        };
        let mut v = v.to_vec();
        v.resize(v.len().next_multiple_of(8), 0);
        let words = u8::try_from(v.len() / 8).unwrap();
        let mut bytes = RawBkey::encode(&k, words).unwrap().as_bytes().to_vec();
        bytes.extend(v);
        self.keys.push((btree, bytes));
    }

    fn started(&self, name: &str) -> Result<(Btrees, Start)> {
        let mut devs = EnvVec::new();
        for dev in devices(image(name).expect(name)) {
            devs.push(dev).unwrap();
        }
        let mut opts = Opts::default();
        opts.parse_list(self.options).unwrap();
        let st = Arc::try_new(sb::open(devs, &opts).unwrap()).unwrap();
        let mut contents = journal::read(&st, false).unwrap();
        let start = Start::after(&mut contents).unwrap();
        for (nr, (btree, bytes)) in self.keys.iter().enumerate() {
            let mut buffer = EnvVec::new();
            buffer.extend_from_slice(bytes).unwrap();
            contents.keys.add_buffer(1, buffer).unwrap();
            let cut = self.is_cut && nr + 1 == self.keys.len();
            contents.keys.push(*btree, 0, if cut { 4096 } else { 0 })?;
        }
        contents.keys.finish()?;
        Ok((Btrees::start(st, contents)?, start))
    }

    /// What is read of an image with these keys.
    pub(crate) fn read(&self, name: &str) -> Result<View> {
        View::new(self.started(name)?.0)
    }

    /// The same, to be changed.
    pub(crate) fn write(&self, name: &str) -> Written {
        let (btrees, start) = self.started(name).unwrap();
        let view = View::new(btrees).unwrap();
        let st = view.btrees.sb().clone();
        st.mark_dirty(view.btrees.blacklist().ranges()).unwrap();
        let journal = Journal::start(st, &start).unwrap();
        journal.write_entry().unwrap();
        let space = Space::try_new(&view.btrees, journal.clone()).unwrap();
        Written {
            writer: Writer::try_new(journal, space).unwrap(),
            view,
        }
    }
}
