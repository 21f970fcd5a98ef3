//! Who leads the operators: somebody elsewhere, or one of the nodes that share the work.

use store::LeaseName;

#[cfg(feature = "etcd")]
use super::fleet::Membership;
use super::leader::{Leader, Leadership};

/// How this node knows who leads the operators.
#[derive(Debug)]
pub(super) enum Guide {
    /// They are elsewhere: it looks at their lease.
    Elsewhere(Leader),
    /// It is one of them.
    #[cfg(feature = "etcd")]
    Shared(Membership),
}

impl Guide {
    /// The operators' lease.
    pub(super) const fn lease(&self) -> &LeaseName {
        match self {
            Self::Elsewhere(leader) => leader.lease(),
            #[cfg(feature = "etcd")]
            Self::Shared(membership) => membership.lease(),
        }
    }

    /// Who leads, as far as it is known.
    pub(super) fn known(&self) -> Leadership {
        match self {
            Self::Elsewhere(leader) => leader.known(),
            #[cfg(feature = "etcd")]
            Self::Shared(membership) => membership.known(),
        }
    }

    /// Ends this node's part, if it has one, so that another may lead at once.
    #[cfg_attr(
        not(feature = "etcd"),
        expect(
            clippy::unused_async,
            reason = "only a fleet has something to wait for"
        )
    )]
    pub(super) async fn leave(&self) {
        match self {
            Self::Elsewhere(_) => {}
            #[cfg(feature = "etcd")]
            Self::Shared(membership) => membership.leave().await,
        }
    }
}
