//! How the parts are that the API cannot look at itself.
//!
//! Promises: a destination that cannot be reached impairs the gateway and does not make it unready, since
//! the campus works without it.
//!
//! Refuses: asking anybody. It tells what a part last said of itself.

use rollcall_domain::ports::{Health, HealthSource};
use rollcall_upstream::{State, Status};
use tokio::sync::watch;

/// The portal, as its sender sees it.
pub(crate) struct PortalHealth(pub(crate) watch::Receiver<Status>);

impl HealthSource for PortalHealth {
    fn part(&self) -> &'static str {
        "portal"
    }

    fn health(&self) -> Health {
        let status = self.0.borrow();
        match (&status.state, &status.last_error) {
            (State::Waiting(_), Some(error)) => Health::Impaired { reason: error.clone() },
            _ => Health::Good,
        }
    }
}

/// The front door: it listens for as long as its task runs.
pub(crate) struct MqttHealth(pub(crate) watch::Receiver<bool>);

impl HealthSource for MqttHealth {
    fn part(&self) -> &'static str {
        "mqtt"
    }

    fn health(&self) -> Health {
        if *self.0.borrow() {
            Health::Good
        } else {
            Health::Down { reason: "the front door has ended; restart the gateway".to_owned() }
        }
    }
}
