// SPDX-License-Identifier: GPL-2.0

//! Benchmarks of the btrees, started by writing `TEST NUMBER THREADS` to `perf_test`. They use free
//! positions of a btree that no other key refers to, and leave keys there that a check complains
//! about: not for a filesystem that is used.

use crate::{
    alloc::space::{
        Engine,
        Trans, //
    },
    btree::{
        trans::TransResult,
        KeyBuf, //
    },
    env::{
        num::div_or_zero,
        pr_err,
        pr_info,
        random_u64,
        time::monotonic_ns,
        Arc,
        Vec, //
    },
    error::{
        errno::Errno,
        Error,
        Result, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        sb::text::Human, //
    },
    init::Filesystem,
    journal::live::Watermark,
    sys::{
        sync::SpinLock,
        task::{
            Stop,
            Thread, //
        },
    },
};

/// The btree: extended attributes have keys in it, but not of inode 0.
const BTREE: BtreeId = BtreeId::XATTRS;
/// Keys of one transaction of `rand_insert_multi`.
const MULTI: u64 = 8;
/// The most threads.
const THREADS_MAX: u32 = 256;
const SECOND_NS: u64 = 1_000_000_000;

/// Random numbers that cost nothing to speak of: it is not their cost that is wanted. By G.
/// Marsaglia.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(random_u64() | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

