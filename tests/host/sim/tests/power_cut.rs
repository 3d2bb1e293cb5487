// SPDX-License-Identifier: GPL-2.0

//! What the simulated devices leave when the power is lost, and how they fail.

use sim::{
    error::Error,
    sys::block::{
        BlockDevice,
        Disk,
        Durability::{
            self,
            Cached,
            Fua, //
        },
        Fault,
        Kind,
        Power,
        PowerCut,
        Replay, //
    },
};
use std::{
    collections::BTreeSet,
    sync::Arc, //
};

const SECTORS: u64 = 24;
const SEEDS: u64 = 40;

fn device(power: &Power) -> BlockDevice {
    BlockDevice::recorded("disk", Disk::zeros(SECTORS), power)
}

/// Sectors that are full of `value`.
fn full_of(value: u16, sectors: usize) -> Vec<u8> {
    value.to_le_bytes().repeat(256 * sectors)
}

fn write(dev: &BlockDevice, sector: u64, sectors: usize, value: u16, how: Durability) {
    dev.write(sector, &full_of(value, sectors), how).unwrap();
}

/// What each sector is full of.
fn values(disk: &Disk) -> Vec<u16> {
    let mut all = vec![0; 512 * disk.nr_sectors() as usize];
    disk.read(0, &mut all).unwrap();
    all.chunks(512)
        .map(|sector| {
            let value = u16::from_le_bytes([sector[0], sector[1]]);
            assert_eq!(sector, full_of(value, 1), "a torn sector");
            value
        })
        .collect()
}

/// All that can be left of the first `sectors` sectors.
fn outcomes(dev: &BlockDevice, at: u64, sectors: usize) -> BTreeSet<Vec<u16>> {
    let mut replay = Replay::new(&dev.medium()).unwrap();
    (0..400)
        .map(|seed| values(&replay.image(PowerCut { at, seed }))[..sectors].to_vec())
        .collect()
}

fn set<const N: usize>(of: [&[u16]; N]) -> BTreeSet<Vec<u16>> {
    of.into_iter().map(<[u16]>::to_vec).collect()
}

#[test]
fn what_was_flushed_is_there() {
    let power = Power::new();
    let dev = device(&power);
    write(&dev, 0, 2, 1, Cached);
    let written = power.now();
    dev.flush().unwrap();
    assert_eq!(
        outcomes(&dev, written, 2),
        set([&[0, 0], &[1, 0], &[0, 1], &[1, 1]])
    );
    // While the flush is going on, nothing is certain yet.
    assert!(outcomes(&dev, power.now() - 1, 2).contains(&[0, 0][..]));
    assert_eq!(outcomes(&dev, power.now(), 2), set([&[1, 1]]));
    assert_eq!(outcomes(&dev, 0, 2), set([&[0, 0]]));
}

#[test]
fn what_was_written_through_is_there_and_nothing_else() {
    let power = Power::new();
    let dev = device(&power);
    write(&dev, 0, 1, 1, Cached);
    write(&dev, 1, 1, 2, Fua);
    assert_eq!(outcomes(&dev, power.now(), 2), set([&[0, 2], &[1, 2]]));
    // It has not returned.
    assert_eq!(
        outcomes(&dev, power.now() - 1, 2),
        set([&[0, 0], &[1, 0], &[0, 2], &[1, 2]])
    );
}

#[test]
fn nothing_older_than_what_is_there() {
    let power = Power::new();
    let dev = device(&power);
    write(&dev, 0, 2, 1, Cached);
    write(&dev, 0, 1, 2, Fua);
    write(&dev, 1, 1, 3, Cached);
    assert_eq!(
        outcomes(&dev, power.now(), 2),
        set([&[2, 0], &[2, 1], &[2, 3]])
    );
}

#[test]
fn writes_are_reordered() {
    let power = Power::new();
    let dev = device(&power);
    write(&dev, 0, 1, 1, Cached);
    write(&dev, 1, 1, 2, Cached);
    assert!(outcomes(&dev, power.now(), 2).contains(&[0, 2][..]));
}

#[test]
fn discarded_sectors_are_something_else() {
    const NOTHING: u16 = 0xd5d5;
    let power = Power::new();
    let dev = device(&power);
    write(&dev, 0, 2, 1, Fua);
    dev.discard(0, 2).unwrap();
    let left = outcomes(&dev, power.now(), 2);
    assert!(left.contains(&[1, 1][..]) && left.contains(&[NOTHING, NOTHING][..]));
    assert_eq!(values(&dev.medium().contents())[..3], [NOTHING, NOTHING, 0]);
    write(&dev, 0, 1, 3, Cached);
    dev.flush().unwrap();
    assert_eq!(outcomes(&dev, power.now(), 2), set([&[3, NOTHING]]));
}

