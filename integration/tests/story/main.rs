//! One story on three sources: a directory with an agent, a fleet's etcd with an agent, and a
//! Kubernetes API server with an operator and an agent.

mod commands;
mod picture;
mod site;
mod story;
