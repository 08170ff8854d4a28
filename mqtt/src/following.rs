//! One client's link to the router, while it has one.
//!
//! Promises: a link that the router let go of is made anew; messages that the router dropped, because they came
//! faster than they were taken, are noticed and told.
//!
//! Refuses: choosing among the messages.

use std::sync::Arc;

use rollcall_dialects::topics::Topic;

use crate::door::Inner;
use crate::leave::Leave;
use crate::links::{Follower, Forwarded, Noticed};
use crate::message::Message;

#[derive(Default)]
pub(crate) struct Following {
    follower: Option<Follower>,
    /// The place of the last message among all.
    last: Option<u64>,
}

impl Following {
    /// Makes a link if there is none; false if there cannot be one.
    pub(crate) async fn begin(&mut self, door: &Arc<Inner>) -> bool {
        if self.follower.is_none() {
            (self.follower, self.last) = (door.links.follow().await, None);
        }
        self.follower.is_some()
    }

    /// What comes next; never anything while there is no link. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<Noticed> {
        match &mut self.follower {
            Some(follower) => follower.next().await,
            None => std::future::pending().await,
        }
    }

    /// What is to be done about it. Not to be cancelled.
    ///
    /// # Errors
    /// The link is gone and cannot be made anew.
    pub(crate) async fn settle(
        &mut self,
        noticed: Option<Noticed>,
        door: &Arc<Inner>,
    ) -> Result<Option<(Topic, Message)>, Leave> {
        match noticed {
            Some(Noticed::Message(Forwarded { topic, place, message })) => {
                let missed = self.last.map_or(0, |last| place.saturating_sub(last).saturating_sub(1));
                self.last = Some(place);
                if missed > 0 {
                    tracing::debug!(missed, "a follower did not keep up");
                    door.ports.observer.feed_lost();
                }
                return Ok(Some((topic, message)));
            }
            Some(Noticed::Nothing) => {}
            Some(Noticed::Paused) => {
                if let Some(follower) = self.follower.take() {
                    self.follower = follower.resume().await.then_some(follower);
                }
                if self.follower.is_none() {
                    return Err(Leave::RouterGone);
                }
            }
            None => {
                self.follower = None;
                if !self.begin(door).await {
                    return Err(Leave::RouterGone);
                }
            }
        }
        Ok(None)
    }
}
