//! One edge and one host behind it: a veth between the test's namespace and a peer's.

mod zero;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroU8;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bpf_user::{AttachMode, Interface, MapKind, MapSpec, Object, PinDir, Program, Table};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike as _};
use tokio::runtime::Runtime;
use types::{BackendAddr, ObjectName, Vip};
use xdp_l4lb::{
    BackendDesired, BackendRole, Balancer, BalancerConfig, Inspector, LinkState, Outer, Sizes,
    Sources, State, Tables,
};
use xdp_l4lb_common::layout::{FlowKey, FlowState, Slot};
use xdp_l4lb_core::Capacity;
use xdp_l4lb_core::desired::{Backend, Check, CheckKind, Delta, Service, ServiceKey};

use crate::object::xdp_object;
use crate::sandbox::{self, Peer, Sandbox};

/// The interface that the program is on.
pub(crate) const EDGE: &str = "edge";

/// Where a client is.
pub(crate) const UPLINK: &str = "uplink";

/// How long a test waits for something that should come at once.
const LIMIT: Duration = Duration::from_secs(30);

/// The namespaces of one test.
pub(crate) struct Lab<'s> {
    pub(crate) sandbox: &'s Sandbox,
    pub(crate) peer: Peer,
    runtime: Runtime,
}

/// Runs a test with `edge` (10.0.0.1) connected to `far` (10.0.0.2), or says why it cannot.
pub(crate) fn run(test: impl FnOnce(&Lab<'_>) + Send + 'static) {
    sandbox::run(|sandbox| {
        if let Err(why) = xdp_l4lb::object() {
            return sandbox::skip(why);
        }
        let lab = Lab {
            sandbox,
            peer: sandbox.peer(),
            runtime: runtime(),
        };
        lab.connect();
        test(&lab);
    });
}

/// Waits until the state is as wanted.
pub(crate) async fn until(balancer: &Balancer, wanted: impl Fn(&State) -> bool) {
    let mut state = balancer.state();
    let waited = tokio::time::timeout(LIMIT, state.wait_for(|state| wanted(state))).await;
    let reached = matches!(waited, Ok(Ok(_)));
    drop(waited);
    assert!(reached, "waited in vain: {:#?}", balancer.state().borrow());
}

/// Lets the balancer work for a while, for a test that nothing happens.
pub(crate) async fn work(balancer: &Balancer, time: Duration) {
    let mut state = balancer.state();
    let ended = tokio::time::timeout(time, state.wait_for(|_| false)).await;
    assert!(ended.is_err(), "the balancer runs on");
}

impl Lab<'_> {
    /// Makes the veth, also after it was removed.
    pub(crate) fn connect(&self) {
        self.sandbox.veth(EDGE, &self.peer, "far");
        self.sandbox.ip("addr add 10.0.0.1/24 dev edge");
        self.peer.ip("addr add 10.0.0.2/24 dev far");
    }

    pub(crate) fn bpffs(&self) -> &Path {
        self.sandbox.bpffs()
    }

    pub(crate) fn tables(&self) -> Tables {
        Tables::open(self.bpffs(), &sizes(), &outer()).expect("the tables open")
    }

    /// The flow table, as the program writes it.
    pub(crate) fn flows(&self) -> Table<FlowKey, FlowState> {
        let pins = PinDir::at(self.bpffs(), 1).expect("a bpffs");
        let spec = MapSpec::new::<FlowKey, FlowState>("flows", MapKind::Hash, sizes().flows);
        Table::open(&spec, &pins).expect("the flow table")
    }

    pub(crate) fn start(&self) -> Balancer {
        self.start_on(&[EDGE])
    }

    pub(crate) fn start_on(&self, interfaces: &[&str]) -> Balancer {
        let config = BalancerConfig {
            bpffs: self.bpffs().to_owned(),
            interfaces: interfaces.iter().map(|name| (*name).to_owned()).collect(),
            attach_mode: AttachMode::Auto,
            sizes: sizes(),
            outer: outer(),
            maglev_seed: 0,
            probe_sources: Sources::default(),
        };
        self.block_on(Balancer::start(config))
            .expect("the balancer starts")
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Waits until `condition` gives a value, and lets the balancer work meanwhile.
    pub(crate) fn wait_for<T>(&self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = condition() {
                return value;
            }
            assert!(start.elapsed() < LIMIT, "waited in vain for {what}");
            self.block_on(async { tokio::time::sleep(Duration::from_millis(5)).await });
        }
    }

    pub(crate) fn slots(&self, of: &str) -> Vec<Slot> {
        let kernel = Inspector::open(self.bpffs()).expect("pinned tables");
        let slots = kernel.maglev(&vip(of)).expect("readable tables");
        slots.expect("the service is in the kernel")
    }

    /// A client at 10.1.0.2 that reaches VIPs through the edge, and gets answers through it.
    pub(crate) fn add_client(&self) -> Peer {
        let client = self.sandbox.peer();
        self.sandbox.veth(UPLINK, &client, "client");
        self.sandbox.ip("addr add 10.1.0.1/24 dev uplink");
        client.ip("addr add 10.1.0.2/24 dev client");
        client.ip("route add 192.0.2.0/24 via 10.1.0.1");
        self.peer.ip("route add 10.1.0.0/24 via 10.0.0.1");
        // A veth leaves checksums to a device that XDP never reaches.
        client.run(|| output("ethtool -K client tx off tso off gso off"));
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("forwarding");
        for interface in ["all", EDGE, UPLINK] {
            // Answers come from a VIP's address, to which the edge itself has no way back.
            let path = format!("/proc/sys/net/ipv4/conf/{interface}/rp_filter");
            std::fs::write(path, "0").expect("a setting");
        }
        client
    }

    /// A host at 10.2.0.2, behind an interface without a program, and a capture of what it gets.
    pub(crate) fn add_listener(&self) -> (Peer, OwnedFd) {
        let beyond = self.sandbox.peer();
        let pair = "link add second type veth peer name beyond netns";
        self.sandbox.ip(&format!("{pair} {}", beyond.tid()));
        // A veth takes redirected frames only where its other end polls, which GRO makes it do.
        // It has to be on before either end is up.
        beyond.run(|| output("ethtool -K beyond gro on"));
        self.sandbox.ip("link set second up");
        beyond.ip("link set beyond up");
        self.sandbox.ip("addr add 10.2.0.1/24 dev second");
        beyond.ip("addr add 10.2.0.2/24 dev beyond");
        let capture = beyond.run(|| {
            let flags = SockFlag::SOCK_CLOEXEC;
            let all = SockProtocol::EthAll;
            let socket = socket(AddressFamily::Packet, SockType::Raw, flags, all);
            let socket = socket.expect("a packet socket");
            let limit = TimeVal::seconds(LIMIT.as_secs().cast_signed());
            setsockopt(&socket, ReceiveTimeout, &limit).expect("a limit");
            socket
        });
        (beyond, capture)
    }

    /// Makes the host behind the edge a real server for one connection to a VIP.
    pub(crate) fn serve(&self, vip: &'static str, balancer: &'static str) -> &Peer {
        let bpffs = self.folder("backend");
        let at: SocketAddr = vip.parse().expect("a VIP's socket");
        self.peer.run(move || {
            let runtime = runtime();
            let desired = BackendDesired {
                balancers: BTreeSet::from([balancer.parse().expect("a prefix")]),
                vips: BTreeSet::from([at.ip()]),
            };
            runtime.block_on(async {
                let mut role = BackendRole::open(&bpffs, ["far".to_owned()]).expect("it opens");
                role.apply(&desired).await.expect("it is applied");
                assert_eq!(role.states()["far"], LinkState::Native);
            });
            let listener = TcpListener::bind(at).expect("the VIP is on lo");
            std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("a connection");
                stream.write_all(b"served").expect("answered");
            });
        });
        &self.peer
    }

    /// Puts a program of somebody else on an interface.
    pub(crate) fn occupy(&self, interface: &str, name: &str) -> Program {
        let object = Object {
            elf: &xdp_object(name, 2, &[]),
            maps: &[],
            others: &[],
        };
        let pins = PinDir::at(&self.folder("theirs"), 1).expect("a bpffs");
        let program = bpf_user::load(&object, name, &pins).expect("it loads");
        bpf_user::attach(
            &pins,
            &program,
            &self::interface(interface),
            AttachMode::Auto,
        )
        .expect("it attaches");
        program
    }

    /// A folder of its own in the bpffs.
    pub(crate) fn folder(&self, name: &str) -> std::path::PathBuf {
        let folder = self.bpffs().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }
}

