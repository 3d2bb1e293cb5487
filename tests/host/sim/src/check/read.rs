// SPDX-License-Identifier: GPL-2.0

//! Reading all keys of a filesystem.

use super::stored::{
    Dev,
    OwnedKey,
    Stored, //
};
use crate::{
    alloc::{
        foreground::NodeRegions,
        trigger::metadata_buckets, //
    },
    env::units::BucketNr,
    error::Result,
    format::{
        bkey::Key,
        bpos::Bpos,
        btree_id::{
            BtreeId,
            BTREE_MAX_DEPTH, //
        },
        data_type::DataType,
        key_type::KeyType,
        sb::{
            members::MemberState,
            Member,
            Superblock, //
        },
        values::{
            accounting::{
                counters,
                Replicas, //
            },
            alloc::{
                bucket_gens,
                Alloc, //
            },
            backpointer::Backpointer,
            inode::inode_flags,
            reflink::refcount,
            snapshot::Snapshot,
            validate::DevGeometry, //
        },
    },
    journal::{
        self,
        keys::delta_is_applied, //
    },
    snapshots::View,
};

impl Stored {
    /// Reads everything that `view` shows, with the journal laid over it.
    pub fn read(view: &View) -> Result<Self> {
        let st = view.btrees.sb();
        let mut this = Self {
            version: st.sb.version(),
            sizes: *view.btrees.entry_sizes(),
            node_sectors: st.sb.node_sectors().into(),
            ..Self::default()
        };
        for (idx, member) in (0u8..).zip(st.sb.members()) {
            if member.is_alive() {
                this.devs.insert(idx, dev(&st.sb, &member));
            }
        }
        for online in st.devices() {
            let dev = this.devs.get_mut(&online.idx.0).expect("a member");
            metadata_buckets(&online.own, &online.member, |BucketNr(b), ty, sectors| {
                dev.metadata.push((b, ty.0, sectors));
                Ok(())
            })?;
        }
        for entry in st.sb.replicas() {
            let (ty, nr) = (entry.data_type, entry.nr_required);
            let replicas = Replicas::new(ty, nr, entry.devs).expect("few devices");
            this.replicas.push(replicas);
        }
        let roots = journal::read(st, true)?.roots;
        for (btree, root) in roots.iter() {
            let key = root.key().expect("a root that is readable");
            this.source(btree, root.level + 1, &key);
        }
        for btree in (0..29).map(BtreeId) {
            for level in 0..BTREE_MAX_DEPTH {
                let mut iter = view.btrees.iter(btree, level, Bpos::MIN);
                while let Some(key) = iter.next()? {
                    match level {
                        0 => this.leaf(btree, &key),
                        _ => this.source(btree, level, &key),
                    }
                }
            }
        }
        this.add_counters(view)?;
        Ok(this)
    }

    fn source(&mut self, btree: BtreeId, level: u8, key: &Key<'_>) {
        let at = (btree, level, key.k.p);
        self.sources.insert(at, OwnedKey::from(*key));
    }

    fn leaf(&mut self, btree: BtreeId, key: &Key<'_>) {
        let (p, v) = (key.k.p, key.v);
        let bucket = (p.inode as u8, p.offset);
        match btree {
            BtreeId::ALLOC => {
                let alloc = Alloc::decode(key).expect("valid").expect("a bucket");
                self.alloc.insert(bucket, alloc);
            }
            BtreeId::BUCKET_GENS => {
                for (nr, gen) in (0u64..).zip(bucket_gens(v).expect("valid")) {
                    if *gen != 0 {
                        let at = (bucket.0, p.offset * 256 + nr);
                        self.gens.insert(at, *gen);
                    }
                }
            }
            BtreeId::BACKPOINTERS => {
                let bp = Backpointer::decode(v).expect("valid");
                self.backpointers.insert(p, bp);
            }
            BtreeId::FREESPACE => {
                for offset in key.k.start_offset()..p.offset {
                    let start = Bpos::new(p.inode, offset, p.snapshot);
                    self.bits.insert((btree, start));
                }
            }
            BtreeId::NEED_DISCARD | BtreeId::LRU | BtreeId::DELETED_INODES => {
                self.bits.insert((btree, p));
            }
            // Cookies ask for a scan and are nothing that is derived.
            BtreeId::RECONCILE_WORK if key.k.key_type == KeyType::SET => {
                self.bits.insert((btree, p));
            }
            BtreeId::SNAPSHOTS => {
                let snapshot = Snapshot::decode(v).expect("valid");
                self.snapshot_parents
                    .insert(p.offset as u32, snapshot.parent);
            }
            BtreeId::EXTENTS | BtreeId::STRIPES | BtreeId::REFLINK | BtreeId::INODES => {
                self.source(btree, 0, key);
                if let Some(flags) = inode_flags(key).expect("valid") {
                    self.inodes.insert((p.offset, p.snapshot), flags);
                }
                let is_shared = matches!(
                    key.k.key_type,
                    KeyType::REFLINK_V | KeyType::INDIRECT_INLINE_DATA
                );
                if is_shared {
                    let start = key.k.start_offset();
                    let refs = refcount(v).expect("valid");
                    self.indirect.insert(p.offset, (start, refs));
                }
            }
            _ => {}
        }
    }

    fn add_counters(&mut self, view: &View) -> Result<()> {
        let mut versions = std::collections::BTreeMap::new();
        let mut iter = view.btrees.iter(BtreeId::ACCOUNTING, 0, Bpos::MIN);
        while let Some(key) = iter.next()? {
            versions.insert(key.k.p, key.k.version);
            self.counters.insert(key.k.p, counters(key.v).collect());
        }
        let overlay = view.btrees.overlay();
        let deltas = overlay.iter().flat_map(|o| o.deltas(Bpos::MIN, Bpos::MAX));
        for delta in deltas {
            let version = versions.entry(delta.k.p).or_default();
            if delta_is_applied(delta.k.version, *version) {
                continue;
            }
            *version = delta.k.version;
            let sums = self.counters.entry(delta.k.p).or_default();
            for (i, by) in counters(delta.v).enumerate() {
                sums.resize(sums.len().max(i + 1), 0);
                sums[i] += by;
            }
        }
        self.counters.retain(|_, sums| sums.iter().any(|s| *s != 0));
        Ok(())
    }
}

fn dev(sb: &Superblock, member: &Member) -> Dev {
    let mut groups = Vec::new();
    let mut next = member.group().map(u64::from);
    while let Some(nr) = next.filter(|nr| !groups.contains(nr)) {
        groups.push(nr);
        next = sb.groups().get(nr).and_then(|g| g.parent());
    }
    let may = member.data_allowed() & (1 << DataType::USER.0) != 0;
    Dev {
        geometry: DevGeometry {
            first_bucket: member.first_bucket().into(),
            nr_buckets: member.nbuckets(),
            bucket_sectors: member.bucket_sectors().into(),
        },
        metadata: Vec::new(),
        groups,
        takes_user_data: may && member.state() == MemberState::RW,
        regions: NodeRegions::of(member),
    }
}
