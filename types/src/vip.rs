//! Virtual addresses and the backends behind them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A transport protocol that is balanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP, number 6.
    #[serde(rename = "TCP")]
    Tcp,
    /// UDP, number 17.
    #[serde(rename = "UDP")]
    Udp,
}

/// Neither TCP nor UDP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("protocol \"{0}\" is not supported: expected TCP or UDP")]
pub struct BadProtocol(String);

impl Protocol {
    /// The number in an IP header.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

impl FromStr for Protocol {
    type Err = BadProtocol;

    fn from_str(text: &str) -> Result<Self, BadProtocol> {
        match text {
            "TCP" => Ok(Self::Tcp),
            "UDP" => Ok(Self::Udp),
            other => Err(BadProtocol(other.to_owned())),
        }
    }
}

/// What a client dials: address, port and protocol. Written `ADDRESS:PORT/PROTOCOL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Vip {
    /// The virtual address.
    pub addr: IpAddr,
    /// The port; never zero in a parsed value.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// Not `ADDRESS:PORT/PROTOCOL`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a virtual service: expected ADDRESS:PORT/TCP or ADDRESS:PORT/UDP")]
pub struct BadVip(String);

impl fmt::Display for Vip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}",
            SocketAddr::new(self.addr, self.port),
            self.protocol
        )
    }
}

impl FromStr for Vip {
    type Err = BadVip;

    fn from_str(text: &str) -> Result<Self, BadVip> {
        let bad = || BadVip(text.to_owned());
        let (socket, protocol) = text.rsplit_once('/').ok_or_else(bad)?;
        let socket: SocketAddr = socket.parse().map_err(|_| bad())?;
        let protocol = protocol.parse().map_err(|_| bad())?;
        if socket.port() == 0 {
            return Err(bad());
        }
        Ok(Self {
            addr: socket.ip(),
            port: socket.port(),
            protocol,
        })
    }
}

impl TryFrom<String> for Vip {
    type Error = BadVip;

    fn try_from(text: String) -> Result<Self, BadVip> {
        text.parse()
    }
}

impl From<Vip> for String {
    fn from(vip: Vip) -> String {
        vip.to_string()
    }
}

/// A backend's identity: the address and port it serves at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackendAddr {
    /// The backend's own address, never a VIP.
    pub addr: IpAddr,
    /// The port; never zero in a parsed value.
    pub port: u16,
}

/// Not `ADDRESS:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a backend: expected ADDRESS:PORT or [ADDRESS]:PORT")]
pub struct BadBackendAddr(String);

impl fmt::Display for BackendAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&SocketAddr::new(self.addr, self.port), f)
    }
}

impl FromStr for BackendAddr {
    type Err = BadBackendAddr;

    fn from_str(text: &str) -> Result<Self, BadBackendAddr> {
        match text.parse::<SocketAddr>() {
            Ok(socket) if socket.port() != 0 => Ok(Self {
                addr: socket.ip(),
                port: socket.port(),
            }),
            Ok(_) | Err(_) => Err(BadBackendAddr(text.to_owned())),
        }
    }
}

impl TryFrom<String> for BackendAddr {
    type Error = BadBackendAddr;

    fn try_from(text: String) -> Result<Self, BadBackendAddr> {
        text.parse()
    }
}

impl From<BackendAddr> for String {
    fn from(backend: BackendAddr) -> String {
        backend.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vip_is_written_and_read_the_same_way() {
        for text in ["192.0.2.1:80/TCP", "[2001:db8::1]:53/UDP"] {
            assert_eq!(text.parse::<Vip>().unwrap().to_string(), text);
        }
        for bad in [
            "192.0.2.1:80",
            "192.0.2.1:0/TCP",
            "192.0.2.1:80/SCTP",
            "web:80/TCP",
        ] {
            assert!(bad.parse::<Vip>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_backend_needs_a_port() {
        assert_eq!(
            "[fd00::1]:8080".parse::<BackendAddr>().unwrap().to_string(),
            "[fd00::1]:8080"
        );
        assert!("10.0.0.1".parse::<BackendAddr>().is_err());
        assert!("10.0.0.1:0".parse::<BackendAddr>().is_err());
    }
}
