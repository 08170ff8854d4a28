//! How many files and sockets the process may have open.
//!
//! Promises: as many as the system allows at all, since each terminal and each screen takes one, and many systems
//! begin at about a thousand.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What cannot be had is done without: the log says how far it goes.
pub(crate) fn allow_many() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, limit = current, "this many files and sockets may be open, and no more");
    }
}
