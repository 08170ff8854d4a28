//! Where a process spends its time, by the names of its threads.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Seconds of processor time by name; threads of one name together.
pub(crate) type Spent = BTreeMap<String, f64>;

/// What each thread of a process has used so far.
pub(crate) fn spent(process: u32) -> Result<Spent> {
    let per_second = f64::from(u32::try_from(rustix::param::clock_ticks_per_second())?);
    let mut spent = Spent::new();
    let tasks = format!("/proc/{process}/task");
    for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
        // A thread may end while it is looked at.
        let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else { continue };
        let Some((name, ticks)) = parse(&stat) else { continue };
        *spent.entry(name.to_owned()).or_default() += f64::from(ticks) / per_second;
    }
    Ok(spent)
}

/// The name and the ticks in user and kernel mode; the name stands in parentheses and may hold any byte.
fn parse(stat: &str) -> Option<(&str, u32)> {
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let mut fields = after.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let kernel: u32 = fields.next()?.parse().ok()?;
    Some((name, user + kernel))
}

/// What was used between two looks, as shares of one core, the busiest first.
pub(crate) fn shares(before: &Spent, after: &Spent, over: Duration) -> String {
    let mut used: Vec<(&str, f64)> = after
        .iter()
        .map(|(name, spent)| (name.as_str(), spent - before.get(name).copied().unwrap_or_default()))
        .map(|(name, spent)| (name, 100.0 * spent / over.as_secs_f64()))
        .filter(|(_, share)| *share >= 0.5)
        .collect();
    used.sort_by(|one, other| other.1.total_cmp(&one.1));
    used.iter().map(|(name, share)| format!("{name} {share:.0} %")).collect::<Vec<_>>().join(", ")
}
