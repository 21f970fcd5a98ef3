//! Chooses the next hop of the routes that a session advertises.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use bgp_speaker_packet::{Dialect, NextHop};
use types::Family;

use crate::io::Ends;

/// Why a family that was agreed on cannot be advertised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// IPv4 routes over an IPv6 session: the peer takes no IPv6 next hop for them, and there is
    /// no IPv4 address on the interface.
    NoIpv4,
    /// IPv6 routes over an IPv4 session: there is no IPv6 address on the interface.
    NoIpv6,
}

impl Unreachable {
    pub(crate) fn of(family: Family) -> Self {
        match family {
            Family::V4 => Self::NoIpv4,
            Family::V6 => Self::NoIpv6,
        }
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoIpv4 => {
                "the peer takes no IPv6 next hop for IPv4 routes (RFC 8950), \
                 and the interface has no IPv4 address"
            }
            Self::NoIpv6 => "the interface has no IPv6 address",
        })
    }
}

/// The next hop of a family's routes, if there is one: the session's own address where it can be.
pub(crate) fn next_hop(family: Family, dialect: &Dialect, ends: &Ends) -> Option<NextHop> {
    let also = ends.next_hops;
    match (family, ends.local.ip().to_canonical()) {
        (Family::V4, IpAddr::V4(local)) => Some(NextHop::V4(local)),
        (Family::V6, IpAddr::V6(local)) => Some(by_ipv6(local, also.v6)),
        // RFC 8950.
        (Family::V4, IpAddr::V6(local)) if dialect.extended_next_hop => {
            Some(by_ipv6(local, also.v6))
        }
        (Family::V4, IpAddr::V6(_)) => also.v4.map(NextHop::V4),
        (Family::V6, IpAddr::V4(_)) => also
            .v6
            .or(also.link_local)
            .map(|addr| by_ipv6(addr, also.v6)),
    }
}

/// RFC 2545 §3: a link-local address goes beside a global one; if there is none, it is both.
fn by_ipv6(local: Ipv6Addr, global: Option<Ipv6Addr>) -> NextHop {
    if local.is_unicast_link_local() {
        NextHop::V6 {
            global: global.unwrap_or(local),
            link_local: Some(local),
        }
    } else {
        NextHop::V6 {
            global: local,
            link_local: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bgp_speaker_packet::{Families, MessageLimit, Peering};

    use super::*;
    use crate::io::NextHops;

    #[test]
    fn routes_of_the_sessions_family_lead_to_its_own_address() {
        let v4 = ends("10.0.0.1:179", NextHops::default());
        let v6 = ends("[2001:db8::1]:179", NextHops::default());

        assert_eq!(
            next_hop(Family::V4, &dialect(false), &v4),
            Some(NextHop::V4("10.0.0.1".parse().unwrap()))
        );
        assert_eq!(
            next_hop(Family::V6, &dialect(false), &v6),
            Some(by_ipv6("2001:db8::1".parse().unwrap(), None))
        );
    }

    #[test]
    fn ipv4_routes_over_ipv6_need_rfc_8950_or_an_ipv4_address() {
        let bare = ends("[2001:db8::1]:179", NextHops::default());
        let both = ends(
            "[2001:db8::1]:179",
            NextHops {
                v4: Some("10.0.0.1".parse().unwrap()),
                ..NextHops::default()
            },
        );

        assert_eq!(
            next_hop(Family::V4, &dialect(true), &bare),
            Some(by_ipv6("2001:db8::1".parse().unwrap(), None))
        );
        assert_eq!(
            next_hop(Family::V4, &dialect(false), &both),
            Some(NextHop::V4("10.0.0.1".parse().unwrap()))
        );
        assert_eq!(next_hop(Family::V4, &dialect(false), &bare), None);
    }

    #[test]
    fn ipv6_routes_over_ipv4_lead_to_the_interfaces_ipv6_address() {
        let bare = ends("10.0.0.1:179", NextHops::default());
        let with = ends(
            "10.0.0.1:179",
            NextHops {
                v6: Some("2001:db8::1".parse().unwrap()),
                link_local: Some("fe80::1".parse().unwrap()),
                ..NextHops::default()
            },
        );

        assert_eq!(next_hop(Family::V6, &dialect(false), &bare), None);
        assert_eq!(
            next_hop(Family::V6, &dialect(false), &with),
            Some(by_ipv6("2001:db8::1".parse().unwrap(), None))
        );
    }

    #[test]
    fn a_mapped_address_is_an_ipv4_address() {
        let mapped = ends("[::ffff:10.0.0.1]:179", NextHops::default());

        assert_eq!(
            next_hop(Family::V4, &dialect(false), &mapped),
            Some(NextHop::V4("10.0.0.1".parse().unwrap()))
        );
    }

    #[test]
    fn a_link_local_session_gives_both_addresses() {
        let local: Ipv6Addr = "fe80::1".parse().unwrap();
        let ends = ends("[fe80::1]:179", NextHops::default());

        assert_eq!(
            next_hop(Family::V6, &dialect(true), &ends),
            Some(NextHop::V6 {
                global: local,
                link_local: Some(local)
            })
        );
    }

    fn ends(local: &str, next_hops: NextHops) -> Ends {
        let local = local.parse().unwrap();
        Ends {
            local,
            remote: local,
            scope: None,
            next_hops,
        }
    }

    fn dialect(extended_next_hop: bool) -> Dialect {
        Dialect {
            peering: Peering::External,
            four_octet_as: true,
            families: Families::BOTH,
            extended_next_hop,
            limit: MessageLimit::Standard,
        }
    }
}
