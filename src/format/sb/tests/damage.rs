// SPDX-License-Identifier: GPL-2.0

//! Each way in which a superblock can be wrong, and what is said about it.

use super::{
    super::section::SectionType,
    *, //
};

/// Decodes, expecting a failure: the code, and a text that names the field.
fn refused(bytes: &[u8], error: Error, text: &str) {
    let finding = Superblock::decode(bytes, Some(8)).expect_err(text);
    let said = format!("{finding}");
    assert_eq!(finding.error, error, "{said}");
    assert!(said.contains(text), "no {text:?} in {said:?}");
}

#[test]
fn magic() {
    refused(
        &with(V113, at::MAGIC, &[0; 16]),
        Error::SbMagic,
        "not a bcachefs superblock: magic: found 00000000-0000-0000-0000-000000000000",
    );
}

#[test]
fn checksum() {
    let mut sb = V113.to_vec();
    sb[at::LABEL] ^= 1;
    let stored = RawSb::read(&sb).unwrap().csum();
    refused(
        &sb,
        Error::SbChecksum,
        &format!("found {stored:x}, must be"),
    );
    // The last byte is covered too.
    let mut sb = V139.to_vec();
    *sb.last_mut().unwrap() ^= 1;
    refused(&sb, Error::SbChecksum, "checksum");
}

#[test]
fn checksum_types() {
    for kind in [0u64, 1, 2, 5, 6, 7] {
        let flags = u64::from_le_bytes(V113[at::FLAGS..at::FLAGS + 8].try_into().unwrap());
        let flags = (flags & !(63 << 2)) | (kind << 2);
        let sb = with(V113, at::FLAGS, &flags.to_le_bytes());
        Superblock::decode(&sb, Some(8)).unwrap();
        let mut bad = sb.clone();
        bad[at::LABEL] ^= 1;
        assert_eq!(Superblock::decode(&bad, Some(8)).is_ok(), kind == 0);
    }
    for kind in [3u64, 4, 8, 63] {
        let flags = u64::from_le_bytes(V113[at::FLAGS..at::FLAGS + 8].try_into().unwrap());
        let flags = (flags & !(63 << 2)) | (kind << 2);
        let sb = with(V113, at::FLAGS, &flags.to_le_bytes());
        refused(&sb, Error::SbCsumType, &format!("found {kind}"));
    }
}

#[test]
fn versions() {
    let version = |v: Version| with(V113, at::VERSION, &v.0.to_le_bytes());
    refused(
        &version(Version::new(2, 1)),
        Error::SbVersionTooNew,
        "(unknown version) (2.1), must be at most per_dev_fragmentation_lru (1.39)",
    );
    refused(
        &version(Version::new(1, 12)),
        Error::SbVersionOrder,
        "version_min",
    );
    let old = Version::new(1, 12).0.to_le_bytes();
    let mut sb = version(Version::new(1, 12));
    put(&mut sb, at::VERSION_MIN, &old);
    seal(&mut sb);
    refused(
        &sb,
        Error::SbVersionTooOld,
        "rebalance_work_acct_fix (1.12)",
    );
    refused(
        &with(V113, at::VERSION_MIN, &[0, 0]),
        Error::SbVersion,
        "not a version",
    );
    refused(
        &with(V113, at::VERSION_MIN, &[20, 0]),
        Error::SbVersionTooOld,
        "alloc_v4 (0.20), must be at least major_minor (1.0)",
    );
    // A newer minor version is compatible as long as nothing incompatible is used.
    Superblock::decode(&version(Version::new(1, 50)), Some(8)).unwrap();
}

#[test]
fn version_is_named_even_if_the_rest_is_not_understood() {
    let mut sb = V113.to_vec();
    put(&mut sb, at::VERSION, &Version::new(3, 0).0.to_le_bytes());
    refused(&sb, Error::SbVersionTooNew, "(3.0)");
}

#[test]
fn incompatible_version() {
    let mut incompat = u64::from(Version::new(1, 40).0) << 32;
    incompat |= u64::from(Version::new(1, 40).0) << 48;
    refused(
        &with(V139, at::FLAGS + 40, &incompat.to_le_bytes()),
        Error::SbVersionIncompat,
        "(unknown version) (1.40), must be at most",
    );
}

#[test]
fn incompatible_features() {
    let features = u64::from_le_bytes(V113[at::FEATURES..at::FEATURES + 8].try_into().unwrap());
    let with_bit = |bit: u32| features | (1 << bit);
    refused(
        &with(V113, at::FEATURES, &with_bit(24).to_le_bytes()),
        Error::SbFeatures,
        "feature bit: found 24, must be at most 23",
    );
    refused(
        &with(V113, at::FEATURES + 8, &[1]),
        Error::SbFeatures,
        "found 64",
    );
}

#[test]
fn big_endian() {
    refused(
        &with(V113, at::FLAGS + 7, &[V113[at::FLAGS + 7] | 0x40]),
        Error::SbBigEndian,
        "big-endian",
    );
}

