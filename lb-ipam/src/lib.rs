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
mod segments;
mod selector;
mod span;
mod waiting;
mod wants;

pub use action::{Action, Conflict, PoolConditions, Satisfaction};
pub use allocator::{Allocation, Allocator};
pub use count::Count;
pub use desired::{
    BadRange, Block, Delta, Families, FamilyPolicy, Inputs, Pool, Range, Request, Service,
};
pub use selector::{NAME_KEY, NAMESPACE_KEY, Requirement, Selector, Test};
