//! Who is connected: every live connection of every identity, and every session that waits for its client.
//!
//! Promises: a result or command reaches each connection of its device; of two connections with the same
//! client id within one identity the older one ends, and what it leaves goes to the newer one if that wants it;
//! a revoked device is out within a second, also if it was just being let in; [`Presence`] hears of a device's
//! first connection and its last, in order.
//!
//! Refuses: losing messages in silence. A connection whose mailbox is full does not take what it is sent,
//! and is ended. More than [`MOST_OF_ONE`] connections of one device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use rollcall_dialects::native;
use rollcall_dialects::topics::Purpose;
use rollcall_domain::ids::DeviceId;
use rollcall_domain::ports::{Command, DeviceConfig, Downlink, Presence, Told};
use tokio::sync::{mpsc, oneshot, watch};

use crate::absent::Left;
use crate::access::Identity;
use crate::fate::Fate;
use crate::leave::Leave;

/// Messages for one connection that it has not looked at yet.
const MAILBOX: usize = 1024;
/// A terminal has one connection, or a few while it loses and finds the network.
const MOST_OF_ONE: usize = 8;

/// From the gateway to a device, under one of its own topics.
#[derive(Clone)]
pub(crate) struct Note {
    pub(crate) purpose: Purpose,
    pub(crate) payload: Bytes,
    pub(crate) fate: Option<Fate>,
}

/// Where what is left of a session is handed to whoever took it over.
type Heir = Arc<Mutex<Option<oneshot::Sender<Left>>>>;

struct Entry {
    number: u64,
    client_id: String,
    /// False while the session waits for its client.
    is_live: bool,
    heir: Heir,
    notes: mpsc::Sender<Note>,
    end: watch::Sender<Option<Leave>>,
}

impl Entry {
    fn end(&self, reason: Leave) {
        self.end.send_if_modified(|end| end.is_none() && end.replace(reason).is_none());
    }

    fn tell(&self, note: Note) {
        match self.notes.try_send(note) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => self.end(Leave::Unresponsive),
            Err(mpsc::error::TrySendError::Closed(_)) => tracing::trace!("the connection is just ending"),
        }
    }
}

/// The connections of one identity. Only who holds the register adds and removes.
type Group = Arc<RwLock<Vec<Entry>>>;

#[derive(Default)]
struct Register {
    groups: HashMap<Identity, Group>,
    numbers: u64,
    open: usize,
    revocations: u64,
    stopping: bool,
}

/// All live connections; the way to devices.
///
/// Made before the front door, so that rooms which need a [`Downlink`] and rooms which the front door
/// needs can be joined in any order. [`Presence`] is told under a lock: it must not call back.
pub struct Connections {
    register: Mutex<Register>,
    presence: Arc<dyn Presence>,
    stopping: watch::Sender<bool>,
}

/// Who comes, and what it wants of the session that it may have had.
pub(crate) struct Entering<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) client_id: &'a str,
    pub(crate) clean_start: bool,
    /// From [`Connections::revocations`].
    pub(crate) revocations: u64,
}

/// What is left of a session with this client id, once its owner has let go of it.
pub(crate) type Inheritance = oneshot::Receiver<Left>;

/// Devices were revoked since; the identity has to be checked again.
#[derive(Debug)]
pub(crate) struct CheckAgain;

impl Connections {
    pub fn new(presence: Arc<dyn Presence>) -> Arc<Self> {
        let stopping = watch::Sender::new(false);
        Arc::new(Connections { register: Mutex::default(), presence, stopping })
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.register().open
    }

    /// To be asked before an identity is checked and handed to [`Self::enter`].
    pub(crate) fn revocations(&self) -> u64 {
        self.register().revocations
    }

    pub(crate) fn enter(
        self: &Arc<Self>,
        entering: &Entering<'_>,
    ) -> Result<(Seat, Option<Inheritance>), CheckAgain> {
        let Entering { identity, client_id, clean_start, revocations } = *entering;
        let (notes, mailbox) = mpsc::channel(MAILBOX);
        let mut register = self.register();
        if register.revocations != revocations {
            return Err(CheckAgain);
        }
        register.numbers += 1;
        register.open += 1;
        let number = register.numbers;
        let (end, ended) = watch::channel(register.stopping.then_some(Leave::Stopping));
        let client_id =
            if client_id.is_empty() { format!("rollcall-{number}") } else { client_id.to_owned() };
        let group = Arc::clone(register.groups.entry(identity.clone()).or_default());
        let mut entries = write(&group);
        if let (false, Identity::Device(device)) = (has_live(&entries), identity) {
            self.presence.connected(device);
        }
        let mut inheritance = None;
        for same in entries.extract_if(.., |entry| entry.client_id == client_id) {
            if !clean_start {
                let (heir, left) = oneshot::channel();
                *lock(&same.heir) = Some(heir);
                inheritance = Some(left);
            }
            same.end(Leave::TakenOver);
        }
        if matches!(identity, Identity::Device(_)) && entries.len() >= MOST_OF_ONE {
            entries.remove(0).end(Leave::TooMany);
        }
        let heir = Heir::default();
        entries.push(Entry {
            number,
            client_id: client_id.clone(),
            is_live: true,
            heir: Arc::clone(&heir),
            notes,
            end,
        });
        drop(entries);
        drop(register);
        let (connections, identity) = (Arc::clone(self), identity.clone());
        let seat =
            Seat { number, client_id, identity, is_live: true, heir, group, connections, mailbox, ended };
        Ok((seat, inheritance))
    }