/// A version of a sector.
struct Version {
    begin: u64,
    /// From when on it is certain to be there, or something newer.
    certain: u64,
    value: u16,
}

// Any work on a disk: at any moment each sector is as it was written once, and not as it was before
// the last that is certain.
#[test]
fn every_sector_at_every_moment() {
    let mut random = 12345u64;
    let mut below = |n: u64| {
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (random >> 33) % n
    };
    for _ in 0..8 {
        let power = Power::new();
        let dev = device(&power);
        let mut versions: Vec<Vec<Version>> = (0..SECTORS).map(|_| Vec::new()).collect();
        for value in 1..60 {
            if below(6) == 0 {
                dev.flush().unwrap();
                let now = power.now();
                for version in versions.iter_mut().flatten() {
                    version.certain = version.certain.min(now);
                }
                continue;
            }
            let (sector, how) = (below(SECTORS), [Cached, Cached, Fua][below(3) as usize]);
            let sectors = 1 + below((SECTORS - sector).min(5));
            let begin = power.now();
            write(&dev, sector, sectors as usize, value, how);
            for of in &mut versions[sector as usize..][..sectors as usize] {
                of.push(Version {
                    begin,
                    certain: if how == Fua { power.now() } else { u64::MAX },
                    value,
                });
            }
        }
        let mut replay = Replay::new(&dev.medium()).unwrap();
        for at in 0..=power.now() {
            for seed in 0..SEEDS {
                let left = values(&replay.image(PowerCut { at, seed }));
                for (value, of) in left.iter().zip(&versions) {
                    let oldest = of.iter().rposition(|v| v.certain <= at);
                    let may = of[oldest.unwrap_or(0)..].iter().filter(|v| v.begin < at);
                    let mut may: Vec<u16> = may.map(|v| v.value).collect();
                    may.extend(oldest.is_none().then_some(0));
                    assert!(
                        may.contains(value),
                        "{value} at {at} with {seed}, not {may:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_same_cut_leaves_the_same() {
    let power = Power::new();
    let dev = device(&power);
    for value in 1..20 {
        write(&dev, u64::from(value % 7), 3, value, Cached);
        if value % 5 == 0 {
            dev.flush().unwrap();
        }
    }
    let mut there = Replay::new(&dev.medium()).unwrap();
    for at in (0..power.now()).rev() {
        let cut = PowerCut { at, seed: 7 };
        let mut alone = Replay::new(&dev.medium()).unwrap();
        assert_eq!(values(&there.image(cut)), values(&alone.image(cut)));
    }
}

#[test]
fn two_devices_lose_power_at_once() {
    let power = Power::new();
    let (a, b) = (device(&power), device(&power));
    let mut moments = Vec::new();
    for value in 1..6 {
        write(&a, 0, 1, value, Fua);
        write(&b, 0, 1, value, Fua);
        moments.push(power.now());
    }
    for (value, at) in (1..).zip(moments) {
        assert_eq!(outcomes(&a, at, 1), set([&[value]]));
        assert_eq!(outcomes(&b, at, 1), set([&[value]]));
        assert_eq!(outcomes(&b, at - 2, 1), set([&[value - 1]]));
    }
}

// Whatever runs beside a flush, what had returned before it is there after it.
#[test]
fn a_flush_covers_what_had_returned() {
    let power = Power::new();
    let dev = device(&power);
    let (returned, flushed) = std::thread::scope(|s| {
        let writer = s.spawn(|| {
            let each = (1..300).map(|value| {
                write(&dev, 0, 1, value, Cached);
                (value, power.now())
            });
            each.collect::<Vec<_>>()
        });
        let flusher = s.spawn(|| {
            let each = (0..300).map(|_| {
                let begin = power.now();
                dev.flush().unwrap();
                (begin, power.now())
            });
            each.collect::<Vec<_>>()
        });
        (writer.join().unwrap(), flusher.join().unwrap())
    });
    let mut replay = Replay::new(&dev.medium()).unwrap();
    for (begin, at) in flushed {
        let before = returned.iter().take_while(|(_, moment)| *moment <= begin);
        let certain = before.map(|(value, _)| *value).last().unwrap_or(0);
        for seed in 0..10 {
            assert!(values(&replay.image(PowerCut { at, seed }))[0] >= certain);
        }
    }
}

#[test]
fn an_image_is_a_device_again() {
    let power = Power::new();
    let dev = device(&power);
    write(&dev, 3, 1, 9, Fua);
    let cut = PowerCut {
        at: power.now(),
        seed: 0,
    };
    let left = Replay::new(&dev.medium()).unwrap().image(cut);
    write(&dev, 3, 1, 10, Fua);
    let next = BlockDevice::recorded("next", left.clone(), &Power::new());
    write(&next, 4, 1, 11, Fua);
    assert_eq!(values(&left)[3..5], [9, 0]);
    assert_eq!(values(&next.medium().contents())[3..5], [9, 11]);
}

#[test]
fn only_what_is_recorded_can_be_replayed() {
    let dev = BlockDevice::from_memory("plain", Arc::new(vec![0; 4096]));
    assert!(Replay::new(&dev.medium()).is_none());
}

#[test]
fn transfers_that_fail() {
    let dev = device(&Power::new());
    let medium = dev.medium();
    let mut buf = [0; 1024];
    medium.inject(Kind::Write, 1, Fault::Fail);
    medium.inject(Kind::Read, 0, Fault::Fail);
    medium.inject(Kind::Flush, 2, Fault::Fail);
    medium.inject(Kind::Discard, 0, Fault::Fail);
    assert_eq!(dev.read(0, &mut buf), Err(Error::Io));
    assert_eq!(dev.read(0, &mut buf), Ok(()));
    let one = full_of(1, 2);
    let results: Vec<_> = (0..3).map(|at| dev.write(2 * at, &one, Cached)).collect();
    assert_eq!(results, [Ok(()), Err(Error::Io), Ok(())]);
    assert_eq!(values(&medium.contents())[..6], [1, 1, 0, 0, 1, 1]);
    let results: Vec<_> = (0..4).map(|_| dev.flush()).collect();
    assert_eq!(results, [Ok(()), Ok(()), Err(Error::Io), Ok(())]);
    assert_eq!(dev.discard(0, 1), Err(Error::Io));

    medium.fail_from_then_on(Kind::Write, 1);
    let results: Vec<_> = (0..4).map(|_| dev.write(0, &one, Cached)).collect();
    assert_eq!(
        results,
        [Ok(()), Err(Error::Io), Err(Error::Io), Err(Error::Io)]
    );
    medium.heal();
    assert_eq!(dev.write(0, &one, Cached), Ok(()));
}

#[test]
fn transfers_that_go_wrong() {
    let power = Power::new();
    let dev = device(&power);
    let medium = dev.medium();
    medium.inject(Kind::Write, 0, Fault::Misdirect(8));
    medium.inject(Kind::Write, 1, Fault::FailHalf);
    medium.inject(Kind::Write, 2, Fault::Lose);
    write(&dev, 0, 2, 1, Fua);
    assert_eq!(dev.write(0, &full_of(2, 2), Fua), Err(Error::Io));
    write(&dev, 2, 2, 3, Fua);
    let now = values(&medium.contents());
    assert_eq!((&now[..4], &now[8..10]), (&[2, 0, 0, 0][..], &[1, 1][..]));
    // What went to the wrong place is there; what failed is there or not.
    assert_eq!(
        outcomes(&dev, power.now(), 4),
        set([&[0; 4], &[2, 0, 0, 0]])
    );

    medium.inject(Kind::Flush, 0, Fault::Lose);
    write(&dev, 4, 1, 4, Cached);
    dev.flush().unwrap();
    let cut = |seed| PowerCut {
        at: power.now(),
        seed,
    };
    let mut replay = Replay::new(&medium).unwrap();
    assert!((0..99).any(|seed| values(&replay.image(cut(seed)))[4] == 0));
}

#[test]
fn who_is_halted_changes_nothing() {
    let power = Power::new();
    let dev = device(&power);
    let medium = dev.medium();
    write(&dev, 0, 1, 1, Cached);
    let halted = power.now();
    dev.flush().unwrap();
    dev.read(0, &mut [0; 512]).unwrap();
    assert_eq!(medium.changes_since(halted), 0);
    write(&dev, 0, 1, 1, Cached);
    dev.discard(0, 1).unwrap();
    assert_eq!(medium.changes_since(halted), 2);
    assert_eq!(medium.changes_since(0), 3);
}

#[test]
fn blocks_that_are_larger() {
    let dev = device(&Power::new());
    dev.medium().set_block_bytes(4096);
    assert_eq!(dev.logical_block_bytes(), 4096);
    let write = |sector, len| dev.write(sector, &vec![0; len], Cached);
    assert_eq!(write(0, 512), Err(Error::DeviceWriteUnaligned));
    assert_eq!(write(4, 4096), Err(Error::DeviceWriteUnaligned));
    assert_eq!(write(16, 4096), Ok(()));
    assert_eq!(dev.discard(4, 8), Err(Error::DeviceDiscardRange));
    // Reads may be of any sectors.
    dev.read(3, &mut [0; 512]).unwrap();
}
