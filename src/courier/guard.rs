//! Which addresses may be called: the last word before a connection is made or used again.
//!
//! In this order: postrider's own listeners never; networks on the deny list never; networks on
//! the allow list always; everything else unless it is not public and such addresses are blocked.
//! Addresses are made canonical first, so that `::ffff:127.0.0.1` is 127.0.0.1.

use std::net::IpAddr;
use std::net::SocketAddr;

use ipnet::IpNet;

use crate::courier::settings::EgressRules;
use crate::courier::special::why_special;

/// The rules for one target.
#[derive(Clone, Debug)]
pub struct Guard {
    block_private: bool,
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    own: Vec<SocketAddr>,
}

/// An address that must not be called, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} must not be called ({why})")]
pub struct Blocked {
    /// The address, canonical.
    pub address: IpAddr,
    /// The reason in words.
    pub why: &'static str,
}

impl Guard {
    /// The general rules, with further networks that this target may be at.
    pub fn new(rules: &EgressRules, allow: &[IpNet]) -> Guard {
        Guard {
            block_private: rules.block_private,
            allow: rules.allow.iter().chain(allow).copied().collect(),
            deny: rules.deny.clone(),
            own: rules.own.clone(),
        }
    }

    /// Whether targets that are not public are meant to be called at all, so that names which
    /// only make sense inside a network are no mistake.
    pub fn lets_private_pass(&self) -> bool {
        !self.block_private || !self.allow.is_empty()
    }

    /// Whether this address may be called.
    ///
    /// # Errors
    /// [`Blocked`] says why not.
    pub fn check(&self, peer: SocketAddr) -> Result<(), Blocked> {
        let address = peer.ip().to_canonical();
        let blocked = |why| Err(Blocked { address, why });
        if self.own.iter().any(|own| is_own(*own, address, peer.port())) {
            return blocked("postrider itself listens there");
        }
        if self.deny.iter().any(|net| net.contains(&address)) {
            return blocked("on the deny list");
        }
        if self.allow.iter().any(|net| net.contains(&address)) {
            return Ok(());
        }
        match why_special(address) {
            Some(why) if self.block_private => blocked(why),
            _ => Ok(()),
        }
    }
}

fn is_own(own: SocketAddr, address: IpAddr, port: u16) -> bool {
    let listener = own.ip().to_canonical();
    let same_host = listener == address || listener.is_unspecified() && address.is_loopback();
    own.port() == port && (same_host || address.is_unspecified())
}

#[cfg(test)]
mod tests;