    /// The client of this seat is gone. `None` if somebody took its place; then what is left goes to them.
    fn step_back(&self, seat: &mut Seat) -> Option<()> {
        let mut register = self.register();
        let mut entries = write(&seat.group);
        let own = entries.iter_mut().find(|entry| entry.number == seat.number)?;
        own.is_live = false;
        seat.is_live = false;
        register.open = register.open.saturating_sub(1);
        if let (false, Identity::Device(device)) = (has_live(&entries), &seat.identity) {
            self.presence.disconnected(device);
        }
        Some(())
    }

    fn leave(&self, seat: &Seat) {
        let mut register = self.register();
        register.open = register.open.saturating_sub(usize::from(seat.is_live));
        let mut entries = write(&seat.group);
        let own = entries.extract_if(.., |entry| entry.number == seat.number).count();
        // One that was taken over is no longer in its group, which may not even be its identity's any more.
        if own == 0 {
            return;
        }
        if let (true, false, Identity::Device(device)) = (seat.is_live, has_live(&entries), &seat.identity) {
            self.presence.disconnected(device);
        }
        if entries.is_empty() {
            drop(entries);
            register.groups.remove(&seat.identity);
        }
    }

    /// To every connection of the device that is there now.
    fn tell(&self, device: &DeviceId, note: &Note) {
        let Some(group) = self.group(device) else { return };
        let entries = read(&group);
        entries.iter().filter(|entry| entry.is_live).for_each(|entry| entry.tell(note.clone()));
    }

    /// Ends every connection, after what it owes, and lets nobody in any more.
    pub(crate) fn stop(&self) {
        let mut register = self.register();
        register.stopping = true;
        for group in register.groups.values() {
            write(group).iter().for_each(|entry| entry.end(Leave::Stopping));
        }
        drop(register);
        self.stopping.send_replace(true);
    }

    /// Turns true when [`Self::stop`] was called.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    pub(crate) fn presence(&self) -> &dyn Presence {
        self.presence.as_ref()
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn group(&self, device: &DeviceId) -> Option<Group> {
        self.register().groups.get(&Identity::Device(device.clone())).cloned()
    }
}

impl Downlink for Connections {
    fn command(&self, device: &DeviceId, command: Command, told: Told) {
        let (payload, fate) = (native::command(&command).into(), Some(Fate::of(told)));
        self.tell(device, &Note { purpose: Purpose::Command, payload, fate });
    }

    fn configure(&self, device: &DeviceId, config: &DeviceConfig, told: Told) {
        let (payload, fate) = (native::config(config).into(), Some(Fate::of(told)));
        self.tell(device, &Note { purpose: Purpose::Config, payload, fate });
    }

    fn revoke(&self, device: &DeviceId) {
        let mut register = self.register();
        register.revocations += 1;
        if let Some(group) = register.groups.get(&Identity::Device(device.clone())) {
            read(group).iter().for_each(|entry| entry.end(Leave::Revoked));
        }
    }
}

/// One connection's place in the register; dropped, it is given up.
pub(crate) struct Seat {
    pub(crate) number: u64,
    pub(crate) client_id: String,
    pub(crate) identity: Identity,
    is_live: bool,
    heir: Heir,
    group: Group,
    connections: Arc<Connections>,
    pub(crate) mailbox: mpsc::Receiver<Note>,
    pub(crate) ended: watch::Receiver<Option<Leave>>,
}

impl Seat {
    /// The client is gone, and its session is to wait for it; false if somebody took its place.
    pub(crate) fn step_back(&mut self) -> bool {
        let connections = Arc::clone(&self.connections);
        connections.step_back(self).is_some()
    }

