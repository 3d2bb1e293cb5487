// SPDX-License-Identifier: GPL-2.0

//! The key of an encrypted filesystem.
//!
//! The superblock has it, encrypted with a key that is made from the passphrase. User space makes
//! that one (`bcachefs unlock`) and leaves it in a keyring of whoever mounts the filesystem.

use crate::{
    algo::crypt::open_key,
    env::{
        crypt::{
            Key,
            KEY_BYTES, //
        },
        pr_err,
    },
    error::{
        errno::Errno,
        Error,
        Result, //
    },
    format::{
        node::filesystem_magic,
        sb::{
            crypt::Crypt,
            Superblock, //
        },
    },
    sys::keyring,
};
use core::fmt::{
    self,
    Write, //
};

/// The filesystem's key; `None` when it has none. `name` is a device's, for messages.
///
/// Whether there is a key depends on the section alone: after encryption was turned off, what was
/// written before is still to be read.
///
/// C: `bch2_fs_encryption_init()`.
#[inline(never)]
pub(super) fn find(sb: &Superblock, name: &str) -> Result<Option<Key>> {
    let Some(crypt) = sb.crypt() else {
        return Ok(None);
    };
    if let Some(key) = crypt.plain_key() {
        let mut plain = Key::zeroed()?;
        plain.fill_from(key);
        return Ok(Some(plain));
    }
    unlock(sb, &crypt, name).map(Some)
}

/// C: `bch2_decrypt_sb_key()`.
fn unlock(sb: &Superblock, crypt: &Crypt, name: &str) -> Result<Key> {
    let description = Description::of(sb);
    let user = request(&description, name)?;
    let key = open_key(crypt, filesystem_magic(&sb.uuid().0), &user)?;
    key.ok_or_else(|| {
        pr_err!(
            "{name}: the key \"{description}\" in the keyring is not this filesystem's: was it \
             unlocked with a passphrase that has changed since?"
        );
        Error::KeyWrong
    })
}

/// The user's key, from the keyrings of the process that mounts.
///
/// C: `bch2_request_key()`.
fn request(description: &Description, name: &str) -> Result<Key> {
    let mut key = Key::zeroed()?;
    match keyring::read_user_key(description.text(), key.bytes_mut()) {
        Ok(KEY_BYTES) => Ok(key),
        Ok(len) => {
            pr_err!(
                "{name}: the key \"{description}\" in the keyring has {len} bytes, not {KEY_BYTES}"
            );
            Err(Error::KeySize)
        }
        Err(Errno::ENOMEM) => Err(Error::NoMemory),
        Err(Errno::EKEYEXPIRED) => {
            pr_err!("{name}: the key \"{description}\" in the keyring has expired");
            Err(Error::KeyExpired)
        }
        Err(Errno::EKEYREVOKED) => {
            pr_err!("{name}: the key \"{description}\" in the keyring was revoked");
            Err(Error::KeyRevoked)
        }
        Err(Errno::ENOKEY) => {
            pr_err!(
                "{name}: the filesystem is encrypted and there is no key \"{description}\" in the \
                 keyrings: run bcachefs unlock /dev/{name} first"
            );
            Err(Error::KeyMissing)
        }
        Err(e) => {
            pr_err!(
                "{name}: the key \"{description}\" can not be had: errno {}",
                e.0
            );
            Err(Error::KeyRefused)
        }
    }
}

/// Bytes of a key's description, with its final NUL.
const DESCRIPTION_BYTES: usize = 46;

/// What the key is called in a keyring: "bcachefs:" and the UUID that users know.
struct Description([u8; DESCRIPTION_BYTES]);

/// A [`Description`] being written; the last byte stays NUL.
struct Writer {
    text: [u8; DESCRIPTION_BYTES],
    len: usize,
}

impl Description {
    fn of(sb: &Superblock) -> Self {
        let mut to = Writer {
            text: [0; DESCRIPTION_BYTES],
            len: 0,
        };
        // It always has the same length, for which there is room.
        let _ = write!(to, "bcachefs:{}", sb.user_uuid());
        Self(to.text)
    }

    fn text(&self) -> &core::ffi::CStr {
        core::ffi::CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

impl Write for Writer {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for b in s.bytes() {
            match self.text.get_mut(self.len) {
                Some(to) if self.len < DESCRIPTION_BYTES - 1 => *to = b,
                _ => return Err(fmt::Error),
            }
            self.len = self.len.wrapping_add(1);
        }
        Ok(())
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().to_str().unwrap_or_default())
    }
}
