// SPDX-License-Identifier: GPL-2.0

use super::*;

/// Keys are their own positions, the ranks of eight are the same.
#[test]
fn keys_stay_in_order() {
    for spread in [40, 3000] {
        let (mut order, mut model) = (Order::default(), std::collections::BTreeMap::new());
        let mut r = 1u64;
        for step in 0..if cfg!(miri) { 1_500 } else { 40_000u64 } {
            r = r
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let key = match step % 10_000 {
                // Ascending for some time.
                s @ 0..=999 => s as u32,
                _ => (r >> 33) as u32 % spread,
            };
            let at = order.search(u128::from(key >> 3), |k| k.cmp(&key));
            let there = order.key(at) == Some(key);
            assert_eq!(there, model.contains_key(&key));
            let live = r >> 63 != 0;
            match (there, r >> 62 & 1) {
                (true, 0) => {
                    order.remove(at);
                    model.remove(&key);
                }
                (true, _) => {
                    order.replace(at, key, live);
                    model.insert(key, live);
                }
                (false, _) => {
                    order.reserve(1).unwrap();
                    order.insert(at, u128::from(key >> 3), key, live).unwrap();
                    model.insert(key, live);
                }
            }
            let from = order.search(u128::from(key >> 3), |k| k.cmp(&key));
            let next = model.range(key..).find(|(_, live)| **live).map(|(k, _)| *k);
            assert_eq!(order.key(order.live(from)), next);
            assert_eq!(order.key(from), model.range(key..).next().map(|(k, _)| *k));
            if step % 100 == 0 {
                assert!(order.iter().eq(model.keys().copied()));
                let mut at = 0;
                for key in model.keys() {
                    assert_eq!(order.key(at), Some(*key));
                    at = order.after(at);
                }
                assert_eq!(at, order.end());
            }
        }
        while order.end() != 0 {
            order.remove(0);
        }
        assert_eq!((order.nr_live, order.key(0)), (0, None));
    }
}
