//! The codec's tests: what it reads, what it writes, and what it survives.

#[cfg(test)]
mod common;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod robustness;
#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod vectors;
