//! What is wrong with an UPDATE, and what that costs (RFC 7606).

use std::fmt;

use crate::AttributeCode;

/// What a fault costs (RFC 7606 §2); the milder one is less. A session reset is an error instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The route is kept without the attribute.
    AttributeDiscard,
    /// The routes of the message are withdrawn.
    TreatAsWithdraw,
}

/// What is wrong with an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultReason {
    /// The optional or the transitive bit is not what the definition says.
    Flags,
    /// A length that the attribute cannot have.
    Length,
    /// A value that the attribute cannot have.
    Value,
    /// It runs over the end of the attributes.
    Cut,
    /// It must be there and is not.
    Missing,
    /// It came twice: the first one counts.
    Duplicate,
    /// Peers of this sort must not send it.
    Unexpected,
    /// Routes of a family that was not agreed on.
    FamilyNotNegotiated,
}

/// The worst that was wrong with an UPDATE which did not end the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// What it costs.
    pub severity: Severity,
    /// Which attribute.
    pub code: AttributeCode,
    /// What is wrong with it.
    pub reason: FaultReason,
}

/// Keeps the worst fault, and of equal ones the first.
pub(crate) fn worsen(
    fault: &mut Option<Fault>,
    severity: Severity,
    code: AttributeCode,
    reason: FaultReason,
) {
    if fault.is_none_or(|worst| worst.severity < severity) {
        *fault = Some(Fault {
            severity,
            code,
            reason,
        });
    }
}

impl fmt::Display for FaultReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flags => "wrong flags",
            Self::Length => "wrong length",
            Self::Value => "malformed value",
            Self::Cut => "runs over the end",
            Self::Missing => "missing",
            Self::Duplicate => "came twice",
            Self::Unexpected => "not for peers of this sort",
            Self::FamilyNotNegotiated => "family not negotiated",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cost = match self.severity {
            Severity::AttributeDiscard => "attribute discarded",
            Severity::TreatAsWithdraw => "routes withdrawn",
        };
        write!(f, "{}: {}, {cost}", self.code, self.reason)
    }
}
