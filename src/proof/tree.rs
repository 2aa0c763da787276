//! The Merkle tree over the journal (RFC 6962, section 2.1): one leaf a row, in the order of the rows.
//!
//! Kept are the hashes of whole subtrees of [`TILE`] leaves and what is above them, and the leaves behind the last whole
//! one: 64 bytes for every 256 rows. Leaves further back are made anew from the journal's rows where a proof needs them:
//! two tiles at most. A proof is the hashes beside the way from a leaf to the root, so that it grows with the
//! logarithm of the journal.

use sha2::{Digest, Sha256};

use crate::ledger::chain::Hash;

/// Leaves of a subtree of which only the hash is kept.
pub const TILE: u64 = 256;
/// The same, as the height of the subtree.
const TILE_HEIGHT: u32 = 8;

/// The hash of a leaf.
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The tree over all rows so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Whole subtrees: of one tile, of two, of four and so on.
    levels: Vec<Vec<Hash>>,
    /// Leaves behind the last whole tile: fewer than [`TILE`].
    tail: Vec<Hash>,
}

/// A proof or a root was asked for without the leaves that it takes, or beyond the end of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("leaves are missing")]
pub struct MissingLeaves;

/// Leaves of some tiles, by the tile's number.
pub type Tiles = std::collections::BTreeMap<u64, Vec<Hash>>;

impl Tree {
    /// A tree of whole tiles alone, given their hashes.
    pub fn of_tiles(tiles: impl IntoIterator<Item = Hash>) -> Self {
        let mut tree = Self::default();
        for tile in tiles {
            tree.push_tile(tile);
        }
        tree
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.whole_tiles().saturating_mul(TILE).saturating_add(count(&self.tail))
    }

    /// How many whole tiles it has.
    pub fn whole_tiles(&self) -> u64 {
        self.levels.first().map_or(0, |tiles| count(tiles))
    }

    /// The hashes of whole tiles after the first so many.
    pub fn tiles_after(&self, tile: u64) -> &[Hash] {
        let from = usize::try_from(tile).unwrap_or(usize::MAX);
        self.levels.first().and_then(|tiles| tiles.get(from..)).unwrap_or_default()
    }

    /// Takes the next leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.tail.push(leaf);
        if count(&self.tail) == TILE {
            let tile = subtree(&self.tail);
            self.tail.clear();
            self.push_tile(tile);
        }
    }

    fn push_tile(&mut self, tile: Hash) {
        let mut hash = tile;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(nodes) = self.levels.get_mut(level) else { return };
            nodes.push(hash);
            // A second of two completes the node above.
            let (true, [.., left, right]) = (nodes.len().is_multiple_of(2), nodes.as_slice()) else { return };
            hash = node_hash(left, right);
        }
    }

    /// The tiles whose leaves a proof of that leaf in the tree of the first `size` leaves takes, beyond those known here.
    pub fn tiles_for_proof(&self, leaf: u64, size: u64) -> Vec<u64> {
        let mut tiles = self.tiles_for_root(size);
        let own = leaf.div_euclid(TILE);
        if own != self.whole_tiles() && !tiles.contains(&own) {
            tiles.push(own);
        }
        tiles
    }

    /// The tiles whose leaves the root over the first `size` leaves takes, beyond those known here: one at most.
    pub fn tiles_for_root(&self, size: u64) -> Vec<u64> {
        let last = size.div_euclid(TILE);
        let is_known = size.is_multiple_of(TILE) || last == self.whole_tiles();
        if is_known { Vec::new() } else { vec![last] }
    }

    /// The root over the first `size` leaves. If they end within a tile other than the last, its leaves are needed.
    ///
    /// # Errors
    /// [`MissingLeaves`].
    pub fn root(&self, size: u64, tiles: &Tiles) -> Result<Hash, MissingLeaves> {
        if size == 0 {
            return Ok(Sha256::digest([]).into());
        }
        if size > self.size() {
            return Err(MissingLeaves);
        }
        self.hash(0, size, tiles)
    }

    /// The hashes beside the way from the leaf with that index (from 0) to the root over the first `size` leaves, from
    /// the bottom up.
    ///
    /// # Errors
    /// [`MissingLeaves`].
    pub fn proof(&self, leaf: u64, size: u64, tiles: &Tiles) -> Result<Vec<Hash>, MissingLeaves> {
        if leaf >= size || size > self.size() {
            return Err(MissingLeaves);
        }
        let (mut path, mut start, mut length) = (Vec::new(), 0_u64, size);
        while length > 1 {
            let left = largest_power_below(length);
            let middle = start.saturating_add(left);
            let right = length.saturating_sub(left);
            if leaf < middle {
                path.push(self.hash(middle, right, tiles)?);
                length = left;
            } else {
                path.push(self.hash(start, left, tiles)?);
                (start, length) = (middle, right);
            }
        }
        path.reverse();
        Ok(path)
    }

    /// The hash over `length` leaves from `start`.
    fn hash(&self, start: u64, length: u64, tiles: &Tiles) -> Result<Hash, MissingLeaves> {
        if length.is_power_of_two() {
            return self.whole(start, length, tiles);
        }
        let left = largest_power_below(length);
        let right = self.hash(start.saturating_add(left), length.saturating_sub(left), tiles)?;
        Ok(node_hash(&self.whole(start, left, tiles)?, &right))
    }

    /// The hash over a whole subtree: `length` is a power of two and divides `start`.
    fn whole(&self, start: u64, length: u64, tiles: &Tiles) -> Result<Hash, MissingLeaves> {
        if length >= TILE {
            let level = usize::try_from(length.trailing_zeros().saturating_sub(TILE_HEIGHT)).ok();
            let nodes = level.and_then(|level| self.levels.get(level));
            let index = start.checked_shr(length.trailing_zeros()).unwrap_or_default();
            let node = usize::try_from(index).ok().and_then(|index| nodes?.get(index));
            return node.copied().ok_or(MissingLeaves);
        }
        let tile = start.div_euclid(TILE);
        let leaves = if tile == self.whole_tiles() { Some(&self.tail) } else { tiles.get(&tile) };
        let from = usize::try_from(start.rem_euclid(TILE)).unwrap_or(usize::MAX);
        let to = from.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        leaves.and_then(|leaves| leaves.get(from..to)).map(subtree).ok_or(MissingLeaves)
    }
}

