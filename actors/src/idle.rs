//! When a session is not needed any more.
//!
//! Promises: it is told to end once nothing has happened for a while and nobody waits or watches; whatever
//! needs it after that starts it again.

use std::time::Duration;

/// How often it is looked at.
pub(crate) const LOOK: Duration = Duration::from_secs(60);
/// How many looks in vain there are.
const LOOKS: u8 = 10;

#[derive(Debug, Default)]
pub(crate) struct Idle {
    looks: u8,
}

impl Idle {
    /// Something happens.
    pub(crate) fn stir(&mut self) {
        self.looks = 0;
    }

    /// Whether it should end, to be asked at every look.
    pub(crate) fn is_over(&mut self, needed: bool) -> bool {
        self.looks = if needed { 0 } else { self.looks + 1 };
        self.looks >= LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_after_ten_looks_in_vain_and_not_while_it_is_needed() {
        let mut idle = Idle::default();
        assert!((0..9).all(|_| !idle.is_over(false)));
        idle.stir();
        assert!((0..9).all(|_| !idle.is_over(false)));
        assert!(!idle.is_over(true));
        assert!((0..9).all(|_| !idle.is_over(false)));
        assert!(idle.is_over(false));
    }
}
