// SPDX-License-Identifier: GPL-2.0

//! The power is lost while data is moved, and buckets are used again: files do not change by that,
//! so whenever it is, they are what they were.

use super::{
    engine::{
        setting,
        space::{
            devices,
            look,
            record, //
        },
        Random, //
    },
    file::File,
    fragmented, move_all,
};
use sim::{
    check::check_derived,
    data::mover::Mover,
    format::csum::CsumType,
    sys::block::{
        PowerCut,
        Replay, //
    },
};

fn cut_while_data_is_moved(image: &str, change: impl Fn(&mut File), seed: u64) {
    println!("BCACHEFS_RS_SEED={seed} {image}");
    let (disks, files) = fragmented(image, change, seed);
    let fs = record(disks);
    let start = fs.power.now();
    fs.live(|fs| {
        let (mut mover, mut moved) = (Mover::default(), 0);
        // What became free is written again in the next one.
        for _ in 0..4 {
            moved += move_all(fs, &mut mover, 1).unwrap().moved;
            fs.writer.journal.flush().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(15));
        }
        assert!(moved != 0);
    });
    let (end, mut r) = (fs.power.now(), Random(seed));
    let mut replays: Vec<_> = fs.media.iter().map(|m| Replay::new(m).unwrap()).collect();
    let mut moments: Vec<u64> = (0..setting("BCACHEFS_RS_CUTS", 20))
        .map(|_| start + r.below(end - start))
        .collect();
    moments.sort();
    for at in moments {
        let cut = PowerCut { at, seed: r.next() };
        let disks = replays.iter_mut().map(|p| p.image(cut)).collect();
        let found = look(devices(disks)).unwrap();
        files.iter().for_each(|f| f.check(&found.view));
        let findings = check_derived(&found.view);
        assert!(findings.is_empty(), "{cut:?}: {findings:#?}");
    }
}

#[test]
fn nothing_is_lost() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    cut_while_data_is_moved("engine-small", |_| (), seed);
    cut_while_data_is_moved("v113-tree", |f| f.options.csum = CsumType::NONE, seed + 1);
    cut_while_data_is_moved("v113-repl2", |_| (), seed + 2);
}
