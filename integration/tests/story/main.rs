//! One story on three sources: a directory with an agent, a fleet's etcd with an agent, and a
//! Kubernetes API server with an operator and an agent.

#[cfg(test)]
mod commands;
#[cfg(test)]
mod picture;
#[cfg(test)]
mod site;
#[cfg(test)]
mod story;
