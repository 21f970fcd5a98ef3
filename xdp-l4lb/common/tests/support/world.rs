//! One balancer with a service of each kind.

use wire::tcp_flags;
use xdp_l4lb_common::layout::{
    BACKEND_LIVE, BACKEND_OFF_LINK, BackendMode, ENCAP_IP, NextHop, PROTO_TCP, PROTO_UDP,
    SERVICE_REFUSE, Slot, SlotTable,
};

use super::packets::{between, ip_of, tagged};
use super::tables::Tables;

/// Clients.
pub(crate) const CLIENT: &str = "198.51.100.7";
pub(crate) const CLIENT_6: &str = "2001:db8:c::7";
/// Addresses with services: port 80 of both families goes to an IPv4 and to an IPv6 backend.
pub(crate) const VIP: &str = "192.0.2.10";
pub(crate) const VIP_6: &str = "2001:db8:10::1";
/// Its backend's family is the other one.
pub(crate) const CROSS: &str = "192.0.2.11";
pub(crate) const CROSS_6: &str = "2001:db8:10::2";

/// Ports of [`VIP`] and [`VIP_6`], by what is behind them.
pub(crate) mod port {
    /// An on-link backend through the interface the packets come from; TCP and UDP.
    pub(crate) const WEB: u16 = 80;
    /// A backend behind a router.
    pub(crate) const OFF_LINK: u16 = 81;
    /// A backend through another interface.
    pub(crate) const ELSEWHERE: u16 = 82;
    /// No slots; drops.
    pub(crate) const EMPTY: u16 = 83;
    /// No slots; refuses.
    pub(crate) const REFUSING: u16 = 84;
    /// A backend that is gone.
    pub(crate) const GONE: u16 = 85;
    /// A backend without a next hop.
    pub(crate) const UNRESOLVED: u16 = 86;
    /// Open slots: new flows to [`super::World::new`], others to [`super::World::old`].
    pub(crate) const CHANGING: u16 = 87;
    /// A way of 576 bytes (IPv4) or of 1280 (IPv6).
    pub(crate) const NARROW: u16 = 88;
    /// A backend through a link that is not there.
    pub(crate) const NO_LINK: u16 = 89;
    /// Nothing.
    pub(crate) const UNSERVED: u16 = 9999;
}

/// Tables, and the ids of two backends in them.
pub(crate) struct World {
    pub(crate) tables: Tables,
    /// IPv4's, behind [`port::CHANGING`].
    pub(crate) old: u32,
    pub(crate) new: u32,
}

/// The stations of backends.
pub(crate) const NEAR: [u8; 6] = [2, 0, 0, 0, 0, 0x05];
pub(crate) const FAR: [u8; 6] = [2, 0, 0, 0, 0, 0xff];

impl World {
    pub(crate) fn new() -> Self {
        let mut tables = Tables::new();
        let (mut old, mut new) = (0, 0);
        let families = [(VIP_6, "fd01::5", 1280), (VIP, "10.1.0.5", 576)];
        for (vip, addr, narrow) in families {
            let near = NextHop::new(1, NEAR);
            let ways = [
                (port::WEB, BACKEND_LIVE, 1500, near),
                (
                    port::OFF_LINK,
                    BACKEND_LIVE | BACKEND_OFF_LINK,
                    1500,
                    NextHop::new(1, [0; 6]),
                ),
                (port::ELSEWHERE, BACKEND_LIVE, 1500, NextHop::new(2, FAR)),
                (port::GONE, 0, 1500, near),
                (port::UNRESOLVED, BACKEND_LIVE, 1500, NextHop::NONE),
                (port::NARROW, BACKEND_LIVE, narrow, near),
                (port::NO_LINK, BACKEND_LIVE, 1500, NextHop::new(999, NEAR)),
            ];
            for (port, flags, mtu, hop) in ways {
                let id = tables.backend(addr, BackendMode::new(flags, ENCAP_IP, mtu), hop);
                let table = tables.table(&[Slot::settled(id)]);
                tables.service(vip, port, PROTO_TCP, 0, table);
                tables.service(vip, port, PROTO_UDP, 0, table);
            }
            tables.service(vip, port::EMPTY, PROTO_TCP, 0, SlotTable::NONE);
            for proto in [PROTO_TCP, PROTO_UDP] {
                tables.service(vip, port::REFUSING, proto, SERVICE_REFUSE, SlotTable::NONE);
            }
            let live = BackendMode::new(BACKEND_LIVE, ENCAP_IP, 1500);
            old = tables.backend(addr, live, near);
            new = tables.backend(addr, live, NextHop::new(1, [2, 0, 0, 0, 0, 0x06]));
            let slot = Slot::settled(old).with_current(new).with_open(true);
            let table = tables.table(&[slot]);
            tables.service(vip, port::CHANGING, PROTO_TCP, 0, table);
            tables.service(vip, port::CHANGING, PROTO_UDP, 0, table);
        }
        for (vip, addr) in [(CROSS, "fd01::5"), (CROSS_6, "10.1.0.5")] {
            let live = BackendMode::new(BACKEND_LIVE, ENCAP_IP, 1500);
            let id = tables.backend(addr, live, NextHop::new(1, NEAR));
            let table = tables.table(&[Slot::settled(id)]);
            tables.service(vip, port::WEB, PROTO_TCP, 0, table);
        }
        Self { tables, old, new }
    }
}

