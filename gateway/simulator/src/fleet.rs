//! All terminals of a run.
//!
//! Promises: a run that was started ends by itself, when the work is done or patience is; stopping it
//! early still gives a report.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;
use rollcall_domain::ids::DeviceId;
use rollcall_domain::ports::Clock;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::error::SimulatorError;
use crate::plan::Plan;
use crate::report::{Report, Tally};
use crate::terminal::{Common, Terminal};
use crate::work;

/// How far a run has got; for watching it.
#[derive(Debug, Default)]
pub struct Progress {
    pub(crate) made: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
}

impl Progress {
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }
}

/// A run under way.
pub struct Fleet {
    run: String,
    progress: Arc<Progress>,
    stop: watch::Sender<bool>,
    terminals: JoinSet<(usize, (DeviceId, Tally))>,
}

impl Fleet {
    /// Starts every terminal as a task of the runtime this is called in.
    ///
    /// # Errors
    /// The plan cannot be carried out.
    pub fn start(plan: Plan, clock: Arc<dyn Clock>) -> Result<Fleet, SimulatorError> {
        let address = plan.check()?;
        let progress = Arc::new(Progress::default());
        let common = Arc::new(Common {
            address,
            run: plan.run.clone(),
            patience: plan.patience,
            began: (clock.now(), clock.monotonic()),
            clock,
            progress: Arc::clone(&progress),
        });
        let (stop, stopped) = watch::channel(false);
        let mut rng = Rng::with_seed(plan.seed);
        let shares = work::deal(plan.work, plan.devices.len());
        let mut terminals = JoinSet::new();
        for (place, (identity, share)) in plan.devices.into_iter().zip(shares).enumerate() {
            let (common, rng) = (Arc::clone(&common), rng.fork());
            let terminal = Terminal::new(common, identity, place, share, plan.in_flight, rng);
            let run = terminal.run(stopped.clone());
            terminals.spawn(async move { (place, run.await) });
        }
        Ok(Fleet { run: plan.run, progress, stop, terminals })
    }

    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Ends the run now; what is not acknowledged stays so.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for the end of the run.
    pub async fn report(mut self) -> Report {
        let mut tallies = Vec::with_capacity(self.terminals.len());
        while let Some(ended) = self.terminals.join_next().await {
            match ended {
                Ok(tally) => tallies.push(tally),
                Err(error) => {
                    tracing::error!(%error, "a simulated terminal broke; its scans are not counted");
                }
            }
        }
        tallies.sort_by_key(|(place, _)| *place);
        let terminals = tallies.into_iter().map(|(_, tally)| tally).collect();
        Report::new(self.run, terminals)
    }
}
