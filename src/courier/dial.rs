//! From a target to a connection: resolve, guard, connect, and the TLS session.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::courier::failure::Failure;
use crate::courier::failure::Phase;
use crate::courier::guard::Guard;
use crate::courier::resolve::Names;
use crate::courier::settings::IpFamily;
use crate::courier::target::Callee;
use crate::courier::target::Target;
use crate::model::Outcome;

/// Addresses of one name that are tried in one attempt; they share the time for connecting.
pub const DIALS_MAX: usize = 4;

/// Whether the addresses have to be asked for, which takes time.
pub(super) fn must_ask(target: &Target, names: &Names) -> bool {
    match &target.key.host {
        Callee::Address(_) => false,
        Callee::Name(name) => !names.knows(name),
    }
}

/// The addresses that this attempt may call, the preferred kind first.
pub(super) async fn addresses(target: &Target, names: &Names) -> Result<Vec<IpAddr>, Failure> {
    let name = match &target.key.host {
        Callee::Address(address) => {
            target.guard.check((*address, target.key.port).into())?;
            return Ok(vec![address.to_canonical()]);
        }
        Callee::Name(name) => name,
    };
    let found = names.lookup(name, target.limits.dns_timeout).await?;
    check_all(name, &found, target.key.port, &target.guard)?;
    let found = ordered(&found, target.ip_family);
    if found.is_empty() {
        let detail = format!("{name} has no address of the kind that egress.ip_family asks for");
        return Err(Failure::new(Outcome::DnsError, detail));
    }
    Ok(found)
}

/// One address that must not be called spoils all of them: a name that answers with both kinds is
/// either wrong or an attack.
fn check_all(name: &str, found: &[IpAddr], port: u16, guard: &Guard) -> Result<(), Failure> {
    let check = |address: &IpAddr| guard.check((*address, port).into());
    let Some(blocked) = found.iter().find_map(|address| check(address).err()) else {
        return Ok(());
    };
    let mixed = if found.iter().any(|address| check(address).is_ok()) {
        "; its other addresses are refused with it"
    } else {
        ""
    };
    let detail = format!("{name}: {blocked}{mixed}");
    Err(Failure::new(Outcome::BlockedAddress, detail))
}

fn ordered(found: &[IpAddr], family: IpFamily) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = found.iter().map(IpAddr::to_canonical).collect();
    match family {
        IpFamily::PreferV4 => all.sort_by_key(|address| Reverse(address.is_ipv4())),
        IpFamily::PreferV6 => all.sort_by_key(|address| Reverse(address.is_ipv6())),
        IpFamily::V4 => all.retain(IpAddr::is_ipv4),
        IpFamily::V6 => all.retain(IpAddr::is_ipv6),
    }
    all
}

/// Connects to the first address that lets us, each having its share of the time.
pub(super) async fn tcp(
    target: &Target,
    addresses: &[IpAddr],
) -> Result<(TcpStream, SocketAddr), Failure> {
    let addresses = addresses.get(..DIALS_MAX).unwrap_or(addresses);
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let share = target.limits.connect_timeout / count;
    let mut last = Failure::new(Outcome::DnsError, "there is no address to call");
    for address in addresses {
        match connect((*address, target.key.port).into(), share, &target.guard).await {
            Ok(connected) => return Ok(connected),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

async fn connect(
    address: SocketAddr,
    timeout: Duration,
    guard: &Guard,
) -> Result<(TcpStream, SocketAddr), Failure> {
    guard.check(address)?;
    let of = |error: std::io::Error| {
        let failure = Failure::of(Phase::Connect, &error);
        Failure::new(failure.outcome, format!("{address}: {}", failure.detail))
    };
    let Ok(connected) = tokio::time::timeout(timeout, TcpStream::connect(address)).await else {
        let detail = format!("{address}: no connection within {timeout:?}");
        return Err(Failure::new(Outcome::TimeoutConnect, detail));
    };
    let stream = connected.map_err(of)?;
    let peer = stream.peer_addr().map_err(of)?;
    guard.check(peer)?;
    stream.set_nodelay(true).map_err(of)?;
    Ok((stream, peer))
}

/// Makes the TLS session.
pub(super) async fn tls(
    target: &Target,
    config: &Arc<ClientConfig>,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Failure> {
    let timeout = target.limits.tls_timeout;
    let session =
        TlsConnector::from(Arc::clone(config)).connect(target.server_name.clone(), stream);
    match tokio::time::timeout(timeout, session).await {
        Ok(session) => session.map_err(|error| Failure::of(Phase::Tls, &error)),
        Err(_) => {
            let detail = format!("no TLS session within {timeout:?}");
            Err(Failure::new(Outcome::TimeoutTls, detail))
        }
    }
}
