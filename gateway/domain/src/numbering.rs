//! Meetings are numbered per class and term: "S1 Lec 3".
//!
//! Promises: numbers only grow, a cancelled meeting keeps its own, no class has two meetings with one
//! number or one start, and the limit that is set holds.
//!
//! Refuses: renumbering.

use crate::moment::Moment;
use crate::refusal::Refusal;

/// What a class already has in the term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    pub number: u32,
    pub starts: Moment,
    pub cancelled: bool,
}

/// The number of one more meeting that starts at `starts`; `max_per_term` of 0 sets no limit.
pub fn next_number(
    existing: impl IntoIterator<Item = Numbered>,
    starts: Moment,
    max_per_term: u32,
) -> Result<u32, Refusal> {
    let mut highest = 0;
    for meeting in existing {
        if meeting.starts == starts && !meeting.cancelled {
            return Err(Refusal::SameStart { number: meeting.number });
        }
        highest = highest.max(meeting.number);
    }
    let number = highest.saturating_add(1);
    if max_per_term != 0 && number > max_per_term {
        return Err(Refusal::TooManySessions { limit: max_per_term });
    }
    Ok(number)
}

/// As pages show it; a class without a term has no "S" part.
pub fn label(semester: Option<u8>, number: u32) -> String {
    match semester {
        Some(semester) => format!("S{semester} Lec {number}"),
        None => format!("Lec {number}"),
    }
}
