//! A class arriving: the schedule of a demo.
//!
//! Promises: the same seed gives the same schedule; every student comes at least once; most come in a
//! hump around the start, some late, some twice, and some are nobody the campus knows.

use std::time::Duration;

use fastrand::Rng;

/// Somebody in front of a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Counted from the start of the run.
    pub after: Duration,
    /// Which of the plan's terminals.
    pub terminal: usize,
    pub student: String,
}

/// A class on its way to a room.
#[derive(Debug, Clone)]
pub struct Trickle {
    pub students: Vec<String>,
    /// The terminals at the room's doors, by their place in the plan.
    pub terminals: Vec<usize>,
    /// How long most of them take to arrive.
    pub over: Duration,
    /// From then on latecomers come, for half as long again as `over`.
    pub late_from: Duration,
    pub late_percent: u8,
    pub repeated_percent: u8,
    pub unknown_percent: u8,
}

/// Who comes when, in the order of time.
pub fn schedule(seed: u64, trickle: &Trickle) -> Vec<Arrival> {
    let mut rng = Rng::with_seed(seed);
    let mut arrivals = Vec::with_capacity(trickle.students.len());
    for student in &trickle.students {
        let after = if happens(&mut rng, trickle.late_percent) {
            trickle.late_from.saturating_add(within(&mut rng, trickle.over / 2))
        } else {
            // Two lots drawn and halved: more come in the middle than at the ends.
            (within(&mut rng, trickle.over) + within(&mut rng, trickle.over)) / 2
        };
        let terminal = terminal(&mut rng, trickle);
        arrivals.push(Arrival { after, terminal, student: student.clone() });
        if happens(&mut rng, trickle.repeated_percent) {
            let after = after.saturating_add(Duration::from_secs(2) + within(&mut rng, trickle.over / 4));
            arrivals.push(Arrival { after, terminal, student: student.clone() });
        }
        if happens(&mut rng, trickle.unknown_percent) {
            let student = format!("UNKNOWN-{:04}", rng.u32(0..10_000));
            let after = within(&mut rng, trickle.over);
            let terminal = self::terminal(&mut rng, trickle);
            arrivals.push(Arrival { after, terminal, student });
        }
    }
    arrivals.sort_by(|a, b| (a.after, &a.student).cmp(&(b.after, &b.student)));
    arrivals
}

fn happens(rng: &mut Rng, percent: u8) -> bool {
    rng.u8(0..100) < percent
}

fn within(rng: &mut Rng, span: Duration) -> Duration {
    Duration::from_millis(rng.u64(0..=u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
}

fn terminal(rng: &mut Rng, trickle: &Trickle) -> usize {
    rng.choice(trickle.terminals.iter()).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trickle() -> Trickle {
        Trickle {
            students: (0..200).map(|number| format!("S{number}")).collect(),
            terminals: vec![3, 4],
            over: Duration::from_secs(60),
            late_from: Duration::from_secs(300),
            late_percent: 10,
            repeated_percent: 20,
            unknown_percent: 5,
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule_and_another_another() {
        assert_eq!(schedule(7, &trickle()), schedule(7, &trickle()));
        assert_ne!(schedule(7, &trickle()), schedule(8, &trickle()));
    }

    #[test]
    fn everybody_comes_some_late_some_twice_and_some_unknown() {
        let trickle = trickle();
        let arrivals = schedule(7, &trickle);
        for student in &trickle.students {
            assert!(arrivals.iter().any(|arrival| arrival.student == *student), "{student}");
        }
        let late = arrivals.iter().filter(|arrival| arrival.after >= trickle.late_from).count();
        let unknown = arrivals.iter().filter(|arrival| arrival.student.starts_with("UNKNOWN")).count();
        let twice = arrivals.len() - unknown - trickle.students.len();
        assert!((5..60).contains(&late) && (2..30).contains(&unknown) && (20..70).contains(&twice));
        assert!(arrivals.iter().all(|arrival| [3, 4].contains(&arrival.terminal)));
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.after));
    }

    #[test]
    fn nobody_is_nobody() {
        let empty = Trickle { students: Vec::new(), terminals: Vec::new(), ..trickle() };
        assert_eq!(schedule(7, &empty), []);
    }
}
