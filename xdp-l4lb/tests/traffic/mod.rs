//! Packets from a client through the balancer to a backend.

use std::net::UdpSocket;

use xdp_l4lb::{DecapCounters, Inspector};
use xdp_l4lb_common::layout::DecapCounter;

use crate::lab::{self, EDGE, delta, mac_of, service};

#[test]
fn a_connection_to_a_vip_is_served_by_the_backend_behind_it() {
    lab::run(|lab| {
        let client = lab.add_client();
        let server = lab.serve("192.0.2.1:8080", "10.0.0.1/32");
        let balancer = lab.start_on(&[EDGE, lab::UPLINK]);
        let web = service(&["192.0.2.1:8080/TCP"], &["10.0.0.2:8080"]);
        lab.block_on(async {
            balancer.change(delta("web", web)).await.unwrap();
            lab::until(&balancer, |state| !state.ready.is_empty()).await;
        });

        let answer = client.run(|| lab::fetch("192.0.2.1:8080"));

        assert_eq!(answer.unwrap(), "served");
        server.run(|| ());
        let kernel = Inspector::open(lab.bpffs()).unwrap();
        let services = kernel.services().unwrap();
        let traffic: u64 = services.iter().map(|service| service.traffic.packets).sum();
        assert!(traffic >= 3, "SYN, ACK, FIN: {traffic}");
        assert_eq!(
            kernel.backends().unwrap()[0].traffic.packets,
            traffic,
            "each packet went to the one backend"
        );
        let taken = DecapCounters::read(&lab.folder("backend")).unwrap();
        let decapsulated = (DecapCounter::Decapsulated, traffic);
        assert!(taken.others.contains(&decapsulated), "{taken:?}");
    });
}

#[test]
fn a_packet_is_redirected_whole_to_a_backend_behind_another_interface() {
    lab::run(|lab| {
        let client = lab.add_client();
        let (beyond, capture) = lab.add_listener();
        let stations = [mac_of(&beyond, "beyond"), lab::mac_here("second")];
        let balancer = lab.start_on(&[lab::UPLINK]);
        let web = service(&["192.0.2.1:8080/UDP"], &["10.2.0.2:8080"]);
        lab.block_on(async {
            balancer.change(delta("web", web)).await.unwrap();
            lab::until(&balancer, |state| !state.ready.is_empty()).await;
        });
        let payload = [0x5a; 1400];

        let port = client.run(move || {
            let socket = UdpSocket::bind("10.1.0.2:0").unwrap();
            socket.send_to(&payload, "192.0.2.1:8080").unwrap();
            socket.local_addr().unwrap().port()
        });

        let frame = beyond.run(move || lab::captured(&capture, 4));
        let [outer, inner] = [&frame[14..34], &frame[34..54]];
        assert_eq!(frame[..12], stations.concat());
        assert_eq!(frame[12..14], [8, 0]);
        assert_eq!((outer[9], &outer[16..]), (4, &[10, 2, 0, 2][..]));
        assert_eq!(outer[12..16], [10, 0, 0, 1], "the balancer's own");
        assert_eq!((inner[9], &inner[12..16]), (17, &[10, 1, 0, 2][..]));
        assert_eq!(inner[16..], [192, 0, 2, 1]);
        assert_eq!(frame[54..56], port.to_be_bytes());
        assert_eq!(frame[56..58], 8080u16.to_be_bytes());
        assert_eq!(frame[62..], payload);
        let backends = Inspector::open(lab.bpffs()).unwrap().backends().unwrap();
        assert_eq!(backends[0].traffic.packets, 1);
    });
}
