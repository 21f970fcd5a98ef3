//! Allocates addresses to LoadBalancer services: pools, requests, conflicts.

mod action;
mod allocator;
mod count;
mod desired;
mod entry;
pub mod export;
mod holders;
mod pool;
mod pools;
mod request;
mod reservations;
mod segments;
mod selector;
mod sharing;
mod span;
mod waiting;
mod wants;

pub use action::{Action, Conflict, PoolConditions, Satisfaction};
pub use allocator::{Allocation, Allocator, Explanation, Figures, Verdict};
pub use count::Count;
pub use desired::{BadRange, Block, Delta, Inputs, Pool, Quotas, Range, Reservation, Time};
pub use request::{Families, FamilyPolicy, Notices, Request, Service, Shown};
pub use selector::{NAME_KEY, NAMESPACE_KEY, Requirement, Selector, Test};
pub use sharing::{Grant, Incompatibility, Listener, Sharing, Traffic};
