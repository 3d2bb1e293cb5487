// SPDX-License-Identifier: GPL-2.0

//! Keyrings: each thread has one of its own, so that tests do not see each other's keys.

use crate::error::errno::Errno;
use std::{
    cell::RefCell,
    collections::HashMap,
    ffi::CStr, //
};

thread_local! {
    static KEYS: RefCell<HashMap<String, Result<Vec<u8>, Errno>>> = RefCell::default();
}

/// Adds a key that is called `description` to the thread's keyring, or what asking for it gives.
pub fn add(description: &str, key: Result<&[u8], Errno>) {
    let key = key.map(<[u8]>::to_vec);
    KEYS.with_borrow_mut(|keys| keys.insert(description.to_owned(), key));
}

/// Takes all keys out of the thread's keyring.
pub fn clear() {
    KEYS.with_borrow_mut(HashMap::clear);
}

/// Copies the key that is called `description` to `to`, as much as fits, and returns its length.
pub fn read_user_key(description: &CStr, to: &mut [u8]) -> Result<usize, Errno> {
    KEYS.with_borrow(|keys| {
        let found = keys.get(&*description.to_string_lossy());
        let key = found.ok_or(Errno::ENOKEY)?.as_ref().map_err(|e| *e)?;
        to.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Ok(key.len())
    })
}
