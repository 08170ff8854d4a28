//! From a payload to scans with the connection's identity, and from results to what is acknowledged.
//!
//! Promises: each scan of an upload has one item, in order, whether it could be read or not; the reason
//! that an acknowledgement carries is the best that any of its scans deserves.
//!
//! Refuses: the payload's word on which device it was.

use std::time::Duration;

use bytes::Bytes;
use jiff::tz::TimeZone;
use rollcall_dialects::topics::Purpose;
use rollcall_dialects::{Decoded, Rejected, native};
use rollcall_domain::ids::DeviceId;
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::ScanResult;
use rollcall_domain::scan::{Outcome, RawScan};

/// v5's reason codes of an acknowledgement, from best to worst.
pub(crate) const SUCCESS: u8 = 0x00;
const UNMATCHED: u8 = 0x10;
pub(crate) const NOT_AUTHORIZED: u8 = 0x87;
pub(crate) const BAD_PAYLOAD: u8 = 0x99;

/// The gateway's side of a message: when it came, and whether somebody watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) at: Moment,
    pub(crate) after: Duration,
    pub(crate) is_watched: bool,
}

/// One scan of an upload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// Not on disk yet.
    Open {
        id: Option<String>,
        seen: Option<Bytes>,
    },
    Known(Answer),
}

/// What became of one scan.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) reason: u8,
    /// For the device.
    pub(crate) result: Bytes,
    /// For who watches the campus; only of a scan that is on disk, and only if somebody does.
    pub(crate) seen: Option<Bytes>,
}

impl Item {
    /// The scan is on disk.
    pub(crate) fn stored(&mut self, result: &ScanResult) {
        let Item::Open { id, seen } = self else { return };
        let reason = if matches!(result.outcome, Outcome::Unmatched(_)) { UNMATCHED } else { SUCCESS };
        let result = native::result(id.as_deref(), result).into();
        *self = Item::Known(Answer { reason, result, seen: seen.take() });
    }

    fn rejected(rejected: &Rejected) -> Self {
        let result = native::bad_payload(rejected).into();
        Item::Known(Answer { reason: BAD_PAYLOAD, result, seen: None })
    }
}

/// An upload as it was read.
pub(crate) struct Upload {
    pub(crate) items: Vec<Item>,
    /// Each with the place of its item.
    pub(crate) scans: Vec<(usize, RawScan)>,
    /// How many could not be read, and why the first could not.
    pub(crate) rejected: Option<(usize, Rejected)>,
}

/// Where an upload came from.
pub(crate) struct Source<'a> {
    pub(crate) device: &'a DeviceId,
    pub(crate) zone: &'a TimeZone,
    pub(crate) received: Received,
    /// Marked by the client as sent before.
    pub(crate) duplicate: bool,
}

impl Upload {
    pub(crate) fn read(purpose: Purpose, payload: &[u8], source: &Source<'_>) -> Self {
        let read = if purpose == Purpose::Scans {
            native::scans(payload, source.zone)
                .unwrap_or_else(|error| vec![Err(Rejected { id: None, error })])
        } else {
            vec![native::scan(payload, source.zone)]
        };
        let is_replay = purpose == Purpose::Scans || source.duplicate;
        let mut upload = Upload { items: Vec::with_capacity(read.len()), scans: Vec::new(), rejected: None };
        for one in read {
            match one {
                Ok(decoded) => upload.take(decoded, is_replay, source),
                Err(rejected) => upload.reject(rejected),
            }
        }
        upload
    }

    fn take(&mut self, decoded: Decoded, is_replay: bool, source: &Source<'_>) {
        let seen = source.received.is_watched.then(|| native::encode(&decoded).into());
        let index = self.items.len();
        self.items.push(Item::Open { id: decoded.id.clone(), seen });
        self.scans.push((index, raw(decoded, is_replay, source)));
    }

    fn reject(&mut self, rejected: Rejected) {
        self.items.push(Item::rejected(&rejected));
        let (count, first) = self.rejected.take().unwrap_or((0, rejected));
        self.rejected = Some((count + 1, first));
    }
}

fn raw(decoded: Decoded, is_replay: bool, source: &Source<'_>) -> RawScan {
    RawScan {
        device: source.device.clone(),
        scan_id: decoded.id,
        claim: decoded.claim,
        claimed_at: decoded.claimed_at,
        received_at: source.received.at,
        received_after: source.received.after,
        is_replay,
        method: decoded.method,
        quality_milli: decoded.quality_milli,
        direction: decoded.direction,
    }
}
