//! Attendance as a figure: percentage, eligibility, what can still be reached, what may still be
//! missed.
//!
//! Promises: whole-number arithmetic, two decimals, rounded half up, always within 0 and 100; both
//! bases; eligibility compares exact fractions, never rounded ones.
//!
//! Refuses: counting. The tally is handed in; which meetings count is [`crate::state`]'s.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::mark::Mark;

/// What a percentage is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Of the meetings that were held, those with a good reason left out.
    Held,
    /// Of the number of meetings planned for the term.
    Planned,
}

/// A percentage in hundredths: 10000 is 100 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Percent(u16);

impl Percent {
    pub const FULL: Percent = Percent(10_000);

    pub fn from_centi(centi: u16) -> Self {
        Percent(centi.min(Percent::FULL.0))
    }

    pub fn centi(self) -> u16 {
        self.0
    }

    /// `part` of `whole`, half up; a whole of nothing is 0.
    fn of(part: u64, whole: u64) -> Self {
        let centi = (part.min(whole) * 20_000 + whole).checked_div(whole * 2).unwrap_or(0);
        Percent::from_centi(u16::try_from(centi).unwrap_or(Percent::FULL.0))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// One student's meetings that were held, counted by mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    pub present: u32,
    pub late: u32,
    /// Also meetings for which nothing at all is written.
    pub absent: u32,
    pub excused: u32,
    pub permission: u32,
}

impl Tally {
    pub fn add(&mut self, mark: Option<Mark>) {
        let count = self.of(mark);
        *count = count.saturating_add(1);
    }

    /// One that was added before does not count any more.
    pub fn take_back(&mut self, mark: Option<Mark>) {
        let count = self.of(mark);
        *count = count.saturating_sub(1);
    }

    fn of(&mut self, mark: Option<Mark>) -> &mut u32 {
        match mark {
            Some(Mark::Present) => &mut self.present,
            Some(Mark::Late) => &mut self.late,
            Some(Mark::Excused) => &mut self.excused,
            Some(Mark::Permission) => &mut self.permission,
            Some(Mark::Absent) | None => &mut self.absent,
        }
    }

    pub fn held(&self) -> u64 {
        self.attended() + u64::from(self.absent) + u64::from(self.excused) + u64::from(self.permission)
    }

    pub fn attended(&self) -> u64 {
        u64::from(self.present) + u64::from(self.late)
    }

    /// The meetings that count: those held, less those missed with a good reason.
    fn counted(&self) -> u64 {
        self.attended() + u64::from(self.absent)
    }

    fn and_attended(&self, more: u64) -> Tally {
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        Tally { present: self.present.saturating_add(more), ..*self }
    }
}

/// What is asked of a student in a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    pub basis: Basis,
    /// For [`Basis::Planned`].
    pub planned_sessions: u32,
    pub threshold: Percent,
}

/// Where a student stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    pub percentage: Percent,
    /// The percentage if every meeting still to come is attended.
    pub max_attainable: Percent,
    /// How many of the meetings still to come may be missed without falling below the threshold.
    pub absences_left: u32,
    pub eligible: bool,
}

/// The figures for a tally, with `remaining` meetings still to come in the term.
pub fn figures(tally: &Tally, remaining: u32, target: &Target) -> Figures {
    let full = tally.and_attended(u64::from(remaining));
    let reaches = |missed: u64| {
        let missed = u32::try_from(missed).unwrap_or(u32::MAX);
        let rest = tally.and_attended(u64::from(remaining.saturating_sub(missed)));
        meets(&Tally { absent: rest.absent.saturating_add(missed), ..rest }, target)
    };
    Figures {
        percentage: percentage(tally, target),
        max_attainable: percentage(&full, target),
        absences_left: most_missed(remaining, reaches),
        eligible: meets(tally, target),
    }
}

/// The percentage of a tally on the target's basis.
pub fn percentage(tally: &Tally, target: &Target) -> Percent {
    let (part, whole) = fraction(tally, target);
    Percent::of(part, whole)
}

/// As a fraction; a whole of 0 stands for 0 %.
fn fraction(tally: &Tally, target: &Target) -> (u64, u64) {
    match target.basis {
        Basis::Held if tally.held() > 0 && tally.counted() == 0 => (1, 1),
        Basis::Held => (tally.attended(), tally.counted()),
        Basis::Planned => (tally.attended(), u64::from(target.planned_sessions)),
    }
}

fn meets(tally: &Tally, target: &Target) -> bool {
    let (part, whole) = fraction(tally, target);
    let needed = u64::from(target.threshold.centi());
    if whole == 0 { needed == 0 } else { part.min(whole) * 10_000 >= needed * whole }
}

/// The greatest count in `0..=remaining` for which `reaches` holds; missing more never helps.
fn most_missed(remaining: u32, reaches: impl Fn(u64) -> bool) -> u32 {
    let (mut good, mut bad) = (0, u64::from(remaining) + 1);
    while good + 1 < bad {
        let middle = good.midpoint(bad);
        if reaches(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    u32::try_from(good).unwrap_or(remaining)
}
