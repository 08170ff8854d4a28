//! Answering on the control socket.
//!
//! Promises: nobody waits for a command: each has a thread of its own, and the store is asked in a way that
//! holds up no append; who asks too much, too slowly or for nothing that there is gets one line that says so;
//! work ends when whoever asked goes away, or when the gateway stops.
//!
//! Refuses: anybody but the gateway's user and root, and more than so many at once.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read as _, Write};
use std::net::Shutdown;
use std::ops::ControlFlow;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Scope};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rollcall_domain::ports::Clock;
use rollcall_store::Store;
use tokio::runtime::Handle;

use super::socket::{Peer, listen_in};
use super::{Answer, FILE, LONGEST, PATIENCE, Request, Trouble};
use crate::data::{Source, Step, Told, carry_out};

/// Connections at the same time.
const AT_ONCE: usize = 8;
/// How long somebody may take none of an answer.
const STALLED: Duration = Duration::from_secs(300);
/// Before a socket that could not be listened on is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The socket of a running gateway.
pub(crate) struct Control {
    house: Arc<House>,
    listening: JoinHandle<()>,
    path: PathBuf,
}

struct House {
    listener: UnixListener,
    store: Arc<Store>,
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    /// Held by whoever does what only one may do at a time.
    heavy: Mutex<()>,
    open: Mutex<Open>,
    stops: Condvar,
}

#[derive(Default)]
struct Open {
    streams: BTreeMap<u64, UnixStream>,
    next: u64,
    stopping: bool,
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
        let (heavy, open, stops) = (Mutex::default(), Mutex::default(), Condvar::new());
        let house = Arc::new(House { listener, store, folder, clock, runtime, heavy, open, stops });
        let serving = Arc::clone(&house);
        let listening = thread::Builder::new().name("control".to_owned());
        let listening = listening.spawn(move || thread::scope(|scope| serving.listen(scope)));
        Ok(Control { house, listening: listening.context("cannot start a thread")?, path })
    }

    /// Takes nothing more, and ends what is under way. Waits meanwhile.
    pub(crate) fn stop(self) {
        let mut open = self.house.open();
        open.stopping = true;
        for stream in open.streams.values() {
            shut(stream);
        }
        drop(open);
        self.house.stops.notify_all();
        // Wakes the thread that listens.
        if let Err(error) = rustix::net::shutdown(&self.house.listener, rustix::net::Shutdown::Both) {
            tracing::debug!(%error, "the control socket could not be shut");
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the control socket could not be removed");
        }
        if self.listening.join().is_err() {
            tracing::error!("the thread of the control socket panicked; please report this");
        }
    }
}

fn shut(stream: &UnixStream) {
    if let Err(error) = stream.shutdown(Shutdown::Both) {
        tracing::debug!(%error, "a control connection has gone");
    }
}

