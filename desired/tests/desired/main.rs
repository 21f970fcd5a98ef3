//! Objects as people write them go in; what each feature is told comes out.

mod balancer;
mod bgp;
mod conditions;
mod ipam;
mod manifests;
mod property;
mod world;
