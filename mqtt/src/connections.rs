//! Who is connected: every live connection of every identity.
//!
//! Promises: a result or command reaches each connection of its device; of two connections with the same
//! client id within one identity the older one ends; a revoked device is out within a second, also if it
//! was just being let in; [`Presence`] hears of a device's first connection and its last, in order.
//!
//! Refuses: losing messages in silence. A connection whose mailbox is full does not take what it is sent,
//! and is ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use rollcall_dialects::native;
use rollcall_dialects::topics::Purpose;
use rollcall_domain::ids::DeviceId;
use rollcall_domain::ports::{Command, Downlink, NotConnected, Presence};
use tokio::sync::{mpsc, watch};

use crate::access::Identity;
use crate::leave::Leave;

/// Messages for one connection that it has not looked at yet.
const MAILBOX: usize = 1024;

/// From the gateway to a device, under one of its own topics.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    pub(crate) purpose: Purpose,
    pub(crate) payload: Bytes,
}

struct Entry {
    number: u64,
    client_id: String,
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
        identity: &Identity,
        client_id: &str,
        revocations: u64,
    ) -> Result<Seat, CheckAgain> {
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
        if let (true, Identity::Device(device)) = (entries.is_empty(), identity) {
            self.presence.connected(device);
        }
        for same in entries.extract_if(.., |entry| entry.client_id == client_id) {
            same.end(Leave::TakenOver);
        }
        entries.push(Entry { number, client_id: client_id.clone(), notes, end });
        drop(entries);
        drop(register);
        let connections = Arc::clone(self);
        Ok(Seat { number, client_id, identity: identity.clone(), group, connections, mailbox, ended })
    }

    fn leave(&self, seat: &Seat) {
        let mut register = self.register();
        register.open = register.open.saturating_sub(1);
        let mut entries = write(&seat.group);
        let own = entries.extract_if(.., |entry| entry.number == seat.number).count();
        // One that was taken over is no longer in its group, which may not even be its identity's any more.
        if own > 0 && entries.is_empty() {
            drop(entries);
            register.groups.remove(&seat.identity);
            if let Identity::Device(device) = &seat.identity {
                self.presence.disconnected(device);
            }
        }
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
    fn command(&self, device: &DeviceId, command: Command) -> Result<(), NotConnected> {
        let group = self.group(device).ok_or(NotConnected)?;
        let note = Note { purpose: Purpose::Command, payload: native::command(&command).into() };
        let entries = read(&group);
        entries.iter().for_each(|entry| entry.tell(note.clone()));
        // The last one may have left since the group was looked up.
        if entries.is_empty() { Err(NotConnected) } else { Ok(()) }
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
    number: u64,
    pub(crate) client_id: String,
    pub(crate) identity: Identity,
    group: Group,
    connections: Arc<Connections>,
    pub(crate) mailbox: mpsc::Receiver<Note>,
    pub(crate) ended: watch::Receiver<Option<Leave>>,
}

impl Seat {
    /// Tells the other connections of the same identity.
    pub(crate) fn tell_others(&self, purpose: Purpose, payload: &Bytes) {
        let entries = read(&self.group);
        for other in entries.iter().filter(|entry| entry.number != self.number) {
            other.tell(Note { purpose, payload: payload.clone() });
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.leave(self);
    }
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
    use rollcall_domain::ports::Heartbeat;

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
        let revocations = connections.revocations();
        connections.enter(&Identity::Device(gate()), "same", revocations).unwrap()
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
            connections.command(&gate(), Command::Reboot).unwrap();
        }
        assert_eq!(*seat.ended.borrow(), None);
        connections.command(&gate(), Command::Reboot).unwrap();
        assert_eq!(*seat.ended.borrow(), Some(Leave::Unresponsive));
    }
}
