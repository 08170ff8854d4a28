//! v5 properties: which exist, what each holds, and which packet may carry which.
//!
//! Promises: a property that does not belong to the packet, or stands twice, is malformed.
//!
//! Refuses: keeping what nobody uses; such values are checked for shape and passed over.

use bytes::{Bytes, BytesMut};

use super::read::Reader;
use super::{ALIASES, Malformed, Passed};

/// The properties that the front door acts upon; the others only have to be well-formed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Properties {
    pub(super) session_expiry_seconds: Option<u32>,
    pub(super) receive_maximum: Option<u16>,
    pub(super) maximum_packet_size: Option<u32>,
    pub(super) topic_alias: Option<u16>,
    pub(super) topic_aliases: Option<u16>,
    pub(super) subscription_id: Option<u32>,
    pub(super) message_expiry_seconds: Option<u32>,
    pub(super) will_delay_seconds: Option<u32>,
    pub(super) authentication_method: bool,
    pub(super) passed: Passed,
}

pub(super) const CONNECT: &[u8] = &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x27, USER];
pub(super) const WILL: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18, USER];
pub(super) const PUBLISH: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x23, USER];
pub(super) const ACK: &[u8] = &[0x1F, USER];
pub(super) const SUBSCRIBE: &[u8] = &[0x0B, USER];
pub(super) const UNSUBSCRIBE: &[u8] = &[USER];
pub(super) const DISCONNECT: &[u8] = &[0x11, 0x1F, USER];

/// The only property that may repeat.
const USER: u8 = 0x26;
/// What is passed on with a message as it came.
const PASSED: &[u8] = &[0x01, 0x03, 0x08, 0x09, USER];

impl Properties {
    /// Reads the block of properties that begins here; `allowed` is what this packet may carry.
    pub(super) fn read(reader: &mut Reader, allowed: &[u8]) -> Result<Self, Malformed> {
        let length = reader.variable()?;
        let mut block = reader.part(usize::try_from(length).unwrap_or(usize::MAX))?;
        let (mut found, mut passed) = (Properties::default(), BytesMut::new());
        let mut seen = 0_u64;
        while !block.is_empty() {
            let before = block.rest();
            let id = block.byte()?;
            let bit = 1_u64.checked_shl(u32::from(id)).unwrap_or(0);
            if !allowed.contains(&id) || (id != USER && seen & bit != 0) {
                return Err(Malformed::Property(id));
            }
            seen |= bit;
            found.take(id, &mut block)?;
            if PASSED.contains(&id) {
                passed.extend_from_slice(before.get(..before.len() - block.rest().len()).unwrap_or_default());
            }
        }
        found.passed = Passed(passed.freeze());
        Ok(found)
    }

    fn take(&mut self, id: u8, block: &mut Reader) -> Result<(), Malformed> {
        match id {
            0x01 | 0x17 | 0x19 => one_or_zero(id, block.byte()?)?,
            0x02 => self.message_expiry_seconds = Some(block.long()?),
            0x03 | 0x08 | 0x1F => drop(block.text()?),
            0x09 | 0x16 => drop::<Bytes>(block.binary()?),
            0x0B => self.subscription_id = Some(above_zero(id, block.variable()?)?),
            0x11 => self.session_expiry_seconds = Some(block.long()?),
            0x15 => self.authentication_method = !block.text()?.is_empty(),
            0x18 => self.will_delay_seconds = Some(block.long()?),
            0x21 => self.receive_maximum = Some(above_zero(id, block.short()?)?),
            0x22 => self.topic_aliases = Some(block.short()?),
            0x23 => self.topic_alias = Some(alias(block.short()?)?),
            USER => drop((block.text()?, block.text()?)),
            0x27 => self.maximum_packet_size = Some(above_zero(id, block.long()?)?),
            _ => return Err(Malformed::Property(id)),
        }
        Ok(())
    }
}

fn above_zero<T: Default + PartialEq>(id: u8, value: T) -> Result<T, Malformed> {
    if value == T::default() { Err(Malformed::Property(id)) } else { Ok(value) }
}

fn alias(value: u16) -> Result<u16, Malformed> {
    if (1..=ALIASES).contains(&value) { Ok(value) } else { Err(Malformed::TopicAlias) }
}

fn one_or_zero(id: u8, value: u8) -> Result<(), Malformed> {
    if value > 1 { Err(Malformed::Property(id)) } else { Ok(()) }
}
