//! Where a client comes from, and whether it was let in.
//!
//! Promises: whoever moves a client's bytes can see when it is a stranger no longer.
//!
//! Refuses: names that a client could choose, such as those in headers of a proxy; whoever makes a [`Peer`]
//! decides which address is believed.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where a client comes from. Clones are about the same client.
#[derive(Debug, Clone)]
pub struct Peer {
    address: SocketAddr,
    let_in: Arc<AtomicBool>,
}

/// Who is counted as one: an address, or a network of 64 bits of IPv6, which one machine has to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Source(IpAddr);

impl Peer {
    pub fn new(address: SocketAddr) -> Self {
        Peer { address, let_in: Arc::default() }
    }

    /// Whether its CONNECT has succeeded.
    pub fn is_let_in(&self) -> bool {
        self.let_in.load(Ordering::Acquire)
    }

    pub(crate) fn let_in(&self) {
        self.let_in.store(true, Ordering::Release);
    }

    pub(crate) fn source(&self) -> Source {
        Source(match self.address.ip().to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
            four @ IpAddr::V4(_) => four,
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_machine_count_as_one() {
        let source = |text: &str| Peer::new(SocketAddr::new(text.parse().unwrap(), 1)).source();
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:0:2"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }
}
