// SPDX-License-Identifier: GPL-2.0

//! What the word of a SIX lock says, and what may come after it.

/// A value of the word.
///
/// | bits     | meaning                                                                |
/// |----------|------------------------------------------------------------------------|
/// | 0 to 23  | how many readers are inside                                            |
/// | 24       | intent is held                                                         |
/// | 25       | the holder of intent writes, or waits for the readers to leave for it  |
/// | 26       | readers wait                                                           |
/// | 27       | somebody waits for intent                                              |
/// | 32 to 63 | the sequence number                                                    |
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(pub(super) u64);

/// Who has to be woken after a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wake {
    pub(super) readers: bool,
    pub(super) intent: bool,
    pub(super) writer: bool,
}

const READERS: u64 = (1 << 24) - 1;
const INTENT: u64 = 1 << 24;
const WRITE: u64 = 1 << 25;
const READERS_WAIT: u64 = 1 << 26;
const INTENT_WAIT: u64 = 1 << 27;
const SEQ_SHIFT: u32 = 32;

impl State {
    /// Nobody holds the lock; the first sequence number.
    pub(super) const FREE: Self = Self(0);
    /// What one reader adds to the word.
    pub(super) const READER: u64 = 1;

    const fn has(self, bits: u64) -> bool {
        self.0 & bits != 0
    }

    pub(super) const fn readers(self) -> u64 {
        self.0 & READERS
    }

    pub(super) const fn is_intent(self) -> bool {
        self.has(INTENT)
    }

    pub(super) const fn is_write(self) -> bool {
        self.has(WRITE)
    }

    /// The sequence number of what readers inside see.
    pub(super) const fn seq_inside(self) -> u32 {
        let [_, _, _, _, a, b, c, d] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// The sequence number for who is outside: when there is a writer, the next one, so that nobody
    /// takes for unchanged what is just being changed.
    pub(super) const fn seq(self) -> u32 {
        if self.is_write() {
            self.seq_inside().wrapping_add(1)
        } else {
            self.seq_inside()
        }
    }

    /// One more reader, unless somebody writes. Nor if no more can be counted.
    pub(super) const fn read(self) -> Option<Self> {
        if self.is_write() || self.readers() == READERS {
            None
        } else {
            Some(Self(self.0.wrapping_add(Self::READER)))
        }
    }

    /// A reader that could not get in waits.
    pub(super) const fn with_waiting_reader(self) -> Self {
        Self(self.0 | READERS_WAIT)
    }

    /// Who has to be woken when a reader leaves, which takes [`READER`](Self::READER) off `self`.
    pub(super) const fn reader_left(self) -> Wake {
        Wake {
            // One of very many that could not be counted.
            readers: self.readers() == READERS && self.has(READERS_WAIT),
            intent: false,
            writer: self.readers() == Self::READER && self.is_write(),
        }
    }

    /// Intent, if it is free.
    pub(super) const fn intent(self) -> Option<Self> {
        if self.is_intent() {
            None
        } else {
            Some(Self(self.0 | INTENT))
        }
    }

    /// Intent, if it is free and there was no writer since the sequence number was `seq`.
    pub(super) const fn intent_if(self, seq: u32) -> Option<Self> {
        if self.seq() == seq {
            self.intent()
        } else {
            None
        }
    }

    /// Somebody who could not get intent waits.
    pub(super) const fn with_waiting_intent(self) -> Self {
        Self(self.0 | INTENT_WAIT)
    }

    /// Intent is let go, and with it a write hold that was forgotten.
    pub(super) const fn intent_left(self) -> (Self, Wake) {
        let (next, wake) = if self.is_write() {
            self.write_left()
        } else {
            (self, Self::NOBODY)
        };
        let wake = Wake {
            intent: next.has(INTENT_WAIT),
            ..wake
        };
        (Self(next.0 & !(INTENT | INTENT_WAIT)), wake)
    }

    /// The holder of intent lets no more readers in.
    pub(super) const fn write(self) -> Self {
        Self(self.0 | WRITE)
    }

    /// The writer is done: a new sequence number.
    pub(super) const fn write_left(self) -> (Self, Wake) {
        let wake = Wake {
            readers: self.has(READERS_WAIT),
            ..Self::NOBODY
        };
        // Runs over at the top, after 2^32 writes.
        let next = self.0.wrapping_add(1 << SEQ_SHIFT);
        (Self(next & !(WRITE | READERS_WAIT)), wake)
    }

    const NOBODY: Wake = Wake {
        readers: false,
        intent: false,
        writer: false,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: State = State::FREE;

    #[test]
    fn readers_and_intent_go_together() {
        let one = FREE.read().unwrap();
        let both = one.intent().unwrap();
        assert_eq!((both.readers(), both.is_intent()), (1, true));
        let two = both.read().unwrap();
        assert_eq!(two.readers(), 2);
        assert_eq!(two.intent().map(|s| s.0), None);
    }

    #[test]
    fn a_writer_keeps_readers_out() {
        let writing = FREE.intent().unwrap().write();
        assert!(writing.read().is_none());
        assert!(writing.is_write());
        let (after, wake) = writing.with_waiting_reader().write_left();
        assert!(after.read().is_some() && after.is_intent() && !after.is_write());
        assert_eq!(
            wake,
            Wake {
                readers: true,
                ..Wake::default()
            }
        );
        assert_eq!(after.seq(), 1);
        // The next one has nobody to wake.
        assert_eq!(after.write().write_left().1, Wake::default());
    }

    #[test]
    fn the_last_reader_wakes_the_writer() {
        let two = FREE.intent().unwrap().read().unwrap().read().unwrap();
        let one = FREE.intent().unwrap().read().unwrap();
        assert!(!two.write().reader_left().writer);
        assert!(one.write().reader_left().writer);
        assert!(!one.reader_left().writer);
    }

    #[test]
    fn a_sequence_number_is_of_the_time_after_a_write() {
        let writing = FREE.intent().unwrap().write();
        assert_eq!((FREE.seq(), writing.seq()), (0, 1));
        assert_eq!((FREE.seq_inside(), writing.seq_inside()), (0, 0));
        let (after, _) = writing.write_left();
        let (free, _) = after.intent_left();
        assert_eq!(free.seq(), 1);
        assert!(free.intent_if(0).is_none());
        assert!(free.intent_if(1).unwrap().is_intent());
        assert!(after.intent_if(1).is_none());
    }

    #[test]
    fn the_sequence_number_runs_over() {
        let last = State(u64::from(u32::MAX) << SEQ_SHIFT).intent().unwrap();
        let (after, _) = last.write().write_left();
        assert_eq!(
            (after.seq(), after.is_intent(), after.readers()),
            (0, true, 0)
        );
        assert_eq!(last.write().seq(), 0);
    }

    #[test]
    fn no_more_readers_than_can_be_counted() {
        let full = State(READERS).intent().unwrap();
        assert!(full.read().is_none());
        assert!(full.with_waiting_reader().reader_left().readers);
        assert!(!full.reader_left().readers);
        assert!(State(READERS - 1).read().is_some());
    }

    #[test]
    fn intent_takes_a_forgotten_write_along() {
        let state = FREE
            .intent()
            .unwrap()
            .write()
            .with_waiting_reader()
            .with_waiting_intent();
        let (after, wake) = state.intent_left();
        assert_eq!((after.0 & 0xffff_ffff, after.seq()), (0, 1));
        assert!(wake.readers && wake.intent && !wake.writer);
    }
}
