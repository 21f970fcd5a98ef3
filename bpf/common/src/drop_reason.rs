//! Every reason for which a kernel program drops a packet.

/// How many counters a program's table keeps for reasons. Other counters follow them.
const COUNTERS: u32 = 64;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $label:literal,)*) => {
        /// Why a packet was dropped. The one enum labels the counter, the flow event and the CLI.
        ///
        /// A reason's number is its place in every table of counters: new ones go to the end.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum DropReason {
            $($(#[$doc])* $variant,)*
        }

        impl DropReason {
            /// Every reason, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The label in counters, events and output.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)*
                }
            }
        }
    };
}

reasons! {
    /// The IP or transport header is cut short or contradicts itself.
    Malformed = "malformed",
    /// It arrived with a TTL or hop limit of zero.
    HopLimit = "hop_limit",
    /// A fragment: it has no ports to choose a backend by.
    Fragment = "fragment",
    /// A VLAN tag is in front of the IP header.
    VlanTagged = "vlan_tagged",
    /// The address is a VIP, the port is none of its services'.
    UnservedPort = "unserved_port",
    /// To a VIP, but neither TCP, UDP nor ICMP.
    UnsupportedProtocol = "unsupported_protocol",
    /// ICMP to a VIP that is neither an echo request nor an error.
    UnsupportedIcmp = "unsupported_icmp",
    /// An ICMP error that is not about a flow of the VIP it was sent to.
    UnrelatedIcmp = "unrelated_icmp",
    /// More IPv6 extension headers than are walked.
    ExtensionHeaders = "extension_headers",
    /// The service has no backend.
    NoBackend = "no_backend",
    /// The flow's backend is gone and nothing has taken its place yet.
    BackendGone = "backend_gone",
    /// The way to the backend is not resolved.
    NoNextHop = "no_next_hop",
    /// The interface towards the backend cannot be used.
    NoDevice = "no_device",
    /// Too big for the way to the backend, and no answer could say so.
    TooBig = "too_big",
    /// It deserved an ICMP answer, but enough of those were sent.
    RateLimited = "rate_limited",
    /// It deserved an answer, but its source address must not be answered.
    UnanswerableSource = "unanswerable_source",
    /// The driver left no room for another header, or none could be taken away.
    NoRoom = "no_room",
    /// A table that is always there was not: the program and its tables do not match.
    NoTable = "no_table",
    /// Encapsulated by somebody who is not a configured balancer.
    UnknownBalancer = "unknown_balancer",
    /// Encapsulated for an address that this node does not serve.
    NotOwned = "not_owned",
    /// Congestion was marked on the way, in a packet whose ends do not know the mark (RFC 6040).
    MarkedNotEct = "marked_not_ect",
}

const _: () = assert!(DropReason::ALL.len() <= COUNTERS as usize);

impl DropReason {
    /// How many numbers are set aside for reasons in a table of counters.
    pub const COUNTERS: u32 = COUNTERS;

    /// The reason's place in a table of counters.
    #[must_use]
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self as u32
    }

    /// The reason with this place.
    #[must_use]
    pub fn from_index(index: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(index).ok()?).copied()
    }
}

impl core::fmt::Display for DropReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_found_again_by_its_index() {
        for (place, &reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(usize::try_from(reason.index()).unwrap(), place);
            assert_eq!(DropReason::from_index(reason.index()), Some(reason));
        }
        assert_eq!(DropReason::from_index(DropReason::COUNTERS), None);
    }

    #[test]
    fn labels_are_snake_case_and_differ() {
        let mut seen = std::collections::BTreeSet::new();
        for reason in DropReason::ALL {
            let name = reason.name();
            assert!(
                name.bytes().all(|b| b == b'_' || b.is_ascii_lowercase()),
                "{name}"
            );
            assert!(seen.insert(name), "{name} labels two reasons");
        }
    }
}