type Test = fn(Engine<'_>, u64) -> Result;

/// C: the list in `bch2_btree_perf_test()`.
const TESTS: &[(&str, Test)] = &[
    ("rand_insert", rand_insert),
    ("rand_insert_multi", rand_insert_multi),
    ("rand_lookup", rand_lookup),
    ("rand_mixed", rand_mixed),
    ("rand_delete", rand_delete),
    ("seq_insert", seq_insert),
    ("seq_lookup", seq_lookup),
    ("seq_overwrite", seq_overwrite),
    ("seq_delete", seq_delete),
];

/// Runs the test that `text` asks for, and prints how long it took.
///
/// C: `bch2_btree_perf_test()`.
pub(super) fn run(fs: &Arc<Filesystem>, text: &str) -> Result<(), Errno> {
    let mut words = text.split_whitespace();
    let (name, nr, threads) = (words.next(), words.next(), words.next());
    let test = TESTS.iter().find(|(n, _)| Some(*n) == name);
    let nr = nr.and_then(|n| n.parse().ok()).filter(|n: &u64| *n > 0);
    let threads = match threads {
        None => Some(1),
        Some(n) => n.parse().ok(),
    };
    let threads = threads.filter(|n: &u32| (1..=THREADS_MAX).contains(n));
    let (Some((name, test)), Some(nr), Some(threads)) = (test, nr, threads) else {
        pr_err!("perf_test takes a test, a number and a number of threads, not {text:?}");
        return Err(Errno::EINVAL);
    };
    let each = div_or_zero(nr, threads.into());
    let start = monotonic_ns();
    let done = match threads {
        1 => one(fs, *test, each),
        _ => several(fs, *test, each, threads),
    };
    let ns = monotonic_ns().saturating_sub(start).max(1);
    if let Err(e) = done {
        pr_err!("perf_test {name}: {e}");
        return Err(e.errno());
    }
    let all_ns = ns.saturating_mul(threads.into());
    let per_second = div_or_zero(nr.saturating_mul(SECOND_NS), ns);
    pr_info!(
        "{name}: {} with {threads} threads in {:5} sec, {:5} nsec per iter, {} per sec",
        Human(nr),
        div_or_zero(ns, SECOND_NS),
        div_or_zero(all_ns, nr),
        Human(per_second)
    );
    Ok(())
}

fn one(fs: &Filesystem, test: Test, nr: u64) -> Result {
    test(fs.read_write()?.engine(), nr)
}

fn several(fs: &Arc<Filesystem>, test: Test, nr: u64, threads: u32) -> Result {
    let failed: Arc<SpinLock<Option<Error>>> = Arc::try_new(SpinLock::try_new(None)?)?;
    let mut running = Vec::new();
    for at in 0..threads {
        let (fs, failed) = (fs.clone(), failed.clone());
        let work = move |_: &Stop| {
            if let Err(e) = one(&fs, test, nr) {
                *failed.lock() = Some(e);
            }
        };
        running.push(Thread::spawn(
            format_args!("bcachefs perf test[{at}]"),
            work,
        )?)?;
    }
    // Each is waited for.
    running.into_iter().for_each(Thread::stop);
    let failed = *failed.lock();
    failed.map_or(Ok(()), Err)
}

fn pos(offset: u64) -> Bpos {
    Bpos::new(0, offset, u32::MAX)
}

/// The position of the last key there can be.
const LAST: Bpos = Bpos::new(0, u64::MAX, u32::MAX);

fn cookie(p: Bpos) -> Result<KeyBuf> {
    let k = Bkey {
        key_type: KeyType::COOKIE,
        p,
        ..Bkey::default()
    };
    KeyBuf::of(k, &[0; 8])
}

/// Calls `f` `nr` times, each time for one transaction.
fn repeat(
    engine: Engine<'_>,
    nr: u64,
    mut f: impl FnMut(&mut Trans<'_>, u64) -> TransResult,
) -> Result {
    let mut done = 0;
    engine.run(Watermark::Normal, |t| {
        while done < nr {
            f(t, done)?;
            t.commit()?;
            done = done.saturating_add(1);
        }
        Ok(())
    })
}

fn rand_insert(engine: Engine<'_>, nr: u64) -> Result {
    let mut random = Random::new();
    repeat(engine, nr, |t, _| {
        t.update(BTREE, cookie(pos(random.next()))?)
    })
}

fn rand_insert_multi(engine: Engine<'_>, nr: u64) -> Result {
    let mut random = Random::new();
    repeat(engine, nr.div_ceil(MULTI), |t, _| {
        (0..MULTI).try_for_each(|_| t.update(BTREE, cookie(pos(random.next()))?))
    })
}

fn rand_lookup(engine: Engine<'_>, nr: u64) -> Result {
    let (mut iter, mut random) = (engine.btrees.iter(BTREE, 0, pos(0)), Random::new());
    (0..nr).try_for_each(|_| {
        iter.seek(pos(random.next()));
        iter.advance().map(|_| ())
    })
}

fn rand_mixed(engine: Engine<'_>, nr: u64) -> Result {
    let mut random = Random::new();
    repeat(engine, nr, |t, i| {
        let found = t.next_header(BTREE, pos(random.next()), LAST)?;
        match found.filter(|_| i % 4 == 0) {
            Some(key) => t.update(BTREE, cookie(key.p)?),
            None => Ok(()),
        }
    })
}

fn rand_delete(engine: Engine<'_>, nr: u64) -> Result {
    let mut random = Random::new();
    repeat(engine, nr, |t, _| {
        match t.next_header(BTREE, pos(random.next()), LAST)? {
            Some(key) => {
                t.use_reserve();
                t.delete(BTREE, key.p)
            }
            None => Ok(()),
        }
    })
}

fn seq_insert(engine: Engine<'_>, nr: u64) -> Result {
    repeat(engine, nr, |t, at| t.update(BTREE, cookie(pos(at))?))
}

fn seq_lookup(engine: Engine<'_>, _: u64) -> Result {
    let mut iter = engine.btrees.iter(BTREE, 0, pos(0)).until(LAST);
    while iter.advance()?.is_some_and(|k| k.p <= LAST) {}
    Ok(())
}

/// Does `f` for every key, each in a transaction of its own: to the first one from a position on,
/// whose position it returns.
fn each(
    engine: Engine<'_>,
    mut f: impl FnMut(&mut Trans<'_>, Bpos) -> TransResult<Option<Bpos>>,
) -> Result {
    let mut start = pos(0);
    engine.run(Watermark::Normal, |t| {
        while let Some(done) = f(t, start)? {
            t.commit()?;
            start = done.successor();
        }
        Ok(())
    })
}

fn seq_overwrite(engine: Engine<'_>, _: u64) -> Result {
    each(engine, |t, from| {
        let Some(key) = t.next(BTREE, from, LAST)? else {
            return Ok(None);
        };
        let p = key.k.p;
        t.update(BTREE, key)?;
        Ok(Some(p))
    })
}

fn seq_delete(engine: Engine<'_>, _: u64) -> Result {
    each(engine, |t, from| {
        let Some(key) = t.next_header(BTREE, from, LAST)? else {
            return Ok(None);
        };
        t.use_reserve();
        t.delete(BTREE, key.p)?;
        Ok(Some(key.p))
    })
}
