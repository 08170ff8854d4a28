//! Why an address cannot be listened on, in words.
//!
//! Promises: what is said fits what the system said: another program is suspected only if there is one.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

use rollcall_config::reason;

/// What is the matter, and what to do about the setting `key`.
pub(crate) fn cannot_listen(address: SocketAddr, what: &str, key: &str, error: &Error) -> anyhow::Error {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => {
            format!("another program listens there; stop it, or set {key} to another port")
        }
        ErrorKind::PermissionDenied => format!(
            "ports below 1024 need rights; set {key} to a higher one, or give the gateway the capability \
             CAP_NET_BIND_SERVICE"
        ),
        ErrorKind::AddrNotAvailable => format!(
            "this machine has no such address; set {key} to one of its own, or to 0.0.0.0 for all of them"
        ),
        _ => format!("{}; mend that, or set {key} to another address", reason(error)),
    };
    anyhow::anyhow!("cannot listen on {address} for {what}: {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_program_is_suspected_only_when_there_is_one() {
        let said = |kind: ErrorKind| {
            let address = ([192, 0, 2, 1], 80).into();
            cannot_listen(address, "pages", "http.listen", &kind.into()).to_string()
        };
        assert!(said(ErrorKind::AddrInUse).contains("another program listens there"));
        for (kind, expected) in [
            (
                ErrorKind::PermissionDenied,
                "192.0.2.1:80 for pages: ports below 1024 need rights; set http.listen",
            ),
            (ErrorKind::AddrNotAvailable, "this machine has no such address; set http.listen"),
            (ErrorKind::OutOfMemory, "mend that, or set http.listen"),
        ] {
            let said = said(kind);
            assert!(said.contains(expected) && !said.contains("another program"), "{said}");
        }
    }
}
