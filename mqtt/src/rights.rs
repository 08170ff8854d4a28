//! What an identity may publish and subscribe to.
//!
//! Promises: a device reaches its own topics and nothing else; a monitor reads and never writes.
//!
//! Refuses: finding out who somebody is; that is [`crate::Access`]'s.

use rollcall_dialects::topics::{Filter, NativeTopic, Purpose, Topic, native};
use rollcall_domain::ids::DeviceId;

use crate::access::Identity;

/// The purposes on which a device listens.
pub(crate) const DOWN: [Purpose; 3] = [Purpose::Result, Purpose::Command, Purpose::Config];

/// What a message is for, and whose; `None` if the identity may not send it.
pub(crate) fn publishing(identity: &Identity, topic: &Topic) -> Option<Purpose> {
    let Identity::Device(device) = identity else { return None };
    let native = NativeTopic::of(topic)?;
    (native.device == *device && native.purpose.is_up()).then_some(native.purpose)
}

/// What serves a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subscribing {
    /// Written by the front door itself; no router link.
    Own(Vec<Purpose>),
    /// Served through the router.
    Follow,
    Denied,
}

pub(crate) fn subscribing(identity: &Identity, filter: &Filter) -> Subscribing {
    match identity {
        Identity::Device(device) => own(device, filter),
        Identity::Monitor(_) if filter.as_str().starts_with("rollcall/") => Subscribing::Follow,
        Identity::Monitor(_) => Subscribing::Denied,
    }
}

/// A wildcard is good as the last level, where it reaches only what is the device's own.
fn own(device: &DeviceId, filter: &Filter) -> Subscribing {
    let topics = DOWN.map(|purpose| (purpose, native(device, purpose)));
    let level = |topic: &Topic| topic.as_str().rsplit_once('/').map(|(own, _)| own.to_owned());
    let Some(own) = topics.first().and_then(|(_, topic)| level(topic)) else { return Subscribing::Denied };
    let rest = filter.as_str().strip_prefix(own.as_str()).and_then(|rest| rest.strip_prefix('/'));
    if rest.is_none_or(|rest| rest.contains('/')) {
        return Subscribing::Denied;
    }
    let meant: Vec<_> = topics.iter().filter(|(_, topic)| filter.matches(topic)).map(|(p, _)| *p).collect();
    if meant.is_empty() { Subscribing::Denied } else { Subscribing::Own(meant) }
}

#[cfg(test)]
mod tests {
    use rollcall_domain::ids::UserId;

    use super::*;

    fn gate() -> Identity {
        Identity::Device(DeviceId::parse("gate").unwrap())
    }

    fn asks(identity: &Identity, filter: &str) -> Subscribing {
        subscribing(identity, &Filter::parse(filter).unwrap())
    }

    #[test]
    fn a_device_publishes_only_up_and_only_as_itself() {
        let may = |topic: &str| publishing(&gate(), &Topic::parse(topic).unwrap());
        assert_eq!(may("rollcall/v1/gate/scan"), Some(Purpose::Scan));
        for foreign in ["rollcall/v1/hall/scan", "rollcall/v1/gate/result", "a", "rollcall/v1/gate/scan/x"] {
            assert_eq!(may(foreign), None, "{foreign}");
        }
        let monitor = Identity::Monitor(UserId(1));
        assert_eq!(publishing(&monitor, &Topic::parse("rollcall/v1/gate/scan").unwrap()), None);
    }

    #[test]
    fn a_device_listens_only_to_what_is_its_own() {
        assert_eq!(asks(&gate(), "rollcall/v1/gate/result"), Subscribing::Own(vec![Purpose::Result]));
        for all in ["rollcall/v1/gate/+", "rollcall/v1/gate/#"] {
            assert_eq!(asks(&gate(), all), Subscribing::Own(DOWN.to_vec()), "{all}");
        }
        for foreign in [
            "#",
            "+/+/+/+",
            "rollcall/#",
            "rollcall/v1/+/result",
            "rollcall/v1/gate",
            "rollcall/v1/gate/result/#",
            "rollcall/v1/gate2/result",
            "rollcall/v1/gate/scan",
            "$share/g/rollcall/v1/gate/result",
        ] {
            assert_eq!(asks(&gate(), foreign), Subscribing::Denied, "{foreign}");
        }
    }

    #[test]
    fn a_monitor_follows_the_campus_and_nothing_outside_it() {
        let monitor = Identity::Monitor(UserId(1));
        assert_eq!(asks(&monitor, "rollcall/#"), Subscribing::Follow);
        for outside in ["#", "$SYS/#", "+/v1/#"] {
            assert_eq!(asks(&monitor, outside), Subscribing::Denied, "{outside}");
        }
    }
}
