// SPDX-License-Identifier: GPL-2.0

//! The keys of encrypted images, from their passphrases: what `bcachefs unlock` does.

use crate::{
    format::sb::{
        copies::{
            choose,
            ReadSectors, //
        },
        Superblock, //
    },
    sys::keyring,
};
use std::{
    collections::BTreeMap,
    sync::Mutex, //
};

/// What the passphrase is salted with: a constant, its final NUL included.
const SALT: &[u8] = b"bcache\0";

/// A passphrase, and log2 of scrypt's N, r and p.
type Parameters = (String, [u64; 3]);

/// Keys derived so far, by passphrase and parameters: it takes long, on purpose.
static KNOWN: Mutex<BTreeMap<Parameters, [u8; 32]>> = Mutex::new(BTreeMap::new());

/// The contents of a device.
pub struct Bytes<'a>(pub &'a [u8]);

impl ReadSectors for Bytes<'_> {
    fn nr_sectors(&self) -> u64 {
        self.0.len() as u64 / 512
    }

    fn read(&self, sector: u64, buf: &mut [u8]) -> crate::error::Result<()> {
        let at = sector as usize * 512;
        let from = self.0.get(at..at + buf.len());
        buf.copy_from_slice(from.ok_or(crate::error::Error::DeviceReadPastEnd)?);
        Ok(())
    }
}

/// The superblock of a device.
pub fn superblock(device: &[u8]) -> Result<Superblock, String> {
    choose(&Bytes(device), None)
        .map(|chosen| chosen.sb)
        .map_err(|refused| refused.error.to_string())
}

/// What the key of a filesystem is called in a keyring.
pub fn description(sb: &Superblock) -> String {
    format!("bcachefs:{}", sb.user_uuid())
}

/// The key that a passphrase makes. Its parameters are in the superblock.
pub fn derive(sb: &Superblock, passphrase: &str) -> Result<[u8; 32], String> {
    let crypt = sb.crypt().ok_or("not encrypted")?;
    let [n, r, p] = crypt.scrypt();
    let params = scrypt::Params::new(n as u8, 1 << r, 1 << p, 32).map_err(|e| e.to_string())?;
    let mut known = KNOWN.lock().map_err(|e| e.to_string())?;
    let name = (passphrase.to_owned(), [n, r, p]);
    if let Some(key) = known.get(&name) {
        return Ok(*key);
    }
    let mut key = [0; 32];
    scrypt::scrypt(passphrase.as_bytes(), SALT, &params, &mut key).map_err(|e| e.to_string())?;
    known.insert(name, key);
    Ok(key)
}

/// Puts the key of the filesystem on `device` into the thread's keyring.
pub fn unlock(device: &[u8], passphrase: &str) -> Result<(), String> {
    let sb = superblock(device)?;
    keyring::add(&description(&sb), Ok(&derive(&sb, passphrase)?));
    Ok(())
}
