//! Answering on the control socket.
//!
//! Promises: nobody waits for a command: each has a thread of its own, and the store is asked in a way that
//! holds up no append; who asks too much, too slowly or for nothing that there is gets one line that says so;
//! work ends when whoever asked goes away, or when the gateway stops, and work that a disk keeps from ending
//! is left behind; the log has a line for each command, with who gave it and what came of it.
//!
//! Refuses: anybody but the gateway's user and root, and more than so many at once.

use std::collections::BTreeMap;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rollcall_domain::ports::Clock;
use rollcall_store::Store;
use tokio::runtime::Handle;

use super::line::{self, Line, send};
use super::socket::{Peer, listen_in};
use super::{Answer, FILE, Report, Request, Trouble};
use crate::data::{Source, carry_out};

/// Connections at the same time.
const AT_ONCE: usize = 8;
/// How long somebody may take none of an answer.
const STALLED: Duration = Duration::from_secs(300);
/// Before a socket that could not be listened on is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long a stop waits for commands that were told to end.
const ENDING: Duration = Duration::from_secs(5);

/// The socket of a running gateway.
pub(crate) struct Control {
    house: Arc<House>,
    listening: JoinHandle<()>,
    path: PathBuf,
}

pub(super) struct House {
    listener: UnixListener,
    store: Arc<Store>,
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    /// Held by whoever does what only one may do at a time.
    heavy: Mutex<()>,
    open: Mutex<Open>,
    /// A command has ended, or the gateway stops.
    changed: Condvar,
}

#[derive(Default)]
struct Open {
    asking: BTreeMap<u64, Asking>,
    next: u64,
    stopping: bool,
}

/// Who has a connection, and what for.
struct Asking {
    stream: UnixStream,
    peer: Peer,
    command: &'static str,
}

impl Control {
    /// Listens in a data folder that belongs to this gateway; called on a runtime.
    ///
    /// # Errors
    /// The file system has no sockets, or refuses.
    pub(crate) fn start(folder: PathBuf, store: Arc<Store>, clock: Arc<dyn Clock>) -> Result<Self> {
        let path = folder.join(FILE);
        let listener = listen_in(&folder).with_context(|| format!("cannot listen on {}", path.display()))?;
        let runtime = Handle::current();
        let (heavy, open, changed) = (Mutex::default(), Mutex::default(), Condvar::new());
        let house = Arc::new(House { listener, store, folder, clock, runtime, heavy, open, changed });
        let serving = Arc::clone(&house);
        let listening = thread::Builder::new().name("control".to_owned());
        let listening = listening.spawn(move || House::listen(&serving));
        Ok(Control { house, listening: listening.context("cannot start a thread")?, path })
    }

    /// Takes nothing more, and tells what is under way to end. Waits for nobody.
    pub(crate) fn begin_stop(&self) {
        let mut open = self.house.open();
        open.stopping = true;
        for asking in open.asking.values() {
            shut(&asking.stream);
        }
        drop(open);
        self.house.changed.notify_all();
        // Wakes the thread that listens.
        if let Err(error) = rustix::net::shutdown(&self.house.listener, rustix::net::Shutdown::Both) {
            tracing::debug!(%error, "the control socket could not be shut");
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the control socket could not be removed");
        }
    }

    /// Waits until what was under way has ended, though not for ever: a thread that waits for a disk cannot
    /// be ended. It only reads what is the gateway's, and goes with the process.
    pub(crate) fn end(self) {
        let (open, _) = self
            .house
            .changed
            .wait_timeout_while(self.house.open(), ENDING, |open| !open.asking.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        for Asking { peer: Peer { user, process }, command, .. } in open.asking.values() {
            tracing::warn!(
                command,
                user,
                process,
                "a command does not end, since a disk does not answer; it is left behind"
            );
        }
        drop(open);
        if self.listening.is_finished() && self.listening.join().is_err() {
            tracing::error!("the thread of the control socket panicked; please report this");
        }
    }
}

fn shut(stream: &UnixStream) {
    if let Err(error) = stream.shutdown(Shutdown::Both) {
        tracing::debug!(%error, "a control connection has gone");
    }
}

/// A connection that may ask. It is let go with its value, whatever becomes of the command.
struct Slot {
    house: Arc<House>,
    number: u64,
    peer: Peer,
}

impl Slot {
    fn names(&self, command: &'static str) {
        if let Some(asking) = self.house.open().asking.get_mut(&self.number) {
            asking.command = command;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let gone = self.house.open().asking.remove(&self.number);
        self.house.changed.notify_all();
        let Some(Asking { stream, peer: Peer { user, process }, command }) = gone else { return };
        shut(&stream);
        if thread::panicking() {
            tracing::error!(command, user, process, "a command panicked; please report this");
        }
    }
}

impl House {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.open().stopping
    }

