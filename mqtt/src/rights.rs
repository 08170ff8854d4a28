//! What an identity may publish, subscribe to and hear.
//!
//! Promises: a device reaches its own topics and nothing else; a monitor reads and never writes; who comes
//! without a name reaches nothing that belongs to a device.
//!
//! Refuses: finding out who somebody is; that is [`crate::Access`]'s.

use rollcall_dialects::topics::{Filter, NativeTopic, Purpose, Topic, native};
use rollcall_domain::ids::DeviceId;

use crate::access::Identity;

/// The purposes on which a device listens.
pub(crate) const DOWN: [Purpose; 3] = [Purpose::Result, Purpose::Command, Purpose::Config];
/// Where the gateway and its devices speak.
const OURS: &str = "rollcall/";
const SHARED: &str = "$share/";

/// Topics that nobody without a name may use, and filters that nobody without a name may ask for.
#[derive(Debug, Clone, Default)]
pub struct Reserved {
    /// The topics of devices that speak another dialect.
    pub devices: Vec<Filter>,
    pub denied: Vec<Filter>,
}

impl Reserved {
    fn is_of_devices(&self, topic: &Topic) -> bool {
        let text = topic.as_str();
        // The name alone, too, which a wildcard behind it would reach.
        let is_ours =
            text.strip_prefix("rollcall").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        is_ours || self.devices.iter().any(|filter| filter.matches(topic))
    }

    /// Whether the filter asks for what is of devices by name; where a wildcard reaches it by chance,
    /// [`hears`] leaves it out.
    fn asks_for_devices(&self, filter: &Filter) -> bool {
        filter.as_str().starts_with(OURS)
            || self.devices.contains(filter)
            || Topic::parse(filter.as_str()).is_ok_and(|topic| self.is_of_devices(&topic))
    }

    fn is_denied(&self, topic: &Topic) -> bool {
        self.denied.iter().any(|denied| denied.matches(topic))
    }
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Publishing {
    /// It is for the gateway.
    Up(Purpose),
    /// It is for whoever wants it.
    Routed,
    Denied,
}

pub(crate) fn publishing(identity: &Identity, topic: &Topic, reserved: &Reserved) -> Publishing {
    match identity {
        Identity::Device(device) => match NativeTopic::of(topic) {
            Some(native) if native.device == *device && native.purpose.is_up() => {
                Publishing::Up(native.purpose)
            }
            _ => Publishing::Denied,
        },
        Identity::Monitor(_) => Publishing::Denied,
        Identity::Anonymous if reserved.is_of_devices(topic) => Publishing::Denied,
        Identity::Anonymous => Publishing::Routed,
    }
}

/// What serves a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subscribing {
    /// Written by the front door itself; no router link.
    Own(Vec<Purpose>),
    /// Served through the router.
    Follow,
    Denied,
    /// By the settings.
    Closed,
    /// Nobody may, for it is not there.
    Shared,
}

pub(crate) fn subscribing(identity: &Identity, filter: &Filter, reserved: &Reserved) -> Subscribing {
    let text = filter.as_str();
    match identity {
        Identity::Device(device) => own(device, filter),
        Identity::Monitor(_) if text.starts_with(OURS) => Subscribing::Follow,
        Identity::Monitor(_) => Subscribing::Denied,
        Identity::Anonymous if text.starts_with(SHARED) => Subscribing::Shared,
        Identity::Anonymous if reserved.asks_for_devices(filter) => Subscribing::Denied,
        Identity::Anonymous if Topic::parse(text).is_ok_and(|topic| reserved.is_denied(&topic)) => {
            Subscribing::Closed
        }
        Identity::Anonymous if reserved.denied.contains(filter) => Subscribing::Closed,
        Identity::Anonymous => Subscribing::Follow,
    }
}

/// Whether a message of this topic may reach a follower whose filter asks for it: a wildcard may reach beyond
/// what it may ask for by name.
pub(crate) fn hears(identity: &Identity, topic: &Topic, reserved: &Reserved) -> bool {
    match identity {
        Identity::Device(_) => false,
        Identity::Monitor(_) => topic.as_str().starts_with(OURS),
        Identity::Anonymous => !reserved.is_of_devices(topic) && !reserved.is_denied(topic),
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

    fn reserved() -> Reserved {
        let denied = vec![Filter::parse("test/secret/#").unwrap()];
        Reserved { devices: vec![Filter::parse("mqtt/face/#").unwrap()], denied }
    }

    fn asks(identity: &Identity, filter: &str) -> Subscribing {
        subscribing(identity, &Filter::parse(filter).unwrap(), &reserved())
    }

    fn may(identity: &Identity, topic: &str) -> Publishing {
        publishing(identity, &Topic::parse(topic).unwrap(), &reserved())
    }

    #[test]
    fn a_device_publishes_only_up_and_only_as_itself() {
        assert_eq!(may(&gate(), "rollcall/v1/gate/scan"), Publishing::Up(Purpose::Scan));
        for foreign in ["rollcall/v1/hall/scan", "rollcall/v1/gate/result", "a", "rollcall/v1/gate/scan/x"] {
            assert_eq!(may(&gate(), foreign), Publishing::Denied, "{foreign}");
        }
        let monitor = Identity::Monitor(UserId(1));
        assert_eq!(may(&monitor, "rollcall/v1/gate/scan"), Publishing::Denied);
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

    #[test]
    fn who_has_no_name_reaches_everything_but_devices_and_what_is_denied() {
        let nobody = Identity::Anonymous;
        assert_eq!(may(&nobody, "a/b"), Publishing::Routed);
        for theirs in ["rollcall/v1/gate/scan", "rollcall", "rollcall/x", "mqtt/face/7/Rec", "mqtt/face"] {
            assert_eq!(may(&nobody, theirs), Publishing::Denied, "{theirs}");
            assert_eq!(asks(&nobody, theirs), Subscribing::Denied, "{theirs}");
            assert!(!hears(&nobody, &Topic::parse(theirs).unwrap(), &reserved()), "{theirs}");
        }
        for theirs in ["rollcall/#", "rollcall/+/x", "mqtt/face/#"] {
            assert_eq!(asks(&nobody, theirs), Subscribing::Denied, "{theirs}");
        }
        for all in ["#", "+/v1/#", "test/#", "rollcaller"] {
            assert_eq!(asks(&nobody, all), Subscribing::Follow, "{all}");
        }
        for denied in ["test/secret/a", "test/secret", "test/secret/#"] {
            assert_eq!(asks(&nobody, denied), Subscribing::Closed, "{denied}");
        }
        assert!(!hears(&nobody, &Topic::parse("test/secret/a").unwrap(), &reserved()));
        assert!(hears(&nobody, &Topic::parse("test/open").unwrap(), &reserved()));
        assert_eq!(asks(&nobody, "$share/g/a"), Subscribing::Shared);
    }
}