#[test]
fn fixed_fields() {
    let cases: &[(usize, &[u8], Error, &str)] = &[
        (at::UUID, &[0; 16], Error::SbUuid, "zeroes"),
        (
            at::OFFSET,
            &[9],
            Error::SbOffset,
            "offset (the sector it was written to): found 9, must be 8",
        ),
        (at::BLOCK_SIZE, &[3, 0], Error::SbBlockSize, "found 3"),
        (at::BLOCK_SIZE, &[0, 0], Error::SbBlockSize, "found 0"),
        (
            at::BLOCK_SIZE,
            &[128, 0],
            Error::SbBlockSize,
            "found 128, must be at most 64",
        ),
        (at::NR_DEVICES, &[0], Error::SbNrDevices, "nr_devices"),
        (
            at::DEV_IDX,
            &[3],
            Error::SbDevIdx,
            "dev_idx: found 3, must be at most 2",
        ),
        (
            at::TIME_PRECISION,
            &[0; 4],
            Error::SbTimePrecision,
            "time_precision",
        ),
    ];
    for (at, new, error, text) in cases {
        refused(&with(V113, *at, new), *error, text);
    }
}

#[test]
fn node_size() {
    let flags = u64::from_le_bytes(V113[at::FLAGS..at::FLAGS + 8].try_into().unwrap());
    let with_node = |n: u64| {
        let flags = (flags & !(0xffff << 12)) | (n << 12);
        with(V113, at::FLAGS, &flags.to_le_bytes())
    };
    refused(&with_node(0), Error::SbNodeSize, "btree_node_size");
    refused(&with_node(2048), Error::SbNodeSize, "must be at most 1024");
    refused(&with_node(4), Error::SbNodeBelowBlock, "must be at least 8");
}

#[test]
fn sizes() {
    refused(
        &with(V113, at::U64S, &u32::MAX.to_le_bytes()),
        Error::SbTooBig,
        "bytes of the superblock: found 34359739112, must be at most 1048576",
    );
    for len in [0, 1, HEADER_BYTES - 1] {
        refused(&V113[..len], Error::SbTruncated, "could be read");
    }
    refused(&V113[..V113.len() - 1], Error::SbTruncated, "could be read");
}

#[test]
fn sections() {
    let first = HEADER_BYTES;
    refused(
        &with(V113, first, &[0; 4]),
        Error::SbSectionSize,
        "section with size 0",
    );
    refused(
        &with(V113, first, &[0xff; 4]),
        Error::SbSectionSize,
        "extends past the end",
    );
    // One word fewer than the sections need.
    let u64s = u32::from_le_bytes(V113[at::U64S..at::U64S + 4].try_into().unwrap());
    let mut sb = V113[..V113.len() - 8].to_vec();
    put(&mut sb, at::U64S, &(u64s - 1).to_le_bytes());
    seal(&mut sb);
    refused(&sb, Error::SbSectionSize, "extends past the end");
    // Sections of unknown kind are left alone.
    let at = body_at(V113, SectionType::COUNTERS) - 4;
    let sb = Superblock::decode(&with(V113, at, &99u32.to_le_bytes()), Some(8)).unwrap();
    assert!(sb.section(SectionType(99)).is_some());
}

#[test]
fn layouts() {
    let cases: &[(usize, &[u8], &str)] = &[
        (0, &[0; 16], "not a bcachefs superblock layout"),
        (16, &[1], "layout type: found 1, must be 0"),
        (18, &[0], "number of superblocks: found 0"),
        (18, &[62], "must be at most 61"),
        (17, &[17], "sb_max_size_bits: found 17, must be at most 16"),
        (
            32,
            &9u64.to_le_bytes(),
            "superblock 1: superblocks overlap: start sector: found 9, must be at least 2056",
        ),
        (40, &u64::MAX.to_le_bytes(), "superblock 2: start sector"),
    ];
    for (offset, new, text) in cases {
        refused(&with(V113, at::LAYOUT + offset, new), Error::SbLayout, text);
    }
}

#[test]
fn members() {
    let v2 = body_at(V113, SectionType::MEMBERS_V2);
    let second = v2 + 8 + 144;
    let cases: &[(usize, &[u8], &str)] = &[
        (16, &[0xff; 8], "device 1: nbuckets"),
        (
            16,
            &60u64.to_le_bytes(),
            "device 1: buckets from first_bucket on",
        ),
        (
            26,
            &[4, 0],
            "bucket_size (sectors), against the block size: found 4, must be at least 8",
        ),
        (26, &[8, 0], "against the btree node size"),
        (28, &[58], "btree_bitmap_shift: found 58"),
    ];
    for (offset, new, text) in cases {
        refused(&with(V113, second + offset, new), Error::SbMembers, text);
    }
    refused(
        &with(V113, v2, &[0, 0]),
        Error::SbMembersSize,
        "bytes of a member: found 0, must be at least 56",
    );
    refused(
        &with(V113, at::NR_DEVICES, &[4]),
        Error::SbMembersSize,
        "section too small for nr_devices",
    );
    let mut sb = V113.to_vec();
    for kind in [SectionType::MEMBERS_V1, SectionType::MEMBERS_V2] {
        let at = body_at(&sb, kind) - 4;
        put(&mut sb, at, &98u32.to_le_bytes());
    }
    seal(&mut sb);
    refused(&sb, Error::SbMembersMissing, "no members section");
}