impl House {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.open().stopping
    }

    fn listen<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        loop {
            let accepted = self.listener.accept();
            if self.is_stopping() {
                return;
            }
            match accepted.and_then(|(stream, _)| self.let_in(stream)) {
                Ok(Some((number, peer, stream))) => {
                    let serve = move || self.serve(number, peer, &stream);
                    if let Err(error) =
                        thread::Builder::new().name("command".to_owned()).spawn_scoped(scope, serve)
                    {
                        tracing::warn!(%error, "a command cannot be answered: there is no thread for it");
                        self.let_go(number);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "a command could not be let in");
                    // What is lacking may come back; a stop does not wait for it.
                    let waited = self.stops.wait_timeout_while(self.open(), RETRY, |open| !open.stopping);
                    drop(waited);
                }
            }
        }
    }

    /// A connection that may ask, and its number.
    fn let_in(&self, stream: UnixStream) -> io::Result<Option<(u64, Peer, UnixStream)>> {
        stream.set_write_timeout(Some(STALLED))?;
        let peer = Peer::of(&stream, &self.runtime)?;
        let mut open = self.open();
        let refused = if !peer.is_trusted() {
            Some("only the gateway's user and root may ask; run this as one of them")
        } else if open.streams.len() >= AT_ONCE {
            Some("the gateway is answering as many commands as it may; wait until one of them is through")
        } else {
            None
        };
        if let Some(why) = refused {
            tracing::warn!(user = peer.user, process = peer.process, why, "a command was refused");
            drop(open);
            Line::to(&stream).send(&Answer::Error(Trouble::at_start(why))).ok();
            return Ok(None);
        }
        if open.stopping {
            return Ok(None);
        }
        let number = open.next;
        open.next += 1;
        open.streams.insert(number, stream.try_clone()?);
        Ok(Some((number, peer, stream)))
    }

    fn let_go(&self, number: u64) {
        self.open().streams.remove(&number);
    }

    fn serve(&self, number: u64, peer: Peer, stream: &UnixStream) {
        let mut line = Line { out: BufWriter::new(stream), house: Some(self) };
        let answer = match self.answer(peer, stream, &mut line) {
            Ok(answer) => answer,
            Err(trouble) => Answer::Error(trouble),
        };
        if let Err(error) = line.send(&answer) {
            tracing::info!(%error, "whoever gave a command has gone before its end");
        }
        drop(line);
        shut(stream);
        self.let_go(number);
    }

    fn answer(&self, peer: Peer, stream: &UnixStream, line: &mut Line<'_>) -> Result<Answer, Trouble> {
        let request = self.request(stream)?;
        let Peer { user, process } = peer;
        tracing::info!(command = request.name(), user, process, "a command asks");
        let _alone = match (&request, self.heavy.try_lock()) {
            (
                Request::Backup { .. } | Request::Verify { rebuild: true },
                Err(std::sync::TryLockError::WouldBlock),
            ) => {
                let why = "another backup or verification is under way; try again when it is through";
                return Err(Trouble::at_start(why));
            }
            (Request::Backup { .. } | Request::Verify { rebuild: true }, lock) => lock.ok(),
            _ => None,
        };
        let source = Source::Open { store: &self.store, folder: &self.folder };
        carry_out(&request, &source, &*self.clock, line).map(Answer::Result)
    }

    /// Reads the one line that is asked.
    fn request(&self, mut stream: &UnixStream) -> Result<Request, Trouble> {
        let gone = |error: io::Error| Trouble::at_start(format!("the request cannot be read: {error}"));
        let until = self.clock.monotonic().saturating_add(PATIENCE);
        let (mut bytes, mut part) = (Vec::new(), [0; 4_096]);
        while !bytes.contains(&b'\n') {
            let left = until.saturating_sub(self.clock.monotonic());
            if left.is_zero() {
                return Err(Trouble::at_start("the request took too long"));
            }
            stream.set_read_timeout(Some(left)).map_err(gone)?;
            let read = match stream.read(&mut part) {
                Ok(0) => break,
                Ok(read) => read,
                // The time is up, or a signal came; the next round tells.
                Err(error)
                    if [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind()) =>
                {
                    0
                }
                Err(error) => return Err(gone(error)),
            };
            bytes.extend(part.iter().take(read));
            if bytes.len() > LONGEST {
                return Err(Trouble::at_start(format!("the request is longer than {LONGEST} bytes")));
            }
        }
        let (line, rest) =
            bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()));
        if rest.len() > 1 {
            return Err(Trouble::at_start("one connection takes one request"));
        }
        serde_json::from_slice(line).map_err(|error| {
            Trouble::at_start(format!(
                "the gateway does not know this request: {error}; is it of another version?"
            ))
        })
    }
}

/// The way back to whoever asked.
struct Line<'a> {
    out: BufWriter<&'a UnixStream>,
    house: Option<&'a House>,
}

impl<'a> Line<'a> {
    fn to(stream: &'a UnixStream) -> Self {
        Line { out: BufWriter::new(stream), house: None }
    }

    fn send(&mut self, answer: &Answer) -> io::Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        self.out.write_all(&line)?;
        self.out.flush()
    }
}

impl Told for Line<'_> {
    fn progress(&mut self, step: Step) -> ControlFlow<()> {
        let stopping = self.house.is_some_and(House::is_stopping);
        if stopping || self.send(&Answer::Progress(step)).is_err() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn text(&mut self, text: &str) -> Result<(), Trouble> {
        let gone = |error: io::Error| Trouble::found(format!("whoever asked has gone: {error}"));
        self.send(&Answer::Text(text.to_owned())).map_err(gone)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use rollcall_domain::moment::Moment;
    use rollcall_store::RootKey;

    use super::*;

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

    #[tokio::test]
    async fn a_request_that_drips_in_is_refused_when_its_time_is_up() {
        let folder = tempfile::tempdir().unwrap();
        let (_store, control) = start(folder.path(), Arc::new(Hasty(AtomicU64::new(0))));
        let mut asking = crate::control::socket::connect_in(folder.path()).unwrap();
        asking.write_all(b"{\"verify\"").unwrap();
        let mut said = String::new();
        asking.read_to_string(&mut said).unwrap();
        assert!(said.contains("the request took too long"), "{said}");
        control.stop();
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
        let mut line = Line { out: BufWriter::new(&asking), house: Some(&control.house) };
        assert!(line.progress(Step::Bytes(1)).is_break(), "whoever asked has gone");
        drop(line);
        let mut waiting = crate::control::socket::connect_in(folder.path()).unwrap();
        control.stop();
        let mut rest = Vec::new();
        waiting.read_to_end(&mut rest).ok();
    }
}
