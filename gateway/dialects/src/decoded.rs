//! What a device claims, in one shape for all vendors.
//!
//! Promises: the same claim gives the same dedup key whenever and however often it arrives.
//!
//! Refuses: saying which device it was. That is the connection's identity, never the payload's.

use rollcall_domain::clock_offset::Captured;
use rollcall_domain::code::Pseudonyms;
use rollcall_domain::ids::DeviceId;
use rollcall_domain::moment::Moment;
use rollcall_domain::scan::{Claim, DedupKey, Direction, Method, Scan};

/// One claim, as decoded from a vendor's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The text by which the device names the student.
    pub claim: String,
    /// The device's own id for the scan.
    pub id: Option<String>,
    pub claimed_at: Moment,
    pub method: Option<Method>,
    /// In thousandths.
    pub quality_milli: Option<u16>,
    pub direction: Option<Direction>,
}

/// When a claim was received, and when it happened as far as can be known
/// ([`rollcall_domain::clock_offset::captured`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    pub at: Moment,
    pub captured: Captured,
}

impl Decoded {
    /// By the device's own id where there is one, else by who and when as the device told it.
    pub fn dedup(&self, device: &DeviceId, pseudonyms: &Pseudonyms) -> DedupKey {
        match &self.id {
            Some(id) => DedupKey::of_id(device, id, pseudonyms),
            None => DedupKey::of_claim(device, &self.claim, self.claimed_at, pseudonyms),
        }
    }

    /// The scan that this claim is, coming from `device`.
    pub fn scan(&self, device: &DeviceId, received: Received, pseudonyms: &Pseudonyms) -> Scan {
        Scan {
            device: device.clone(),
            scan_id: self.id.clone(),
            dedup: self.dedup(device, pseudonyms),
            claim: Claim::of(&self.claim, pseudonyms),
            claimed_at: self.claimed_at,
            captured_at: received.captured.at,
            received_at: received.at,
            clock_flagged: received.captured.flagged,
            method: self.method,
            quality_milli: self.quality_milli,
            direction: self.direction,
        }
    }
}
