//! The speaker against real ones, in network namespaces.
//!
//! Needs root and the speakers; says so and passes where they are missing, and fails there if
//! `SLUICE_TEST_REQUIRE=1`.

#[cfg(test)]
mod bad_peers;
#[cfg(test)]
mod daemons;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod settings;