#[test]
fn journal() {
    let at = body_at(V113, SectionType::JOURNAL_V2);
    let case = |start: u64, nr: u64, text| {
        let mut new = start.to_le_bytes().to_vec();
        new.extend_from_slice(&nr.to_le_bytes());
        refused(&with(V113, at, &new), Error::SbJournal, text);
    };
    case(0, 4, "before the first usable bucket");
    case(20, 0, "bad number of buckets");
    case(u64::MAX, 2, "bad number of buckets");
    case(20, 1 << 20, "past the end of the device");
}

#[test]
fn labels() {
    let at = body_at(V113, SectionType::DISK_GROUPS);
    refused(
        &with(V113, at, &[0; 32]),
        Error::SbDiskGroups,
        "label 0: empty label",
    );
    // Parent 200 of label 0.
    refused(
        &with(V113, at + 32, &(200u64 << 6).to_le_bytes()),
        Error::SbDiskGroups,
        "parent of the label does not exist: found 199",
    );
    refused(
        &with(V113, at + 48 + 32, &[V113[at + 48 + 32] | 1]),
        Error::SbDiskGroups,
        "label of the device is deleted",
    );
}

#[test]
fn replicas() {
    let at = body_at(V113, SectionType::REPLICAS_V0);
    refused(
        &with(V113, at + 1, &[0]),
        Error::SbReplicas,
        "entry 0: no devices",
    );
    refused(
        &with(V113, at + 2, &[7]),
        Error::SbReplicas,
        "entry 0: device that is not a member: found 7",
    );
    refused(
        &with(V113, at + 1, &[255]),
        Error::SbReplicasSize,
        "past the end",
    );
    Superblock::decode(&with(V113, at + 2, &[255]), Some(8)).unwrap();
}

#[test]
fn clean() {
    let at = body_at(V113, SectionType::CLEAN);
    refused(
        &with(V113, at + 16, &[0xff, 0xff]),
        Error::SbClean,
        "record 0: record extends past the end",
    );
}

#[test]
fn others() {
    let at = body_at(ENCRYPTED, SectionType::CRYPT);
    refused(
        &with(ENCRYPTED, at, &[1]),
        Error::SbCrypt,
        "type of the key derivation: found 1, must be 0",
    );
    let at = body_at(V113, SectionType::DOWNGRADE);
    refused(
        &with(V113, at, &Version::new(2, 0).0.to_le_bytes()),
        Error::SbDowngrade,
        "another major version",
    );
    let at = body_at(V139, SectionType::EXTENT_TYPE_U64S);
    refused(
        &with(V139, at + 2, &[9]),
        Error::SbExtentTypes,
        "kind 2: words of a kind of extent entry: found 9, must be 2",
    );
}

/// Turns a section into one of another kind, with other contents.
fn replaced(kind: SectionType, new: SectionType, body: &[u8]) -> Vec<u8> {
    let at = body_at(V113, kind);
    let mut sb = V113.to_vec();
    put(&mut sb, at - 4, &new.0.to_le_bytes());
    put(&mut sb, at, body);
    seal(&mut sb);
    sb
}

#[test]
fn blacklist_and_error_counts() {
    let words = |v: &[u64]| -> Vec<u8> { v.iter().flat_map(|w| w.to_le_bytes()).collect() };
    // 11 words of section `ext`.
    let case = |new, v: &[u64], error, text| {
        let mut body = words(v);
        body.resize(88, 0xff);
        refused(&replaced(SectionType::EXT, new, &body), error, text);
    };
    let blacklist = SectionType::JOURNAL_SEQ_BLACKLIST;
    case(
        blacklist,
        &[5, 5],
        Error::SbBlacklist,
        "entry 0: end of the range",
    );
    case(
        blacklist,
        &[5, 9, 8, 10],
        Error::SbBlacklist,
        "entry 1: out of order",
    );
    let errors = SectionType::ERRORS;
    case(
        errors,
        &[7, 0],
        Error::SbErrors,
        "entry 0: entry with count 0: id: found 7",
    );
    case(
        errors,
        &[(1 << 16) | 7, 0, (1 << 16) | 7, 0],
        Error::SbErrors,
        "entry 1: entries out of order",
    );
    let v2 = SectionType::ERRORS_V2;
    case(
        v2,
        &[(5 << 48) | (1 << 16) | 7, 6 << 24],
        Error::SbErrors,
        "first occurrence is after the last: seconds: found 6, must be at most 5",
    );
}

/// Sections that are too short for what they have to hold.
#[test]
fn short_sections() {
    for (kind, error) in [
        (SectionType::QUOTA, Error::SbQuota),
        (SectionType::EXT, Error::SbExt),
    ] {
        let mut sb = Superblock::decode(V113, None).unwrap();
        sb.replace_section(kind, &[0; 8]).unwrap();
        assert_eq!(sb.validate(None).unwrap_err().error, error);
    }
}
