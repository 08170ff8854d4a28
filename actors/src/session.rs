//! One live session.
//!
//! Promises: decides by the domain's rules and by nothing else; does no I/O; keeps what is decided apart
//! from what is on disk, and shows only the latter; answers every scan and every command once it is on
//! disk, in the order in which they were decided.
//!
//! Refuses: going on when the ledger says otherwise. An append that was stale or failed means that what
//! was decided since is worthless: the actor ends, scans on their way go back to the supervisor, and the
//! next of them starts it anew from the ledger.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, ResponseFuture, StreamHandler};
use rollcall_domain::Refusal;
use rollcall_domain::decide::scan::AutoOpen;
use rollcall_domain::decide::{lifecycle, marking, scan};
use rollcall_domain::event::{Actor as By, Entry, Event, How, NewEvent, SessionEvent, UnmatchedScan};
use rollcall_domain::ids::{Seq, StudentId};
use rollcall_domain::moment::Moment;
use rollcall_domain::people::Personal;
use rollcall_domain::ports::{NotTaken, ScanResult};
use rollcall_domain::scan::{DedupKey, Outcome};
use rollcall_domain::session::{Meeting, Session};
use rollcall_store::{Append, Appended, Expect, Failure};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::house::House;
use crate::messages::{Command, CommandError, CommandResult, Deed, Watch};
use crate::ticket::Ticket;
use crate::watchers::Watchers;

/// Messages that may wait. Scans in the house are limited by their tickets, well below this.
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

/// What is known of a scan that was seen before.
enum Repeated {
    OnItsWay(Vec<Ticket>),
    Known(ScanResult),
}

pub(crate) struct SessionActor {
    house: Arc<House>,
    /// With everything that was decided, on disk or not.
    decided: Session,
    /// As it is on disk.
    committed: Session,
    last: Seq,
    waiting: VecDeque<Waiting>,
    /// Scans that came again: while the first was on its way, whoever waits for it too; then its result.
    repeated: HashMap<DedupKey, Repeated>,
    answers: mpsc::UnboundedSender<Appended>,
    incoming: Option<mpsc::UnboundedReceiver<Appended>>,
    watchers: Watchers,
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
            repeated: HashMap::new(),
            answers,
            incoming: Some(incoming),
            watchers,
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
        let expect = Expect { session: id, version: self.decided.version };
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
        self.house.store.views().read(|state| {
            let context = state.context(&self.house.policy, now);
            let event = match &command.deed {
                Deed::Open => Some(lifecycle::open(session, &context, now, How::ByPerson)?),
                Deed::Close => Some(lifecycle::close(session, &context, now, How::ByPerson)?),
                Deed::Reopen => {
                    let others: Vec<Meeting> = state.meetings_around(now).cloned().collect();
                    return lifecycle::reopen(session, &others);
                }
                Deed::Mark(wish) => marking::mark(session, &context, wish)?,
                Deed::Bind(device) => lifecycle::bind(session, device, state.meetings())?,
                Deed::Unbind(device) => lifecycle::unbind(session, device)?,
            };
            Ok(event.into_iter().collect())
        })
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

    /// Answers a scan, and everyone who sent it again meanwhile.
    fn done(&mut self, ticket: Ticket, result: ScanResult) {
        let key = ticket.scan().dedup;
        let again = ScanResult { replayed: true, ..result.clone() };
        if let Some(Repeated::OnItsWay(others)) = self.repeated.insert(key, Repeated::Known(again.clone())) {
            others.into_iter().for_each(|other| other.done(again.clone()));
        }
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
                        self.done(ticket, self.result(student, outcome));
                    }
                    Waiting::Command(waiting) => tell(waiting, Ok(entries.last().map(|entry| entry.seq))),
                }
            }
            Appended::Already(entry) => {
                if let Waiting::Scan(.., ticket) = waiting {
                    self.done(ticket, self.house.first_result(&entry));
                }
                // What was decided with it in mind never happened.
                self.start_over(context);
            }
            Appended::Stale => {
                match waiting {
                    Waiting::Command(waiting) => tell(waiting, Err(CommandError::Busy)),
                    // Dropped unanswered, it goes back to the supervisor.
                    Waiting::Scan(.., ticket) => drop(ticket),
                }
                context.stop();
            }
            Appended::Failed(Failure::Unavailable) => {
                match waiting {
                    Waiting::Command(waiting) => tell(waiting, Err(CommandError::StorageUnavailable)),
                    Waiting::Scan(.., ticket) => ticket.refuse(NotTaken::StorageUnavailable),
                }
                self.start_over(context);
            }
        }
    }

    /// Ends if anything that is still on its way was decided on a state that does not hold.
    fn start_over(&mut self, context: &mut Context<Self>) {
        if self.waiting.is_empty() {
            self.decided = self.committed.clone();
        } else {
            context.stop();
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
        match self.repeated.get_mut(&ticket.scan().dedup) {
            Some(Repeated::OnItsWay(others)) => return others.push(ticket),
            Some(Repeated::Known(result)) => {
                let result = result.clone();
                return ticket.done(result);
            }
            None => {}
        }
        let now = self.house.clock.now();
        let decision = self.house.store.views().read(|state| {
            let context = state.context(&self.house.policy, now);
            scan::scan(&self.decided, &context, student, ticket.scan(), None, AutoOpen::Allowed)
        });
        match decision.outcome {
            Outcome::Unmatched(reason) => {
                let (scan, session) = (ticket.scan().clone(), Some(self.decided.meeting.id));
                let kept = UnmatchedScan { scan, reason, student: Some(student), session };
                self.house.unmatched(ticket, kept);
            }
            outcome => {
                let by = By::Device(ticket.scan().device.clone());
                let key = ticket.scan().dedup;
                let waiting = Waiting::Scan(student, outcome, ticket);
                if self.append(&by, &decision.events, Vec::new(), waiting).is_ok() {
                    self.repeated.insert(key, Repeated::OnItsWay(Vec::new()));
                }
            }
        }
    }
}

impl Handler<Command> for SessionActor {
    type Result = ResponseFuture<CommandResult>;

    fn handle(&mut self, command: Command, _: &mut Self::Context) -> Self::Result {
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
        self.watchers.add(watch.to, self.last, &self.committed);
        Ok(())
    }
}
