//! What is to be simulated.
//!
//! Promises: a plan that passes [`Plan::check`] can be carried out.

use std::time::Duration;

use rollcall_domain::ids::DeviceId;
use url::Url;

use crate::error::SimulatorError;
use crate::trickle::Arrival;

/// Scans a second; from a gap of no time at all a run would not end.
const FASTEST: f64 = 1e6;

/// Terminals, and what they have to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `mqtt://host:port`.
    pub url: String,
    /// Each terminal's identity and secret.
    pub devices: Vec<(DeviceId, String)>,
    pub work: Work,
    /// How many scans of one terminal may wait for their PUBACK at once.
    pub in_flight: u16,
    /// How long to wait for what is still to be acknowledged when the work is done.
    pub patience: Duration,
    /// Part of every scan's id; two runs against one gateway need different ones.
    pub run: String,
    /// For the pauses between attempts to connect.
    pub seed: u64,
}

#[derive(Debug, Clone)]
pub enum Work {
    /// The same few students over and over, as fast as asked.
    Load(Load),
    /// Each scan at its time.
    Script(Vec<Arrival>),
}

#[derive(Debug, Clone)]
pub struct Load {
    pub students: Vec<String>,
    /// Scans a second, all terminals together; `None`: as fast as they are acknowledged.
    pub rate: Option<f64>,
    pub until: Until,
}

/// When a load ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// So many scans of each terminal.
    Each(u64),
    After(Duration),
}

impl Plan {
    /// The broker's host and port, if the plan can be carried out.
    pub(crate) fn check(&self) -> Result<(String, u16), SimulatorError> {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if self.devices.is_empty() {
            return Err(SimulatorError::NoTerminals);
        }
        if !(1..=60_000).contains(&self.in_flight) {
            return Err(SimulatorError::InFlight { in_flight: self.in_flight });
        }
        if !(1..=32).contains(&self.run.len()) || !self.run.chars().all(name) {
            return Err(SimulatorError::Run);
        }
        if let Work::Load(load) = &self.work {
            if load.students.is_empty() {
                return Err(SimulatorError::NoStudents);
            }
            if let Some(rate) = load.rate.filter(|rate| !(*rate > 0.0 && *rate <= FASTEST)) {
                return Err(SimulatorError::Rate { rate: rate.to_string() });
            }
        }
        let url = Url::parse(&self.url).ok().filter(|url| url.scheme() == "mqtt");
        let address = url.and_then(|url| Some((url.host_str()?.to_owned(), url.port().unwrap_or(1883))));
        address.ok_or_else(|| SimulatorError::Url { url: self.url.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(url: &str, rate: f64) -> Plan {
        let load = Load { students: vec!["S1".to_owned()], rate: Some(rate), until: Until::Each(1) };
        Plan {
            url: url.to_owned(),
            devices: vec![(DeviceId::parse("gate").unwrap(), String::new())],
            work: Work::Load(load),
            in_flight: 1,
            patience: Duration::ZERO,
            run: "r1".to_owned(),
            seed: 0,
        }
    }

    #[test]
    fn only_what_can_be_carried_out_passes() {
        assert_eq!(plan("mqtt://[::1]:18", 1.0).check(), Ok(("[::1]".to_owned(), 18)));
        assert_eq!(plan("mqtt://gateway.local", 1.0).check(), Ok(("gateway.local".to_owned(), 1883)));
        for wrong in ["http://x", "gateway:1883", "", "mqtts://x"] {
            assert_eq!(plan(wrong, 1.0).check(), Err(SimulatorError::Url { url: wrong.to_owned() }));
        }
        assert!(plan("mqtt://x", 0.0).check().is_err());
        assert!(plan("mqtt://x", f64::NAN).check().is_err());
        assert!(plan("mqtt://x", 1e10).check().is_err());
        assert!(plan("mqtt://x", 1e6).check().is_ok());
        assert_eq!(Plan { run: "a/b".to_owned(), ..plan("mqtt://x", 1.0) }.check(), Err(SimulatorError::Run));
    }
}
