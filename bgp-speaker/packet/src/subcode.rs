//! The subcodes of a NOTIFICATION: one enum for each error code.

use std::fmt;

/// One enum of subcodes: what has no name here is kept as a number.
macro_rules! subcodes {
    ($(#[$doc:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $code:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$note])* $variant,)*
            /// A subcode without a name here.
            Other(u8),
        }

        impl $name {
            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Other(code) => code,
                }
            }
        }

        impl From<u8> for $name {
            fn from(code: u8) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    _ => Self::Other(code),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)*
                    Self::Other(code) => write!(f, "subcode {code}"),
                }
            }
        }
    };
}

subcodes! {
    /// Message header errors (RFC 4271 §6.1).
    HeaderSubcode {
        /// Nothing more specific.
        Unspecific = 0 "unspecific",
        /// The marker is wrong.
        NotSynchronized = 1 "connection not synchronized",
        /// The length is wrong; the data is the length.
        BadLength = 2 "bad message length",
        /// The type is unknown; the data is the type.
        BadType = 3 "bad message type",
    }
}

subcodes! {
    /// OPEN message errors (RFC 4271 §6.2).
    OpenSubcode {
        /// Nothing more specific.
        Unspecific = 0 "unspecific",
        /// The data is the largest version that is understood.
        UnsupportedVersion = 1 "unsupported version number",
        /// Not the AS number that was configured.
        BadPeerAs = 2 "bad peer AS",
        /// Zero, or in an AS the same as ours.
        BadIdentifier = 3 "bad BGP identifier",
        /// Neither capabilities nor known.
        UnsupportedOptionalParameter = 4 "unsupported optional parameter",
        /// One or two seconds, or too short for us.
        UnacceptableHoldTime = 6 "unacceptable hold time",
        /// A capability we need is missing (RFC 5492).
        UnsupportedCapability = 7 "unsupported capability",
        /// The roles of the two sides do not match (RFC 9234).
        RoleMismatch = 11 "role mismatch",
    }
}

subcodes! {
    /// UPDATE message errors (RFC 4271 §6.3).
    UpdateSubcode {
        /// Nothing more specific.
        Unspecific = 0 "unspecific",
        /// Lengths that do not fit, or an attribute twice.
        MalformedAttributeList = 1 "malformed attribute list",
        /// The data is the attribute.
        UnrecognizedWellKnown = 2 "unrecognized well-known attribute",
        /// The data is the attribute's type.
        MissingWellKnown = 3 "missing well-known attribute",
        /// The data is the attribute.
        FlagsError = 4 "attribute flags error",
        /// The data is the attribute.
        LengthError = 5 "attribute length error",
        /// The data is the attribute.
        InvalidOrigin = 6 "invalid ORIGIN attribute",
        /// The data is the attribute.
        InvalidNextHop = 8 "invalid NEXT_HOP attribute",
        /// The data is the attribute.
        OptionalAttribute = 9 "optional attribute error",
        /// A prefix that is too long or cut.
        InvalidNetworkField = 10 "invalid network field",
        /// Segments that do not fit.
        MalformedAsPath = 11 "malformed AS_PATH",
    }
}

subcodes! {
    /// Finite state machine errors (RFC 6608).
    FsmSubcode {
        /// Nothing more specific.
        Unspecific = 0 "unspecific",
        /// A message that OpenSent does not expect.
        UnexpectedInOpenSent = 1 "unexpected message in OpenSent",
        /// A message that OpenConfirm does not expect.
        UnexpectedInOpenConfirm = 2 "unexpected message in OpenConfirm",
        /// A message that Established does not expect.
        UnexpectedInEstablished = 3 "unexpected message in Established",
    }
}

subcodes! {
    /// Why a session ends without an error (RFC 4486, RFC 8538, RFC 9384).
    CeaseSubcode {
        /// Nothing more specific.
        Unspecific = 0 "unspecific",
        /// More prefixes than were allowed.
        MaximumPrefixes = 1 "maximum number of prefixes reached",
        /// Switched off; may carry a text (RFC 9003).
        AdministrativeShutdown = 2 "administrative shutdown",
        /// No longer configured.
        PeerDeconfigured = 3 "peer de-configured",
        /// Restarted by hand; may carry a text (RFC 9003).
        AdministrativeReset = 4 "administrative reset",
        /// Refused after it was accepted.
        ConnectionRejected = 5 "connection rejected",
        /// Any other change of configuration.
        ConfigurationChange = 6 "other configuration change",
        /// The other of two connections stays.
        CollisionResolution = 7 "connection collision resolution",
        /// Out of memory or the like.
        OutOfResources = 8 "out of resources",
        /// Routes go at once, graceful restart or not; holds the real reason (RFC 8538).
        HardReset = 9 "hard reset",
        /// BFD says that the peer is gone (RFC 9384).
        BfdDown = 10 "BFD down",
    }
}

subcodes! {
    /// ROUTE-REFRESH message errors (RFC 7313).
    RefreshSubcode {
        /// Nothing more specific.
        Unspecific = 0 "unspecific",
        /// The data is the whole message.
        InvalidLength = 1 "invalid message length",
    }
}
