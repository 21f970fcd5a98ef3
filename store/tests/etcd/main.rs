//! The source for fleets, on etcd itself.

#[cfg(test)]
mod access;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod following;
#[cfg(test)]
mod leases;
#[cfg(test)]
mod server;
#[cfg(test)]
mod support;
#[cfg(test)]
mod writing;
