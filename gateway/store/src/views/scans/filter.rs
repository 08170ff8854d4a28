//! Which keys were never seen, told from memory.
//!
//! Promises: what was added is never denied; of what was not, about one in a thousand is not denied either,
//! and has to be looked up; two bytes for each key that there is room for.
//!
//! Refuses: forgetting a key. A filter goes as a whole, with the run that it is of; the one of all runs stays,
//! and does not deny what is long forgotten.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const BITS_PER_KEY: usize = 16;
/// Bits that stand for a key, all of them in one block.
const BITS: u32 = 7;
/// Words of a block: what the processor fetches at once.
const WORDS: usize = 8;

#[repr(align(64))]
#[derive(Default)]
struct Block([AtomicU64; WORDS]);

/// Keys are hashes, so that any of their bits are as good as others.
pub(super) struct Filter(Box<[Block]>);

impl Filter {
    pub(super) fn with_room(keys: usize) -> Self {
        let blocks = (keys * BITS_PER_KEY).div_ceil(WORDS * 64);
        Filter(std::iter::repeat_with(Block::default).take(blocks).collect())
    }

    fn block(&self, halves: (u64, u64)) -> Option<&Block> {
        self.0.get(scaled(halves.0, self.0.len()))
    }

    /// To be called by one thread at a time, so that it need not pay for what several would.
    pub(super) fn add(&self, key: &[u8; 16]) {
        let halves = halves(key);
        let Some(Block(words)) = self.block(halves) else { return };
        for (word, bit) in bits(halves.1) {
            if let Some(word) = words.get(word) {
                word.store(word.load(Ordering::Relaxed) | bit, Ordering::Relaxed);
            }
        }
    }

    /// Whether the key may have been added.
    pub(super) fn perhaps(&self, key: &[u8; 16]) -> bool {
        let halves = halves(key);
        self.block(halves).is_some_and(|Block(words)| {
            let is_set = |word: usize, bit| {
                words.get(word).is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
            };
            bits(halves.1).all(|(word, bit)| is_set(word, bit))
        })
    }
}

/// Of all keys that ever were in a run: many filters are too many to ask for each new key.
pub(super) struct Ever {
    filter: Filter,
    room: usize,
    keys: AtomicUsize,
    /// Takes more, once this one is full.
    next: OnceLock<Box<Ever>>,
}

impl Ever {
    /// That much more room than a full one is in the next.
    const GROWS: usize = 4;

    pub(super) fn with_room(room: usize) -> Self {
        let (keys, next) = (AtomicUsize::new(0), OnceLock::new());
        Ever { filter: Filter::with_room(room), room, keys, next }
    }

    /// To be called by one thread at a time.
    pub(super) fn add(&self, key: &[u8; 16]) {
        let mut part = self;
        while part.keys.load(Ordering::Relaxed) >= part.room {
            part = part.next.get_or_init(|| Box::new(Ever::with_room(part.room * Self::GROWS)));
        }
        part.keys.fetch_add(1, Ordering::Relaxed);
        part.filter.add(key);
    }

    pub(super) fn perhaps(&self, key: &[u8; 16]) -> bool {
        let mut parts = std::iter::successors(Some(self), |part| part.next.get().map(AsRef::as_ref));
        parts.any(|part| part.filter.perhaps(key))
    }
}

/// Where a hash falls among so many places, in the order of hashes.
pub(super) fn scaled(hash: u64, places: usize) -> usize {
    let place = (u128::from(hash) * (places as u128)) >> 64;
    usize::try_from(place).unwrap_or_default()
}

/// A key in two numbers, in the order of keys.
pub(super) fn halves(key: &[u8; 16]) -> (u64, u64) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *key;
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes([i, j, k, l, m, n, o, p]))
}

/// Nine bits of the hash for each: a word of the block, and a bit of it.
fn bits(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    (0..BITS).map(move |number| {
        let place = (hash >> (number * 9)) & 511;
        ((place >> 6) as usize, 1 << (place & 63))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> [u8; 16] {
        *blake3::hash(&number.to_le_bytes()).as_bytes().first_chunk().unwrap()
    }

    #[test]
    fn what_was_added_is_never_denied_and_little_else_is_not() {
        let filter = Filter::with_room(65_536);
        assert!(!filter.perhaps(&key(0)));
        (0..65_536).for_each(|number| filter.add(&key(number)));
        assert!((0..65_536).all(|number| filter.perhaps(&key(number))));
        let wrong = (100_000..200_000).filter(|number| filter.perhaps(&key(*number))).count();
        assert!(wrong < 200, "{wrong} of 100,000");
    }

    #[test]
    fn the_filter_of_all_grows_with_its_keys() {
        let ever = Ever::with_room(1_000);
        // Four parts, the last of them nearly full.
        (0..84_000).for_each(|number| ever.add(&key(number)));
        assert!((0..84_000).all(|number| ever.perhaps(&key(number))));
        let wrong = (100_000..200_000).filter(|number| ever.perhaps(&key(*number))).count();
        assert!(wrong < 600, "{wrong} of 100,000");
    }
}
