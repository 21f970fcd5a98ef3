//! Two network namespaces with a link: ours and theirs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bgp_speaker::{PeerStatus, Speaker};
use bgp_speaker_core::SessionState;
use bgp_speaker_core::desired::{ExportChange, ExportId, Instance, Peer};
use nix::sched::{CloneFlags, setns};
use types::Family;

pub(crate) const OUR_V4: &str = "10.9.0.1";
pub(crate) const OUR_V6: &str = "fd00:9::1";
pub(crate) const OUR_LINK_LOCAL: &str = "fe80::ff:fe00:1";
pub(crate) const THEIR_V4: &str = "10.9.0.2";
pub(crate) const THEIR_V6: &str = "fd00:9::2";
pub(crate) const THEIR_LINK_LOCAL: &str = "fe80::ff:fe00:2";

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(30);

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Two namespaces, a folder, and what runs in them. All of it goes when this does.
pub(crate) struct Lab {
    pub(crate) ours: String,
    pub(crate) theirs: String,
    pub(crate) folder: tempfile::TempDir,
    processes: Vec<Child>,
}

/// A speaker of ours in the lab.
pub(crate) struct Ours {
    pub(crate) speaker: Speaker,
    runtime: tokio::runtime::Runtime,
}

impl Lab {
    /// A lab, unless the test cannot run here.
    pub(crate) fn new(needed: &[&str]) -> Option<Self> {
        if let Some(missing) = missing(needed) {
            let required = std::env::var_os("SLUICE_TEST_REQUIRE").is_some_and(|it| it == "1");
            assert!(!required, "{missing}");
            eprintln!("SKIPPED: {missing}");
            return None;
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("bgp{}-{number}{side}", std::process::id());
        let lab = Self {
            ours: name("o"),
            theirs: name("t"),
            folder: tempfile::tempdir().unwrap(),
            processes: Vec::new(),
        };
        for namespace in [&lab.ours, &lab.theirs] {
            run("ip", &["netns", "add", namespace]);
            run("ip", &["-n", namespace, "link", "set", "lo", "up"]);
        }
        let veth = ["link", "add", "eth0", "netns", &lab.ours, "type", "veth"];
        run(
            "ip",
            &[&veth[..], &["peer", "name", "eth0", "netns", &lab.theirs]].concat(),
        );
        lab.set_up(&lab.ours, "02:00:00:00:00:01", &[OUR_V4, OUR_V6]);
        lab.set_up(&lab.theirs, "02:00:00:00:00:02", &[THEIR_V4, THEIR_V6]);
        // The kernel gives link-local addresses some time after the link is up.
        for (namespace, address) in [(&lab.ours, OUR_LINK_LOCAL), (&lab.theirs, THEIR_LINK_LOCAL)] {
            let show = ["-n", namespace, "-6", "address", "show", "dev", "eth0"];
            until("there is a link-local address", || {
                let text = output("ip", &[&show[..], &["-tentative"]].concat());
                if text.contains(address) {
                    Ok(())
                } else {
                    Err(text)
                }
            });
        }
        Some(lab)
    }

    fn set_up(&self, namespace: &str, mac: &str, addresses: &[&str]) {
        let ip = |arguments: &[&str]| run("ip", &[&["-n", namespace], arguments].concat());
        ip(&["link", "set", "eth0", "address", mac]);
        // Link-local addresses are usable at once.
        let no_dad = "net.ipv6.conf.eth0.accept_dad=0";
        run("ip", &["netns", "exec", namespace, "sysctl", "-qw", no_dad]);
        for address in addresses {
            self.add_address(namespace, address);
        }
        ip(&["link", "set", "eth0", "up"]);
    }

    pub(crate) fn add_address(&self, namespace: &str, address: &str) {
        let (len, flags): (_, &[&str]) = if address.contains(':') {
            ("64", &["nodad"])
        } else {
            ("24", &[])
        };
        let address = format!("{address}/{len}");
        let add = ["-n", namespace, "address", "add", &address, "dev", "eth0"];
        run("ip", &[&add[..], flags].concat());
    }

    pub(crate) fn remove_address(&self, namespace: &str, address: &str) {
        let len = if address.contains(':') { 64 } else { 24 };
        let address = format!("{address}/{len}");
        run(
            "ip",
            &["-n", namespace, "address", "del", &address, "dev", "eth0"],
        );
    }

    /// Starts a program on their side. It ends with the lab, however that ends.
    pub(crate) fn start(&mut self, program: &str, arguments: &[&str]) {
        let log = File::create(self.path(&format!("log{}", self.processes.len()))).unwrap();
        // A shell is the first process of a namespace: when it is killed, all of them are. (The
        // signal for a parent's death is lost to a program that changes its user.)
        let child = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "unshare",
                "--pid",
                "--fork",
                "--kill-child",
            ])
            .args(["ip", "netns", "exec", &self.theirs])
            .args(["sh", "-c", "\"$@\" & wait", "sh", program])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.processes.push(child);
    }

    /// Ends everything that was started on their side.
    pub(crate) fn kill_all(&mut self) {
        for mut child in self.processes.drain(..) {
            let _gone = child.kill();
            let _status = child.wait();
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs `work` on a thread inside a namespace.
    pub(crate) fn inside<T: Send>(&self, namespace: &str, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(Path::new("/run/netns").join(namespace)).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            thread.join().unwrap()
        })
    }

    /// Starts a speaker of ours; routes as [`export`] has them.
    pub(crate) fn speaker(&self, forwarding_preserved: bool, instance: Instance) -> Ours {
        let speaker = self.inside(&self.ours, || Speaker::start(forwarding_preserved).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let ours = Ours { speaker, runtime };
        ours.export(export());
        ours.update(vec![instance]);
        ours
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.kill_all();
        if std::thread::panicking() {
            for entry in std::fs::read_dir(self.folder.path()).unwrap().flatten() {
                let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
                eprintln!("--- {}\n{text}", entry.path().display());
            }
        }
        for namespace in [&self.ours, &self.theirs] {
            let _outcome = Command::new("ip")
                .args(["netns", "del", namespace])
                .status();
        }
    }
}

