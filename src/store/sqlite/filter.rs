//! A blocked Bloom filter over hashes that are uniform already: says "certainly absent" or "perhaps present".
//!
//! All probes of a hash fall into one line of 64 bytes, so a question costs one cache miss. The line is chosen by
//! the hash's order (`hash × lines / 2⁶⁴`), not by its low bits: a filter filled in the order of the hashes is
//! filled from its first line to its last, and no line needs a second visit.
//!
//! Sized at [`BITS_PER_ENTRY`] bits an entry with [`PROBES`] probes, about 0.5 % of absent hashes are taken for
//! present. Size and probes are part of the file format: a filter that was written with other values denies hashes
//! that it holds. A change of either needs a migration.

/// Bits that the filter spends on an entry.
pub const BITS_PER_ENTRY: usize = 12;

/// Bits set, and asked for, for one hash.
const PROBES: u32 = 6;

/// Words of 64 bits in a line; a line is one cache line.
pub const LINE_WORDS: usize = 8;

/// Bits that say which bit of a line a probe means: 2⁹ = 512 bits.
const PROBE_BITS: u32 = 9;

/// An odd constant (2⁶⁴ divided by the golden ratio): its product carries the low bits of a hash, which do not
/// choose the line, up to where the probes are taken from.
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

/// One cache line of the filter. The alignment keeps a question to a single cache miss.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Line([u64; LINE_WORDS]);

/// The filter of one run of keys.
#[derive(Debug)]
pub struct Filter {
    lines: Vec<Line>,
}

impl Filter {
    /// An empty filter with room for `entries` hashes.
    pub fn new(entries: usize) -> Self {
        Self { lines: vec![Line::default(); Self::words_for(entries) / LINE_WORDS] }
    }

    /// The filter whose words are `words`, as [`Filter::words`] gave them; what is over a whole line is left out.
    pub fn from_words(words: &[u64]) -> Self {
        let (lines, _) = words.as_chunks::<LINE_WORDS>();
        Self { lines: lines.iter().copied().map(Line).collect() }
    }

    /// How many words a filter for `entries` hashes has; never none.
    pub const fn words_for(entries: usize) -> usize {
        let line_bits = LINE_WORDS * 64;
        let lines = entries.saturating_mul(BITS_PER_ENTRY).div_ceil(line_bits);
        if lines == 0 { LINE_WORDS } else { lines * LINE_WORDS }
    }

    /// The words from number `from` on, to be stored.
    pub fn words(&self, from: usize) -> impl Iterator<Item = u64> {
        let whole_lines = self.lines.get(from / LINE_WORDS..).unwrap_or_default();
        whole_lines.iter().flat_map(|line| line.0).skip(from % LINE_WORDS)
    }

    /// Adds a hash.
    pub fn insert(&mut self, hash: u64) {
        let at = self.line_of(hash);
        if let Some(line) = self.lines.get_mut(at) {
            for (word, mask) in probes(hash) {
                line.0[word] |= mask;
            }
        }
    }

    /// Whether the hash may have been added: false is certain, true is a guess.
    pub fn may_hold(&self, hash: u64) -> bool {
        // Without a line to ask, nothing may be ruled out: a false "absent" would let a payment happen twice.
        self.lines
            .get(self.line_of(hash))
            .is_none_or(|line| probes(hash).all(|(word, mask)| line.0[word] & mask != 0))
    }

    fn line_of(&self, hash: u64) -> usize {
        let lines = u128::try_from(self.lines.len()).unwrap_or(u128::MAX);
        usize::try_from(u128::from(hash).saturating_mul(lines) >> 64).unwrap_or(usize::MAX)
    }
}

/// The probes of a hash: a word of the line and the bit in it. Taken from the top of the product, where each bit
/// depends on all bits of the hash below it.
fn probes(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    let mixed = hash.wrapping_mul(MIX);
    (1..=PROBES).map(move |probe| {
        let bit = mixed >> (64 - probe * PROBE_BITS);
        // The mask keeps the word below LINE_WORDS, so the index is always inside the line.
        (usize::try_from((bit >> 6) & 7).unwrap_or_default(), 1 << (bit & 63))
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// `SplitMix64`, a public-domain generator whose whole state is a counter: enough to stand in for SHA-256.
    pub fn uniform(n: u64) -> u64 {
        let mut z = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn filled(entries: u64) -> Filter {
        let mut filter = Filter::new(usize::try_from(entries).unwrap());
        (0..entries).for_each(|n| filter.insert(uniform(n)));
        filter
    }

    #[test]
    fn holds_all_that_was_added() {
        for entries in [1, 2, 41, 43, 50_000] {
            let filter = filled(entries);
            assert!((0..entries).all(|n| filter.may_hold(uniform(n))), "{entries} entries");
        }
    }

    #[test]
    fn less_than_one_absent_hash_in_a_hundred_is_taken_for_present() {
        let filter = filled(50_000);
        let wrong = (1_000_000..1_100_000).filter(|n| filter.may_hold(uniform(*n))).count();
        assert!(wrong < 1_000, "{wrong} of 100000");
    }

    #[test]
    fn an_empty_filter_denies_all() {
        let filter = Filter::new(0);
        assert!([0, 1, u64::MAX].into_iter().all(|hash| !filter.may_hold(hash)));
    }

    #[test]
    fn is_the_same_after_storing() {
        let filter = filled(1_000);
        let words: Vec<u64> = filter.words(0).collect();
        assert_eq!(words.len(), Filter::words_for(1_000));
        let stored = Filter::from_words(&words);
        assert!((0..1_000).all(|n| stored.may_hold(uniform(n))));
        assert_eq!(stored.words(13).collect::<Vec<_>>(), words[13..]);
    }

    #[test]
    fn fills_in_the_order_of_the_hashes() {
        let filter = Filter::new(10_000);
        let mut hashes: Vec<u64> = (0..10_000).map(uniform).collect();
        hashes.sort_unstable();
        assert!(hashes.is_sorted_by_key(|hash| filter.line_of(*hash)));
        assert_eq!(filter.line_of(0), 0);
        assert_eq!(filter.line_of(u64::MAX), filter.lines.len() - 1);
    }
}
