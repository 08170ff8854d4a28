//! What one client listens to.
//!
//! Promises: each filter counts once, and a message for which several were asked comes once, at the best
//! quality of service among them.
//!
//! Refuses: more than [`MOST_FOLLOWED`] filters beyond the client's own topics.

use rollcall_dialects::topics::{Filter, Purpose, Topic};

use crate::access::Identity;
use crate::codec::{QoS, Request, Retained};
use crate::message::Message;
use crate::observer::Refused;
use crate::rights::{self, Reserved, Subscribing};
use crate::upload::NOT_AUTHORIZED;

/// Each is held against every message of the feed.
const MOST_FOLLOWED: usize = 32;
const FAILED: u8 = 0x80;
const QUOTA_EXCEEDED: u8 = 0x97;
const NO_SHARED: u8 = 0x9E;

#[derive(Default)]
pub(crate) struct Subscriptions {
    own: Vec<(Request, Vec<Purpose>)>,
    followed: Vec<Request>,
}

/// How a message is to be sent to a client that asked for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// The subscriptions that it is for, as the client calls them.
    pub(crate) ids: Vec<u32>,
}

impl Wanted {
    fn by<'r>(requests: impl Iterator<Item = &'r Request>, message: &Message) -> Option<Wanted> {
        requests.fold(None, |wanted, request| {
            let mut wanted = wanted.unwrap_or(Wanted { qos: QoS::AtMostOnce, retain: false, ids: vec![] });
            wanted.qos = wanted.qos.max(request.qos.min(message.qos));
            wanted.retain |= request.as_published && message.retain;
            wanted.ids.extend(request.id);
            Some(wanted)
        })
    }
}

impl Subscriptions {
    /// The quality of service that is granted, and whether what is retained is to be sent now; `linked` says
    /// whether there is a link to the router.
    ///
    /// # Errors
    /// It is not granted: what to call that, and v5's code for it.
    pub(crate) fn grant(
        &mut self,
        identity: &Identity,
        reserved: &Reserved,
        request: Request,
        linked: bool,
    ) -> Result<(QoS, bool), (Refused, u8)> {
        let (qos, retained) = (request.qos, request.retained);
        let is_new = match rights::subscribing(identity, &request.filter, reserved) {
            Subscribing::Own(purposes) => {
                let was_there = self.remove(&request.filter);
                self.own.push((request, purposes));
                !was_there
            }
            Subscribing::Follow if !linked => return Err((Refused::NoLink, QUOTA_EXCEEDED)),
            Subscribing::Follow => {
                let was_there = self.remove(&request.filter);
                if self.followed.len() >= MOST_FOLLOWED {
                    return Err((Refused::TooManyFilters, QUOTA_EXCEEDED));
                }
                self.followed.push(request);
                !was_there
            }
            Subscribing::Denied => return Err((Refused::Subscribe, NOT_AUTHORIZED)),
            Subscribing::Closed => return Err((Refused::Subscribe, FAILED)),
            Subscribing::Shared => return Err((Refused::Subscribe, NO_SHARED)),
        };
        Ok((qos, retained == Retained::Always || retained == Retained::IfNew && is_new))
    }

    /// False if it was not there.
    pub(crate) fn remove(&mut self, filter: &Filter) -> bool {
        let before = self.own.len() + self.followed.len();
        self.own.retain(|(request, _)| request.filter != *filter);
        self.followed.retain(|request| request.filter != *filter);
        self.own.len() + self.followed.len() < before
    }

    /// How a message of the gateway to this client is to be sent, if at all.
    pub(crate) fn to_own(&self, purpose: Purpose, message: &Message) -> Option<Wanted> {
        let requests = self.own.iter().filter(|(_, purposes)| purposes.contains(&purpose));
        Wanted::by(requests.map(|(request, _)| request), message)
    }

    /// How a message of the feed is to be sent to session `number`, if at all.
    pub(crate) fn to_follower(&self, topic: &Topic, message: &Message, number: u64) -> Option<Wanted> {
        let is_own = message.from == number;
        let requests = self.followed.iter().filter(|request| request.filter.matches(topic));
        Wanted::by(requests.filter(|request| !(is_own && request.not_own)), message)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn request(filter: &str, qos: QoS) -> Request {
        let filter = Filter::parse(filter).unwrap();
        let (not_own, as_published, retained, id) = (false, false, Retained::Always, None);
        Request { filter, qos, not_own, as_published, retained, id }
    }

    fn message(qos: QoS, from: u64) -> Message {
        Message { qos, from, retain: true, ..Message::own("a/b".into(), Bytes::new()) }
    }

    fn ask(subscriptions: &mut Subscriptions, request: Request) -> Result<(QoS, bool), (Refused, u8)> {
        subscriptions.grant(&Identity::Anonymous, &Reserved::default(), request, true)
    }

    #[test]
    fn overlapping_filters_give_one_message_at_the_best_quality_with_all_their_names() {
        let (mut subscriptions, topic) = (Subscriptions::default(), Topic::parse("a/b").unwrap());
        for (filter, qos, id) in
            [("a/+", QoS::AtMostOnce, 2), ("a/#", QoS::ExactlyOnce, 3), ("b", QoS::AtLeastOnce, 4)]
        {
            ask(&mut subscriptions, Request { id: Some(id), ..request(filter, qos) }).unwrap();
        }
        let wanted = |qos| subscriptions.to_follower(&topic, &message(qos, 1), 1);
        assert_eq!(
            wanted(QoS::ExactlyOnce),
            Some(Wanted { qos: QoS::ExactlyOnce, retain: false, ids: vec![2, 3] })
        );
        assert_eq!(
            wanted(QoS::AtLeastOnce).unwrap().qos,
            QoS::AtLeastOnce,
            "not better than it was published"
        );
        assert_eq!(
            subscriptions.to_follower(&Topic::parse("c").unwrap(), &message(QoS::AtMostOnce, 1), 1),
            None
        );
    }

    #[test]
    fn a_client_that_does_not_want_its_own_messages_gets_those_of_others() {
        let (mut subscriptions, topic) = (Subscriptions::default(), Topic::parse("a/b").unwrap());
        let own = Request { not_own: true, as_published: true, ..request("a/b", QoS::AtLeastOnce) };
        ask(&mut subscriptions, own).unwrap();
        assert_eq!(subscriptions.to_follower(&topic, &message(QoS::AtLeastOnce, 7), 7), None);
        assert!(subscriptions.to_follower(&topic, &message(QoS::AtLeastOnce, 8), 7).unwrap().retain);
    }

    #[test]
    fn what_is_retained_comes_always_or_with_a_new_subscription_or_never() {
        let mut subscriptions = Subscriptions::default();
        for (retained, first, again) in
            [(Retained::Always, true, true), (Retained::IfNew, true, false), (Retained::Never, false, false)]
        {
            let one = Request { retained, ..request("a", QoS::AtLeastOnce) };
            subscriptions.remove(&one.filter);
            assert_eq!(ask(&mut subscriptions, one.clone()), Ok((QoS::AtLeastOnce, first)), "{retained:?}");
            assert_eq!(ask(&mut subscriptions, one), Ok((QoS::AtLeastOnce, again)), "{retained:?}");
        }
    }
}
