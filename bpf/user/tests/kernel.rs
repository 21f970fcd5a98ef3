//! Programs, maps and links in a real kernel.

mod guest;
mod object;
mod sandbox;

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

use bpf_user::{
    AttachError, AttachMode, Change, Conversion, Interface, LoadError, MapError, MapField, MapKind,
    MapSpec, MappedArray, MigrateError, Mode, Object, PerCpu, PinDir, Program, Table, XdpLink,
    attach, detach, load, migrate, xdp_on,
};
use guest::Guest;
use object::xdp_object;
use sandbox::Sandbox;

const PASS: u8 = 2;
const DROP: u8 = 1;

const WORDS: MapSpec = MapSpec::mapped::<[u64; 2]>("words", 64);
const HALVES: MapSpec = MapSpec::mapped::<u32>("halves", 600);
const FLOWS: MapSpec = MapSpec::new::<u64, u32>("flows", MapKind::Hash, 4096);
const COUNTERS: MapSpec = MapSpec::new::<u32, u64>("counters", MapKind::PerCpuArray, 1500);
const MAPS: [MapSpec; 4] = [WORDS, HALVES, FLOWS, COUNTERS];

#[test]
fn a_kernel_that_has_everything_passes_the_probe() {
    sandbox::run(|_| {
        assert!(bpf_user::probe().is_ok());
    });
}

#[test]
fn what_is_stored_in_a_mapped_array_is_read_back_by_another_mapping() {
    sandbox::run(|sandbox| {
        let pins = loaded(sandbox, 1, "pass", PASS).0;
        let writer = MappedArray::<[u64; 2]>::open(&WORDS, &pins).unwrap();
        let reader = MappedArray::<[u64; 2]>::open_read_only(&WORDS, &pins).unwrap();

        writer.write(63, &[7, 8]).unwrap();
        writer.store_word(63, 8, 9).unwrap();
        writer.store_half(62, 12, 0xabcd).unwrap();

        assert_eq!(reader.load(63), Ok([7, 9]));
        assert_eq!(reader.load(62), Ok([0, 0xabcd << 32]));
        assert!(reader.write(0, &[1, 1]).is_err(), "read only");
        for (index, offset) in [(64, 0), (0, 16), (0, 4), (u32::MAX, 0)] {
            assert!(writer.store_word(index, offset, 1).is_err());
        }
        assert!(writer.store_half(0, 2, 1).is_err());
    });
}

#[test]
fn elements_of_four_bytes_are_spaced_as_the_kernel_spaces_them() {
    sandbox::run(|sandbox| {
        let pins = loaded(sandbox, 1, "pass", PASS).0;
        let array = MappedArray::<u32>::open(&HALVES, &pins).unwrap();
        let table: Table<u32, u32> = Table::open(&HALVES, &pins).unwrap();

        array.store_half(599, 0, 42).unwrap();
        array.write(1, &43).unwrap();

        assert_eq!(table.get(&599).unwrap(), Some(42));
        assert_eq!(table.get(&1).unwrap(), Some(43));
        assert_eq!(array.load(599), Ok(42));
    });
}

#[test]
fn a_table_is_read_in_batches_without_losing_an_entry() {
    sandbox::run(|sandbox| {
        let pins = loaded(sandbox, 1, "pass", PASS).0;
        let mut table: Table<u64, u32> = Table::open(&FLOWS, &pins).unwrap();
        for key in 0..1000u32 {
            table.put(&u64::from(key), &key).unwrap();
        }

        let mut read = Vec::new();
        let mut cursor = None;
        loop {
            let batch = table.batch(cursor, 64).unwrap();
            assert!(batch.entries.len() <= 64);
            read.extend(batch.entries);
            match batch.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }

        assert_eq!(table.take(&7).unwrap(), Some(7));
        assert_eq!(table.take(&7).unwrap(), None);
        read.sort_unstable();
        assert_eq!(
            read,
            (0..1000u32).map(|n| (u64::from(n), n)).collect::<Vec<_>>()
        );
        assert!(!table.put_new(&5, &99).unwrap());
        table.remove(&5).unwrap();
        table.remove(&5).unwrap();
        assert_eq!(table.get(&5).unwrap(), None);
    });
}

