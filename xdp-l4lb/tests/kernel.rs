//! The balancer and the backend side in a real kernel.

#[path = "../../bpf/user/tests/guest/mod.rs"]
mod guest;
mod lab;
#[path = "../../bpf/user/tests/object/mod.rs"]
mod object;
#[path = "../../bpf/user/tests/sandbox/mod.rs"]
mod sandbox;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::time::Duration;

use guest::Guest;
use lab::{EDGE, addr, delta, edge, mac_of, output, service, vip};
use xdp_l4lb::{BackendDesired, BackendRole, Inspector, LinkState, ProbeError, Tables, Unresolved};
use xdp_l4lb_common::hash::filter_place;
use xdp_l4lb_common::layout::{
    BACKEND_LIVE, BackendMode, BackendRecord, FlowKey, FlowState, NextHop, ServiceRecord, Slot,
    SlotTable, VipEntry, VipKey, VipTable, mapped,
};
use xdp_l4lb_core::desired::Service;
use xdp_l4lb_core::{Readback, SlotStore, Step, Tables as _};

#[test]
fn what_steps_store_is_read_back() {
    lab::run(|lab| {
        let mut tables = lab.tables();
        let record = ServiceRecord {
            key: VipKey::new(mapped(addr("192.0.2.1")), 80, 6),
            flags: 0,
            pad: [0; 3],
            table: SlotTable::new(64, 6).word(),
            reserved: [0; 4],
        };
        let backend = backend_record("10.0.0.2");
        let mut buckets = vec![[0; 8]; 4];
        buckets[3][7] = VipEntry::new(9, 5).word();
        let store = SlotStore {
            index: 65,
            word: Slot::settled(3).with_open(true),
            restart: true,
        };
        let steps = [
            Step::WriteBackend {
                id: 3,
                record: backend,
            },
            Step::WriteSlots {
                base: 64,
                epoch: 6,
                words: vec![Slot::settled(3); 64],
            },
            Step::WriteService { index: 5, record },
            Step::WriteVips { base: 4, buckets },
            Step::StoreVipTable(VipTable::new(4, 2, 1)),
            Step::StoreVip {
                bucket: 5,
                entry: 2,
                word: VipEntry::new(8, 5),
            },
            Step::StoreSlots {
                epoch: 7,
                stores: vec![store],
            },
            Step::StoreServiceFlags { index: 5, flags: 1 },
            Step::StoreBackendMode {
                id: 3,
                mode: BackendMode::new(0, 0, 1400),
            },
            Step::StoreNextHop {
                id: 3,
                next_hop: NextHop::new(1, [1, 2, 3, 4, 5, 6]),
            },
            Step::StoreEpoch(8),
        ];

        for step in &steps {
            tables.apply(step).unwrap();
        }

        let (place, bit) = filter_place(record.key.addr);
        let filter = tables.config().no_vip;
        assert_eq!(filter[place], !bit, "packets for the VIP are looked at");
        assert_eq!(filter[1 - place], u64::MAX);
        assert_eq!(tables.vip_table(), VipTable::new(4, 2, 1));
        assert_eq!(tables.bucket(7)[7], VipEntry::new(9, 5).word());
        assert_eq!(tables.bucket(5)[2], VipEntry::new(8, 5).word());
        assert_eq!(tables.service(5), ServiceRecord { flags: 1, ..record });
        assert_eq!(tables.slot(65), store.word);
        assert_eq!((tables.touched(65), tables.touched(66)), (7, 6));
        let stored = tables.backend(3);
        assert_eq!(stored.mode, BackendMode::new(0, 0, 1400).word());
        assert_eq!(stored.next_hop, NextHop::new(1, [1, 2, 3, 4, 5, 6]).word());
        assert_eq!(tables.epoch(), 8);
        let again = lab.tables();
        assert_eq!(again.service(5), tables.service(5));
        assert_eq!(again.stores(), 0, "opening stores nothing");
    });
}

#[test]
fn a_step_past_the_end_of_a_table_is_refused() {
    lab::run(|lab| {
        let mut tables = lab.tables();

        let refused = tables.apply(&Step::WriteBackend {
            id: u32::MAX,
            record: backend_record("10.0.0.2"),
        });

        assert!(refused.unwrap_err().to_string().contains("backends"));
    });
}

