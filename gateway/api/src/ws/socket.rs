//! One connected screen.
//!
//! Promises: see [`crate::ws`].
//!
//! A screen that reads slowly fills its watch's queue; the session then drops the watch rather than wait.
//! That shows here as an end of the queue: the screen gets a fresh snapshot instead of what it missed,
//! and when that happens again and again, a close that says "try again later".
//!
//! While the store cannot write, a screen is told `storage_unavailable`, also behind a snapshot that it still
//! gets; whatever it asked to watch begins with a fresh snapshot when the store is back.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{pending, poll_fn};
use std::task::Poll;

use actix_web::rt::time::{interval, timeout};
use actix_ws::{AggregatedMessage, CloseCode, CloseReason, Closed, MessageStream, ProtocolError};
use rollcall_actors::{Command, Deed, Delta, Frame, Watch};
use rollcall_domain::event::{Event, SessionEvent};
use rollcall_domain::ids::{ClassId, SessionId};
use rollcall_domain::people::Role;
use rollcall_domain::permission::Action;
use tokio::sync::mpsc;

use super::asked::{Asked, Target};
use super::frames::{self, Link, Trouble};
use super::limit::Unread;
use crate::access;
use crate::handles::Api;
use crate::object::Object;
use crate::problem::Problem;
use crate::sessions::{Marking, mark};
use crate::sign_in::SignedIn;

/// Pings without any sign of life before a client counts as gone, and how many of their intervals it may
/// take to let us write.
const SILENT_PINGS: u8 = 3;
/// Frames that wait for a client; a burst of a large class fits.
const QUEUE: usize = 256;
/// Times between two pings that a client may fall behind.
const BEHIND: u8 = 3;
const WATCHES: usize = 16;
pub(super) const LARGEST_MESSAGE: usize = 16 * 1024;
/// The contract's code for a store that cannot write.
const STORE_DOWN: &str = "storage_unavailable";
/// The contract's code for a token that has expired.
const SIGNED_OUT: u16 = 4401;

/// Why a socket ends.
enum End {
    Gone,
    Close(CloseCode, &'static str),
}

type Step = Result<(), End>;

struct Watching {
    class: ClassId,
    frames: mpsc::Receiver<Frame>,
}

pub(super) struct Socket {
    api: Api,
    who: SignedIn,
    out: actix_ws::Session,
    watching: BTreeMap<SessionId, Watching>,
    /// Asked for, and not to be had while the store is down.
    missed: BTreeSet<SessionId>,
    /// What the screen was last told about the store.
    store_is_up: bool,
    unread: Unread,
    silent: u8,
    behind: u8,
}

impl Socket {
    pub(super) fn new(api: Api, (who, out): (SignedIn, actix_ws::Session), unread: Unread) -> Self {
        api.metrics().screen_came();
        Socket {
            api,
            who,
            out,
            watching: BTreeMap::new(),
            missed: BTreeSet::new(),
            store_is_up: true,
            unread,
            silent: 0,
            behind: 0,
        }
    }

    pub(super) async fn run(mut self, stream: MessageStream) {
        let mut stream = stream
            .max_frame_size(LARGEST_MESSAGE)
            .aggregate_continuations()
            .max_continuation_size(LARGEST_MESSAGE);
        let mut stopping = self.api.stopping();
        let mut pings = interval(self.api.options().ping);
        let end = loop {
            let step = tokio::select! {
                message = stream.recv() => match message {
                    Some(Ok(message)) => self.heard(message).await,
                    Some(Err(error)) => Err(unreadable(&error)),
                    None => Err(End::Gone),
                },
                (session, frame) = next(&mut self.watching) => self.told(session, frame).await,
                () = turn(&self.api, self.store_is_up) => self.store_turned().await,
                _ = pings.tick() => self.ping().await,
                _ = stopping.wait_for(|stopping| *stopping) => {
                    Err(End::Close(CloseCode::Away, "the gateway stops"))
                }
            };
            if let Err(end) = step {
                break end;
            }
        };
        if let End::Close(code, why) = end {
            let reason = CloseReason { code, description: Some(why.to_owned()) };
            let out = self.out.clone();
            // A client that is not there to hear it is gone all the same.
            self.written(out.close(Some(reason))).await.ok();
        }
    }

