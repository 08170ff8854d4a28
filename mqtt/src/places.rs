//! Who may have a connection: places, and who among strangers has to leave when they are short.
//!
//! Promises: who has signed in keeps the place whatever strangers do; strangers have [`MOST_STRANGERS`] places
//! together, so that what they cost is bounded; when places are short, a newcomer waits a moment for one, and
//! then gets that of the oldest stranger of the address that has most of them. So somebody who opens sockets
//! and says nothing pushes out himself, and not a terminal at another address, nor one at the same address
//! that comes after him.
//!
//! Refuses: a bound for each address alone. All terminals of a campus may come from one, behind a router, and
//! all at once after a power cut.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::peer::{Peer, Source};

/// Connections that have not signed in; some tens of kilobytes each at most.
const MOST_STRANGERS: usize = 2_048;
/// Of one address, connections that wait to be one of them. One more waits for nothing.
const MOST_WAITING: usize = 1_024;

pub(crate) struct Places {
    most: usize,
    most_strangers: usize,
    table: Mutex<Table>,
    /// Told when a place is given back.
    freed: Notify,
}

#[derive(Default)]
struct Table {
    /// Places of all, strangers among them.
    taken: usize,
    numbers: u64,
    strangers: BTreeMap<u64, watch::Sender<bool>>,
    of: HashMap<Source, BTreeSet<u64>>,
    waiting: HashMap<Source, usize>,
}

/// Why there is no place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// There may be one in a moment.
    Soon,
    /// All are taken by those who have signed in.
    Full,
}

/// A place; given back when it is dropped.
pub(crate) struct Place {
    number: u64,
    peer: Peer,
    is_let_in: AtomicBool,
    places: Arc<Places>,
}

/// Turns true when its stranger has to go; closed when it is one no longer.
pub(crate) type LetGo = watch::Receiver<bool>;

impl Places {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let (table, freed) = (Mutex::default(), Notify::new());
        Arc::new(Places { most, most_strangers: MOST_STRANGERS.min(most), table, freed })
    }

    /// A place for a stranger; if places are short and it `has_waited`, that of another one.
    pub(crate) fn take(self: &Arc<Self>, peer: &Peer, has_waited: bool) -> Result<(Place, LetGo), NoPlace> {
        let source = peer.source();
        let mut table = self.table();
        if table.strangers.len() >= self.most_strangers || table.taken >= self.most {
            if table.strangers.is_empty() {
                return Err(NoPlace::Full);
            }
            if !has_waited {
                return Err(NoPlace::Soon);
            }
            table.let_one_go();
        }
        table.numbers += 1;
        table.taken += 1;
        let (number, (sender, let_go)) = (table.numbers, watch::channel(false));
        table.strangers.insert(number, sender);
        table.of.entry(source).or_default().insert(number);
        drop(table);
        let (peer, is_let_in, places) = (peer.clone(), AtomicBool::new(false), Arc::clone(self));
        Ok((Place { number, peer, is_let_in, places }, let_go))
    }

    /// Somebody begins to wait for a place, unless too many of the same address do.
    pub(crate) fn wait(&self, peer: &Peer) -> Option<Waiting<'_>> {
        let source = peer.source();
        let mut table = self.table();
        let waiting = table.waiting.entry(source).or_default();
        if *waiting >= MOST_WAITING {
            return None;
        }
        *waiting += 1;
        Some(Waiting { source, places: self })
    }

    /// Gives a stranger's place up, where something else is short.
    pub(crate) fn let_one_go(&self) {
        self.table().let_one_go();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The oldest of the address that has most.
    fn let_one_go(&mut self) {
        let fullest = self.of.iter().max_by_key(|(_, numbers)| (numbers.len(), Reverse(numbers.first())));
        let oldest = fullest.and_then(|(source, numbers)| Some((*source, *numbers.first()?)));
        if let Some((source, number)) = oldest
            && let Some(stranger) = self.forget(source, number)
        {
            self.taken = self.taken.saturating_sub(1);
            stranger.send_replace(true);
        }
    }

    /// It is a stranger no longer.
    fn forget(&mut self, source: Source, number: u64) -> Option<watch::Sender<bool>> {
        if let Some(numbers) = self.of.get_mut(&source) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.of.remove(&source);
            }
        }
        self.strangers.remove(&number)
    }
}

