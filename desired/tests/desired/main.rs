//! Objects as people write them go in; what each feature is told comes out.

mod agent;
mod announcing;
mod balancer;
mod bgp;
mod conditions;
mod ipam;
mod manifests;
mod network;
mod operator;
mod plan;
mod property;
mod reach;
mod router_ids;
mod scale;
mod world;
