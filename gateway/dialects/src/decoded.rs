//! What a device claims, in one shape for all vendors.
//!
//! Refuses: saying which device it was. That is the connection's identity, never the payload's.

use rollcall_domain::moment::Moment;
use rollcall_domain::scan::{Direction, Method};

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
