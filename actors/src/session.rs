//! One live session.
//!
//! Promises: decides by the domain's rules and by nothing else; writes nothing itself, and of the disk reads
//! only names and first results; keeps what is decided apart from what is on disk, and shows only the
//! latter; answers every scan and every command once it is on disk, in the order in which they were decided.
//!
//! Refuses: going on when the ledger says otherwise. An append that was stale, there already, or failed means
//! that what was decided since is worthless: the actor ends, scans on their way go back to the supervisor, and
//! the next of them starts it anew from the ledger. It also ends when nobody has needed it for a while.

use std::collections::VecDeque;
use std::sync::Arc;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, ResponseFuture, StreamHandler};
use rollcall_domain::Refusal;
use rollcall_domain::decide::{lifecycle, marking, scan};
use rollcall_domain::event::{Actor as By, Entry, Event, How, NewEvent, SessionEvent, UnmatchedScan};
use rollcall_domain::ids::{Seq, StudentId};
use rollcall_domain::moment::Moment;
use rollcall_domain::people::Personal;
use rollcall_domain::ports::ScanResult;
use rollcall_domain::scan::{Outcome, Scan};
use rollcall_domain::session::{Meeting, Session};
use rollcall_store::{Append, Appended, Expect, Failure, Line};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::house::House;
use crate::idle::{Idle, LOOK};
use crate::messages::{Command, CommandError, CommandResult, Deed, Watch};
use crate::repeats::Repeats;
use crate::ticket::Ticket;
use crate::watchers::Watchers;

/// Messages that may wait. What limits the scans among them is their tickets, well below this.
const MAILBOX: usize = crate::IN_FLIGHT * 2;

/// A scan that belongs here, of a student who was found.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Scanned {
    pub(crate) student: StudentId,
    pub(crate) ticket: Ticket,
}

/// Who waits for an append.
enum Waiting {
    Scan(StudentId, Outcome, Ticket),
    Command(oneshot::Sender<CommandResult>),
}

pub(crate) struct SessionActor {
    house: Arc<House>,
    /// With everything that was decided, on disk or not.
    decided: Session,
    /// As it is on disk.
    committed: Session,
    last: Seq,
    waiting: VecDeque<Waiting>,
    /// What is in `waiting` was decided one upon the other.
    line: Line,
    repeats: Repeats,
    answers: mpsc::UnboundedSender<Appended>,
    incoming: Option<mpsc::UnboundedReceiver<Appended>>,
    watchers: Watchers,
    idle: Idle,
}

impl SessionActor {
    pub(crate) fn new(house: Arc<House>, session: Session, last: Seq) -> Self {
        // As many answers as appends are on their way, which the tickets and the mailbox limit.
        let (answers, incoming) = mpsc::unbounded_channel();
        let watchers = Watchers::new(Arc::clone(&house));
        SessionActor {
            house,
            decided: session.clone(),
            committed: session,
            last,
            waiting: VecDeque::new(),
            line: Line::default(),
            repeats: Repeats::default(),
            answers,
            incoming: Some(incoming),
            watchers,
            idle: Idle::default(),
        }
    }

    /// Queues events that were decided, and remembers who waits for them.
    fn append(
        &mut self,
        by: &By,
        events: &[SessionEvent],
        texts: Vec<Personal>,
        waiting: Waiting,
    ) -> Result<(), Waiting> {
        let id = self.decided.meeting.id;
        let expect = Expect { session: id, version: self.decided.version, line: self.line.clone() };
        let new = |event: &SessionEvent| NewEvent {
            by: by.clone(),
            event: Event::Session(id, event.clone()),
            personal: Vec::new(),
        };
        let mut news: Vec<NewEvent> = events.iter().map(new).collect();
        if let Some(first) = news.first_mut() {
            first.personal = texts;
        }
        let answers = self.answers.clone();
        // The actor is gone only if its tickets are, so nobody waits for an answer that cannot be sent.
        let then = move |appended| drop(answers.send(appended));
        let dedup = match &waiting {
            Waiting::Scan(_, _, ticket) => Some(ticket.scan().dedup),
            Waiting::Command(_) => None,
        };
        let append = Append {
            events: news,
            credentials: Vec::new(),
            dedup,
            expect: Some(expect),
            then: Box::new(then),
        };
        if self.house.store.append(append).is_err() {
            return Err(waiting);
        }
        let now = self.house.clock.now();
        events.iter().for_each(|event| self.decided.apply(Seq::NEXT, now, event));
        self.waiting.push_back(waiting);
        Ok(())
    }

    fn decide(&self, command: &Command, now: Moment) -> Result<Vec<SessionEvent>, Refusal> {
        let session = &self.decided;
        let views = self.house.store.views().now();
        let context = views.context(&self.house.policy, now);
        let event = match &command.deed {
            Deed::Open => Some(lifecycle::open(session, &context, now, How::ByPerson)?),
            Deed::Close => Some(lifecycle::close(session, &context, now, How::ByPerson)?),
            Deed::Reopen => {
                let binds = |meeting: &&Meeting| meeting.bound().next().is_some();
                let others: Vec<Meeting> = views.meetings().filter(binds).cloned().collect();
                return lifecycle::reopen(session, &others);
            }
            Deed::Mark(wish) => marking::mark(session, &context, wish)?,
            Deed::Bind(device) => lifecycle::bind(session, device, views.meetings())?,
            Deed::Unbind(device) => lifecycle::unbind(session, device)?,
        };
        Ok(event.into_iter().collect())
    }

