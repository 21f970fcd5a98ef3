//! What the balancer's program costs a packet, beside the least an encapsulation can cost; and what
//! 27,000 services cost in memory and time.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use types::{Protocol, Vip};
use xdp_l4lb::Inspector;
use xdp_l4lb_core::desired::BackendState;

use super::balancer::{Balancer, key, micros, service};
use super::frames::{self, SOURCE_V4, TARGET_V4, Transport};
use super::{Case, Flow, Meter, Report, Summary};

const TX: u32 = 3;
const PASS: u32 = 2;

const SERVICES: u32 = 27_000;

/// From one changed service to the next.
const STRIDE: u32 = 1_777;

/// Rounds of what is timed in microseconds.
const ROUNDS: u32 = 15;

const CLIENT: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 0);
const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
/// The first of the many.
const MANY: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 0);

pub(super) fn run() -> Result<()> {
    let bpffs = Path::new("/sys/fs/bpf");
    let mut report = Report::new("xdp");
    let mut meter = Meter::load()?;
    let before = map_memory(bpffs)?;
    let mut balancer = Balancer::new(bpffs)?;
    few_services(&mut balancer)?;
    packets(&mut report, &mut meter, &balancer)?;
    many_services(&mut report, &mut meter, &mut balancer, bpffs)?;
    memory(&mut report, before, bpffs)?;
    report.write()?;
    Ok(())
}

fn few_services(balancer: &mut Balancer) -> Result<()> {
    let (v4, v6) = (IpAddr::from(VIP), IpAddr::from(VIP6));
    let services = [
        (
            key(1_000_000),
            Some(service(v4, Protocol::Tcp, 1_000_000, 100)),
        ),
        (
            key(1_000_001),
            Some(service(v4, Protocol::Udp, 1_000_000, 100)),
        ),
        (
            key(1_000_002),
            Some(service(v6, Protocol::Tcp, 1_000_000, 100)),
        ),
    ];
    balancer.change(services.into())?;
    ensure!(
        balancer.ready() == 3,
        "{} of 3 VIPs are in place",
        balancer.ready()
    );
    Ok(())
}

fn packets(report: &mut Report, meter: &mut Meter, balancer: &Balancer) -> Result<()> {
    let v4 = |transport| frames::v4(CLIENT, VIP, transport);
    let v6 = frames::v6(
        Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1),
        VIP6,
        Transport::Ack,
    );
    let stranger = frames::v4(CLIENT, Ipv4Addr::new(198, 51, 100, 1), Transport::Ack);
    for (case, frame, vary, action) in [
        ("tcp4-hot", v4(Transport::Ack), None, TX),
        ("udp4-hot", v4(Transport::Udp), None, TX),
        ("tcp6-hot", v6, None, TX),
        (
            "tcp4-512k-flows",
            v4(Transport::Ack),
            Some((SOURCE_V4, 1 << 19)),
            TX,
        ),
        (
            "syn4-4m-sources",
            v4(Transport::Syn),
            Some((SOURCE_V4, 1 << 22)),
            TX,
        ),
        ("no-vip", stranger, None, PASS),
    ] {
        measure(
            report,
            meter,
            balancer,
            case,
            &Flow {
                frame,
                vary,
                action,
                moves_head: action == TX,
            },
        )?;
    }
    Ok(())
}

fn measure(
    report: &mut Report,
    meter: &mut Meter,
    balancer: &Balancer,
    case: &str,
    flow: &Flow,
) -> Result<()> {
    let plain = Flow {
        frame: frames::v4(CLIENT, VIP, Transport::Ack),
        vary: None,
        action: TX,
        moves_head: true,
    };
    let floor = meter.floor(&plain)?;
    let measured = meter
        .program(&balancer.program()?, flow, 1_000_000)
        .with_context(|| case.to_owned())?;
    report.add(Case {
        case: case.to_owned(),
        unit: "ns",
        measured,
        reference: "parse and encapsulate".to_owned(),
        reference_median: floor.median,
    });
    Ok(())
}

