// SPDX-License-Identifier: GPL-2.0

//! Writes that nobody waits for: the data is on its way to all devices when [`start`] returns, and
//! the keys are put in the btree by a task that runs when the devices are done.

use super::{
    bytes::{
        copy,
        Bytes, //
    },
    in_place::Over,
    op::{
        Op,
        Written,
        SECTOR, //
    },
    seal::Sealed,
    WriteOptions, //
};
use crate::{
    alloc::space::{
        Engine,
        KeptPlace,
        Space, //
    },
    data::FileId,
    env::{
        num::usize_of_u32,
        span::Span,
        time::monotonic_ns,
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::sb::assemble::DevMask,
    snapshots::View,
    sys::{
        block::{
            plugged,
            Cargo,
            Flight,
            Landing, //
        },
        workqueue::WorkQueue, //
    },
};

/// Data on its way, and who is told of its end. It keeps the filesystem there. It can be for more
/// than one range of a file.
pub trait Source: Bytes + Send + Sync + 'static {
    /// What writes.
    fn engine(&self) -> Result<Engine<'_>>;

    /// The space that the places of data are taken from.
    fn space(&self) -> Option<&Space>;

    /// The filesystem.
    fn view(&self) -> &View;

    /// The file.
    fn file(&self) -> FileId;

    /// The sector of the file that byte `skip` goes to.
    fn sector_at(&self, skip: usize) -> u64;

    /// How its data is written.
    fn options(&self) -> &WriteOptions;

    /// What its size will be at least, as far as data was written.
    fn size(&self) -> u64;

    /// Somebody waits for it.
    fn is_waited_for(&self) -> bool;

    /// A part was written, or not. Once for each part, in any order; when there will be no more the
    /// source is dropped.
    fn part_ended(&self, written: Written, result: Result);
}

/// One place that data goes to.
struct Leg<S: Source> {
    source: Arc<S>,
    /// The first byte of the source, and how many bytes.
    skip: usize,
    len: usize,
    place: KeptPlace,
    sealed: Sealed,
    /// What is written over, if it is.
    over: Option<Over>,
    /// When that began.
    since: u64,
}

/// Starts writing the first `len` bytes of `source`, whole blocks. What they come to, and that they
/// can not be written, is told to the source, by a task of `queue`, which must be there until then;
/// or before this returns.
///
/// C: `bch2_write()`.
pub fn start<S: Source>(source: &Arc<S>, len: usize, queue: &WorkQueue) {
    let sent = plugged(|| {
        send_all(source, len, |flight| {
            flight.detach(queue);
            Ok(())
        })
    });
    if let Err(e) = sent {
        source.part_ended(Written::default(), Err(e));
    }
}

/// The same, and waits until all was told to the source.
pub fn run<S: Source>(source: &Arc<S>, len: usize) {
    let mut flights = Vec::new();
    let sent = plugged(|| send_all(source, len, |flight| flights.push(flight)));
    for flight in flights {
        flight.wait();
    }
    if let Err(e) = sent {
        source.part_ended(Written::default(), Err(e));
    }
}

fn op_of<S: Source>(source: &S) -> Result<Op<'_>> {
    Ok(Op {
        engine: source.engine()?,
        view: source.view(),
        file: source.file(),
        options: source.options(),
        size: source.size(),
    })
}

/// Sends data to as many places as it takes. What `each` fails for is not told to the source.
fn send_all<S: Source>(
    source: &Arc<S>,
    len: usize,
    mut each: impl FnMut(Flight<Leg<S>>) -> Result,
) -> Result {
    let op = op_of(&**source)?;
    op.check_aligned(len)?;
    if let Some(written) = op.put_inline(&**source, source.sector_at(0), len)? {
        source.part_ended(written, Ok(()));
        return Ok(());
    }
    let mut skip = 0usize;
    while skip < len {
        let flight = send_some(source, skip, len.saturating_sub(skip))?;
        let now = flight.payload().len;
        each(flight)?;
        skip = skip.saturating_add(now);
    }
    Ok(())
}