#[test]
fn a_flow_is_deleted_only_in_the_state_it_was_judged_in() {
    lab::run(|lab| {
        let mut tables = lab.tables();
        let key = |port: u16| FlowKey {
            service: 1,
            addr: mapped(addr("198.51.100.1")),
            port: port.to_be_bytes(),
            pad: [0; 2],
        };
        let state = |isn| FlowState {
            backend: 2,
            isn,
            seen: 1,
            confirmed: 1,
        };
        let mut flows = lab.flows();
        flows.put(&key(1), &state(10)).unwrap();
        flows.put(&key(2), &state(11)).unwrap();

        tables
            .apply(&Step::DeleteFlows(vec![
                (key(1), state(10)),
                (key(2), state(10)),
                (key(3), state(10)),
            ]))
            .unwrap();

        let left = tables.flows(None).unwrap();
        assert_eq!(left.entries, [(key(2), state(11))]);
        assert_eq!(left.next, None);
    });
}

#[test]
fn a_service_becomes_ready_with_the_way_that_the_kernel_knows() {
    lab::run(|lab| {
        let backend_mac = mac_of(&lab.peer, "far");
        let balancer = lab.start();

        lab.block_on(async {
            balancer
                .change(delta(
                    "web",
                    service(&["192.0.2.1:80/TCP"], &["10.0.0.2:8080"]),
                ))
                .await
                .unwrap();
            balancer.synced().await.unwrap();
            lab::until(&balancer, |state| {
                state.ready.contains(&vip("192.0.2.1:80/TCP"))
            })
            .await;
        });

        let state = balancer.state().borrow().clone();
        assert_eq!(state.interfaces[EDGE], LinkState::Native);
        assert_eq!(state.faults, BTreeMap::new());
        let kernel = Inspector::open(lab.bpffs()).unwrap();
        let backends = kernel.backends().unwrap();
        assert_eq!(backends.len(), 1);
        assert_eq!(backends[0].addr, addr("10.0.0.2"));
        assert!(backends[0].live);
        let index = nix::net::if_::if_nametoindex(EDGE).unwrap();
        assert_eq!(backends[0].next_hop, Some((index, backend_mac)));
        assert_eq!(backends[0].mtu, 1500);
        let slots = kernel.maglev(&vip("192.0.2.1:80/TCP")).unwrap().unwrap();
        assert!(slots.len() >= 64);
        assert!(slots.iter().all(|slot| slot.current() == backends[0].id));
        let services = kernel.services().unwrap();
        assert_eq!(services.len(), 2, "the service and its address");
        assert!(services.iter().any(|service| service.port.is_none()));
        assert_eq!(kernel.flows().unwrap(), 0);
        assert!(!kernel.counters().unwrap().drops.is_empty());
        assert_eq!(kernel.interfaces().unwrap(), [(EDGE.into(), Some(index))]);
    });
}

#[test]
fn a_restart_changes_nothing_that_was_right() {
    lab::run(|lab| {
        let told = delta(
            "web",
            service(
                &["192.0.2.1:80/TCP", "[2001:db8::1]:80/TCP"],
                &["10.0.0.2:8080", "10.0.0.3:8080"],
            ),
        );
        lab.peer.ip("addr add 10.0.0.3/24 dev far");
        let ready = |state: &xdp_l4lb::State| state.synced && state.ready.len() == 2;
        let first = lab.start();
        lab.block_on(async {
            first.change(told.clone()).await.unwrap();
            first.synced().await.unwrap();
            lab::until(&first, |state| ready(state) && state.unresolved.is_empty()).await;
        });
        let before = first.state().borrow().clone();
        let slots = lab.slots("192.0.2.1:80/TCP");
        assert!(before.stores > 0);
        assert_eq!(before.links_changed, 1);
        drop(first);

        let second = lab.start();
        lab.block_on(async {
            second.change(told).await.unwrap();
            second.synced().await.unwrap();
            lab::until(&second, ready).await;
            // Whatever it might have wanted to repair, it would have by now.
            lab::work(&second, Duration::from_millis(1500)).await;
        });

        let after = second.state().borrow().clone();
        assert_eq!((after.stores, after.links_changed), (0, 0), "{after:?}");
        assert_eq!(after.program, before.program);
        assert_eq!(lab.slots("192.0.2.1:80/TCP"), slots);
    });
}

