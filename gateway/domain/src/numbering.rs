//! Meetings are numbered per class and term: "S1 Lec 3".
//!
//! Promises: numbers only grow, a cancelled meeting keeps its own, no class has two meetings with one
//! number or one start, and the limit that is set holds.
//!
//! Refuses: renumbering.

use crate::ids::TermId;
use crate::moment::Moment;
use crate::refusal::Refusal;

/// A meeting that a class has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    pub term: Option<TermId>,
    pub number: u32,
    pub starts: Moment,
    pub cancelled: bool,
}

/// The number in `term` of one more meeting of a class that has `existing` ones, in whatever term;
/// `max_per_term` of 0 sets no limit.
pub fn next_number(
    existing: &[Numbered],
    term: Option<TermId>,
    starts: Moment,
    max_per_term: u32,
) -> Result<u32, Refusal> {
    start_is_free(existing, starts)?;
    let of_term = existing.iter().filter(|meeting| meeting.term == term);
    let number = of_term.map(|meeting| meeting.number).max().unwrap_or(0).saturating_add(1);
    if max_per_term != 0 && number > max_per_term {
        return Err(Refusal::TooManySessions { limit: max_per_term });
    }
    Ok(number)
}

/// Whether the class has no other meeting that begins then.
pub fn start_is_free(others: &[Numbered], starts: Moment) -> Result<(), Refusal> {
    let taken = others.iter().find(|meeting| meeting.starts == starts && !meeting.cancelled);
    taken.map_or(Ok(()), |meeting| Err(Refusal::SameStart { number: meeting.number }))
}

/// As pages show it; a class without a term has no "S" part.
pub fn label(semester: Option<u8>, number: u32) -> String {
    match semester {
        Some(semester) => format!("S{semester} Lec {number}"),
        None => format!("Lec {number}"),
    }
}
