//! What one XDP program costs a packet, over an empty program in the same round.

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, MapData, ProgramArray};
use aya::programs::{ProgramFd, TestRunOptions, Xdp};
use aya::{Ebpf, TestRun as _};
use integration_common::{Bench, FRAME};

use super::Summary;
use super::sys::Shared;

/// The benchmark's kernel programs, or why they are not there.
static PROGRAMS: Result<&[u8], &str> = include!(concat!(env!("OUT_DIR"), "/bench.rs"));

/// Rounds of one measurement.
const ROUNDS: usize = 25;

/// The length of a frame whose content does not matter.
const LENGTH: usize = 128;

/// The frame that is sent, and what changes from packet to packet.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Ethernet and what follows, as long as the IP header says: cutting off what is behind would
    /// be measured too. At most [`FRAME`] bytes are put back.
    pub frame: Vec<u8>,
    /// Where a 32-bit word varies, and how many values it takes, from the frame's own on.
    pub vary: Option<(u32, u32)>,
    /// The action that every run must return.
    pub action: u32,
    /// Whether the program moves the packet's head, which has to be moved back.
    pub moves_head: bool,
}

/// The loaded benchmark programs.
pub struct Meter {
    programs: Ebpf,
    /// What one move of the head costs.
    head: f64,
}

impl Meter {
    /// Loads the programs and measures what putting the head back costs.
    ///
    /// # Errors
    /// If the kernel refuses, or the build has no kernel programs.
    pub fn load() -> Result<Self> {
        let object = PROGRAMS.map_err(anyhow::Error::msg)?;
        // The loader reads words, which bytes in a program's image need not be aligned for.
        let aligned = object.to_vec();
        let mut programs = Ebpf::load(&aligned).context("loading the programs")?;
        for name in ["bench_restore", "bench_empty", "bench_head", "bench_floor"] {
            program(&mut programs, name)?
                .load()
                .with_context(|| format!("loading {name}"))?;
        }
        let mut meter = Self {
            programs,
            head: 0.0,
        };
        let flow = Flow {
            frame: vec![0; LENGTH],
            vary: None,
            action: 3,
            moves_head: false,
        };
        let twice = meter.net("bench_head", &flow)?;
        meter.head = twice.min / 2.0;
        Ok(meter)
    }

    /// The least an encapsulation can cost.
    ///
    /// # Errors
    /// If a run fails.
    pub fn floor(&mut self, flow: &Flow) -> Result<Summary> {
        self.net("bench_floor", flow)
    }

    /// Net nanoseconds a packet of a program of this benchmark.
    fn net(&mut self, name: &str, flow: &Flow) -> Result<Summary> {
        let fd = program(&mut self.programs, name)?.fd()?.try_clone()?;
        self.program(&fd, flow, 1_000_000)
    }

    /// Net nanoseconds a packet of any loaded XDP program.
    ///
    /// # Errors
    /// If a run fails, or returns another action than `flow` says.
    pub fn program(&mut self, target: &ProgramFd, flow: &Flow, repeat: u32) -> Result<Summary> {
        let empty = program(&mut self.programs, "bench_empty")?
            .fd()?
            .try_clone()?;
        let nothing = Flow {
            action: 2,
            moves_head: false,
            ..flow.clone()
        };
        let back = if flow.moves_head { self.head } else { 0.0 };
        // What the flows touch comes into the caches as far as it fits, and the clock up to speed.
        self.round(target, flow, repeat)?;
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            without.push(self.round(&empty, &nothing, repeat)?);
            with.push(self.round(target, flow, repeat)?);
        }
        // Not of the differences: the least of those is that of the most disturbed empty round.
        let (with, without) = (Summary::of(with), Summary::of(without));
        Ok(Summary {
            min: with.min - without.min - back,
            median: with.median - without.median - back,
        })
    }

    /// Nanoseconds a packet, with everything that surrounds the program.
    fn round(&mut self, target: &ProgramFd, flow: &Flow, repeat: u32) -> Result<f64> {
        self.enter(target)?;
        self.set(flow, repeat)?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(&flow.frame);
        options.repeat = repeat;
        program(&mut self.programs, "bench_restore")?
            .test_run(options)
            .context("running")?;
        let bench = self.state()?.get(&0, 0).context("reading the result")?.0;
        let wanted = bench
            .actions
            .get(flow.action as usize)
            .copied()
            .unwrap_or_default();
        ensure!(
            wanted == u64::from(repeat),
            "not every run returned {}: {:?}",
            flow.action,
            bench.actions
        );
        #[expect(
            clippy::cast_precision_loss,
            reason = "nanoseconds of a second fit a double"
        )]
        Ok((bench.ended - bench.began) as f64 / f64::from(repeat))
    }

    fn enter(&mut self, target: &ProgramFd) -> Result<()> {
        let map = self.programs.map_mut("TARGET").context("no map TARGET")?;
        ProgramArray::try_from(map)?
            .set(0, target, 0)
            .context("entering the program")
    }

    fn set(&mut self, flow: &Flow, repeat: u32) -> Result<()> {
        let mut bench = Bench {
            last: repeat.into(),
            ..Bench::default()
        };
        let headers = flow.frame.len().min(FRAME);
        for (to, from) in bench.frame.iter_mut().zip(&flow.frame) {
            *to = *from;
        }
        if let Some((at, values)) = flow.vary {
            let place = at as usize..at as usize + 4;
            ensure!(place.end <= headers, "nothing is put back at {at}");
            let word = flow
                .frame
                .get(place)
                .and_then(|word| <[u8; 4]>::try_from(word).ok());
            bench.vary_at = at;
            bench.vary_count = values;
            bench.vary_base = u32::from_be_bytes(word.unwrap_or_default());
        }
        self.state()?
            .set(0, Shared(bench), 0)
            .context("writing the frame")
    }

    fn state(&mut self) -> Result<Array<&mut MapData, Shared>> {
        Ok(Array::try_from(
            self.programs.map_mut("BENCH").context("no map BENCH")?,
        )?)
    }
}

fn program<'a>(programs: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = programs
        .program_mut(name)
        .with_context(|| format!("no program {name}"))?;
    Ok(program.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_encapsulates_every_packet_and_costs_something() {
        if !nix::unistd::geteuid().is_root() || PROGRAMS.is_err() {
            let required = std::env::var_os("SLUICE_TEST_REQUIRE").is_some();
            assert!(
                !required,
                "needs root and kernel programs: {:?}",
                PROGRAMS.err()
            );
            println!("SKIPPED: needs root and kernel programs");
            return;
        }
        let mut meter = Meter::load().unwrap();
        let mut frame = vec![0; LENGTH];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14] = 0x45;
        frame[17] = 114;
        frame[23] = 6;
        frame[37] = 80;
        let flow = Flow {
            frame,
            vary: Some((26, 1 << 10)),
            action: 3,
            moves_head: true,
        };

        let floor = meter.floor(&flow).unwrap();

        println!("floor {floor:?}, head {}", meter.head);
        assert!(floor.median > 0.0);
    }
}