#[test]
fn a_backend_that_fails_its_checks_takes_no_new_flows_until_it_answers_again() {
    lab::run(|lab| {
        lab.peer.ip("addr add 10.0.0.3/24 dev far");
        let listen = |at: &'static str| lab.peer.run(move || TcpListener::bind(at).unwrap());
        let _steady = listen("10.0.0.2:8080");
        let failing = listen("10.0.0.3:8080");
        let balancer = lab.start();
        let serves = |wanted: &'static [&'static str]| {
            lab.wait_for("the backends", || {
                let kernel = Inspector::open(lab.bpffs()).ok()?;
                let slots = kernel.maglev(&vip("192.0.2.1:80/TCP")).ok()??;
                let current: BTreeSet<u32> = slots.iter().map(|slot| slot.current()).collect();
                let backends = kernel.backends().ok()?.into_iter();
                let found = backends.filter(|backend| current.contains(&backend.id));
                let found: BTreeSet<_> = found.map(|backend| backend.addr).collect();
                (found == wanted.iter().map(|text| addr(text)).collect()).then_some(())
            });
        };
        let web = Service {
            check: Some(lab::quick_check()),
            ..service(&["192.0.2.1:80/TCP"], &["10.0.0.2:8080", "10.0.0.3:8080"])
        };
        lab.block_on(balancer.change(delta("web", web))).unwrap();
        serves(&["10.0.0.2", "10.0.0.3"]);

        drop(failing);
        serves(&["10.0.0.2"]);
        let because = |why: &ProbeError| matches!(why, ProbeError::Connect(_));
        lab.block_on(lab::until(&balancer, |state| {
            state.failing.values().any(because)
        }));
        let shown = balancer.state().borrow().clone();
        let (key, _) = shown.failing.first_key_value().unwrap();
        assert_eq!(key.1.addr, addr("10.0.0.3"));

        let _again = listen("10.0.0.3:8080");
        serves(&["10.0.0.2", "10.0.0.3"]);
    });
}

#[test]
fn a_changed_neighbour_changes_the_way_in_the_kernel() {
    lab::run(|lab| {
        let balancer = lab.start();
        lab.block_on(async {
            let web = service(&["192.0.2.1:80/TCP"], &["10.0.0.2:8080"]);
            balancer.change(delta("web", web)).await.unwrap();
            lab::until(&balancer, |state| !state.ready.is_empty()).await;
        });

        lab.peer.ip("link set far address 02:00:00:00:00:77");
        lab.sandbox
            .ip("neigh replace 10.0.0.2 lladdr 02:00:00:00:00:77 dev edge nud reachable");

        lab.wait_for("the new station", || {
            let backends = Inspector::open(lab.bpffs()).ok()?.backends().ok()?;
            let (_, station) = backends.first()?.next_hop?;
            (station == [2, 0, 0, 0, 0, 0x77]).then_some(())
        });
    });
}

#[test]
fn a_backend_without_a_way_is_named_and_its_vip_not_announced() {
    lab::run(|lab| {
        let balancer = lab.start();

        lab.block_on(async {
            let told = delta("web", service(&["192.0.2.1:80/TCP"], &["203.0.113.9:80"]));
            balancer.change(told).await.unwrap();
            lab::until(&balancer, |state| {
                state.unresolved.get(&addr("203.0.113.9")) == Some(&Unresolved::NoRoute)
            })
            .await;
        });

        assert!(balancer.state().borrow().ready.is_empty());
        lab.sandbox.ip("route add 203.0.113.0/24 via 10.0.0.2");
        lab.block_on(lab::until(&balancer, |state| !state.ready.is_empty()));
        lab.sandbox.ip("route del 203.0.113.0/24");
        lab.block_on(lab::until(&balancer, |state| state.ready.is_empty()));
    });
}

#[test]
fn an_interface_that_vanishes_and_returns_gets_its_program_back() {
    lab::run(|lab| {
        let balancer = lab.start();
        lab.block_on(async {
            let web = service(&["192.0.2.1:80/TCP"], &["10.0.0.2:8080"]);
            balancer.change(delta("web", web)).await.unwrap();
            lab::until(&balancer, |state| !state.ready.is_empty()).await;
        });

        lab.sandbox.ip("link del edge");
        lab.block_on(lab::until(&balancer, |state| {
            state.interfaces[EDGE] == LinkState::Absent && state.ready.is_empty()
        }));
        lab.connect();

        lab.block_on(lab::until(&balancer, |state| {
            state.interfaces[EDGE] == LinkState::Native && !state.ready.is_empty()
        }));
    });
}