/// Small tables, so that a test costs little memory.
pub(crate) fn sizes() -> Sizes {
    Sizes {
        capacity: Capacity {
            buckets: 64,
            services: 256,
            slots: 1 << 14,
            backends: 256,
        },
        flows: 1024,
    }
}

pub(crate) fn outer() -> Outer {
    Outer {
        v4: (Ipv4Addr::new(10, 0, 0, 1), 32),
        v6: Ipv6Addr::LOCALHOST,
        error_rate: 100,
    }
}

pub(crate) fn delta(name: &str, service: Service) -> Delta {
    Delta {
        services: BTreeMap::from([(key(name), Some(service))]),
    }
}

pub(crate) fn key(name: &str) -> ServiceKey {
    ServiceKey {
        object: ObjectName::new("shop", name),
        port: "http".into(),
    }
}

pub(crate) fn service(frontends: &[&str], backends: &[&str]) -> Service {
    let backend = |text: &&str| {
        let addr: BackendAddr = text.parse().expect("a backend");
        (addr, Backend::default())
    };
    Service {
        frontends: frontends.iter().map(|text| vip(text)).collect(),
        backends: backends.iter().map(backend).collect(),
        ..Service::default()
    }
}

/// A check that comes to its verdicts at once.
pub(crate) fn quick_check() -> Check {
    Check {
        kind: CheckKind::Tcp,
        port: None,
        interval: Duration::from_millis(200),
        timeout: Duration::from_millis(200),
        rise: NonZeroU8::MIN,
        fall: NonZeroU8::MIN,
    }
}