    fn listen(house: &Arc<Self>) {
        loop {
            let accepted = house.listener.accept();
            if house.is_stopping() {
                return;
            }
            match accepted.and_then(|(stream, _)| Self::let_in(house, stream)) {
                Ok(Some((slot, stream))) => {
                    let serve = move || House::serve(&slot, &stream);
                    if let Err(error) = thread::Builder::new().name("command".to_owned()).spawn(serve) {
                        tracing::warn!(%error, "a command cannot be answered: there is no thread for it");
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "a command could not be let in");
                    // What is lacking may come back; a stop does not wait for it.
                    let waited = house.changed.wait_timeout_while(house.open(), RETRY, |open| !open.stopping);
                    drop(waited);
                }
            }
        }
    }

    /// A connection that may ask.
    fn let_in(house: &Arc<Self>, stream: UnixStream) -> io::Result<Option<(Slot, UnixStream)>> {
        stream.set_write_timeout(Some(STALLED))?;
        let peer = Peer::of(&stream, &house.runtime)?;
        let twin = stream.try_clone()?;
        let mut open = house.open();
        let refused = if !peer.is_trusted() {
            Some("only the gateway's user and root may ask; run this as one of them")
        } else if open.asking.len() >= AT_ONCE {
            Some("the gateway is answering as many commands as it may; wait until one of them is through")
        } else {
            None
        };
        if let Some(why) = refused {
            drop(open);
            tracing::warn!(user = peer.user, process = peer.process, why, "a command was refused");
            if let Err(error) = send(&stream, &Answer::Error(Trouble::at_start(why))) {
                tracing::debug!(%error, "whoever was refused has gone");
            }
            return Ok(None);
        }
        if open.stopping {
            return Ok(None);
        }
        let number = open.next;
        open.next += 1;
        open.asking.insert(number, Asking { stream: twin, peer, command: "not told yet" });
        drop(open);
        Ok(Some((Slot { house: Arc::clone(house), number, peer }, stream)))
    }

    fn serve(slot: &Slot, stream: &UnixStream) {
        let (house, Peer { user, process }) = (&slot.house, slot.peer);
        let request = match line::read(stream, &*house.clock) {
            Ok(request) => request,
            Err(trouble) => {
                tracing::info!(
                    user,
                    process,
                    outcome = trouble.message,
                    "nothing that can be done was asked"
                );
                if let Err(error) = send(stream, &Answer::Error(trouble)) {
                    tracing::debug!(%error, "whoever asked has gone");
                }
                return;
            }
        };
        let command = request.name();
        slot.names(command);
        tracing::debug!(command, user, process, "a command asks");
        let mut line = Line { stream, house, is_gone: false };
        let done = house.carry_out(&request, &mut line);
        let outcome = match &done {
            Ok(_) => "done",
            Err(trouble) => trouble.message.as_str(),
        };
        tracing::info!(command, user, process, outcome, "a command has ended");
        let answer = done.map_or_else(Answer::Error, Answer::Result);
        if !line.is_gone && line.send(&answer).is_err() {
            tracing::info!(command, user, process, "whoever gave the command has gone before its end");
        }
    }

    fn carry_out(&self, request: &Request, line: &mut Line<'_>) -> Result<Report, Trouble> {
        let _alone = match request {
            Request::Backup { .. } | Request::Verify { rebuild: true } => match self.heavy.try_lock() {
                Ok(alone) => Some(alone),
                // What a panic left behind is nothing that the next one reads.
                Err(TryLockError::Poisoned(alone)) => Some(alone.into_inner()),
                Err(TryLockError::WouldBlock) => {
                    let why = "another backup or verification is under way; try again when it is through";
                    return Err(Trouble::at_start(why));
                }
            },
            Request::Verify { rebuild: false } | Request::ExportLedger(_) => None,
        };
        let source = Source::Open { store: &self.store, folder: &self.folder };
        carry_out(request, &source, &*self.clock, line)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::sync::atomic::{AtomicU64, Ordering};

    use rollcall_domain::moment::Moment;
    use rollcall_store::RootKey;

    use super::*;
    use crate::data::{Step, Told as _};

    /// Six seconds go by between two looks.
    struct Hasty(AtomicU64);

    impl Clock for Hasty {
        fn now(&self) -> Moment {
            Moment::from_millis(1_772_000_000_000)
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.fetch_add(6, Ordering::Relaxed))
        }
    }

