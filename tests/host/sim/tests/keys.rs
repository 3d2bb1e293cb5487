// SPDX-License-Identifier: GPL-2.0

//! Every key of every whole golden image passes the validators, with all that is known of the
//! filesystem, and can be shown. Without images (`BCACHEFS_RS_IMAGES`) the test only says so.

use sim::{
    error::Class,
    format::{
        bpos::Bpos,
        btree_id::{
            BtreeId,
            BTREE_MAX_DEPTH, //
        },
        opts::Opts,
        values::{
            text::KeyText,
            validate::{
                DevGeometry,
                Origin,
                ValidateCtx, //
            },
            validate_key,
        },
    },
    golden::{
        images,
        Image, //
    },
    init::Filesystem,
};
use std::collections::BTreeMap;

/// How many keys of each type there are.
type Census = BTreeMap<String, usize>;

fn check(image: &Image, census: &mut Census) -> Vec<String> {
    let devices = images::devices(&image.name, image.unpack().unwrap());
    let fs = match Filesystem::start(devices, &Opts::default()) {
        Ok(fs) => fs,
        Err(e) if e.class() == Class::Unsupported => return Vec::new(),
        Err(e) => return vec![format!("{}: {e}", image.name)],
    };
    let btrees = &fs.view.btrees;
    let st = btrees.sb();
    let mut devs = vec![None; 256];
    for dev in st.devices() {
        devs[usize::from(dev.idx.0)] = Some(DevGeometry {
            first_bucket: dev.member.first_bucket().into(),
            nr_buckets: dev.member.nbuckets(),
            bucket_sectors: dev.member.bucket_sectors().into(),
        });
    }
    let mut bad = Vec::new();
    for btree in (0..29).map(BtreeId) {
        for level in 0..BTREE_MAX_DEPTH {
            let ctx = ValidateCtx {
                origin: Origin::BtreeNode,
                writing: true,
                version: st.sb.version(),
                sizes: btrees.entry_sizes(),
                node_sectors: st.sb.node_sectors().into(),
                devs: &devs,
                ..ValidateCtx::new(btree, level)
            };
            let mut iter = btrees.iter(btree, level, Bpos::MIN);
            while let Some(key) = iter.next().unwrap() {
                *census.entry(key.k.key_type.to_string()).or_default() += 1;
                let text = KeyText::new(&key, ctx.sizes, ctx.version).to_string();
                if let Err(e) = validate_key(&key, &ctx) {
                    bad.push(format!("{} {btree} level {level}: {e}: {text}", image.name));
                }
            }
        }
    }
    bad
}

#[test]
fn every_key_is_valid() {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let mut census = Census::new();
    let mut bad = Vec::new();
    for image in Image::all(&folder) {
        if image.manifest().unwrap().damage.is_none() {
            bad.extend(check(&image, &mut census));
        }
    }
    println!("{census:#?}");
    bad.truncate(40);
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