#[test]
fn an_interface_that_is_renamed_is_another_interface() {
    lab::run(|lab| {
        let balancer = lab.start();
        let attached = |state: &xdp_l4lb::State| state.interfaces[EDGE] == LinkState::Native;
        lab.block_on(lab::until(&balancer, attached));
        let index = edge().index;

        lab.sandbox.ip("link set edge down");
        lab.sandbox.ip("link set edge name other");
        lab.block_on(lab::until(&balancer, |state| {
            state.interfaces[EDGE] == LinkState::Absent
        }));
        assert_eq!(bpf_user::xdp_on(index).unwrap(), None);

        lab.sandbox.ip("link set other name edge");
        lab.block_on(lab::until(&balancer, attached));
    });
}

#[test]
fn another_program_in_the_way_is_named_and_nothing_is_announced() {
    lab::run(|lab| {
        let theirs = lab.occupy(EDGE, "katran");
        let balancer = lab.start();

        lab.block_on(async {
            let web = service(&["192.0.2.1:80/TCP"], &["10.0.0.2:8080"]);
            balancer.change(delta("web", web)).await.unwrap();
            lab::until(&balancer, |state| {
                matches!(&state.interfaces[EDGE], LinkState::Refused(why) if why.contains("katran"))
            })
            .await;
        });

        assert!(balancer.state().borrow().ready.is_empty());
        drop(theirs);
    });
}

#[test]
fn every_vip_has_a_blackhole_route_while_it_is_wanted() {
    lab::run(|lab| {
        let balancer = lab.start();
        let routes = || output("ip route show type blackhole; ip -6 route show type blackhole");

        lab.block_on(async {
            let web = service(
                &["192.0.2.1:80/TCP", "[2001:db8::1]:80/TCP"],
                &["10.0.0.2:8080"],
            );
            balancer.change(delta("web", web)).await.unwrap();
        });
        lab.wait_for("two blackholes", || {
            let routes = routes();
            (routes.contains("192.0.2.1") && routes.contains("2001:db8::1")).then_some(())
        });
        lab.sandbox.ip("route add blackhole 192.0.2.77");
        lab.block_on(async {
            let none = xdp_l4lb_core::desired::Delta {
                services: BTreeMap::from([(lab::key("web"), None)]),
            };
            balancer.synced().await.unwrap();
            balancer.change(none).await.unwrap();
        });

        lab.wait_for("no blackholes but the one of somebody else", || {
            let routes = routes();
            (!routes.contains("192.0.2.1 ") && !routes.contains("2001:db8::1")).then_some(())
        });
        assert!(routes().contains("192.0.2.77"));
    });
}

#[test]
fn a_backend_takes_packets_for_its_vips_and_tells_nobody_of_them() {
    lab::run(|lab| {
        let desired = BackendDesired {
            balancers: BTreeSet::from(["10.0.0.0/24".parse().unwrap()]),
            vips: BTreeSet::from([addr("192.0.2.1"), addr("2001:db8::1")]),
        };
        lab.sandbox.ip("addr add 192.0.2.99/32 dev lo");
        let addresses = || output("ip addr show dev lo");
        let ignore = || std::fs::read_to_string("/proc/sys/net/ipv4/conf/all/arp_ignore").unwrap();

        lab.block_on(async {
            let mut role = BackendRole::open(lab.bpffs(), [EDGE.to_owned()]).unwrap();
            role.apply(&desired).await.unwrap();
            role.apply(&desired).await.unwrap();
            assert_eq!(role.states()[EDGE], LinkState::Native);
        });
        let shown = addresses();
        assert!(
            shown.contains("192.0.2.1/32") && shown.contains("2001:db8::1/128"),
            "{shown}"
        );
        assert!(shown.contains("nodad"), "{shown}");
        assert_eq!(ignore().trim(), "1");

        lab.block_on(async {
            let mut role = BackendRole::open(lab.bpffs(), [EDGE.to_owned()]).unwrap();
            let fewer = BackendDesired {
                vips: BTreeSet::from([addr("192.0.2.1")]),
                ..desired.clone()
            };
            role.apply(&fewer).await.unwrap();
            assert!(!addresses().contains("2001:db8::1"));
            role.withdraw().await.unwrap();
        });
        let shown = addresses();
        assert!(!shown.contains("192.0.2.1/32"), "{shown}");
        assert!(shown.contains("192.0.2.99/32"), "somebody else's stays");
        assert_eq!(bpf_user::xdp_on(edge().index).unwrap(), None);
    });
}