#[test]
fn each_element_of_a_per_cpu_array_has_a_value_for_every_cpu() {
    sandbox::run(|sandbox| {
        let pins = loaded(sandbox, 1, "pass", PASS).0;
        let mut counters = PerCpu::<u64>::open(&COUNTERS, &pins).unwrap();

        counters.reset(1499).unwrap();
        let mut read = Vec::new();
        counters
            .read(2000, |index, cpus| read.push((index, cpus.len())))
            .unwrap();

        let cpus = aya::util::nr_cpus().unwrap();
        assert_eq!(
            read,
            (0..1500).map(|index| (index, cpus)).collect::<Vec<_>>()
        );
    });
}

#[test]
fn a_program_and_its_tables_are_opened_again_instead_of_loaded() {
    sandbox::run(|sandbox| {
        let (pins, first) = loaded(sandbox, 1, "pass", PASS);
        let words = MappedArray::<[u64; 2]>::open(&WORDS, &pins).unwrap();
        words.write(3, &[1, 2]).unwrap();
        let map = WORDS.id(&pins).unwrap();

        let (pins, second) = loaded(sandbox, 1, "pass", PASS);

        assert_eq!(second.id(), first.id());
        assert_eq!(WORDS.id(&pins).unwrap(), map);
        let words = MappedArray::<[u64; 2]>::open(&WORDS, &pins).unwrap();
        assert_eq!(words.load(3), Ok([1, 2]));
    });
}

#[test]
fn a_pinned_map_that_differs_is_refused_by_name_and_field() {
    sandbox::run(|sandbox| {
        let (pins, _) = loaded(sandbox, 1, "pass", PASS);
        let smaller = MapSpec::mapped::<[u64; 2]>("words", 32);
        let elf = elf("pass", DROP);

        let refused = load(
            &Object {
                elf: &elf,
                maps: &[smaller],
                others: &[],
            },
            "pass",
            &pins,
        );

        assert!(matches!(
            refused,
            Err(LoadError::Map(MapError::Mismatch {
                map: "words",
                field: MapField::MaxEntries,
                found: 64,
                expected: 32,
            }))
        ));
    });
}

#[test]
fn a_program_missing_from_its_object_is_named() {
    sandbox::run(|sandbox| {
        let pins = PinDir::at(sandbox.bpffs(), 1).unwrap();
        let elf = elf("pass", PASS);

        let missing = load(
            &Object {
                elf: &elf,
                maps: &MAPS,
                others: &[],
            },
            "other",
            &pins,
        );

        assert_eq!(
            missing.unwrap_err().to_string(),
            "the object holds no program other"
        );
    });
}

#[test]
fn a_veth_runs_the_program_in_its_driver_and_loopback_in_the_stack() {
    sandbox::run(|sandbox| {
        let (pins, program) = loaded(sandbox, 1, "pass", PASS);
        let peer = sandbox.peer();
        sandbox.veth("eth0.100", &peer, "far");

        let native = attach(&pins, &program, &interface("eth0.100"), AttachMode::Auto).unwrap();
        let generic = attach(&pins, &program, &interface("lo"), AttachMode::Auto).unwrap();

        assert_eq!(
            (native.mode, native.change),
            (Mode::Native, Change::Created)
        );
        assert_eq!(
            (generic.mode, generic.change),
            (Mode::Generic, Change::Created)
        );
        assert_eq!(pins.linked_interfaces().unwrap(), ["eth0.100", "lo"]);
        detach(&pins, "eth0.100").unwrap();
        assert_eq!(xdp_on(interface("eth0.100").index).unwrap(), None);
    });
}