/// The root that a proof leads to, from a leaf with that index in a tree of so many leaves; none if the proof cannot be
/// one of such a tree (RFC 9162, section 2.1.3.2).
pub fn root_of_proof(leaf: &Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut node, mut last) = (index, size.saturating_sub(1));
    let mut hash = *leaf;
    for beside in path {
        if last == 0 {
            return None;
        }
        if node % 2 == 1 || node == last {
            hash = node_hash(beside, &hash);
            while node.is_multiple_of(2) && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, beside);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    (last == 0).then_some(hash)
}

/// The hash over a whole subtree of these leaves, whose number is a power of two.
fn subtree(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::default(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().div_euclid(2));
            node_hash(&subtree(left), &subtree(right))
        }
    }
}

fn largest_power_below(length: u64) -> u64 {
    // The length is above 1.
    1_u64 << length.saturating_sub(1).checked_ilog2().unwrap_or_default()
}

fn count(hashes: &[Hash]) -> u64 {
    u64::try_from(hashes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 6962's own words, as plain as can be.
    fn plain_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(&plain_root(&leaves[..split]), &plain_root(&leaves[split..]))
            }
        }
    }

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    fn tree(leaves: &[Hash]) -> Tree {
        let mut tree = Tree::default();
        for leaf in leaves {
            tree.push(*leaf);
        }
        tree
    }

    fn tiles(leaves: &[Hash], wanted: &[u64]) -> Tiles {
        let tile = |tile: u64| leaves.chunks(256).nth(usize::try_from(tile).unwrap()).unwrap().to_vec();
        wanted.iter().map(|number| (*number, tile(*number))).collect()
    }

    #[test]
    fn roots_are_those_of_the_test_vectors_of_certificate_transparency() {
        // From the reference implementation's merkle_tree_test: eight inputs of 0, 1, 1, 2, 2, 4, 8 and 16 bytes.
        let inputs: [&[u8]; 8] = [
            &[],
            &[0],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
        ];
        let tree = tree(&inputs.map(leaf_hash));
        for (size, root) in [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            assert_eq!(
                crate::ledger::hexadecimal::write(&tree.root(size, &Tiles::new()).unwrap()),
                root,
                "{size}"
            );
        }
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proved_and_no_other() {
        let all = leaves(70);
        for size in 1..=all.len() {
            let (tree, root) = (tree(&all[..size]), plain_root(&all[..size]));
            let size = u64::try_from(size).unwrap();
            assert_eq!(tree.root(size, &Tiles::new()), Ok(root));
            for (index, leaf) in (0..size).zip(&all) {
                let path = tree.proof(index, size, &Tiles::new()).unwrap();
                assert_eq!(root_of_proof(leaf, index, size, &path), Some(root));
                for other in (0..=size).filter(|other| *other != index) {
                    assert_ne!(root_of_proof(leaf, other, size, &path), Some(root), "{index} as {other}");
                }
                assert_ne!(root_of_proof(leaf, index, size, &[&path[..], &[root]].concat()), Some(root));
                if let [shorter @ .., _] = &path[..] {
                    assert_ne!(root_of_proof(leaf, index, size, shorter), Some(root));
                }
            }
        }
    }

    #[test]
    fn what_is_beyond_the_tree_or_lacks_leaves_is_no_proof() {
        let all = leaves(600);
        let tree = tree(&all);
        assert_eq!(tree.proof(600, 600, &Tiles::new()), Err(MissingLeaves));
        assert_eq!(tree.proof(0, 601, &Tiles::new()), Err(MissingLeaves));
        assert_eq!(tree.root(601, &Tiles::new()), Err(MissingLeaves));
        assert_eq!(tree.proof(0, 600, &Tiles::new()), Err(MissingLeaves), "the first tile is not kept");
        assert_eq!(tree.tiles_for_proof(0, 600), [0]);
        assert_eq!(tree.tiles_for_proof(0, 300), [1, 0]);
        assert!(tree.tiles_for_proof(599, 600).is_empty());
    }

    proptest! {
        #[test]
        fn a_tree_of_tiles_has_the_root_and_the_proofs_of_the_plain_one(
            size in 1_u64..2_000, part in any::<u64>(), place in any::<u64>(),
        ) {
            let all = leaves(size);
            let tree = tree(&all);
            let past = 1 + part % size;
            let index = place % past;
            let root = plain_root(&all[..usize::try_from(past).unwrap()]);
            let known = tiles(&all, &tree.tiles_for_proof(index, past));
            let path = tree.proof(index, past, &known).unwrap();
            let leaf = all[usize::try_from(index).unwrap()];
            prop_assert_eq!(root_of_proof(&leaf, index, past, &path), Some(root));
            prop_assert_eq!(tree.root(past, &known), Ok(root));
            prop_assert!(path.len() <= 11);
            let restored = Tree::of_tiles(tree.tiles_after(0).iter().copied());
            prop_assert_eq!(restored.whole_tiles(), tree.whole_tiles());
            prop_assert_eq!(restored.levels, tree.levels);
        }
    }
}
