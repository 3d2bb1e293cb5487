// SPDX-License-Identifier: GPL-2.0

//! Any bytes at all: nothing panics, and what is refused says so.

use super::*;
use proptest::prelude::*;

/// Does everything that can be done with the bytes of a superblock.
fn exercise(bytes: &[u8]) {
    let Ok(sb) = Superblock::read(bytes) else {
        return;
    };
    // Also what is not valid can be shown.
    let text = shown(&sb);
    assert!(!text.is_empty());
    if let Err(finding) = sb.validate(None) {
        assert!(!format!("{finding}").is_empty());
        return;
    }
    for idx in 0..=u8::MAX {
        let _ = sb.member(idx);
    }
    let _ = sb.journal_buckets().count();
    let _ = crate::format::opts::Opts::from_superblock(&sb);
    let _ = assemble::check_member(&sb, &sb, false);
    let _ = assemble::check_enough(&sb, &assemble::DevMask::default(), assemble::Degraded::Yes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_superblocks(
        which in 0usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        keep_len in any::<bool>(),
    ) {
        let mut sb = [V113, V139, V139_EC, ENCRYPTED][which].to_vec();
        for (at, v) in changes {
            let at = at.index(sb.len());
            sb[at] = v;
        }
        if !keep_len {
            let u64s = cut.index((sb.len() - HEADER_BYTES) / 8) as u32;
            put(&mut sb, at::U64S, &u64s.to_le_bytes());
        }
        let len = RawSb::read(&sb).unwrap().total_bytes() as usize;
        if len <= sb.len() {
            sb.truncate(len);
        }
        seal(&mut sb);
        exercise(&sb);
    }

    #[test]
    fn damaged_section_headers(
        which in 0usize..3,
        section in any::<prop::sample::Index>(),
        u64s in 0u32..40,
        kind in 0u32..20,
    ) {
        let mut sb = [V113, V139, V139_EC][which].to_vec();
        let whole = Superblock::read(&sb).unwrap();
        let kinds: Vec<_> = whole.sections().map(|s| s.kind).collect();
        let at = body_at(&sb, kinds[section.index(kinds.len())]) - 8;
        put(&mut sb, at, &u64s.to_le_bytes());
        put(&mut sb, at + 4, &kind.to_le_bytes());
        seal(&mut sb);
        exercise(&sb);
    }

    #[test]
    fn random_sections(
        kind in 0u32..20,
        body in prop::collection::vec(any::<u64>(), 0..60),
    ) {
        // The members, then a section of random contents, instead of all others.
        let at = body_at(V113, section::SectionType::MEMBERS_V2) - 8;
        let whole = Superblock::read(V113).unwrap();
        let members = whole.section(section::SectionType::MEMBERS_V2).unwrap();
        let mut sb = V113[..HEADER_BYTES].to_vec();
        sb.extend_from_slice(&V113[at..at + members.total_bytes()]);
        let u64s = body.len() as u32 + 1;
        sb.extend_from_slice(&u64s.to_le_bytes());
        sb.extend_from_slice(&kind.to_le_bytes());
        sb.extend(body.iter().flat_map(|w| w.to_le_bytes()));
        let total = ((sb.len() - HEADER_BYTES) / 8) as u32;
        put(&mut sb, at::U64S, &total.to_le_bytes());
        seal(&mut sb);
        exercise(&sb);
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        exercise(&bytes);
        let _ = Superblock::decode(&bytes, Some(8));
    }
}