impl Place {
    /// Its owner has signed in; false if the place was given to somebody else before.
    pub(crate) fn let_in(&self) -> bool {
        let mut table = self.places.table();
        if table.forget(self.peer.source(), self.number).is_some() {
            self.is_let_in.store(true, Ordering::Release);
            self.peer.let_in();
            drop(table);
            self.places.freed.notify_one();
        }
        self.is_let_in.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.places.table();
        if table.forget(self.peer.source(), self.number).is_some() || self.is_let_in.load(Ordering::Acquire) {
            table.taken = table.taken.saturating_sub(1);
        }
        drop(table);
        self.places.freed.notify_one();
    }
}

/// Somebody who waits for a place.
pub(crate) struct Waiting<'a> {
    source: Source,
    places: &'a Places,
}

impl Waiting<'_> {
    pub(crate) async fn freed(&self) {
        self.places.freed.notified().await;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut table = self.places.table();
        if let Some(waiting) = table.waiting.get_mut(&self.source) {
            *waiting -= 1;
            if *waiting == 0 {
                table.waiting.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> Peer {
        Peer::new(([192, 0, 2, last], 1).into())
    }

    fn take(places: &Arc<Places>, peer: &Peer) -> (Place, LetGo) {
        places.take(peer, true).map_err(drop).unwrap()
    }

    #[test]
    fn when_places_are_short_the_oldest_of_the_address_with_most_has_to_go() {
        let places = Places::new(4);
        let (_alone, alone) = take(&places, &peer(1));
        let mut flood: Vec<(Place, LetGo)> = (0..3).map(|_| take(&places, &peer(2))).collect();
        assert_eq!(places.take(&peer(3), false).err(), Some(NoPlace::Soon));
        let (late, late_goes) = take(&places, &peer(3));
        assert!(*flood[0].1.borrow());
        assert!(!flood[0].0.let_in());
        assert!(!*alone.borrow() && !*late_goes.borrow() && late.let_in());
        // It had been let go, so its leaving frees no place once more.
        drop(flood.remove(0));
        assert_eq!(places.table().taken, 4);
    }

    #[test]
    fn who_has_signed_in_keeps_the_place_and_nobody_is_let_go_for_nothing() {
        let places = Places::new(2);
        let (one, one_goes) = take(&places, &peer(1));
        let (two, _) = take(&places, &peer(2));
        assert!(one.let_in() && one.let_in() && two.let_in());
        assert_eq!(places.take(&peer(3), true).err(), Some(NoPlace::Full));
        assert!(!*one_goes.borrow());
        drop(one);
        let (three, _) = take(&places, &peer(3));
        drop((two, three));
        let table = places.table();
        assert_eq!((table.taken, table.strangers.len(), table.of.len()), (0, 0, 0));
    }

    #[test]
    fn strangers_do_not_get_all_places() {
        let places = Places::new(MOST_STRANGERS * 2);
        let strangers: Vec<(Place, LetGo)> = (0..MOST_STRANGERS).map(|_| take(&places, &peer(1))).collect();
        assert_eq!(places.take(&peer(1), false).err(), Some(NoPlace::Soon));
        assert!(strangers.iter().all(|(place, _)| place.let_in()));
        assert!(places.take(&peer(1), false).is_ok());
    }

    #[test]
    fn those_who_wait_at_one_address_leave_room_for_those_of_another() {
        let places = Places::new(1);
        let waiting: Vec<Waiting<'_>> = (0..MOST_WAITING).map_while(|_| places.wait(&peer(1))).collect();
        assert!(waiting.len() == MOST_WAITING && places.wait(&peer(1)).is_none());
        assert!(places.wait(&peer(2)).is_some());
        drop(waiting);
        assert!(places.table().waiting.is_empty());
    }
}
