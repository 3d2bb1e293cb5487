// SPDX-License-Identifier: GPL-2.0

//! Journal records as text.

use super::{
    Entry,
    EntryType, //
};
use core::fmt;

impl fmt::Display for EntryType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "(unknown record type {})", self.0),
        }
    }
}

/// Bytes that should be ASCII text, up to the padding.
fn ascii(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    use fmt::Write as _;
    for b in bytes.iter().take_while(|b| **b != 0) {
        match b {
            b' '..=b'~' => f.write_char(char::from(*b))?,
            _ => f.write_char('.')?,
        }
    }
    Ok(())
}

impl fmt::Display for Entry<'_> {
    /// C: `bch2_journal_entry_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.kind)?;
        match self.kind {
            EntryType::BLACKLIST => write!(f, "seq={}", self.word(0)),
            EntryType::BLACKLIST_V2 => write!(f, "start={} end={}", self.word(0), self.word(1)),
            EntryType::USAGE => {
                let what = match self.btree.0 {
                    0 => "reserved",
                    1 => "inodes",
                    2 => "key_version",
                    _ => "unknown",
                };
                write!(f, "type={what} v={}", self.word(0))
            }
            EntryType::CLOCK => {
                let what = match self.word(0) & 0xff {
                    0 => "read",
                    _ => "write",
                };
                write!(f, "{what}={}", self.word(1))
            }
            EntryType::DEV_USAGE => write!(f, "dev={}", self.word(0) & 0xffff_ffff),
            EntryType::LOG => ascii(f, self.data),
            EntryType::DATETIME => write!(f, "seconds={}", self.word(0)),
            EntryType::REWIND_LIMIT => write!(f, "seq={}", self.word(0)),
            EntryType::REWIND => write!(f, "from={} to={}", self.word(0), self.word(1)),
            _ => {
                write!(f, "btree={} l={}", self.btree, self.level)?;
                for key in self.keys() {
                    match key {
                        Ok(key) => write!(f, " {}", key.k)?,
                        Err(invalid) => write!(f, " ({invalid})")?,
                    }
                }
                Ok(())
            }
        }
    }
}