fn many_services(
    report: &mut Report,
    meter: &mut Meter,
    balancer: &mut Balancer,
    bpffs: &Path,
) -> Result<()> {
    let services = |first: u32| {
        (first..first + SERVICES).map(|number| {
            let addr = IpAddr::from(Ipv4Addr::from(u32::from(MANY) + number));
            (
                key(number),
                Some(service(addr, Protocol::Tcp, number * 2, 2)),
            )
        })
    };
    let all = micros(|| balancer.change(services(0).collect()))?;
    let wanted = SERVICES as usize + 3;
    // Some insertions wait until nothing can see what they replace.
    crate::until("every VIP is in place", crate::Patience::START, || {
        balancer.carry_out()?;
        ensure!(
            balancer.ready() == wanted,
            "{} of {wanted}",
            balancer.ready()
        );
        Ok(())
    })?;
    let flow = Flow {
        frame: frames::v4(CLIENT, MANY, Transport::Ack),
        vary: Some((TARGET_V4, SERVICES)),
        action: TX,
        moves_head: true,
    };
    measure(report, meter, balancer, "tcp4-27k-vips", &flow)?;
    one_backend(report, balancer, bpffs, all)
}

/// A draining backend's slots go to the other one, in every table that it is in.
fn one_backend(report: &mut Report, balancer: &mut Balancer, bpffs: &Path, all: f64) -> Result<()> {
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let number = round * STRIDE;
        let mut changed = service(
            IpAddr::from(Ipv4Addr::from(u32::from(MANY) + number)),
            Protocol::Tcp,
            number * 2,
            2,
        );
        if let Some(backend) = changed.backends.values_mut().next() {
            backend.state = BackendState::Draining;
        }
        rounds.push(micros(|| {
            balancer.change([(key(number), Some(changed))].into())
        })?);
    }
    let last = Vip {
        addr: IpAddr::from(Ipv4Addr::from(u32::from(MANY) + (ROUNDS - 1) * STRIDE)),
        port: 80,
        protocol: Protocol::Tcp,
    };
    let slots = Inspector::open(bpffs)?.maglev(&last)?.unwrap_or_default();
    ensure!(
        slots.iter().any(|slot| slot.is_open()),
        "no slot of {last} is in change"
    );
    report.add(Case {
        case: "one-backend-of-27k".to_owned(),
        unit: "us",
        measured: Summary::of(rounds),
        reference: "all 27,000 services at once".to_owned(),
        reference_median: all,
    });
    Ok(())
}

/// The goal for 27,000 services of two backends is 100 MB, per-CPU counters aside.
fn memory(report: &mut Report, before: f64, bpffs: &Path) -> Result<()> {
    let used = map_memory(bpffs)? - before;
    report.add(Case {
        case: "maps-27k-services".to_owned(),
        unit: "MB",
        measured: Summary {
            min: used,
            median: used,
        },
        reference: "the goal".to_owned(),
        reference_median: 100.0,
    });
    Ok(())
}

/// Megabytes that pinned maps take, by the kernel's own account; per-CPU maps are left out.
fn map_memory(bpffs: &Path) -> Result<f64> {
    let mut bytes = 0_u64;
    let maps = bpffs.join("sluicegate/v1/maps");
    let Ok(entries) = fs::read_dir(&maps) else {
        return Ok(0.0);
    };
    for entry in entries {
        let path = entry?.path();
        if path.to_string_lossy().ends_with("_stats") {
            continue;
        }
        let map = aya::maps::MapData::from_pin(&path)?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(map.fd()));
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}"))?;
        let used = info.lines().find_map(|line| line.strip_prefix("memlock:"));
        bytes += used
            .and_then(|text| text.trim().parse::<u64>().ok())
            .unwrap_or_default();
    }
    #[expect(clippy::cast_precision_loss, reason = "megabytes fit a double")]
    Ok(bytes as f64 / 1e6)
}