    /// Whoever took the place and wants what is left.
    pub(crate) fn heir(&self) -> Option<oneshot::Sender<Left>> {
        lock(&self.heir).take()
    }

    /// Tells the other connections of the same identity.
    pub(crate) fn tell_others(&self, purpose: Purpose, payload: &Bytes) {
        let entries = read(&self.group);
        for other in entries.iter().filter(|entry| entry.number != self.number) {
            other.tell(Note { purpose, payload: payload.clone(), fate: None });
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.leave(self);
    }
}

fn has_live(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.is_live)
}

fn lock(heir: &Heir) -> MutexGuard<'_, Option<oneshot::Sender<Left>>> {
    heir.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(group: &Group) -> std::sync::RwLockReadGuard<'_, Vec<Entry>> {
    group.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(group: &Group) -> std::sync::RwLockWriteGuard<'_, Vec<Entry>> {
    group.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use rollcall_domain::moment::Moment;
    use rollcall_domain::ports::{Delivered, Heartbeat};

    use super::*;

    #[derive(Default)]
    struct Told(Mutex<Vec<&'static str>>);

    impl Presence for Told {
        fn connected(&self, _: &DeviceId) {
            self.0.lock().unwrap().push("+");
        }

        fn disconnected(&self, _: &DeviceId) {
            self.0.lock().unwrap().push("-");
        }

        fn heartbeat(&self, _: &DeviceId, _: Heartbeat, _: Moment) {}
    }

    fn gate() -> DeviceId {
        DeviceId::parse("gate").unwrap()
    }

    fn enter(connections: &Arc<Connections>) -> Seat {
        enter_as(connections, "same")
    }

    fn enter_as(connections: &Arc<Connections>, client_id: &str) -> Seat {
        let (identity, revocations) = (&Identity::Device(gate()), connections.revocations());
        let entering = Entering { identity, client_id, clean_start: true, revocations };
        connections.enter(&entering).map_err(|_again| ()).unwrap().0
    }

    #[test]
    fn one_that_was_taken_over_and_leaves_late_takes_nobody_with_it() {
        let told = Arc::new(Told::default());
        let connections = Connections::new(told.clone());
        let first = enter(&connections);
        let second = enter(&connections);
        drop(second);
        let third = enter(&connections);
        drop(first);
        assert_eq!(*told.0.lock().unwrap(), ["+", "-", "+"]);
        connections.revoke(&gate());
        assert_eq!(*third.ended.borrow(), Some(Leave::Revoked));
        drop(third);
        assert_eq!(connections.open(), 0);
    }

    #[test]
    fn a_connection_that_does_not_look_at_its_mail_is_ended_instead_of_losing_any() {
        let connections = Connections::new(Arc::new(Told::default()));
        let seat = enter(&connections);
        for _ in 0..MAILBOX {
            connections.command(&gate(), Command::Reboot, Box::new(drop));
        }
        assert_eq!(*seat.ended.borrow(), None);
        connections.command(&gate(), Command::Reboot, Box::new(drop));
        assert_eq!(*seat.ended.borrow(), Some(Leave::Unresponsive));
    }

    #[test]
    fn a_session_that_waits_is_no_connection_and_hears_of_no_command() {
        let told = Arc::new(Told::default());
        let connections = Connections::new(told.clone());
        let mut first = enter_as(&connections, "a");
        assert!(first.step_back());
        assert_eq!((connections.open(), told.0.lock().unwrap().as_slice()), (0, ["+", "-"].as_slice()));
        let (sender, receiver) = std::sync::mpsc::channel();
        connections.command(&gate(), Command::Reboot, Box::new(move |became| sender.send(became).unwrap()));
        assert_eq!(receiver.recv().unwrap(), Delivered::NotConnected);
        let mut second = enter_as(&connections, "a");
        assert_eq!(*first.ended.borrow(), Some(Leave::TakenOver));
        assert!(!first.step_back());
        drop(first);
        second.tell_others(Purpose::Result, &Bytes::new());
        assert!(second.mailbox.try_recv().is_err());
        drop(second);
        assert_eq!((connections.open(), told.0.lock().unwrap().len()), (0, 4));
        assert!(connections.register().groups.is_empty());
    }

    #[test]
    fn a_device_has_a_few_connections_and_the_oldest_ends_for_one_more() {
        let connections = Connections::new(Arc::new(Told::default()));
        let seats: Vec<Seat> =
            (0..=MOST_OF_ONE).map(|number| enter_as(&connections, &number.to_string())).collect();
        let ended = seats.iter().filter(|seat| seat.ended.borrow().is_some()).count();
        assert_eq!((ended, *seats[0].ended.borrow()), (1, Some(Leave::TooMany)));
    }
}