#[test]
fn a_mode_that_is_asked_for_is_the_only_one_used() {
    sandbox::run(|sandbox| {
        let (pins, program) = loaded(sandbox, 1, "pass", PASS);
        let peer = sandbox.peer();
        sandbox.veth("eth0", &peer, "far");
        let veth = |mode| attach(&pins, &program, &interface("eth0"), mode).unwrap();
        let loopback = |mode| attach(&pins, &program, &interface("lo"), mode);
        veth(AttachMode::Auto);
        loopback(AttachMode::Auto).unwrap();

        let generic = veth(AttachMode::Generic);
        let kept = veth(AttachMode::Auto);
        let native = veth(AttachMode::Native);
        let refused = loopback(AttachMode::Native).unwrap_err();

        let made = |mode| (mode, Change::Created);
        assert_eq!((generic.mode, generic.change), made(Mode::Generic));
        assert_eq!((kept.mode, kept.change), (Mode::Generic, Change::Kept));
        assert_eq!((native.mode, native.change), made(Mode::Native));
        assert!(matches!(refused, AttachError::NoNative { .. }), "{refused}");
        assert_eq!(xdp_on(interface("lo").index).unwrap(), None);
    });
}

#[test]
fn a_link_is_kept_for_the_same_program_and_switched_to_another() {
    sandbox::run(|sandbox| {
        let (pins, pass) = loaded(sandbox, 1, "pass", PASS);
        let lo = interface("lo");
        attach(&pins, &pass, &lo, AttachMode::Auto).unwrap();

        let kept = attach(&pins, &pass, &lo, AttachMode::Auto).unwrap();
        let (pins, other) = loaded(sandbox, 1, "pass", DROP);
        let replaced = attach(&pins, &other, &lo, AttachMode::Auto).unwrap();
        other.retire_others(&pins).unwrap();

        assert_eq!(kept.change, Change::Kept);
        assert_eq!(replaced.change, Change::Replaced);
        assert_ne!(other.id(), pass.id());
        assert_eq!(xdp_on(lo.index).unwrap().unwrap().program, other.id());
        assert_eq!(
            std::fs::read_dir(pins.path().join("programs"))
                .unwrap()
                .count(),
            1
        );
    });
}

#[test]
fn another_program_on_the_interface_is_named_and_stays() {
    sandbox::run(|sandbox| {
        let (_, katran) = loaded(sandbox, 7, "katran", PASS);
        let foreign = PinDir::at(sandbox.bpffs(), 7).unwrap();
        let lo = interface("lo");
        attach(&foreign, &katran, &lo, AttachMode::Auto).unwrap();
        let (pins, ours) = loaded(sandbox, 1, "pass", PASS);

        let refused = attach(&pins, &ours, &lo, AttachMode::Auto).unwrap_err();

        let AttachError::Occupied { occupant, .. } = &refused else {
            panic!("{refused}");
        };
        assert_eq!(
            (occupant.name.as_str(), occupant.id),
            ("katran", katran.id())
        );
        assert_eq!(
            refused.to_string(),
            format!(
                "interface lo already runs XDP program \"katran\" (id {})",
                katran.id()
            )
        );
        assert_eq!(xdp_on(lo.index).unwrap().unwrap().program, katran.id());
    });
}

#[test]
fn an_interface_that_went_and_came_back_gets_a_new_link() {
    sandbox::run(|sandbox| {
        let (pins, program) = loaded(sandbox, 1, "pass", PASS);
        sandbox.ip("link add gone type veth peer name other");
        attach(&pins, &program, &interface("gone"), AttachMode::Auto).unwrap();
        let old = interface("gone");

        sandbox.ip("link del gone");
        let dead = XdpLink::open(&pins, "gone").unwrap().unwrap();
        let absent = attach(&pins, &program, &old, AttachMode::Auto);
        sandbox.ip("link add gone type veth peer name other");
        let back = attach(&pins, &program, &interface("gone"), AttachMode::Auto).unwrap();

        assert_eq!(dead.ifindex(), None);
        assert!(matches!(absent, Err(AttachError::Gone(name)) if name == "gone"));
        assert_eq!(back.change, Change::Created);
        let link = XdpLink::open(&pins, "gone").unwrap().unwrap();
        assert_eq!(link.ifindex(), Some(interface("gone").index));
    });
}

