//! The kernel programs of this package.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::programs::Xdp;
use aya::programs::xdp::XdpMode;

use crate::lab::Host;

/// The programs, or why they are not there.
pub(crate) static PROGRAMS: Result<&[u8], &str> = include!(concat!(env!("OUT_DIR"), "/bench.rs"));

/// A program that lets every packet pass.
const EMPTY: &str = "bench_empty";

/// An XDP program on an interface that lets every packet pass; dropping it takes it off.
pub struct Passing {
    _programs: Ebpf,
}

impl Passing {
    /// The name that the kernel has for it.
    pub const NAME: &str = EMPTY;

    /// Attaches the program.
    ///
    /// # Errors
    /// If the kernel refuses, or the build has no kernel programs.
    pub fn attach(host: &Host, interface: &str) -> Result<Self> {
        let mut programs = load()?;
        let program: &mut Xdp = programs
            .program_mut(EMPTY)
            .context("the build has no empty program")?
            .try_into()?;
        program.load().context("loading the empty program")?;
        host.enter(|| program.attach(interface, XdpMode::Default))
            .with_context(|| format!("attaching to {interface} of {}", host.name()))?;
        Ok(Self {
            _programs: programs,
        })
    }
}

/// Loads the object; its programs are loaded one by one.
pub(crate) fn load() -> Result<Ebpf> {
    let object = PROGRAMS.map_err(anyhow::Error::msg)?;
    // The loader reads words, which bytes in a program's image need not be aligned for.
    let aligned = object.to_vec();
    Ebpf::load(&aligned).context("loading the programs")
}
