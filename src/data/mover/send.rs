// SPDX-License-Identifier: GPL-2.0

//! Images on their way to a new place.

use super::{
    extent::Extent,
    image::{
        Image,
        SECTOR, //
    },
    load::Loaded,
};
use crate::{
    alloc::space::{
        DataPlace,
        DataRequest,
        Engine, //
    },
    env::{
        num::sat_u32,
        pr_err,
        span::Span,
        Arc,
        Few,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        data_type::DataType,
        sb::counters::Counter,
        values::{
            crc::Crc,
            extent_entry::Ptr, //
        },
    },
    sys::block::{
        plugged,
        Cargo,
        Flight, //
    },
};

/// A part of an extent that is in its new place.
pub(super) struct Piece {
    pub(super) extent: Arc<Extent>,
    /// The first sector of the file, and how many.
    pub(super) start: u64,
    pub(super) sectors: u32,
    pub(super) copies: Few<Ptr, 4>,
    pub(super) crc: Option<Crc>,
}

/// What is written.
struct Leg(Vec<Image>);

impl Cargo for Leg {
    fn spans(&self) -> impl Iterator<Item = Span<'_>> {
        self.0.iter().map(|i| Span::Still(&i.bytes))
    }
}

/// Images that are being written, and what they are of.
pub(super) struct Sent<'a> {
    flight: Flight<Leg>,
    pieces: Vec<Piece>,
    place: DataPlace<'a>,
}

/// Takes from the front of `queue` what fits one place, and sends it there; `None` when nothing is
/// left.
#[inline(never)]
pub(super) fn send<'a>(engine: Engine<'a>, queue: &mut Vec<Loaded>) -> Result<Option<Sent<'a>>> {
    loop {
        let Some(wish) = queue.first().map(|l| l.extent.wish) else {
            return Ok(None);
        };
        let same = queue.iter().take_while(|l| l.extent.wish == wish);
        let wanted = same.map(|l| l.image.stored());
        let place = engine.place_moved(&DataRequest {
            stream: 0,
            sectors: wanted.fold(0, u32::saturating_add),
            nr_replicas: wish.nr_replicas,
            target: wish.target,
            avoid: wish.avoid,
        })?;
        let (images, pieces) = fill(engine, queue, &place)?;
        if !images.is_empty() {
            return start(engine, images, pieces, place).map(Some);
        }
        // Devices can have buckets that are smaller than what is compressed together.
        let first = queue.first_mut().ok_or(Error::Overflow)?;
        if !first.image.expand(engine.btrees.sb())? {
            return Err(Error::MovedNoRoom);
        }
    }
}

/// What of the front of `queue` goes to `place`, in order.
fn fill(
    engine: Engine<'_>,
    queue: &mut Vec<Loaded>,
    place: &DataPlace<'_>,
) -> Result<(Vec<Image>, Vec<Piece>)> {
    let st = engine.btrees.sb();
    let block = u32::from(st.sb.block_sectors()).max(1);
    let (mut images, mut pieces) = (Vec::new(), Vec::new());
    let (mut at, mut used) = (0usize, 0u32);
    let wish = queue.first().map(|l| l.extent.wish);
    while used < place.sectors {
        let room = place.sectors.saturating_sub(used);
        let Some(next) = queue.get_mut(at).filter(|l| Some(l.extent.wish) == wish) else {
            break;
        };
        let extent = next.extent.clone();
        let image = if next.image.stored() <= room {
            queue.remove(at).map(|l| l.image)
        } else {
            next.image.cut(room & !block.wrapping_sub(1))?
        };
        // What can not be cut is for the next place; another one may fit here.
        let Some(mut image) = image else {
            at = at.saturating_add(1);
            continue;
        };
        image.finish(st)?;
        let mut copies = Few::new();
        for ptr in place.copies.iter() {
            let mut ptr = *ptr;
            ptr.offset.0 = ptr.offset.0.saturating_add(used.into());
            ptr.unwritten = extent.old.ptr.unwritten;
            copies.push(ptr)?;
        }
        used = used.saturating_add(image.stored());
        pieces.push(Piece {
            extent,
            start: image.start,
            sectors: image.sectors,
            copies,
            crc: image.crc,
        })?;
        images.push(image)?;
    }
    Ok((images, pieces))
}

#[inline(never)]
fn start<'a>(
    engine: Engine<'a>,
    images: Vec<Image>,
    pieces: Vec<Piece>,
    place: DataPlace<'a>,
) -> Result<Sent<'a>> {
    let st = engine.btrees.sb();
    let mut devs = pieces
        .first()
        .map_or_else(Default::default, |p| p.extent.wish.avoid);
    for ptr in place.copies.iter() {
        st.dev_or_gone(ptr.dev)?;
        devs.add(ptr.dev.0);
    }
    st.mark_replicas(DataType::USER, &devs)?;
    let flight = Flight::try_new(Leg(images))?;
    plugged(|| -> Result {
        for (nr, ptr) in (0..).zip(place.copies.iter()) {
            let dev = st.dev_or_gone(ptr.dev)?;
            flight.send(&dev.bdev, ptr.offset.0, nr, false);
        }
        Ok(())
    })?;
    Ok(Sent {
        flight,
        pieces,
        place,
    })
}

impl Sent<'_> {
    /// Waits until all is written, and calls `put` with each piece. The place stays taken until
    /// then. [`Error::MovedWriteFailed`] when a device could not take its copy.
    #[inline(never)]
    pub(super) fn finish(
        self,
        engine: Engine<'_>,
        mut put: impl FnMut(&Piece) -> Result,
    ) -> Result {
        let st = engine.btrees.sb();
        let (Leg(images), failed) = self.flight.ended();
        let bytes = images.iter().map(|i| i.bytes.len());
        let sectors = sat_u32(bytes.fold(0, usize::saturating_add) / SECTOR);
        let mut all_done = true;
        for (nr, ptr) in (0..).zip(self.place.copies.iter()) {
            let dev = st.dev_or_gone(ptr.dev)?;
            // Who was stopped meanwhile is flushed no more.
            if failed.checked_shr(nr).unwrap_or(0) & 1 == 0 && !dev.is_stopped() {
                dev.errors.write_done();
                dev.stats.count_write(DataType::USER, sectors.into());
                continue;
            }
            all_done = false;
            dev.errors.count_write(Error::Io);
            let (name, at) = (dev.bdev.name(), ptr.offset);
            pr_err!("{name}: writing {sectors} sectors of moved data at sector {at} failed");
        }
        st.counters.add(Counter::DATA_UPDATE_WRITE, sectors.into());
        engine.writer.journal.add_clock(1, sectors.into());
        if !all_done {
            let sectors = self.pieces.iter().map(|p| p.sectors);
            let sectors = sectors.fold(0, u32::saturating_add);
            st.counters.add(Counter::DATA_UPDATE_FAIL, sectors.into());
            return Err(Error::MovedWriteFailed);
        }
        self.pieces.iter().try_for_each(&mut put)
    }
}
