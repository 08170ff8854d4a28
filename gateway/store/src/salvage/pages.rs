//! Reads tables of a file that the engine will not open.
//!
//! Promises: every row is found to which intact pages lead; a page that makes no sense is passed over, and
//! counted; no file, however damaged, makes it panic, run for ever, or read what is not there.
//!
//! Refuses: saying that a row is as it was written. The pages' checksums are not looked at; whoever takes
//! the rows checks them as far as they can be checked.
//!
//! This is the one place that knows how the engine lays out a file (its `docs/design.md`, format 3): a
//! header with two roots, of which one is the latest; from a root, branches and leaves to the table of
//! tables; from its rows, branches and leaves to each table.

use std::collections::{BTreeMap, BTreeSet};

use super::scan::Source;
use crate::codec::take;

const LEAF: u8 = 1;
const BRANCH: u8 = 2;
/// Deeper than any tree of two children a branch that fits on a disk.
const DEEPEST: usize = 64;

/// The rows of one table, as bytes.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How many rows it had, if that is known.
    pub(crate) expected: u64,
    /// Pages that could not be followed.
    pub(crate) damaged_pages: u64,
}

/// Those tables of `wanted` that can be found, by name.
pub(crate) fn tables(source: &Source, wanted: &[&str]) -> BTreeMap<String, Rows> {
    let header = Header::read(source);
    let mut found = BTreeMap::new();
    // What the root before the latest leads to fills in what the latest does not.
    for root in header.roots {
        let Some(root) = root else { continue };
        let mut names = Walk::new(source, &header, None, None);
        names.page(root, 0);
        for (name, definition) in names.rows.rows {
            let (Ok(name), Some(table)) = (String::from_utf8(name), Definition::read(&definition)) else {
                continue;
            };
            if !wanted.contains(&name.as_str()) {
                continue;
            }
            let before: &mut Rows = found.entry(name).or_default();
            if !before.rows.is_empty() && before.damaged_pages == 0 {
                continue;
            }
            let rows = table.rows(source, &header);
            before.expected = before.expected.max(rows.expected);
            before.damaged_pages += rows.damaged_pages;
            for (key, value) in rows.rows {
                before.rows.entry(key).or_insert(value);
            }
        }
    }
    found
}

struct Header {
    page_size: u64,
    /// From the beginning of one region to the beginning of the next.
    region: u64,
    region_header: u64,
    /// The latest first.
    roots: [Option<u64>; 2],
}

impl Header {
    fn read(source: &Source) -> Self {
        let bytes = source.read(0, 320);
        let number =
            |at: usize| bytes.get(at..).and_then(|mut rest| take(&mut rest)).map_or(0, u32::from_le_bytes);
        // What the engine sets on this kind of machine, should this part of the file be damaged.
        let (mut page_size, mut header_pages, mut data_pages) = (4_096, 0, 1_048_576);
        if number(12).is_power_of_two() && (512..=65_536).contains(&number(12)) {
            (page_size, header_pages, data_pages) =
                (u64::from(number(12)), u64::from(number(16)), u64::from(number(20)));
        }
        let slot = |at: usize| {
            let slot = bytes.get(at..)?;
            let mut root = slot.get(8..)?;
            let is_there = *slot.get(1)? == 1;
            take(&mut root).map(u64::from_le_bytes).filter(|_| is_there)
        };
        let mut roots = [slot(64), slot(192)];
        if bytes.get(9).is_some_and(|flags| flags & 1 == 1) {
            roots.reverse();
        }
        let (region_header, region) = (header_pages * page_size, (header_pages + data_pages) * page_size);
        Header { page_size, region, region_header, roots }
    }

    /// Where a page lies and how long it is.
    fn place(&self, page: u64) -> Option<(u64, usize)> {
        let order = u32::try_from(page >> 59).ok().filter(|order| *order <= 20)?;
        let (index, region) = (page & (0xF_FFFF >> order), (page >> 20) & 0xF_FFFF);
        let length = self.page_size << order;
        let start = self.page_size + region * self.region + self.region_header + index * length;
        Some((start, usize::try_from(length).ok()?))
    }
}

/// What the table of tables says of a table.
struct Definition {
    root: Option<u64>,
    length: u64,
    key_width: Option<usize>,
    value_width: Option<usize>,
}