#[test]
fn a_migration_keeps_the_old_version_until_every_link_runs_the_new_program() {
    sandbox::run(|sandbox| {
        let (old, first) = loaded(sandbox, 0, "old", PASS);
        attach(&old, &first, &interface("lo"), AttachMode::Auto).unwrap();
        let (new, program) = loaded(sandbox, 1, "pass", PASS);
        let conversion = Doubling::failing_once();

        let failed = migrate(&new, &program, &[&conversion]);
        let ran_before = xdp_on(1).unwrap().unwrap().program;
        let migrated = migrate(&new, &program, &[&conversion]);
        let again = migrate(&new, &program, &[&conversion]);

        assert!(matches!(
            failed,
            Err(MigrateError::Convert { from: 0, to: 1, .. })
        ));
        assert_eq!(
            ran_before,
            program.id(),
            "switched before it was to catch up"
        );
        assert!(migrated.unwrap());
        assert!(!again.unwrap());
        assert_eq!(new.versions().unwrap(), [1]);
        assert_eq!(new.linked_interfaces().unwrap(), ["lo"]);
        assert_eq!(xdp_on(1).unwrap().unwrap().program, program.id());
    });
}

#[test]
fn a_version_without_a_conversion_is_left_alone() {
    sandbox::run(|sandbox| {
        let (newer, first) = loaded(sandbox, 2, "newer", PASS);
        attach(&newer, &first, &interface("lo"), AttachMode::Auto).unwrap();
        let (pins, program) = loaded(sandbox, 1, "pass", PASS);

        let refused = migrate(&pins, &program, &[]);

        assert!(matches!(
            refused,
            Err(MigrateError::NoWay { from: 2, to: 1 })
        ));
        assert_eq!(xdp_on(1).unwrap().unwrap().program, first.id());
    });
}

#[test]
fn programs_maps_and_links_are_the_same_on_linux_6_1() {
    Guest::default().pass_on("6.1");
}

#[test]
fn programs_maps_and_links_are_the_same_on_linux_6_12() {
    Guest::default().pass_on("6.12");
}

/// Checks what holds at each point; its second half fails the first time.
struct Doubling {
    failed: AtomicBool,
}

impl Doubling {
    fn failing_once() -> Self {
        Self {
            failed: AtomicBool::new(false),
        }
    }
}

impl Conversion for Doubling {
    fn from(&self) -> u32 {
        0
    }

    fn copy(&self, old: &PinDir, new: &PinDir) -> Result<(), Box<dyn Error + Send + Sync>> {
        assert!(old.path().exists() && new.path().exists());
        Ok(())
    }

    fn catch_up(&self, old: &PinDir, _: &PinDir) -> Result<(), Box<dyn Error + Send + Sync>> {
        assert!(old.path().exists());
        if self.failed.swap(true, Ordering::Relaxed) {
            Ok(())
        } else {
            Err("interrupted".into())
        }
    }
}

fn loaded(sandbox: &Sandbox, version: u32, name: &str, verdict: u8) -> (PinDir, Program) {
    let pins = PinDir::at(sandbox.bpffs(), version).expect("a bpffs");
    let elf = elf(name, verdict);
    let program = load(
        &Object {
            elf: &elf,
            maps: &MAPS,
            others: &[],
        },
        name,
        &pins,
    )
    .expect("the program loads");
    (pins, program)
}

fn elf(name: &str, verdict: u8) -> Vec<u8> {
    const MMAPABLE: u32 = 1 << 10;
    const NO_PREALLOC: u32 = 1;
    xdp_object(
        name,
        verdict,
        &[
            ("words", [2, 4, 16, 64, MMAPABLE]),
            ("halves", [2, 4, 4, 600, MMAPABLE]),
            ("flows", [1, 8, 4, 4096, NO_PREALLOC]),
            ("counters", [6, 4, 8, 1500, 0]),
        ],
    )
}

fn interface(name: &str) -> Interface {
    Interface {
        name: name.into(),
        index: nix::net::if_::if_nametoindex(name).expect("the interface"),
    }
}
