//! The source for fleets, on etcd itself.

mod access;
mod faults;
mod following;
mod leases;
mod server;
mod support;
mod writing;
