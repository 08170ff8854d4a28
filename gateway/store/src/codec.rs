//! How an entry lies in the ledger.
//!
//! Promises: each entry is framed, so that it can be found and checked on its own in a damaged file;
//! each carries a keyed hash over itself and the one before it, so that none can be changed, taken out
//! or put in by who does not have the key. The format has a version and a golden file.
//!
//! ```text
//! "RCL1"  version  sequence  length  payload   checksum  chain
//!    4       1        8 LE     4 LE  length      8        32
//! ```
//!
//! The checksum is of everything before it, without a key: salvage needs none. The chain is keyed, over
//! the chain of the entry before, then everything before the checksum.

use serde::{Deserialize, Serialize};

use rollcall_domain::event::{Actor, Entry, Event};
use rollcall_domain::ids::Seq;
use rollcall_domain::moment::Moment;

use crate::error::StoreError;

pub(crate) const MAGIC: &[u8; 4] = b"RCL1";
pub(crate) const VERSION: u8 = 1;
pub(crate) const HEADER: usize = 4 + 1 + 8 + 4;
const CHECKSUM: usize = 8;
const CHAIN: usize = 32;

/// The hash that an entry hands on to the next.
pub(crate) type Chain = [u8; CHAIN];

/// What the first entry follows.
pub(crate) const GENESIS: Chain = [0; CHAIN];

#[derive(Serialize)]
struct PayloadRef<'a> {
    at: Moment,
    by: &'a Actor,
    event: &'a Event,
}

#[derive(Deserialize)]
struct Payload {
    at: Moment,
    by: Actor,
    event: Event,
}

