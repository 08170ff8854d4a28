//! The way in for scans.
//!
//! Promises: at most [`crate::IN_FLIGHT`] scans are in the house; one more is handed back to whoever brings
//! it, to be kept and brought again.

use std::sync::Arc;

use actix::Addr;
use rollcall_domain::ports::{Health, HealthSource, ScanIntake, Submission};
use tokio::sync::Semaphore;

use crate::house::House;
use crate::supervisor::{Incoming, Supervisor};
use crate::ticket::{Desk, Ticket};

/// Hands scans to the supervisor.
#[derive(Clone)]
pub struct Intake {
    house: Arc<House>,
    supervisor: Addr<Supervisor>,
    places: Arc<Semaphore>,
    desk: Arc<Desk>,
}

impl Intake {
    pub(crate) fn new(
        house: Arc<House>,
        supervisor: Addr<Supervisor>,
        places: Arc<Semaphore>,
        desk: Arc<Desk>,
    ) -> Self {
        Intake { house, supervisor, places, desk }
    }

    /// How many scans are in the house.
    pub fn in_flight(&self) -> usize {
        crate::IN_FLIGHT - self.places.available_permits().min(crate::IN_FLIGHT)
    }
}

impl HealthSource for Intake {
    fn part(&self) -> &'static str {
        "sessions"
    }

    fn health(&self) -> Health {
        if self.supervisor.connected() {
            Health::Good
        } else {
            Health::Down {
                reason: "what brings scans to their sessions has ended; restart the gateway".into(),
            }
        }
    }
}

impl ScanIntake for Intake {
    fn submit(&self, submission: Box<Submission>) -> Result<(), Box<Submission>> {
        let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() else { return Err(submission) };
        let scan = self.house.scan(&submission.scan);
        let ticket = Ticket::new(scan, *submission, permit, Arc::clone(&self.desk));
        // A mailbox that is full drops the ticket, which then reaches the supervisor by its other way.
        drop(self.supervisor.try_send(Incoming(ticket)));
        Ok(())
    }
}