    fn start(folder: &std::path::Path, clock: Arc<dyn Clock>) -> (Arc<Store>, Control) {
        let key = RootKey::new([7; RootKey::BYTES]);
        let store = Store::open(folder, key, Arc::clone(&clock), Box::new(|_| {})).unwrap();
        let store = Arc::new(store);
        let control = Control::start(folder.to_owned(), Arc::clone(&store), clock).unwrap();
        (store, control)
    }

    fn stop(control: Control) {
        control.begin_stop();
        control.end();
    }

    #[tokio::test]
    async fn a_request_that_drips_in_is_refused_when_its_time_is_up() {
        let folder = tempfile::tempdir().unwrap();
        let (_store, control) = start(folder.path(), Arc::new(Hasty(AtomicU64::new(0))));
        let mut asking = crate::control::socket::connect_in(folder.path()).unwrap();
        asking.write_all(b"{\"verify\"").unwrap();
        let mut said = String::new();
        asking.read_to_string(&mut said).unwrap();
        assert!(said.contains("the request took too long"), "{said}");
        stop(control);
        assert!(!folder.path().join(FILE).exists());
    }

    #[tokio::test]
    async fn a_second_backup_is_told_to_wait_and_work_ends_when_who_asked_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (_store, control) = start(folder.path(), Arc::new(crate::clock::RealClock::new()));
        let held = control.house.heavy.lock().unwrap();
        let mut asking = crate::control::socket::connect_in(folder.path()).unwrap();
        asking.write_all(b"{\"backup\":{\"target\":\"/nowhere/at/all\"}}\n").unwrap();
        let mut said = String::new();
        asking.read_to_string(&mut said).unwrap();
        assert!(said.contains("another backup or verification is under way"), "{said}");
        drop(held);
        let mut line = Line { stream: &asking, house: &control.house, is_gone: false };
        assert!(line.progress(Step::Bytes(1)).is_break() && line.is_gone, "whoever asked has gone");
        let mut waiting = crate::control::socket::connect_in(folder.path()).unwrap();
        stop(control);
        let mut rest = Vec::new();
        waiting.read_to_end(&mut rest).ok();
    }

    #[tokio::test]
    async fn a_command_that_panics_lets_go_of_its_connection_and_of_what_it_held() {
        let folder = tempfile::tempdir().unwrap();
        let (_store, control) = start(folder.path(), Arc::new(crate::clock::RealClock::new()));
        let house = Arc::clone(&control.house);
        let (stream, mut asking) = UnixStream::pair().unwrap();
        let (slot, _stream) = House::let_in(&house, stream).unwrap().unwrap();
        let panicked = thread::spawn(move || {
            let _alone = slot.house.heavy.lock().unwrap();
            panic!("as a command may");
        });
        assert!(panicked.join().is_err());
        assert!(house.open().asking.is_empty());
        assert_eq!(asking.read(&mut [0]).unwrap(), 0);
        let mut asking = crate::control::socket::connect_in(folder.path()).unwrap();
        asking.write_all(b"{\"verify\":{\"rebuild\":true}}\n").unwrap();
        let mut said = String::new();
        asking.read_to_string(&mut said).unwrap();
        assert!(said.contains("\"verified\""), "{said}");
        stop(control);
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_does_not_keep_the_gateway_from_stopping() {
        let folder = tempfile::tempdir().unwrap();
        let (_store, control) = start(folder.path(), Arc::new(crate::clock::RealClock::new()));
        let house = Arc::clone(&control.house);
        let (stream, mut asking) = UnixStream::pair().unwrap();
        let (slot, _stream) = House::let_in(&house, stream).unwrap().unwrap();
        let (let_go, hung) = std::sync::mpsc::channel::<()>();
        // As on a disk that does not answer.
        let stuck = thread::spawn(move || {
            let _slot = slot;
            hung.recv().ok();
        });
        control.begin_stop();
        assert_eq!(asking.read(&mut [0]).unwrap(), 0, "who asked is told at once");
        control.end();
        assert!(!stuck.is_finished() && house.open().asking.len() == 1);
        drop(let_go);
        stuck.join().unwrap();
        assert!(house.open().asking.is_empty());
    }
}