impl Ours {
    pub(crate) fn update(&self, instances: Vec<Instance>) {
        self.runtime
            .block_on(self.speaker.update(instances))
            .unwrap();
    }

    pub(crate) fn export(&self, changes: Vec<ExportChange>) {
        self.runtime.block_on(self.speaker.export(changes)).unwrap();
    }

    pub(crate) fn end_of_rib_allowed(&self) {
        self.runtime
            .block_on(self.speaker.end_of_rib_allowed())
            .unwrap();
    }

    pub(crate) fn stop(self, exit: bgp_speaker::Exit) {
        self.runtime.block_on(self.speaker.stop(exit));
    }

    pub(crate) fn routes(&self, query: bgp_speaker::RouteQuery) -> Vec<bgp_speaker::RouteStatus> {
        self.runtime.block_on(self.speaker.routes(query)).unwrap()
    }

    /// The only peer.
    pub(crate) fn peer(&self) -> PeerStatus {
        let peers = self.runtime.block_on(self.speaker.peers()).unwrap();
        let [peer] = <[PeerStatus; 1]>::try_from(peers).unwrap();
        peer
    }

    pub(crate) fn until_established(&self) -> PeerStatus {
        until("the session is established", || {
            let peer = self.peer();
            if peer.state == SessionState::Established {
                Ok(peer)
            } else {
                Err(format!("{peer:?}"))
            }
        })
    }
}

/// An instance of AS 65001 with one peer, of AS 65002.
pub(crate) fn instance(peer: Peer) -> Instance {
    Instance {
        name: "edge".into(),
        local_asn: 65001.try_into().unwrap(),
        router_id: u32::from_be_bytes([10, 9, 0, 1]).try_into().unwrap(),
        local_port: None,
        peers: [("tor".into(), peer)].into_iter().collect(),
    }
}

/// A peer of both families that exports [`export`], with short timers.
pub(crate) fn peer(address: &str) -> Peer {
    let mut peer = Peer::new(address.parse().unwrap());
    peer.asn = Some(65002.try_into().unwrap());
    peer.timers.connect_retry = Duration::from_secs(1);
    peer.families = Family::BOTH
        .into_iter()
        .map(|family| (family, Some(ExportId(1))))
        .collect();
    peer
}

/// 192.0.2.1/32 and 2001:db8::1/128, with communities.
pub(crate) fn export() -> Vec<ExportChange> {
    ["192.0.2.1/32", "2001:db8::1/128"].map(announce).to_vec()
}

pub(crate) fn announce(prefix: &str) -> ExportChange {
    ExportChange::Announce {
        export: ExportId(1),
        prefix: prefix.parse().unwrap(),
        attributes: bgp_speaker_core::desired::Attributes {
            communities: [(65001 << 16) | 7].into_iter().collect(),
            large: [(65001, 1, 2)].into_iter().collect(),
            ..Default::default()
        },
    }
}

pub(crate) fn withdraw(prefix: &str) -> ExportChange {
    ExportChange::Withdraw {
        export: ExportId(1),
        prefix: prefix.parse().unwrap(),
    }
}

/// Waits until `probe` succeeds, and says what it said last if that takes too long.
pub(crate) fn until<T>(what: &str, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(last) => assert!(start.elapsed() < LIMIT, "waited until {what}:\n{last}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Checks that `probe` goes on to succeed for a while.
pub(crate) fn for_a_while(what: &str, time: Duration, mut probe: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert!(probe(), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let Output { stdout, stderr, .. } = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

fn missing(needed: &[&str]) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("this test needs root".to_owned());
    }
    let mut programs = vec!["ip", "setpriv", "unshare", "sysctl"];
    programs.extend(needed);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &str| {
        Path::new(program).is_file()
            || std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    programs
        .into_iter()
        .find(|program| !is_there(program))
        .map(|program| format!("this test needs {program}"))
}
