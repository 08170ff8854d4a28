//! What one terminal has to scan, and when.
//!
//! Promises: scans fall due at their time whether or not the terminal is connected, as people stand in
//! front of it either way.
//!
//! Refuses: a clock. Times are counted from the start and handed in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::plan::{Load, Until, Work};

/// The work of one terminal.
pub(crate) enum Share {
    Steady { students: Arc<[String]>, pace: Option<Pace>, until: Until, next: u64, first: usize, step: usize },
    Script(VecDeque<(Duration, String)>),
}

/// One scan every so long; terminals take turns.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    every: Duration,
    offset: Duration,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This student was scanned at that time.
    Scan(String, Duration),
    /// Nothing before then.
    Wait(Duration),
    Done,
}

/// Deals the work out to so many terminals.
pub(crate) fn deal(work: Work, terminals: usize) -> Vec<Share> {
    match work {
        Work::Load(load) => deal_load(load, terminals),
        Work::Script(arrivals) => {
            let mut scripts = vec![VecDeque::new(); terminals];
            let mut sorted = arrivals;
            sorted.sort_by_key(|arrival| arrival.after);
            for arrival in sorted {
                if let Some(script) = scripts.get_mut(arrival.terminal % terminals.max(1)) {
                    script.push_back((arrival.after, arrival.student));
                }
            }
            scripts.into_iter().map(Share::Script).collect()
        }
    }
}

fn deal_load(load: Load, terminals: usize) -> Vec<Share> {
    let students: Arc<[String]> = load.students.into();
    let count = u32::try_from(terminals).unwrap_or(u32::MAX);
    // So slow a rate that its gap is no duration still is a rate.
    let between = load.rate.map(|rate| Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX));
    let share = |(turn, first): (u32, usize)| Share::Steady {
        students: Arc::clone(&students),
        pace: between.map(|gap| Pace { every: gap.saturating_mul(count), offset: gap.saturating_mul(turn) }),
        until: load.until,
        next: 0,
        first,
        step: terminals,
    };
    (0..count).zip(0..terminals).map(share).collect()
}

impl Share {
    /// What to do at `now`, counted from the start.
    pub(crate) fn next(&mut self, now: Duration) -> Next {
        match self {
            Share::Script(script) => match script.front() {
                None => Next::Done,
                Some((due, _)) if *due > now => Next::Wait(*due),
                Some(_) => script.pop_front().map_or(Next::Done, |(due, student)| Next::Scan(student, due)),
            },
            Share::Steady { students, pace, until, next, first, step } => {
                let due = match pace {
                    Some(pace) => pace.due(*next),
                    None => now,
                };
                let over = match until {
                    Until::Each(count) => *next >= *count,
                    Until::After(end) => due >= *end,
                };
                if over {
                    return Next::Done;
                }
                if due > now {
                    return Next::Wait(due);
                }
                let place = usize::try_from(*next).unwrap_or_default().wrapping_mul(*step);
                let place = place.wrapping_add(*first) % students.len().max(1);
                *next += 1;
                students.get(place).map_or(Next::Done, |student| Next::Scan(student.clone(), due))
            }
        }
    }
}

impl Pace {
    /// When the `nth` scan is due.
    fn due(self, nth: u64) -> Duration {
        let nanos = self.every.as_nanos().saturating_mul(u128::from(nth));
        self.offset.saturating_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trickle::Arrival;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn load(rate: Option<f64>, until: Until, terminals: usize) -> Vec<Share> {
        let students = ["a", "b", "c"].map(str::to_owned).to_vec();
        deal(Work::Load(Load { students, rate, until }), terminals)
    }

    #[test]
    fn terminals_take_turns_at_the_rate_of_all_together() {
        let mut shares = load(Some(1.0), Until::After(seconds(4)), 2);
        assert_eq!(shares[0].next(seconds(0)), Next::Scan("a".to_owned(), seconds(0)));
        assert_eq!(shares[0].next(seconds(0)), Next::Wait(seconds(2)));
        assert_eq!(shares[1].next(seconds(0)), Next::Wait(seconds(1)));
        assert_eq!(shares[1].next(seconds(1)), Next::Scan("b".to_owned(), seconds(1)));
    }

    #[test]
    fn what_fell_due_while_offline_is_still_scanned_at_its_time() {
        let mut share = load(Some(1.0), Until::After(seconds(2)), 1).remove(0);
        assert_eq!(share.next(seconds(9)), Next::Scan("a".to_owned(), seconds(0)));
        assert_eq!(share.next(seconds(9)), Next::Scan("b".to_owned(), seconds(1)));
        assert_eq!(share.next(seconds(9)), Next::Done);
    }

    #[test]
    fn a_rate_too_slow_to_count_is_not_as_fast_as_can_be() {
        let mut share = load(Some(1e-300), Until::After(seconds(9)), 1).remove(0);
        assert_eq!(share.next(seconds(0)), Next::Scan("a".to_owned(), seconds(0)));
        assert_eq!(share.next(seconds(0)), Next::Done);
    }

    #[test]
    fn without_a_rate_there_is_always_one_more_until_the_end() {
        let mut share = load(None, Until::Each(2), 1).remove(0);
        assert_eq!(share.next(seconds(1)), Next::Scan("a".to_owned(), seconds(1)));
        assert_eq!(share.next(seconds(1)), Next::Scan("b".to_owned(), seconds(1)));
        assert_eq!(share.next(seconds(1)), Next::Done);
        assert_eq!(load(None, Until::After(seconds(3)), 1).remove(0).next(seconds(3)), Next::Done);
    }

    #[test]
    fn a_script_is_dealt_by_terminal_and_played_by_time() {
        let arrival = |after, terminal, student: &str| Arrival {
            after: seconds(after),
            terminal,
            student: student.to_owned(),
        };
        let script = vec![arrival(5, 1, "b"), arrival(1, 1, "a"), arrival(0, 0, "c")];
        let mut shares = deal(Work::Script(script), 2);
        assert_eq!(shares[1].next(seconds(0)), Next::Wait(seconds(1)));
        assert_eq!(shares[1].next(seconds(2)), Next::Scan("a".to_owned(), seconds(1)));
        assert_eq!(shares[0].next(seconds(0)), Next::Scan("c".to_owned(), seconds(0)));
        assert_eq!(shares[0].next(seconds(0)), Next::Done);
    }
}
