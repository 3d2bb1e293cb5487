// SPDX-License-Identifier: GPL-2.0

//! Reading extents that are moved: neighbours in the bucket at once, and what is bad there from
//! another copy.

use super::{
    extent::Extent,
    image::{
        range_of,
        Image,
        SECTOR, //
    },
};
use crate::{
    alloc::space::Engine,
    env::{
        num::{
            usize_of,
            usize_of_u32, //
        },
        pr_err,
        units::DevIdx,
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        data_type::DataType,
        sb::counters::Counter,
        values::extent::DecodedPtr, //
    },
};

/// The most bytes that are read at once, and so are in memory of what waits for a place.
pub(super) const READ_MAX: u64 = 1 << 20;
/// Bytes between two extents that are rather read than left out.
const GAP_MAX: u64 = 64 << 10;
/// Bytes in a sector.
const SECTOR_BYTES: u64 = 512;

/// An extent and what is stored of it, or of a part.
pub(super) struct Loaded {
    pub(super) extent: Arc<Extent>,
    pub(super) image: Image,
}

/// How many of the first extents are read together.
pub(super) fn together(extents: &[Arc<Extent>]) -> usize {
    let mut nr = 0usize;
    let (mut first, mut behind) = (0u64, 0u64);
    for extent in extents {
        let (start, sectors) = range_of(&extent.old);
        let end = start.saturating_add(sectors.into()).max(behind);
        if nr == 0 {
            first = start;
        } else {
            let gap = start.saturating_sub(behind).saturating_mul(SECTOR_BYTES);
            let all = end.saturating_sub(first).saturating_mul(SECTOR_BYTES);
            if gap > GAP_MAX || all > READ_MAX || start < first {
                break;
            }
        }
        (nr, behind) = (nr.saturating_add(1), end);
    }
    nr
}

/// Reads extents that are [`together`] in the bucket. Those that can not be read are left out, and
/// told of.
#[inline(never)]
pub(super) fn load(
    engine: Engine<'_>,
    extents: &[Arc<Extent>],
    loaded: &mut Vec<Loaded>,
) -> Result {
    let (Some(first), Some(dev)) = (extents.first(), extents.first().map(|e| e.old.ptr.dev)) else {
        return Ok(());
    };
    let (start, _) = range_of(&first.old);
    let ends = extents.iter().map(|e| {
        let (at, sectors) = range_of(&e.old);
        at.saturating_add(sectors.into())
    });
    let end = ends.max().unwrap_or(start);
    let all = read(engine, dev, start, end.saturating_sub(start));
    if let Err(e @ Error::NoMemory) = all {
        return Err(e);
    }
    for extent in extents {
        let (at, sectors) = range_of(&extent.old);
        let skip = usize_of(at.saturating_sub(start)).saturating_mul(SECTOR);
        let len = usize_of_u32(sectors).saturating_mul(SECTOR);
        let here = all.as_ref().ok();
        let here = here.and_then(|all| all.get(skip..skip.saturating_add(len)));
        if let Some(image) = image_of(engine, extent, here)? {
            loaded.push(Loaded {
                extent: extent.clone(),
                image,
            })?;
        }
    }
    Ok(())
}

/// What is stored of an extent, whose copy in the bucket is `here` if it could be read with others.
fn image_of(engine: Engine<'_>, extent: &Extent, here: Option<&[u8]>) -> Result<Option<Image>> {
    let st = &engine.btrees.sb();
    let unwritten = extent.old.ptr.unwritten;
    let mut failure = Error::Io;
    for src in extent.sources(engine)?.iter() {
        let own = match here.filter(|_| *src == extent.old) {
            _ if unwritten => zeros(src),
            Some(_) => Ok(Vec::new()),
            None => {
                let (at, sectors) = range_of(src);
                read(engine, src.ptr.dev, at, sectors.into())
            }
        };
        let made = own.and_then(|own| {
            let stored = here.filter(|_| own.is_empty()).unwrap_or(&own);
            Image::of(st, extent, src, stored)
        });
        match made {
            Ok(image) => return Ok(Some(image)),
            Err(e @ Error::NoMemory) => return Err(e),
            Err(e) => {
                failure = e;
                if let Some(dev) = st.dev(src.ptr.dev) {
                    dev.errors.count(e);
                }
            }
        }
    }
    let sectors = extent.key.k.size;
    st.counters.add(Counter::DATA_UPDATE_FAIL, sectors.into());
    if st.admit_message() {
        let (k, ptr) = (extent.key.k, extent.old.ptr);
        pr_err!(
            "{}: extent {k} can not be moved from {ptr}: {failure}",
            st.name()
        );
    }
    Ok(None)
}

/// Space that is allocated and reads as zeros is moved as such.
fn zeros(src: &DecodedPtr) -> Result<Vec<u8>> {
    let (_, sectors) = range_of(src);
    Vec::from_elem(0u8, usize_of_u32(sectors).saturating_mul(SECTOR))
}

#[inline(never)]
fn read(engine: Engine<'_>, dev: DevIdx, at: u64, sectors: u64) -> Result<Vec<u8>> {
    let st = engine.btrees.sb();
    let dev = st.dev_or_gone(dev)?;
    let mut bytes = Vec::from_elem(0u8, usize_of(sectors).saturating_mul(SECTOR))?;
    dev.bdev.read(at, &mut bytes)?;
    dev.stats.count_read(DataType::USER, sectors);
    st.counters.add(Counter::DATA_UPDATE_READ, sectors);
    Ok(bytes)
}
