// SPDX-License-Identifier: GPL-2.0

//! Mounts filesystem images in user space.

use sim::{
    env::Vec as KVec,
    format::{
        bpos::Bpos,
        btree_id::BtreeId, //
    },
    init::Filesystem,
    sb::Opts,
    sys::block::BlockDevice, //
};

fn main() {
    let mut devs = KVec::new();
    for path in std::env::args_os().skip(1) {
        devs.push(BlockDevice::from_file(path.as_ref()).unwrap())
            .unwrap();
    }
    let fs = match Filesystem::start(devs, &Opts::default()) {
        Ok(fs) => fs,
        Err(e) => {
            println!("error: {e}");
            std::process::exit(1);
        }
    };
    println!("{:?} {:?}", fs.usage(), fs.view.btrees.cache());
    for id in (0..29).map(BtreeId) {
        let mut n = 0;
        let mut it = fs.view.btrees.iter(id, 0, Bpos::MIN);
        loop {
            match it.next() {
                Ok(Some(k)) => {
                    n += 1;
                    if n < 3 {
                        println!("   {}", k.k);
                    }
                }
                Ok(None) => break,
                Err(e) => {
                    println!("{id}: {e}");
                    break;
                }
            }
        }
        println!("{id}: {n} keys");
    }
}