    /// Waits for something to be on its way, but not for ever.
    async fn written(&self, writing: impl Future<Output = Result<(), Closed>>) -> Step {
        match timeout(self.api.options().ping * SILENT_PINGS.into(), writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    async fn say(&mut self, text: String) -> Step {
        let mut out = self.out.clone();
        self.written(out.text(text)).await
    }

    /// Whether the one who connected is still signed in, and may still do what they might.
    fn is_signed_in(&mut self) -> Step {
        let user = self.api.store().views().now().campus.users.get(&self.who.user.id).cloned();
        match user {
            Some(user) if user.active && self.who.expires > self.api.now() => self.who.user = user,
            _ => return Err(End::Close(CloseCode::Other(SIGNED_OUT), "sign in again")),
        }
        Ok(())
    }

    async fn ping(&mut self) -> Step {
        self.is_signed_in()?;
        for session in self.watching.keys().copied().collect::<Vec<_>>() {
            match may_watch(&self.api, &self.who, session) {
                // What cannot be read now was allowed a moment ago.
                Err(problem) if problem.code() != STORE_DOWN => {
                    self.forget(session);
                    self.say(frames::error(&Trouble::Of(session, problem))).await?;
                }
                _ => {}
            }
        }
        // It was the views that could not be read, or the store was down for too short a time to be seen.
        if self.store_is_up {
            for session in self.missed.clone() {
                self.begin_again(session).await?;
            }
        }
        self.behind = 0;
        self.silent = self.silent.saturating_add(1);
        if self.silent > SILENT_PINGS {
            return Err(End::Gone);
        }
        let mut out = self.out.clone();
        self.written(out.ping(b"")).await
    }

    async fn heard(&mut self, message: AggregatedMessage) -> Step {
        self.silent = 0;
        self.unread.understood();
        match message {
            AggregatedMessage::Text(text) => {
                self.is_signed_in()?;
                match self.carry_out(&text).await {
                    Ok(step) => step,
                    Err(trouble) => self.say(frames::error(&trouble)).await,
                }
            }
            AggregatedMessage::Binary(_) => {
                let trouble = Trouble::NotUnderstood("send text".to_owned());
                self.say(frames::error(&trouble)).await
            }
            AggregatedMessage::Ping(bytes) => {
                let mut out = self.out.clone();
                self.written(out.pong(&bytes)).await
            }
            AggregatedMessage::Pong(_) => Ok(()),
            AggregatedMessage::Close(_) => Err(End::Close(CloseCode::Normal, "")),
        }
    }

    async fn carry_out(&mut self, text: &str) -> Result<Step, Trouble> {
        match Asked::parse(text)? {
            Asked::Subscribe(Object(target)) => {
                let session = target.session(&self.api, &self.who)?;
                self.watch(session).await.map_err(Trouble::of(session))?;
            }
            Asked::Unsubscribe(Object(target)) => {
                let session = target.session(&self.api, &self.who)?;
                self.forget(session);
            }
            Asked::Mark(one) => {
                let id = one.target.session(&self.api, &self.who)?;
                let session = id.to_string();
                let asked =
                    Marking { session, student: one.student_id, mark: one.status, reason: None, notes: None };
                mark(&self.api, &self.who, &asked).await.map_err(Trouble::of(id))?;
            }
            Asked::Done(Object(target)) => return self.close_session(&target).await,
        }
        Ok(Ok(()))
    }

    async fn close_session(&mut self, target: &Target) -> Result<Step, Trouble> {
        let session = target.session(&self.api, &self.who)?;
        let action = (session, Action::CloseSession);
        let meeting = access::changing(&self.api, &self.who, action, |_, session| session.meeting.clone());
        let meeting = meeting.map_err(Trouble::of(session))?;
        let close = Command { session, by: self.who.by(), deed: Deed::Close, texts: Vec::new() };
        self.api.command(close).await.map_err(Trouble::of(session))?;
        Ok(self.say(frames::done(&meeting)).await)
    }

    /// Begins to watch, or begins again: the next frame is a snapshot.
    async fn watch(&mut self, session: SessionId) -> Result<(), Problem> {
        let is_new = !self.watching.contains_key(&session) && !self.missed.contains(&session);
        if is_new && self.watching.len() + self.missed.len() >= WATCHES {
            return Err(Problem::new(
                "conflict",
                format!("one connection watches at most {WATCHES} sessions"),
            ));
        }
        self.forget(session);
        match self.frames_of(session).await {
            Ok(watching) => drop(self.watching.insert(session, watching)),
            Err(problem) => {
                if problem.code() == STORE_DOWN {
                    self.missed.insert(session);
                }
                return Err(problem);
            }
        }
        Ok(())
    }

    async fn frames_of(&self, session: SessionId) -> Result<Watching, Problem> {
        let class = may_watch(&self.api, &self.who, session)?;
        let (to, frames) = mpsc::channel(QUEUE);
        self.api.watch(Watch { session, to }).await?;
        Ok(Watching { class, frames })
    }

    fn forget(&mut self, session: SessionId) {
        self.watching.remove(&session);
        self.missed.remove(&session);
    }

    async fn told(&mut self, session: SessionId, frame: Option<Frame>) -> Step {
        match frame {
            Some(Frame::Snapshot(snapshot)) => {
                self.say(frames::snapshot(&snapshot)).await?;
                if self.store_is_up { Ok(()) } else { self.say_down().await }
            }
            Some(Frame::Delta(delta)) => self.tell(session, &delta).await,
            None => self.fell_behind(session).await,
        }
    }

    async fn tell(&mut self, session: SessionId, delta: &Delta) -> Step {
        let Some(watching) = self.watching.get(&session) else { return Ok(()) };
        let (meeting, caught_up) = ((session, watching.class), watching.frames.is_empty());
        let link = Link { seq: delta.entry.seq, prev: delta.prev };
        match &delta.row {
            Some(row) => self.say(frames::marked(meeting, row, link)).await?,
            None => self.say(frames::status(meeting, delta, link)).await?,
        }
        if changes_many(&delta.entry.event) {
            return self.begin_again(session).await;
        }
        // In a burst only the last sum is worth telling.
        if caught_up {
            let link = Link { seq: link.seq, prev: link.seq };
            self.say(frames::summary(meeting, delta.counts, link)).await?;
        }
        Ok(())
    }

    /// The store has gone down, or come back, since the screen was told of it.
    async fn store_turned(&mut self) -> Step {
        self.store_is_up = !self.store_is_up;
        if !self.store_is_up {
            return self.say_down().await;
        }
        let all: BTreeSet<SessionId> = self.watching.keys().chain(&self.missed).copied().collect();
        for session in all {
            self.begin_again(session).await?;
        }
        Ok(())
    }

    async fn say_down(&mut self) -> Step {
        self.say(frames::error(&Problem::new(STORE_DOWN, "nothing can be saved now; tell the admin").into()))
            .await
    }

    async fn fell_behind(&mut self, session: SessionId) -> Step {
        self.behind = self.behind.saturating_add(1);
        if self.behind > BEHIND {
            self.api.metrics().screen_dropped();
            return Err(End::Close(CloseCode::Again, "this connection cannot keep up"));
        }
        self.begin_again(session).await
    }

    async fn begin_again(&mut self, session: SessionId) -> Step {
        match self.watch(session).await {
            Ok(()) => Ok(()),
            Err(problem) => self.say(frames::error(&Trouble::Of(session, problem))).await,
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.api.metrics().screen_left();
    }
}

/// How a socket ends on which something came that is no message.
fn unreadable(error: &ProtocolError) -> End {
    match error {
        ProtocolError::Io(_) => End::Gone,
        ProtocolError::Overflow => End::Close(CloseCode::Size, "this message is too large"),
        _ => End::Close(CloseCode::Protocol, "this is not the WebSocket protocol"),
    }
}

/// Returns when the store is no longer as the screen was told.
async fn turn(api: &Api, store_is_up: bool) {
    if store_is_up {
        api.store().until_down().await;
    } else if api.store().until_up().await.is_err() {
        // It is closed, and so is this connection in a moment.
        pending::<()>().await;
    }
}

/// Whether the caller may see everyone's marks in this session; its class, if so.
fn may_watch(api: &Api, who: &SignedIn, session: SessionId) -> Result<ClassId, Problem> {
    if who.user.role == Role::Student {
        return Err(Problem::forbidden());
    }
    access::reading(api, who, (session, Action::ReadRecords), |_, session| session.meeting.class)
}

/// Whether an event changes more than one student's row, so that only a snapshot tells it all.
fn changes_many(event: &Event) -> bool {
    matches!(
        event,
        Event::Session(
            _,
            SessionEvent::Opened { .. }
                | SessionEvent::Closed { .. }
                | SessionEvent::Reopened
                | SessionEvent::Changed { .. }
        )
    )
}

/// The next frame of any watch; nothing is the end of one.
async fn next(watching: &mut BTreeMap<SessionId, Watching>) -> (SessionId, Option<Frame>) {
    poll_fn(|context| {
        for (session, watch) in watching.iter_mut() {
            if let Poll::Ready(frame) = watch.frames.poll_recv(context) {
                return Poll::Ready((*session, frame));
            }
        }
        Poll::Pending
    })
    .await
}
