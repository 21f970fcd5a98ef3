//! Allocates addresses to LoadBalancer services: pools, requests, conflicts.

mod action;
mod count;
mod desired;
mod selector;
mod span;

pub use action::{Action, Conflict, PoolConditions, Satisfaction};
pub use count::Count;
pub use desired::{
    BadRange, Block, Delta, Families, FamilyPolicy, Inputs, Pool, Range, Request, Service,
};
pub use selector::{NAME_KEY, NAMESPACE_KEY, Requirement, Selector, Test};
