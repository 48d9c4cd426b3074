//! Names of journal files.
//!
//! `g00000003-s0001-000000000000002a.journal` is file 42 of shard 1's journal of generation 3; `s0001-7.free` is a file
//! kept for shard 1. What a file holds is decided by its frames, not by its name: a file may have a new name while its
//! frames are still the old ones.

use crate::ids::Generation;

/// The name of a file in use.
pub fn live(generation: Generation, shard: u16, sequence: u64) -> String {
    format!("g{:08x}-s{shard:04x}-{sequence:016x}.journal", generation.0)
}

/// The parts of a name made by [`live`].
pub fn parse_live(name: &str) -> Option<(Generation, u16, u64)> {
    let mut parts = name.strip_suffix(".journal")?.split('-');
    let generation = u32::from_str_radix(parts.next()?.strip_prefix('g')?, 16).ok()?;
    let shard = u16::from_str_radix(parts.next()?.strip_prefix('s')?, 16).ok()?;
    let sequence = u64::from_str_radix(parts.next()?, 16).ok()?;
    parts.next().is_none().then_some((Generation(generation), shard, sequence))
}

/// The name of a file kept for a shard; `number` only tells them apart.
pub fn free(shard: u16, number: u64) -> String {
    format!("s{shard:04x}-{number:x}.free")
}

/// The name under which a shard pre-writes a file; one left by a crash is written over.
pub fn fresh(shard: u16) -> String {
    format!("s{shard:04x}.new")
}

/// The shard a file is kept for.
pub fn parse_free(name: &str) -> Option<u16> {
    let (shard, _) = name.strip_suffix(".free")?.strip_prefix('s')?.split_once('-')?;
    u16::from_str_radix(shard, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let name = live(Generation(3), 1, 42);
        assert_eq!(name, "g00000003-s0001-000000000000002a.journal");
        assert_eq!(parse_live(&name), Some((Generation(3), 1, 42)));
        assert_eq!(parse_free(&free(7, 300)), Some(7));
        for other in ["g1.journal", "x-y-z.journal", "lock", "s-1.free", "g1-s1-1-1.journal"] {
            assert_eq!(parse_live(other), None, "{other}");
        }
        assert_eq!(parse_free("s0001.free"), None);
    }
}