    fn committed(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let Event::Session(_, event) = &entry.event {
                self.committed.apply(entry.seq, entry.at, event);
                self.watchers.tell(self.last, entry, &self.committed);
            }
            self.last = entry.seq;
        }
        if self.waiting.is_empty() {
            // Nothing is on its way: what was decided is what is on disk, with its real sequences.
            self.decided = self.committed.clone();
        }
    }

    /// Answers a scan, and everyone who sent it again meanwhile; `seq` is where it lies in the ledger.
    fn done(&mut self, ticket: Ticket, seq: Seq, result: ScanResult) {
        let again = ScanResult { replayed: true, ..result.clone() };
        let others = self.repeats.known(ticket.scan(), seq, again.clone());
        others.into_iter().for_each(|other| other.done(again.clone()));
        self.repeats.forget(self.house.store.views().seen());
        ticket.done(result);
    }

    fn result(&self, student: StudentId, outcome: Outcome) -> ScanResult {
        ScanResult {
            outcome,
            student: Some(student),
            session: Some(self.committed.meeting.id),
            mark: self.committed.standing(student).map(|standing| standing.mark),
            name: self.house.name(student),
            replayed: false,
        }
    }

    fn answer(&mut self, appended: Appended, context: &mut Context<Self>) {
        let Some(waiting) = self.waiting.pop_front() else { return };
        match appended {
            Appended::Committed(entries) => {
                self.committed(&entries);
                match waiting {
                    Waiting::Scan(student, outcome, ticket) => {
                        self.done(ticket, self.last, self.result(student, outcome));
                    }
                    Waiting::Command(waiting) => tell(waiting, Ok(entries.last().map(|entry| entry.seq))),
                }
            }
            Appended::Already(entry) => {
                if let Waiting::Scan(.., ticket) = waiting {
                    let result = self.house.first_result(ticket.scan(), &entry);
                    self.done(ticket, entry.seq, result);
                }
                // What was decided with it in mind never happened.
                context.stop();
            }
            Appended::Stale => {
                if let Waiting::Command(waiting) = waiting {
                    tell(waiting, Err(CommandError::Busy));
                }
                // A scan's ticket, dropped unanswered, goes back to the supervisor.
                context.stop();
            }
            Appended::Failed(Failure::Unavailable) => {
                if let Waiting::Command(waiting) = waiting {
                    tell(waiting, Err(CommandError::StorageUnavailable));
                }
                // It may be on disk all the same, unknown to `committed` and to who watches.
                context.stop();
            }
        }
    }
}

fn tell(waiting: oneshot::Sender<CommandResult>, result: CommandResult) {
    // Whoever asked may have gone away; what they asked for is done all the same.
    drop(waiting.send(result));
}

impl Actor for SessionActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX);
        if let Some(incoming) = self.incoming.take() {
            context.add_stream(UnboundedReceiverStream::new(incoming));
        }
        context.run_interval(LOOK, |session, context| {
            let needed = !session.waiting.is_empty() || session.watchers.is_anybody();
            if session.idle.is_over(needed) {
                context.stop();
            }
        });
    }
}

impl StreamHandler<Appended> for SessionActor {
    fn handle(&mut self, appended: Appended, context: &mut Self::Context) {
        self.answer(appended, context);
    }
}

impl Handler<Scanned> for SessionActor {
    type Result = ();

    fn handle(&mut self, Scanned { student, ticket }: Scanned, _: &mut Self::Context) {
        self.idle.stir();
        let after = self.house.clock.monotonic();
        let look = |first: &Scan, again: &Scan| self.house.reused.look(again, first, after);
        let Some(ticket) = self.repeats.take_up(ticket, look) else { return };
        let views = self.house.store.views().now();
        if let Some(result) = self.house.known(&views, ticket.scan()) {
            return ticket.done(result);
        }
        let now = self.house.clock.now();
        let context = views.context(&self.house.policy, now);
        let auto_open = self.house.auto_open(now);
        let decision = scan::scan(&self.decided, &context, student, ticket.scan(), None, auto_open);
        match decision.outcome {
            Outcome::Unmatched(reason) => {
                let (scan, session) = (Scan::clone(ticket.scan()), Some(self.decided.meeting.id));
                let kept = UnmatchedScan { scan, reason, student: Some(student), session };
                self.house.unmatched(ticket, kept);
            }
            outcome => {
                let by = By::Device(ticket.scan().device.clone());
                let scan = Arc::clone(ticket.scan());
                let waiting = Waiting::Scan(student, outcome, ticket);
                if self.append(&by, &decision.events, Vec::new(), waiting).is_ok() {
                    self.repeats.on_its_way(scan);
                }
            }
        }
    }
}

impl Handler<Command> for SessionActor {
    type Result = ResponseFuture<CommandResult>;

    fn handle(&mut self, command: Command, _: &mut Self::Context) -> Self::Result {
        self.idle.stir();
        let (asked, answered) = oneshot::channel();
        match self.decide(&command, self.house.clock.now()) {
            Err(refusal) => tell(asked, Err(refusal.into())),
            Ok(events) if events.is_empty() => tell(asked, Ok(None)),
            Ok(events) => {
                let Command { by, texts, .. } = command;
                let queued = self.append(&by, &events, texts, Waiting::Command(asked));
                if let Err(Waiting::Command(asked)) = queued {
                    tell(asked, Err(CommandError::Busy));
                }
            }
        }
        // Dropped unanswered if this actor ends meanwhile.
        Box::pin(async move { answered.await.unwrap_or(Err(CommandError::Busy)) })
    }
}

impl Handler<Watch> for SessionActor {
    type Result = Result<(), CommandError>;

    fn handle(&mut self, watch: Watch, _: &mut Self::Context) -> Self::Result {
        self.idle.stir();
        self.watchers.add(watch.to, self.last, &self.committed);
        Ok(())
    }
}
