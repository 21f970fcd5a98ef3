//! What happens to packets, on the host.

#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;

#[cfg(test)]
mod decide;
#[cfg(test)]
mod slots;
