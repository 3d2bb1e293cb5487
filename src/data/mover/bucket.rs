// SPDX-License-Identifier: GPL-2.0

//! Emptying one bucket.

use super::{
    extent::Extent,
    load::{
        load,
        together, //
    },
    send::{
        send,
        Sent, //
    },
    update::{
        self,
        Put, //
    },
};
use crate::{
    alloc::space::{
        Engine,
        Fragmented, //
    },
    env::{
        Arc,
        Vec, //
    },
    error::Result,
    format::sb::counters::Counter,
    snapshots::View,
};

/// Moves what is in a bucket elsewhere; how much of it was. While one part is being written the
/// next one is read, so there are two of [`READ_MAX`](super::load::READ_MAX) in memory.
///
/// What can not be read, or somebody else is changing, stays. C: `bch2_evacuate_bucket()`.
#[inline(never)]
pub(super) fn evacuate(
    engine: Engine<'_>,
    view: &View,
    of: &Fragmented,
    stop: &dyn Fn() -> bool,
) -> Result<Put> {
    let extents = extents_in(engine, of)?;
    let mut all = Put::default();
    let mut under_way: Option<Sent<'_>> = None;
    let mut queue = Vec::new();
    let mut rest: &[Arc<Extent>] = &extents;
    let mut land = |sent: Option<Sent<'_>>| -> Result {
        let Some(sent) = sent else {
            return Ok(());
        };
        sent.finish(engine, |piece| {
            let put = update::put(engine, view, piece)?;
            let st = view.sb();
            st.counters.add(Counter::DATA_UPDATE, put.moved);
            st.counters.add(Counter::DATA_UPDATE_KEY, put.moved);
            st.counters.add(Counter::DATA_UPDATE_KEY_FAIL, put.raced);
            all.add(put);
            Ok(())
        })
    };
    while !rest.is_empty() && !stop() {
        let (now, later) = rest
            .split_at_checked(together(rest).max(1))
            .unwrap_or((rest, &[]));
        rest = later;
        load(engine, now, &mut queue)?;
        while let Some(sent) = send(engine, &mut queue)? {
            land(under_way.replace(sent))?;
        }
    }
    land(under_way.take())?;
    view.sb().count(Counter::EVACUATE_BUCKET);
    Ok(all)
}

#[inline(never)]
fn extents_in(engine: Engine<'_>, of: &Fragmented) -> Result<Vec<Arc<Extent>>> {
    let mut extents = Vec::new();
    for place in engine.data_in(of)? {
        if let Some(extent) = Extent::at(engine, of, &place)? {
            extents.push(Arc::try_new(extent)?)?;
        }
    }
    Ok(extents)
}
