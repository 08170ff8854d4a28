//! A figure, what it is held against, and the table of all.

use std::fmt::Write as _;
use std::time::Duration;

/// Something measured.
pub(crate) struct Figure {
    pub(crate) what: &'static str,
    pub(crate) measured: String,
    /// The floor or the peer, from the same run.
    pub(crate) beside: String,
    pub(crate) bar: String,
    pub(crate) met: bool,
    /// What else the run showed.
    pub(crate) notes: Vec<String>,
}

impl Figure {
    pub(crate) fn is_met(&self) -> bool {
        self.met
    }
}

/// In Markdown, for the terminal and for the documentation alike.
pub(crate) fn table(figures: &[Figure]) -> String {
    let mut text = String::from("| figure | measured | beside | bar | |\n|---|---|---|---|---|\n");
    for Figure { what, measured, beside, bar, met, .. } in figures {
        let verdict = if *met { "met" } else { "**missed**" };
        // Writing to a string cannot fail.
        writeln!(text, "| {what} | {measured} | {beside} | {bar} | {verdict} |").ok();
    }
    for figure in figures {
        for note in &figure.notes {
            writeln!(text, "\n{note}").ok();
        }
    }
    text
}

/// The middle one of what was measured; of two, the lower.
pub(crate) fn median<T: PartialOrd + Copy + Default>(mut values: Vec<T>) -> T {
    values.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    percentile(&values, 50)
}

/// Of values in order.
pub(crate) fn percentile<T: Copy + Default>(sorted: &[T], percent: usize) -> T {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

pub(crate) fn millis(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1_000.0)
}

/// So many a second, with the thousands set apart.
pub(crate) fn rate(per_second: f64) -> String {
    let digits = format!("{per_second:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + "/s"
}
