// SPDX-License-Identifier: GPL-2.0

//! Values of keys: an input is the number of a btree, a level, then unpacked keys.

use super::show;
use format::format::{
    bkey::split_unpacked,
    btree_id::BtreeId,
    key_type::KeyType,
    values::{
        text,
        validate, //
    },
};

/// Each key as what it says it is.
pub(crate) fn keys(data: &[u8]) {
    let [btree, level, rest @ ..] = data else {
        return;
    };
    let mut rest = rest;
    while let Some((key, after)) = split_unpacked(rest) {
        if let Err(bad) = validate::validate(BtreeId(*btree), *level & 3, &key) {
            show(&bad);
        }
        show(&text::KeyText::of(&key));
        rest = after;
    }
}

/// The value of the first key as every type there is.
pub(crate) fn any_type(data: &[u8]) {
    let [btree, level, rest @ ..] = data else {
        return;
    };
    let Some((mut key, _)) = split_unpacked(rest) else {
        return;
    };
    for n in 0..64 {
        key.k.key_type = KeyType(n);
        if let Err(bad) = validate::validate_value(
            &key,
            &validate::ValidateCtx::new(BtreeId(*btree), *level & 3),
        ) {
            show(&bad);
        }
        show(&text::KeyText::of(&key));
    }
}
