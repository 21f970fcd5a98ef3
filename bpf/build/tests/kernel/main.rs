//! The built programs in this kernel: packet in, verdict and packet out.
//!
//! The same tables and packets go to `decide` in this process and, by `BPF_PROG_TEST_RUN`, to the
//! program in the kernel; verdicts, packets and counters have to be the same.
//!
//! Needs root and the object (`cargo run -p bpf-build`). Without them the tests say so and do
//! nothing, unless `SLUICE_TEST_REQUIRE=1` makes that a failure.

#[cfg(test)]
#[path = "../../../../xdp-l4lb/common/tests/support/mod.rs"]
mod support;

#[cfg(test)]
#[path = "../../../user/tests/guest/mod.rs"]
mod guest;

#[cfg(test)]
mod frags;
#[cfg(test)]
mod kernels;
#[cfg(test)]
mod programs;