pub(crate) fn vip(text: &str) -> Vip {
    text.parse().expect("a VIP")
}

pub(crate) fn addr(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(crate) fn edge() -> Interface {
    interface(EDGE)
}

fn interface(name: &str) -> Interface {
    Interface {
        name: name.into(),
        index: nix::net::if_::if_nametoindex(name).expect("the interface"),
    }
}

/// What a server answers to a connection.
pub(crate) fn fetch(from: &str) -> std::io::Result<String> {
    let from = from.parse().expect("a socket");
    let mut stream = TcpStream::connect_timeout(&from, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// The first captured frame with an IPv4 packet of this protocol.
pub(crate) fn captured(capture: &OwnedFd, proto: u8) -> Vec<u8> {
    let mut frame = vec![0; 4096];
    loop {
        let len = recv(capture.as_raw_fd(), &mut frame, MsgFlags::empty());
        let len = len.expect("a frame in time");
        let read = frame.get(..len).expect("no longer than there was room");
        if read.get(12..14) == Some(&[8, 0]) && read.get(23) == Some(&proto) {
            return read.to_vec();
        }
    }
}

/// What a shell command prints, in this thread's namespaces.
pub(crate) fn output(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output();
    String::from_utf8(output.expect("sh runs").stdout).expect("text")
}

/// An interface's own address in a peer.
pub(crate) fn mac_of(peer: &Peer, interface: &'static str) -> [u8; 6] {
    peer.run(move || mac_here(interface))
}

/// An interface's own address in this thread's namespace.
pub(crate) fn mac_here(interface: &str) -> [u8; 6] {
    let shown = output(&format!("ip -o link show {interface}"));
    let (_, rest) = shown.split_once("link/ether ").expect("an Ethernet link");
    let octets = rest.split([' ', ':']).take(6);
    let octets: Vec<u8> = octets
        .map(|octet| u8::from_str_radix(octet, 16).expect("hexadecimal"))
        .collect();
    octets.try_into().expect("six octets")
}
