//! Agents of a real cluster beside a real router, in one binary. Nodes are namespaces without
//! kubelets: who writes Nodes, Services and EndpointSlices does not matter to an agent.

mod announce;
mod balancer;
mod failures;
mod fleet;
mod nodes;
mod status;
mod wires;