/// Adds the bytes of an entry that follows `before`, and hands out its own link of the chain.
pub(crate) fn encode(
    key: &[u8; 32],
    before: &Chain,
    entry: &Entry,
    into: &mut Vec<u8>,
) -> Result<Chain, StoreError> {
    let start = into.len();
    into.extend(MAGIC);
    into.push(VERSION);
    into.extend(entry.seq.0.to_le_bytes());
    let length_at = into.len();
    into.extend([0; 4]);
    let payload = PayloadRef { at: entry.at, by: &entry.by, event: &entry.event };
    *into = postcard::to_extend(&payload, std::mem::take(into)).map_err(StoreError::Encode)?;
    let length = u32::try_from(into.len() - start - HEADER)
        .map_err(|_too_long| StoreError::Damaged { seq: entry.seq.0, what: "longer than 4 GiB" })?;
    if let Some(place) = into.get_mut(length_at..length_at + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    let framed = into.get(start..).unwrap_or_default();
    let (chain, sum) = (link(key, before, framed), checksum::<CHECKSUM>(framed));
    into.extend(sum);
    into.extend(chain);
    Ok(chain)
}

/// An entry, and its link of the chain.
pub(crate) struct Decoded {
    pub(crate) entry: Entry,
    pub(crate) chain: Chain,
    framed: usize,
}

/// Reads one entry; everything but the chain is checked.
pub(crate) fn decode(seq: u64, bytes: &[u8]) -> Result<Decoded, StoreError> {
    let damaged = |what| StoreError::Damaged { seq, what };
    let mut rest = bytes;
    if take::<4>(&mut rest) != Some(*MAGIC) {
        return Err(damaged("no frame"));
    }
    let [version] = take::<1>(&mut rest).ok_or(damaged("cut short"))?;
    if version > VERSION {
        return Err(StoreError::Newer { found: version, known: VERSION });
    }
    if take::<8>(&mut rest).map(u64::from_le_bytes) != Some(seq) {
        return Err(damaged("its own sequence differs"));
    }
    let length = take::<4>(&mut rest).map(u32::from_le_bytes).ok_or(damaged("cut short"))?;
    let framed = HEADER + usize::try_from(length).unwrap_or(usize::MAX - HEADER);
    let payload = rest.get(..framed - HEADER).ok_or(damaged("cut short"))?;
    let mut tail = bytes.get(framed..).unwrap_or_default();
    let sum = take::<CHECKSUM>(&mut tail).ok_or(damaged("cut short"))?;
    if bytes.get(..framed).map(checksum) != Some(sum) {
        return Err(damaged("checksum"));
    }
    let chain = take::<CHAIN>(&mut tail).filter(|_| tail.is_empty()).ok_or(damaged("wrong length"))?;
    let payload: Payload = postcard::from_bytes(payload).map_err(|_unreadable| damaged("payload"))?;
    let entry = Entry { seq: Seq(seq), at: payload.at, by: payload.by, event: payload.event };
    Ok(Decoded { entry, chain, framed })
}

impl Decoded {
    /// Whether it follows `before`; `bytes` are those it was decoded from.
    pub(crate) fn follows(&self, key: &[u8; 32], before: &Chain, bytes: &[u8]) -> bool {
        self.link_after(key, before, bytes) == Some(self.chain)
    }

    /// The link it would have if it followed `before`.
    pub(crate) fn link_after(&self, key: &[u8; 32], before: &Chain, bytes: &[u8]) -> Option<Chain> {
        bytes.get(..self.framed).map(|framed| link(key, before, framed))
    }

    /// The same bytes with another link.
    pub(crate) fn relinked(&self, chain: &Chain, bytes: &[u8]) -> Vec<u8> {
        let kept = bytes.get(..bytes.len().saturating_sub(CHAIN)).unwrap_or_default();
        [kept, chain.as_slice()].concat()
    }
}

/// How long the entry is whose header these bytes are, if they are one.
pub(crate) fn length(header: &[u8]) -> Option<(u64, u64)> {
    let mut rest = header;
    let (magic, _version) = (take::<4>(&mut rest)?, take::<1>(&mut rest)?);
    let seq = u64::from_le_bytes(take(&mut rest)?);
    let payload = u64::from(u32::from_le_bytes(take(&mut rest)?));
    let around = u64::try_from(HEADER + CHECKSUM + CHAIN).ok()?;
    (magic == *MAGIC && seq > 0).then_some((seq, payload + around))
}

/// Whether these are the bytes of an entry as somebody wrote them; its link is not looked at.
pub(crate) fn is_intact(bytes: &[u8]) -> bool {
    let Some((framed, mut tail)) = bytes.split_at_checked(bytes.len().saturating_sub(CHECKSUM + CHAIN))
    else {
        return false;
    };
    length(bytes).is_some() && take::<CHECKSUM>(&mut tail) == Some(checksum(framed))
}

/// Refuses the bytes of an intact entry that a newer version wrote.
pub(crate) fn readable(bytes: &[u8]) -> Result<(), StoreError> {
    match bytes.get(MAGIC.len()) {
        Some(version) if *version > VERSION => Err(StoreError::Newer { found: *version, known: VERSION }),
        _ => Ok(()),
    }
}

fn link(key: &[u8; 32], before: &Chain, framed: &[u8]) -> Chain {
    *blake3::Hasher::new_keyed(key).update(before).update(framed).finalize().as_bytes()
}

/// What tells that bytes are as somebody wrote them; not who.
pub(crate) fn checksum<const N: usize>(framed: &[u8]) -> [u8; N] {
    let mut sum = [0; N];
    blake3::Hasher::new().update(framed).finalize_xof().fill(&mut sum);
    sum
}

pub(crate) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 32] = [3; 32];

    fn entry() -> Entry {
        let event = Event::SettingChanged { key: "campus.name".to_owned(), value: Some("North".to_owned()) };
        Entry { seq: Seq(7), at: Moment::from_millis(1_772_000_000_000), by: Actor::Cli, event }
    }

    fn encode(key: &[u8; 32], before: &Chain, entry: &Entry) -> Result<(Vec<u8>, Chain), StoreError> {
        let mut bytes = b"what is there already".to_vec();
        let there = bytes.len();
        let chain = super::encode(key, before, entry, &mut bytes)?;
        Ok((bytes.split_off(there), chain))
    }

    fn read(bytes: &[u8]) -> Option<Decoded> {
        decode(7, bytes).ok().filter(|decoded| decoded.follows(&KEY, &GENESIS, bytes))
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let (bytes, chain) = encode(&KEY, &GENESIS, &entry()).unwrap();
        let decoded = read(&bytes).unwrap();
        assert_eq!((decoded.entry, decoded.chain), (entry(), chain));
    }

    #[test]
    fn an_entry_follows_only_the_one_before_it_and_only_with_its_key() {
        let (bytes, chain) = encode(&KEY, &GENESIS, &entry()).unwrap();
        let decoded = decode(7, &bytes).unwrap();
        assert!(!decoded.follows(&KEY, &chain, &bytes));
        assert!(!decoded.follows(&[4; 32], &GENESIS, &bytes));
    }

    #[test]
    fn a_changed_byte_or_a_cut_is_noticed_wherever_it_is() {
        let (bytes, _) = encode(&KEY, &GENESIS, &entry()).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x10;
            assert!(read(&changed).is_none(), "changed at {place}");
            assert!(read(&bytes[..place]).is_none(), "cut at {place}");
        }
        assert!(read(&[bytes.as_slice(), &[0]].concat()).is_none());
    }

    #[test]
    fn damage_is_told_without_the_key_from_a_newer_version_and_another_place() {
        let (mut bytes, _) = encode(&KEY, &GENESIS, &entry()).unwrap();
        assert!(matches!(decode(8, &bytes), Err(StoreError::Damaged { seq: 8, .. })));
        bytes[HEADER] ^= 1;
        assert!(matches!(decode(7, &bytes), Err(StoreError::Damaged { seq: 7, what: "checksum" })));
        bytes[4] = VERSION + 1;
        assert!(matches!(decode(7, &bytes), Err(StoreError::Newer { found: 2, known: 1 })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            start in prop::option::of(Just(b"RCL1\x01\x07\0\0\0\0\0\0\0".to_vec())),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let bytes = [start.unwrap_or_default(), bytes].concat();
            prop_assert!(read(&bytes).is_none());
        }
    }
}
