//! The local API's requests and answers, shared by the agent and the command line.
//!
//! JSON over HTTP on a Unix socket. Every answer is one document; an error is a [`Problem`] with
//! a status of 4xx (the request is wrong) or 5xx (the agent cannot do it now).
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/services` | `[`[`Service`]`]` |
//! | `GET /v1/lb` | [`Lb`]: what the kernel holds |
//! | `GET /v1/lb/maglev?vip=VIP` | [`Maglev`] |
//! | `PUT /v1/drains/BACKEND`, `DELETE` | [`Drained`] |
//! | `PUT /v1/withdrawal`, `DELETE` | [`Withdrawn`]: the whole node |
//! | `GET /v1/bgp/peers` | `[`[`Peer`]`]` |
//! | `GET /v1/bgp/routes?table=available\|advertised` | `[`[`Route`]`]` |
//! | `GET /v1/lb-ipam/allocations` | `[`[`Allocation`]`]` |
//! | `GET /v1/lb-ipam/pools` | `[`[`Pool`]`]` |
//! | `GET /v1/objects` | [`Objects`]: where they come from a directory |
//! | `GET /livez`, `GET /readyz` | 200 or 503 with a [`Problem`] |

mod bgp;
mod lb;
mod lb_ipam;
mod objects;
mod status;

use serde::{Deserialize, Serialize};

pub use bgp::{FamilyRoutes, Peer, Route, SessionState};
pub use lb::{Counters, Lb, LbBackend, LbService, Maglev, Share, Transitions};
pub use lb_ipam::{Allocation, Ipam, Pool};
pub use objects::Objects;
pub use status::{
    Backend, BackendHealth, BackendState, Bgp, Drained, Interface, KindCount, Operator, Refused,
    Role, Service, Source, SourceKind, Status, Withdrawn,
};

/// Why a request was not done, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What is wrong and what to do.
    pub error: String,
}
