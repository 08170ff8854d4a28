//! Terminals that give two scans one id.
//!
//! Promises: the log names each such terminal, with a line a minute at most, however many it sends.
//!
//! Refuses: keeping the second scan. Whatever it says, it is taken for the first.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rollcall_domain::ids::DeviceId;
use rollcall_domain::scan::Scan;

const QUIET: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(crate) struct Reused {
    /// When the log last had a line about a terminal.
    told: Mutex<HashMap<DeviceId, Duration>>,
}

impl Reused {
    /// To be called for a scan under the key of the one that was there `first`.
    pub(crate) fn look(&self, scan: &Scan, first: &Scan, now: Duration) {
        if !is_another(scan, first) || !self.may_tell(&scan.device, now) {
            return;
        }
        tracing::warn!(
            device = %scan.device,
            scan_id = scan.scan_id.as_deref().unwrap_or_default(),
            "a terminal used the id of an earlier scan for another one, which is lost: \
             make it give every scan an id of its own, also after a reset"
        );
    }

    fn may_tell(&self, device: &DeviceId, now: Duration) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let may = told.get(device).is_none_or(|at| now.saturating_sub(*at) >= QUIET);
        if may {
            told.insert(device.clone(), now);
        }
        may
    }
}

fn is_another(scan: &Scan, first: &Scan) -> bool {
    (&scan.claim, scan.claimed_at) != (&first.claim, first.claimed_at)
}
