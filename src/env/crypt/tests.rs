// SPDX-License-Identifier: GPL-2.0

use super::*;
use std::{
    format,
    string::String,
    vec::Vec, //
};

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap())
        .collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

const SUNSCREEN: &[u8] =
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one \
tip for the future, sunscreen would be it.";

/// RFC 8439, 2.4.2.
const SUNSCREEN_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const SUNSCREEN_NONCE: &str = "01000000 000000000000004a00000000";
const SUNSCREEN_CIPHER: &str = "
    6e2e359a2568f98041ba0728dd0d6981 e97e7aec1d4360c20a27afccfd9fae0b
    f91b65c5524733ab8f593dabcd62b357 1639d624e65152ab8f530c359f0861d8
    07ca0dbf500d6a6156a38e088a22b65e 52bc514d16ccf806818ce91ab7793736
    5af90bbf74a35be6b40b8eedf2785e42 874d";

#[test]
fn chacha20_of_the_rfc() {
    let mut data = SUNSCREEN.to_vec();
    ChaCha20::new(&array(SUNSCREEN_KEY), &array(SUNSCREEN_NONCE)).apply(&mut data);
    assert_eq!(data, hex(SUNSCREEN_CIPHER));
    ChaCha20::new(&array(SUNSCREEN_KEY), &array(SUNSCREEN_NONCE)).apply(&mut data);
    assert_eq!(data, SUNSCREEN);
}

/// RFC 8439, A.1 and A.2: test vectors 1 and 2.
#[test]
fn chacha20_of_zeros() {
    let mut data = [0; 64];
    ChaCha20::new(&[0; 32], &[0; 16]).apply(&mut data);
    assert_eq!(
        data[..32],
        hex("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7")
    );
    let mut data = [0; 64];
    let mut nonce = [0; 16];
    nonce[0] = 1;
    ChaCha20::new(&[0; 32], &nonce).apply(&mut data);
    assert_eq!(
        data[..32],
        hex("9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed")
    );
}

#[test]
fn pieces_are_as_good_as_one() {
    let key = array(SUNSCREEN_KEY);
    let nonce = array(SUNSCREEN_NONCE);
    let mut whole: Vec<u8> = (0..1000u32).map(|i| i as u8).collect();
    let plain = whole.clone();
    ChaCha20::new(&key, &nonce).apply(&mut whole);
    let mut mac = Poly1305::new(&key);
    mac.update(&whole);
    let mac = mac.finish();
    for step in [1, 3, 15, 16, 17, 63, 64, 65, 100, 128, 999] {
        let mut data = plain.clone();
        let mut stream = ChaCha20::new(&key, &nonce);
        data.chunks_mut(step).for_each(|piece| stream.apply(piece));
        stream.apply(&mut []);
        assert_eq!(data, whole, "{step}");
        let mut sum = Poly1305::new(&key);
        data.chunks(step).for_each(|piece| sum.update(piece));
        assert_eq!(sum.finish(), mac, "{step}");
    }
}

/// RFC 8439, 2.5.2 and A.3: test vectors 1 and 7.
#[test]
fn poly1305_of_the_rfc() {
    let mac = |key: &str, data: &[u8]| {
        let mut mac = Poly1305::new(&array(key));
        mac.update(data);
        mac.finish()
    };
    let key = "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b";
    assert_eq!(
        mac(key, b"Cryptographic Forum Research Group"),
        *hex("a8061dc1305136c6c22b8baf0c0127a9")
    );
    assert_eq!(mac(&format!("{:064}", 0), &[0; 64]), [0; 16]);
    let key = format!("02{:030}{}", 0, "ff".repeat(16));
    assert_eq!(
        mac(&key, &hex(&format!("02{:030}", 0))),
        *hex("03000000000000000000000000000000")
    );
}

/// RFC 8439, 2.6.2: the key of a code is the start of the stream.
#[test]
fn poly1305_key_of_the_rfc() {
    let key = array("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    let mut out = [0; 32];
    ChaCha20::new(&key, &array("00000000 000000000001020304050607")).apply(&mut out);
    assert_eq!(
        *hex("8ad5a08b905f81cc815040274ab29471a833b637e3fd0da508dbb8e2fdd1a646"),
        out
    );
}

#[test]
fn secrets_are_not_shown_and_fill_up() {
    let mut secret = Secret::<4>::zeroed().unwrap();
    secret.fill_from(&[1, 2, 3, 4, 5]);
    assert_eq!(*secret.bytes(), [1, 2, 3, 4]);
    secret.fill_from(&[9]);
    assert_eq!(*secret.bytes(), [9, 2, 3, 4]);
    assert_eq!(format!("{secret:?}"), "Secret");
    let mut bytes = [7; 9];
    primitives::wipe(&mut bytes);
    assert_eq!(bytes, [0; 9]);
}