#[test]
fn a_balancer_that_is_taken_off_leaves_its_interfaces_alone() {
    lab::run(|lab| {
        let balancer = lab.start();
        lab.block_on(async {
            lab::until(&balancer, |state| {
                state.interfaces.get(EDGE) == Some(&LinkState::Native)
            })
            .await;
            balancer.take_off().await.unwrap();
            lab::until(&balancer, |state| state.interfaces.is_empty()).await;
        });

        assert_eq!(bpf_user::xdp_on(edge().index).unwrap(), None);
    });
}

#[test]
fn tables_of_version_0_are_taken_over_with_their_flows() {
    lab::run(|lab| {
        let key = FlowKey {
            service: 5,
            addr: mapped(addr("198.51.100.1")),
            port: 999u16.to_be_bytes(),
            pad: [0; 2],
        };
        lab.pin_version_zero(&key);
        let ran = bpf_user::xdp_on(edge().index).unwrap().unwrap().program;

        let tables = lab.tables();

        assert_eq!(
            (tables.slot(65).current(), tables.slot(65).previous()),
            (4, 3)
        );
        assert!(tables.slot(65).is_open());
        assert_eq!(tables.slot(64), Slot::settled(3));
        assert_eq!(tables.backend(3).addr, mapped(addr("10.0.0.2")));
        assert_eq!(tables.vip_table(), VipTable::new(0, 2, 1));
        assert_eq!(tables.epoch(), 41);
        let flows = tables.flows(None).unwrap().entries;
        let kept = FlowState {
            backend: 3,
            isn: 77,
            seen: 41,
            confirmed: 1,
        };
        assert_eq!(flows, [(key, kept)]);
        let runs = bpf_user::xdp_on(edge().index).unwrap().unwrap().program;
        assert_ne!(runs, ran);
        assert_eq!(runs, tables.program().id());
        assert_eq!(tables.pins().versions().unwrap(), [1], "version 0 is gone");
    });
}

#[test]
fn tables_of_another_size_are_refused_by_name() {
    lab::run(|lab| {
        drop(lab.tables());
        let mut sizes = lab::sizes();
        sizes.capacity.slots *= 2;

        let refused = Tables::open(lab.bpffs(), &sizes, &lab::outer());

        let message = refused.err().unwrap().to_string();
        assert!(message.starts_with("map slots: max_entries"), "{message}");
    });
}

#[test]
fn the_balancer_works_on_linux_6_1() {
    pass_on("6.1");
}

#[test]
fn the_balancer_works_on_linux_6_12() {
    pass_on("6.12");
}

/// What depends on the kernel most: links, routes, drivers and the packets' way through them.
fn pass_on(kernel: &str) {
    if let Err(why) = xdp_l4lb::object() {
        return sandbox::skip(why);
    }
    let guest = Guest {
        tools: &["ethtool"],
        only: &[
            "a_backend_takes_packets_for_its_vips_and_tells_nobody_of_them",
            "traffic::a_connection_to_a_vip_is_served_by_the_backend_behind_it",
            "traffic::a_packet_is_redirected_whole_to_a_backend_behind_another_interface",
            "an_interface_that_vanishes_and_returns_gets_its_program_back",
            "tables_of_version_0_are_taken_over_with_their_flows",
        ],
        ..Guest::default()
    };
    guest.pass_on(kernel);
}

fn backend_record(text: &str) -> BackendRecord {
    BackendRecord {
        addr: mapped(addr(text)),
        mode: BackendMode::new(BACKEND_LIVE, 0, 1500).word(),
        port: [0; 2],
        pad: [0; 2],
        next_hop: 0,
        reserved: [0; 4],
    }
}