impl Definition {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let [_kind] = take(&mut rest)?;
        let length = u64::from_le_bytes(take(&mut rest)?);
        let [is_there] = take(&mut rest)?;
        let root = u64::from_le_bytes(take(&mut rest)?);
        let _checksum_and_length: [u8; 24] = take(&mut rest)?;
        let mut width = || {
            let [is_fixed] = take(&mut rest)?;
            let width = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
            Some((is_fixed == 1).then_some(width))
        };
        let (key_width, value_width) = (width()?, width()?);
        Some(Definition { root: (is_there == 1).then_some(root), length, key_width, value_width })
    }

    fn rows(&self, source: &Source, header: &Header) -> Rows {
        let mut walk = Walk::new(source, header, self.key_width, self.value_width);
        if let Some(root) = self.root {
            walk.page(root, 0);
        }
        walk.rows.expected = self.length;
        walk.rows
    }
}

struct Walk<'s> {
    source: &'s Source,
    header: &'s Header,
    key_width: Option<usize>,
    value_width: Option<usize>,
    seen: BTreeSet<u64>,
    rows: Rows,
}

impl<'s> Walk<'s> {
    fn new(
        source: &'s Source,
        header: &'s Header,
        key_width: Option<usize>,
        value_width: Option<usize>,
    ) -> Self {
        Walk { source, header, key_width, value_width, seen: BTreeSet::new(), rows: Rows::default() }
    }

    fn page(&mut self, page: u64, depth: usize) {
        // In a tree nothing is come by twice; in a damaged one it could be, for ever.
        let is_new = self.seen.insert(page) && depth < DEEPEST;
        let place = self.header.place(page).filter(|_| is_new);
        let bytes = place.map(|(start, length)| self.source.read(start, length)).unwrap_or_default();
        let followed = match bytes.first() {
            Some(&LEAF) => self.leaf(&bytes),
            Some(&BRANCH) => self.branch(&bytes, depth),
            _ => None,
        };
        self.rows.damaged_pages += u64::from(followed.is_none());
    }

    fn branch(&mut self, bytes: &[u8], depth: usize) -> Option<()> {
        let children = usize::from(count(bytes)?) + 1;
        let mut pages = bytes.get(8 + 16 * children..8 + 24 * children)?;
        while let Some(page) = take(&mut pages) {
            self.page(u64::from_le_bytes(page), depth + 1);
        }
        Some(())
    }

    /// Nothing is taken from a leaf of which any part makes no sense.
    fn leaf(&mut self, bytes: &[u8]) -> Option<()> {
        let pairs = usize::from(count(bytes)?);
        let mut lists = 4;
        let key_ends = ends(bytes, &mut lists, pairs, self.key_width)?;
        let value_ends = ends(bytes, &mut lists, pairs, self.value_width)?;
        let (keys, end) = slices(bytes, lists, &key_ends, self.key_width)?;
        let (values, _) = slices(bytes, end, &value_ends, self.value_width)?;
        self.rows.rows.extend(keys.into_iter().zip(values));
        Some(())
    }
}

fn count(bytes: &[u8]) -> Option<u16> {
    bytes.get(2..4)?.first_chunk().map(|count| u16::from_le_bytes(*count))
}

/// The list of where keys or values end; of those that are all of one width, only how many there are.
fn ends(bytes: &[u8], at: &mut usize, pairs: usize, width: Option<usize>) -> Option<Vec<usize>> {
    if width.is_some() {
        return Some(vec![0; pairs]);
    }
    let mut list = bytes.get(*at..*at + 4 * pairs)?;
    *at += 4 * pairs;
    let mut ends = Vec::with_capacity(pairs);
    while let Some(end) = take(&mut list) {
        ends.push(usize::try_from(u32::from_le_bytes(end)).ok()?);
    }
    Some(ends)
}

fn slices(bytes: &[u8], start: usize, ends: &[usize], width: Option<usize>) -> Option<(Vec<Vec<u8>>, usize)> {
    let mut found = Vec::with_capacity(ends.len());
    let mut at = start;
    for end in ends {
        let end = width.map_or(*end, |width| at + width);
        found.push(bytes.get(at..end)?.to_vec());
        at = end;
    }
    Some((found, at))
}