/// Client and VIP of each family.
pub(crate) const FAMILIES: [(&str, &str); 2] = [(CLIENT, VIP), (CLIENT_6, VIP_6)];

/// An ICMP error from a router to the VIP, about a packet that the VIP sent to the client.
pub(crate) fn error_about(client: &str, vip: &str, ports: (u16, u16)) -> Vec<u8> {
    let sent = between(vip, client).tcp(ports, tcp_flags::ACK, 1, &[0; 40]);
    let v6 = vip.contains(':');
    let router = if v6 { "2001:db8:f::1" } else { "203.0.113.1" };
    let (kind, code) = if v6 { (2, 0) } else { (3, 4) };
    let rest = [0, 0, 5, 0];
    between(router, vip).icmp(kind, code, rest, ip_of(&sent))
}

/// Packets of every kind, by a name.
pub(crate) fn corpus() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for (client, vip) in FAMILIES {
        let v6 = vip.contains(':');
        let family = if v6 { 6 } else { 4 };
        let mut add = |name: &str, frame: Vec<u8>| all.push((format!("{name}/{family}"), frame));
        let from = between(client, vip);
        for port in 79..=89 {
            let ports = (40_000, port);
            add(&format!("syn to {port}"), from.tcp(ports, 2, 5, &[]));
            add(&format!("ack to {port}"), from.tcp(ports, 16, 6, &[1; 30]));
            add(
                &format!("big to {port}"),
                from.tcp(ports, 16, 7, &[2; 1440]),
            );
            add(&format!("udp to {port}"), from.udp(ports, &[3; 9]));
            let mut padded = from.tcp(ports, 16, 8, &[]);
            padded.extend([0; 6]);
            add(&format!("padded to {port}"), padded);
            add(
                &format!("error about {port}"),
                error_about(client, vip, (port, 40_000)),
            );
        }
        let echo = if v6 { 128 } else { 8 };
        let ping = from.icmp(echo, 0, [1, 2, 0, 3], &[7; 56]);
        add("ping", ping.clone());
        add(
            "ping to nobody",
            between(client, if v6 { "2001:db8::99" } else { "192.0.2.99" }).icmp(
                echo,
                0,
                [0; 4],
                &[],
            ),
        );
        add(
            "odd icmp",
            from.icmp(if v6 { 135 } else { 13 }, 0, [0; 4], &[0; 16]),
        );
        add(
            "unrelated error",
            error_about(client, if v6 { CROSS_6 } else { CROSS }, (81, 1)),
        );
        let web = from.tcp((40_001, 80), 16, 9, &[5; 100]);
        add("one tag", tagged(&web, 1));
        add("two tags", tagged(&web, 2));
        add("sctp", from.frame(132, &[0; 20]));
        let mut still = between(client, vip);
        still.hops = 0;
        add("no hops", still.tcp((1, 80), 16, 1, &[]));
        let mut marked = between(client, vip);
        marked.traffic_class = 0xbb;
        add("marked", marked.udp((5, 80), &[]));
        for len in 0..web.len() {
            add(&format!("cut at {len}"), web[..len].to_vec());
        }
        let odd_sources: &[&str] = if v6 {
            &["::", "ff02::1", "::1"]
        } else {
            &["0.0.0.0", "224.0.0.1", "127.0.0.1", "255.255.255.255"]
        };
        for odd in odd_sources {
            add(
                &format!("ping from {odd}"),
                between(odd, vip).icmp(echo, 0, [0; 4], &[0; 8]),
            );
            add(
                &format!("refused from {odd}"),
                between(odd, vip).udp((5, 84), &[0; 8]),
            );
        }
        let mut grouped = from.icmp(echo, 0, [0; 4], &[0; 8]);
        grouped[0] |= 1;
        add("ping by broadcast", grouped);
    }
    all.extend(odd_v4());
    all.extend(odd_v6());
    let mut arp = vec![0; 42];
    arp[12..14].copy_from_slice(&[8, 6]);
    all.push(("arp".to_owned(), arp));
    all
}

