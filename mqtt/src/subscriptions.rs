//! What one client listens to.
//!
//! Promises: each filter counts once, and a message for which several were asked comes once, at the best
//! quality of service among them.
//!
//! Refuses: more than [`MOST_FOLLOWED`] filters beyond the client's own topics.

use rollcall_dialects::topics::{Filter, Purpose, Topic};

use crate::access::Identity;
use crate::codec::{QoS, Request};
use crate::observer::Refused;
use crate::rights::{self, Subscribing};
use crate::upload::NOT_AUTHORIZED;

/// Each is held against every message of the feed.
const MOST_FOLLOWED: usize = 32;
const QUOTA_EXCEEDED: u8 = 0x97;

#[derive(Default)]
pub(crate) struct Subscriptions {
    own: Vec<(Request, Vec<Purpose>)>,
    followed: Vec<Request>,
}

impl Subscriptions {
    /// The quality of service that is granted; `linked` says whether there is a link to the router.
    ///
    /// # Errors
    /// It is not granted: what to call that, and v5's code for it.
    pub(crate) fn grant(
        &mut self,
        identity: &Identity,
        request: Request,
        linked: bool,
    ) -> Result<QoS, (Refused, u8)> {
        let qos = request.qos.min(QoS::AtLeastOnce);
        let granted = Request { filter: request.filter, qos };
        match rights::subscribing(identity, &granted.filter) {
            Subscribing::Own(purposes) => {
                self.remove(&granted.filter);
                self.own.push((granted, purposes));
            }
            Subscribing::Follow if !linked => return Err((Refused::NoLink, QUOTA_EXCEEDED)),
            Subscribing::Follow => {
                self.remove(&granted.filter);
                if self.followed.len() >= MOST_FOLLOWED {
                    return Err((Refused::TooManyFilters, QUOTA_EXCEEDED));
                }
                self.followed.push(granted);
            }
            Subscribing::Denied => return Err((Refused::Subscribe, NOT_AUTHORIZED)),
        }
        Ok(qos)
    }

    /// False if it was not there.
    pub(crate) fn remove(&mut self, filter: &Filter) -> bool {
        let before = self.own.len() + self.followed.len();
        self.own.retain(|(request, _)| request.filter != *filter);
        self.followed.retain(|request| request.filter != *filter);
        self.own.len() + self.followed.len() < before
    }

    /// How a message of the gateway to this client is to be sent, if at all.
    pub(crate) fn to_own(&self, purpose: Purpose) -> Option<QoS> {
        let wanted = self.own.iter().filter(|(_, purposes)| purposes.contains(&purpose));
        wanted.map(|(request, _)| request.qos).max()
    }

    /// How a message of the feed is to be sent, if at all.
    pub(crate) fn to_follower(&self, topic: &Topic) -> Option<QoS> {
        let wanted = self.followed.iter().filter(|request| request.filter.matches(topic));
        wanted.map(|request| request.qos).max()
    }
}
