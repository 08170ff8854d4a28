//! A device as rules see one.
//!
//! Promises: says whether its scans count.
//!
//! Refuses: where it is reached and by which secret it is known; the register has those.

use serde::{Deserialize, Serialize};

use crate::ids::{DeviceId, Name, RoomId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    Fingerprint,
    Face,
    Iris,
    Palm,
    Card,
    Qr,
    Camera,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceStatus {
    Active,
    Inactive,
    Maintenance,
    /// Seen, but not yet approved by an admin.
    Pending,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub id: DeviceId,
    pub name: String,
    pub kind: DeviceKind,
    /// Where it hangs; a device without a room stands at a gate or in a hall.
    pub room: Option<RoomId>,
    pub dialect: Name,
    pub status: DeviceStatus,
    pub firmware: Option<String>,
}

impl Device {
    /// A disabled device is disconnected and its scans are not taken.
    pub fn may_scan(&self) -> bool {
        self.status == DeviceStatus::Active
    }
}