fn odd_v4() -> Vec<(String, Vec<u8>)> {
    let mut options = between(CLIENT, VIP);
    options.options = vec![1; 8];
    let mut first = between(CLIENT, VIP);
    first.fragment = 0x2000;
    let mut later = between(CLIENT, "192.0.2.99");
    later.fragment = 0x0010;
    let mut short = between(CLIENT, VIP).udp((1, 80), &[]);
    short[17] = 24; // The packet ends inside the UDP header.
    let mut version = between(CLIENT, VIP).udp((1, 80), &[]);
    version[14] = 0x55;
    vec![
        (
            "options".to_owned(),
            options.tcp((40_000, 80), 16, 1, &[1; 10]),
        ),
        (
            "options, syn".to_owned(),
            options.tcp((40_000, 87), 2, 1, &[]),
        ),
        (
            "options, ping".to_owned(),
            options.icmp(8, 0, [0; 4], &[0; 8]),
        ),
        (
            "options, unserved".to_owned(),
            options.udp((1, port::UNSERVED), &[]),
        ),
        ("fragment".to_owned(), first.udp((1, 80), &[0; 64])),
        (
            "fragment for nobody".to_owned(),
            later.udp((1, 80), &[0; 64]),
        ),
        ("short length".to_owned(), short),
        ("wrong version".to_owned(), version),
        (
            "cross".to_owned(),
            between(CLIENT, CROSS).tcp((5, 80), 16, 1, &[1; 9]),
        ),
    ]
}

fn odd_v6() -> Vec<(String, Vec<u8>)> {
    let to = || between(CLIENT_6, VIP_6);
    let mut many = to();
    many.extensions = (60, [60, 0, 0, 0, 0, 0, 0, 0].repeat(8));
    let mut mapped = to().udp((1, 80), &[]);
    mapped[38..54].copy_from_slice(&super::tables::ip(VIP));
    let mut quote = to().extended(60, 6);
    quote.src = VIP_6;
    quote.dst = CLIENT_6;
    let quoted = quote.tcp((80, 40_000), 16, 1, &[0; 8]);
    vec![
        (
            "destination options".to_owned(),
            to().extended(60, 6).tcp((40_000, 80), 16, 1, &[1; 10]),
        ),
        (
            "hop-by-hop, udp".to_owned(),
            to().extended(0, 17).udp((1, 80), &[1; 10]),
        ),
        (
            "options, ping".to_owned(),
            to().extended(60, 58).icmp(128, 0, [0; 4], &[0; 8]),
        ),
        (
            "fragment header".to_owned(),
            to().extended(44, 17).udp((1, 80), &[0; 64]),
        ),
        ("many headers".to_owned(), many.udp((1, 80), &[])),
        ("v4-mapped".to_owned(), mapped),
        (
            "error about options".to_owned(),
            between("2001:db8:f::1", VIP_6).icmp(1, 4, [0; 4], ip_of(&quoted)),
        ),
        (
            "cross".to_owned(),
            between(CLIENT_6, CROSS_6).tcp((5, 80), 16, 1, &[1; 9]),
        ),
    ]
}
