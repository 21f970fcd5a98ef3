//! Pins a version 0 that is in use: its tables, its program on the edge, one flow.

use bpf_common::Layout;
use bpf_user::{MapKind, MapSpec, MappedArray, Object, PinDir, Table};
use xdp_l4lb_common::layout::{
    BACKEND_LIVE, BackendMode, BackendRecord, Bucket, Config, FlowKey, Link, ServiceRecord,
    VipTable, mapped,
};

use super::{Lab, addr, edge, sizes};
use crate::object::xdp_object;

impl Lab<'_> {
    /// Version 0 with a slot in change from backend 3 to 4, and a flow to 3.
    pub(crate) fn pin_version_zero(&self, flow: &FlowKey) {
        let capacity = sizes().capacity;
        let slots = MapSpec::mapped::<[u32; 2]>("slots", capacity.slots);
        let backends = MapSpec::mapped::<BackendRecord>("backends", capacity.backends);
        let config = MapSpec::mapped::<Config>("config", 1);
        let flows = MapSpec::new::<FlowKey, [u32; 2]>("flows", MapKind::Hash, sizes().flows);
        let maps = [
            MapSpec::mapped::<Bucket>("vips", capacity.buckets),
            MapSpec::mapped::<ServiceRecord>("services", capacity.services),
            slots,
            MapSpec::mapped::<u32>("touched", capacity.slots),
            backends,
            MapSpec::mapped::<Link>("links", 256),
            config,
            flows,
        ];
        let pins = PinDir::at(self.bpffs(), 0).expect("a bpffs");
        let elf = xdp_object("old", 2, &maps.map(|map| (map.name, definition(&map))));
        let object = Object {
            elf: &elf,
            maps: &maps,
            others: &[],
        };
        let program = bpf_user::load(&object, "old", &pins).expect("version 0 loads");

        write(&slots, &pins, &[(64, [3u32, 3]), (65, [4, 3 | 1 << 31])]);
        write(&backends, &pins, &[(3, backend("10.0.0.2"))]);
        write(&config, &pins, &[(0, configured())]);
        Table::open(&flows, &pins)
            .expect("the flows of version 0")
            .put(flow, &[3u32, 77])
            .expect("room for a flow");
        bpf_user::attach(&pins, &program, &edge(), bpf_user::AttachMode::Auto)
            .expect("version 0 attaches");
    }
}

fn definition(map: &MapSpec) -> [u32; 5] {
    const MMAPABLE: u32 = 1 << 10;
    const NO_PREALLOC: u32 = 1;
    let (kind, flags) = if map.kind == MapKind::Hash {
        (1, NO_PREALLOC)
    } else {
        (2, MMAPABLE)
    };
    [kind, map.key_size, map.value_size, map.max_entries, flags]
}

fn write<T: Layout>(map: &MapSpec, pins: &PinDir, values: &[(u32, T)]) {
    let array = MappedArray::open(map, pins).expect("an array of version 0");
    for (index, value) in values {
        array.write(*index, value).expect("an element");
    }
}

fn backend(text: &str) -> BackendRecord {
    BackendRecord {
        addr: mapped(addr(text)),
        mode: BackendMode::new(BACKEND_LIVE, 0, 1500).word(),
        port: [0; 2],
        pad: [0; 2],
        next_hop: 0,
        reserved: [0; 4],
    }
}

fn configured() -> Config {
    Config {
        vip_table: VipTable::new(0, 2, 1).word(),
        vip_seed: 5,
        flow_seed: 6,
        outer_v4: 0,
        outer_v6: [0; 8],
        epoch: 41,
        error_rate: 0,
        no_vip: [0; 2],
    }
}
