//! Forms of what stands in a network: addresses, hosts, networks, URLs, senders of mail.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use url::{Host, Url};

use super::Refusal;
use super::names::mask_refusal;
use crate::secret::MASK;

type Checked = Result<String, Refusal>;

pub(super) fn listen(text: &str) -> Checked {
    if text.parse::<SocketAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    Err(match (text.parse::<IpAddr>(), port) {
        (Ok(IpAddr::V4(address)), _) => {
            Refusal::new("has no port").advise(format!("write \"{address}:PORT\""))
        }
        (Ok(IpAddr::V6(address)), _) => {
            Refusal::new("has no port").advise(format!("write \"[{address}]:PORT\""))
        }
        (_, Some(port)) if text.starts_with("localhost:") => {
            Refusal::new("names a host; listening needs an IP address")
                .advise(format!("write \"127.0.0.1:{port}\""))
        }
        (_, Some(port)) if !text.contains(':') || text.starts_with(':') || text.starts_with('*') => {
            Refusal::new("has no IP address").advise(format!(
                "write \"0.0.0.0:{port}\" for all interfaces, \"127.0.0.1:{port}\" for this box"
            ))
        }
        _ => Refusal::new("is not an IP address and a port"),
    })
}

pub(super) fn network(text: &str) -> Checked {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address).to_string());
    }
    let Ok(network) = text.parse::<IpNet>() else {
        return Err(Refusal::new("is not a network").advise("write one such as \"192.0.2.0/24\""));
    };
    if network.addr() == network.network() {
        return Ok(network.to_string());
    }
    Err(Refusal::new("has bits set beyond its prefix").advise(format!(
        "write \"{}\" for the whole network, \"{}\" for the one address",
        network.trunc(),
        network.addr()
    )))
}

pub(super) fn host(text: &str) -> Checked {
    if text.contains("://") {
        return Err(Refusal::new("is a URL").advise("write the host name alone"));
    }
    let port = text.rsplit_once(':').is_some_and(|(name, port)| {
        !name.contains(':') && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit())
    });
    if port {
        return Err(Refusal::new("names a port").advise("write the host name alone: it counts on every port"));
    }
    let bare = text.parse::<IpAddr>().map(|address| address.to_string());
    if let Ok(address) = bare {
        return Ok(address);
    }
    match Host::parse(text) {
        Ok(Host::Domain(name)) if is_host_name(&name) => Ok(name),
        Ok(Host::Ipv4(address)) => Ok(address.to_string()),
        Ok(Host::Ipv6(address)) => Ok(address.to_string()),
        _ => Err(Refusal::new("is not a host name")),
    }
}

/// A host and a port to connect to, such as `127.0.0.1:8085`.
pub(crate) fn host_and_port(text: &str) -> Result<(), Refusal> {
    let good = text.rsplit_once(':').is_some_and(|(name, port)| {
        let known = match Host::parse(name) {
            Ok(Host::Domain(name)) => is_host_name(&name),
            Ok(Host::Ipv4(_) | Host::Ipv6(_)) => true,
            Err(_not_a_host) => false,
        };
        known && port.parse::<u16>().is_ok()
    });
    if good { Ok(()) } else { Err(Refusal::new("is not a host and a port")) }
}

fn is_host_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        })
}

pub(super) fn web_url(text: &str) -> Checked {
    let url = http_url(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Refusal::new("carries a query or a fragment").advise("write it up to the ? or #"));
    }
    Ok(url.to_string())
}

pub(super) fn portal_url(text: &str) -> Checked {
    if text.contains(MASK) {
        return Err(mask_refusal());
    }
    Ok(http_url(text)?.to_string())
}

pub(super) fn web_origin(text: &str) -> Checked {
    if text == "*" {
        return Err(Refusal::new("would let every web site act in a signed-in person's name")
            .advise("list each site, such as \"https://www.example.org\""));
    }
    let url = http_url(text)?;
    let origin = url.origin().ascii_serialization();
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || text.ends_with('/') {
        return Err(Refusal::new("is more than scheme, host and port").advise(format!("write \"{origin}\"")));
    }
    Ok(origin)
}

/// An absolute http or https URL without a sign-in of its own.
fn http_url(text: &str) -> Result<Url, Refusal> {
    let parsed = Url::parse(text);
    let url = match parsed {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url,
        Ok(_) | Err(url::ParseError::RelativeUrlWithoutBase) if !text.contains("://") => {
            return Err(Refusal::new("has no scheme").advise("begin it with https:// (or http://)"));
        }
        Ok(_) => return Err(Refusal::new("is neither http:// nor https://")),
        Err(error) => return Err(Refusal::new(format!("is not a URL: {error}"))),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::new("holds a user name or a password").advise(
            "leave out what stands before the @; a portal's secret belongs in upstream.portal.token",
        ));
    }
    no_stray_at(&url)?;
    Ok(url)
}

pub(super) fn smtp_url(text: &str) -> Checked {
    if text.contains(MASK) {
        return Err(mask_refusal());
    }
    let url = Url::parse(text).map_err(|error| Refusal::new(format!("is not a URL: {error}")))?;
    if !matches!(url.scheme(), "smtp" | "smtps") {
        return Err(Refusal::new("begins with neither smtps:// nor smtp://"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Refusal::new("names no mail server"));
    }
    no_stray_at(&url)?;
    Ok(url.to_string())
}

/// A password with an unescaped `/`, `?` or `#` would be taken for host and path, and shown as such.
fn no_stray_at(url: &Url) -> Result<(), Refusal> {
    let behind_host = [Some(url.path()), url.query(), url.fragment()];
    if behind_host.into_iter().flatten().any(|part| part.contains('@')) {
        return Err(Refusal::new("has an @ behind its host")
            .advise("in a password write / as %2F, ? as %3F, # as %23; elsewhere write @ as %40"));
    }
    Ok(())
}

/// `local@domain`, or `Name <local@domain>`. The name is shown, so it may not be a URL with a password.
pub(super) fn mailbox(text: &str) -> Checked {
    let address = match text.split_once('<') {
        None => text,
        Some((name, _)) if name.contains('@') || name.contains("://") => {
            return Err(Refusal::new("has an address where the sender's name belongs"));
        }
        Some((_, rest)) => match rest.strip_suffix('>') {
            Some(address) => address,
            None => return Err(Refusal::new("opens a < that no > closes")),
        },
    };
    let Some((local, domain)) = address.rsplit_once('@') else {
        return Err(Refusal::new("is not a mail address"));
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    let local_good = !local.is_empty() && local.len() <= 64 && local.chars().all(plain) && !bad_dots(local);
    if local_good && is_host_name(domain) && domain.contains('.') {
        return Ok(text.to_owned());
    }
    Err(Refusal::new("is not a mail address"))
}

fn bad_dots(local: &str) -> bool {
    local.starts_with('.') || local.ends_with('.') || local.contains("..")
}
