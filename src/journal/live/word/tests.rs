// SPDX-License-Identifier: GPL-2.0

//! All interleavings of a few who reserve, leave, close, and open, as if each changed the word in
//! one atomic step: what they hold never overlaps, every buffer has exactly one last holder, and
//! nobody gets into a buffer that was closed.

use super::*;
use std::collections::HashSet;

const LIMIT: u32 = 5;

/// What one of the threads does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// Reserves so many words, as often as it takes.
    Reserve(u32),
    /// Leaves what it reserved: buffer, entry.
    Leave(usize, u64),
    /// Found no room: closes, if the entry is still the one it saw.
    Close(u32, u64),
    /// The journal's hold on a closed entry goes.
    CloseLeave(u32, u64),
    /// Opens the next entry.
    Open(u32),
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    word: u64,
    threads: Vec<Step>,
    /// The newest entry.
    seq: u64,
    /// Entries whose last holder is gone, in the order of that.
    written: Vec<u64>,
    /// What was reserved: entry, start, end.
    taken: Vec<(u64, u32, u32)>,
    halted: bool,
}

impl World {
    fn left(&mut self, buffer: usize, seq: u64) {
        let new = Word(self.word).leave(buffer);
        self.word = new.0;
        if new.count(buffer) == 0 {
            assert!(!self.written.contains(&seq), "two last holders of {seq}");
            assert!(
                !(new.is_open() && new.buffer() == buffer),
                "an open entry was left by all"
            );
            self.written.push(seq);
        }
    }

    /// Does the next step of thread `t`; `None` when it can not go on now.
    fn step(&self, t: usize) -> Option<World> {
        let mut w = self.clone();
        let word = Word(w.word);
        w.threads[t] = match self.threads[t] {
            Step::Done => return None,
            Step::Reserve(n) => match word.reserve(n, LIMIT) {
                Some((new, r)) => {
                    w.word = new.0;
                    assert!(!w.written.contains(&w.seq), "reserved in a written entry");
                    assert_eq!(r.buffer, buffer_of(w.seq));
                    w.taken.push((w.seq, r.offset, r.offset + n));
                    Step::Leave(r.buffer, w.seq)
                }
                None if word.is_halted() => Step::Done,
                None => Step::Close(n, w.seq),
            },
            Step::Leave(buffer, seq) => {
                w.left(buffer, seq);
                Step::Done
            }
            Step::Close(n, seen) => match word.close() {
                _ if word.is_halted() => Step::Done,
                Some(new) if w.seq == seen => {
                    w.word = new.0;
                    Step::CloseLeave(n, seen)
                }
                // Somebody else was faster.
                Some(_) => Step::Reserve(n),
                None => Step::Open(n),
            },
            Step::CloseLeave(n, seq) => {
                w.left(buffer_of(seq), seq);
                Step::Open(n)
            }
            Step::Open(n) if word.is_open() => Step::Reserve(n),
            Step::Open(_) if word.is_halted() => Step::Done,
            Step::Open(n) => {
                let new = word.open(w.seq + 1)?;
                w.seq += 1;
                w.word = new.0;
                Step::Reserve(n)
            }
        };
        Some(w)
    }

    fn halt(&self) -> World {
        let mut w = self.clone();
        let word = Word(w.word);
        w.word = word.halt().0;
        w.halted = true;
        if word.is_open() {
            w.left(word.buffer(), w.seq);
        }
        w
    }

    fn check_end(&self) {
        let word = Word(self.word);
        for (i, (seq, start, end)) in self.taken.iter().enumerate() {
            assert!(*end <= LIMIT && start < end);
            for (other, s, e) in &self.taken[i + 1..] {
                assert!(seq != other || end <= s || e <= start, "overlap");
            }
        }
        for seq in 1..=self.seq {
            let open = word.is_open() && seq == self.seq;
            assert_eq!(self.written.contains(&seq), !open, "entry {seq}");
        }
        for buffer in 0..BUFFERS {
            let open = word.is_open() && word.buffer() == buffer;
            assert_eq!(word.count(buffer), u32::from(open));
        }
    }
}

/// Goes through all interleavings; returns how many states there are.
fn explore(sizes: &[u32], with_halt: bool) -> usize {
    let start = World {
        word: Word::new(0).0,
        threads: sizes.iter().map(|n| Step::Reserve(*n)).collect(),
        seq: 0,
        written: Vec::new(),
        taken: Vec::new(),
        halted: !with_halt,
    };
    let mut seen = HashSet::new();
    let mut todo = vec![start];
    while let Some(w) = todo.pop() {
        if !seen.insert(w.clone()) {
            continue;
        }
        let mut ended = true;
        for t in 0..w.threads.len() {
            if let Some(next) = w.step(t) {
                ended = false;
                todo.push(next);
            }
        }
        if !w.halted {
            todo.push(w.halt());
        }
        if ended {
            assert!(
                w.threads.iter().all(|t| *t == Step::Done),
                "stuck: {:?}",
                w.threads
            );
            w.check_end();
        }
    }
    seen.len()
}

#[test]
fn all_interleavings_of_three() {
    assert!(explore(&[2, 2, 2], false) > 200);
    assert!(explore(&[3, 3, 3], false) > 200);
    assert!(explore(&[5, 1, 4], false) > 200);
}

#[test]
fn all_interleavings_of_four() {
    assert!(explore(&[3, 2, 3, 1], false) > 4000);
}

#[test]
fn a_halt_at_any_time() {
    assert!(explore(&[2, 2, 2], true) > 300);
    assert!(explore(&[4, 4, 4], true) > 300);
}

#[test]
fn fields_do_not_touch() {
    let mut w = Word::new(6).open(7).unwrap();
    assert_eq!((w.buffer(), w.used(), w.count(3)), (3, Some(0), 1));
    for i in 1..u64::from(u32::MAX) {
        match w.reserve(1, 2000) {
            Some((next, r)) => {
                assert_eq!((u64::from(r.offset), r.buffer), (i - 1, 3));
                w = next;
            }
            None => {
                assert_eq!(i, COUNT_MASK);
                break;
            }
        }
    }
    assert_eq!([0, 1, 2, 3].map(|b| w.count(b)), [0, 0, 0, 1023]);
    assert_eq!(w.open(8), None);
    let w = w.close().unwrap();
    assert_eq!((w.close(), w.reserve(1, 9000)), (None, None));
    let w = w.open(8).unwrap();
    assert_eq!([0, 1, 2, 3].map(|b| w.count(b)), [1, 0, 0, 1023]);
    let w = w.close().unwrap().open(9).unwrap().close().unwrap();
    let w = w.open(10).unwrap().close().unwrap();
    // Its buffer is held.
    assert_eq!(w.open(11), None);
    assert!(w.halt().is_halted());
    assert_eq!(w.halt().open(12), None);
    assert_eq!(Word::new(0).reserve(1, 10), None);
    let big = Word::new(0).open(1).unwrap();
    assert_eq!(big.reserve(11, 10), None);
    assert_eq!(big.reserve(u32::MAX, 10), None);
}