/// Sends the first of `len` bytes to one place.
#[inline(never)]
fn send_some<S: Source>(source: &Arc<S>, skip: usize, len: usize) -> Result<Flight<Leg<S>>> {
    let since = monotonic_ns();
    let op = op_of(&**source)?;
    let together = len.min(source.together(skip));
    let leg = match op.over(source.sector_at(skip), together)? {
        Some((place, over)) => Leg {
            source: source.clone(),
            skip,
            len: usize_of_u32(over.sectors).saturating_mul(SECTOR),
            place,
            sealed: Sealed::nothing(),
            over: Some(over),
            since,
        },
        None => {
            let squeezed = op.squeeze(&**source, skip, len)?;
            let wanted = squeezed.as_ref().map_or(len, |s| s.bytes.len());
            let place = op.place(wanted, &DevMask::default())?;
            let sealed = op.seal(&**source, skip, squeezed, place.sectors)?;
            op.mark_replicas(place.copies.iter())?;
            Leg {
                source: source.clone(),
                skip,
                len: sealed.len(),
                place: place.keep(),
                sealed,
                over: None,
                since,
            }
        }
    };
    let st = source.view().sb();
    for ptr in leg.place.copies.iter() {
        st.dev_or_gone(ptr.dev)?;
    }
    let flight = Flight::try_new(leg)?;
    for (nr, ptr) in (0..).zip(flight.payload().place.copies.iter()) {
        let dev = st.dev_or_gone(ptr.dev)?;
        flight.send(&dev.bdev, ptr.offset.0, nr, source.is_waited_for());
    }
    Ok(flight)
}

impl<S: Source> Cargo for Leg<S> {
    fn spans(&self) -> impl Iterator<Item = Span<'_>> {
        let own = self.sealed.own.iter().map(|own| Span::Still(own));
        let theirs = match self.sealed.own {
            Some(_) => 0,
            None => self.len,
        };
        own.chain(self.source.spans(self.skip, theirs))
    }
}

impl<S: Source> Landing for Leg<S> {
    fn landed(self, failed: u32) {
        let mut written = Written::default();
        let result = self.put(failed, &mut written);
        self.source.view().sb().times.data_write.end(self.since);
        self.source.part_ended(written, result);
    }
}

impl<S: Source> Leg<S> {
    /// Puts the keys of what was written in the btree; what was not, is written elsewhere.
    #[inline(never)]
    fn put(&self, failed: u32, written: &mut Written) -> Result {
        let op = op_of(&*self.source)?;
        let mut avoid = DevMask::default();
        if let Some(over) = &self.over {
            return self.put_over(&op, over, failed, written);
        }
        match op.settle(
            &self.place.copies,
            self.sealed.stored_len(),
            failed,
            &mut avoid,
        ) {
            Ok(good) => {
                let sector_at = |into: usize| self.source.sector_at(self.skip.saturating_add(into));
                *written = op.put_keys(sector_at, &self.sealed.parts, &good)?;
                Ok(())
            }
            Err(e @ Error::DataWriteFailed) => self.again(&op, avoid, Some(e), written),
            Err(e) => Err(e),
        }
    }

    /// The same of what was written over.
    #[inline(never)]
    fn put_over(&self, op: &Op<'_>, over: &Over, failed: u32, written: &mut Written) -> Result {
        let mut avoid = DevMask::default();
        match op.settle_over(&self.place.copies, over, failed, &mut avoid)? {
            Ok(done) => *written = done,
            Err(why) => self.again(op, avoid, why, written)?,
        }
        Ok(())
    }

    #[cold]
    fn again(
        &self,
        op: &Op<'_>,
        avoid: DevMask,
        why: Option<Error>,
        written: &mut Written,
    ) -> Result {
        let (mut skip, end) = (self.skip, self.skip.saturating_add(self.len));
        while skip < end {
            let len = end.saturating_sub(skip).min(self.source.together(skip));
            let data = copy(&*self.source, skip, len)?;
            let at = self.source.sector_at(skip);
            op.write_avoiding(at, &data, avoid, why, written)?;
            skip = skip.saturating_add(len.max(1));
        }
        Ok(())
    }
}

impl<S: Source> Drop for Leg<S> {
    fn drop(&mut self) {
        if let Some(space) = self.source.space() {
            self.place.close(space);
        }
        if self.over.is_some() {
            self.source.view().gate.end_op();
        }
    }
}
