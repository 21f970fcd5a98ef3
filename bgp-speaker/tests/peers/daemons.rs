//! BIRD, FRR and GoBGP on their side of the lab, AS 65002.

use crate::lab::{
    Lab, OUR_LINK_LOCAL, OUR_V4, OUR_V6, THEIR_LINK_LOCAL, THEIR_V4, THEIR_V6, output, until,
};

const ZEBRA: &str = "/usr/lib/frr/zebra";
const BGPD: &str = "/usr/lib/frr/bgpd";

/// Which speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Daemon {
    Bird,
    Frr,
    Gobgp,
}

/// How the two sides reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    V4,
    V6,
    LinkLocal,
}

/// What differs from one test to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) over: Over,
    pub(crate) password: Option<&'static str>,
    /// Wait for us to dial.
    pub(crate) passive: bool,
    pub(crate) hold_secs: u16,
}

impl Over {
    pub(crate) fn ours(self) -> &'static str {
        match self {
            Self::V4 => OUR_V4,
            Self::V6 => OUR_V6,
            Self::LinkLocal => OUR_LINK_LOCAL,
        }
    }

    pub(crate) fn theirs(self) -> &'static str {
        match self {
            Self::V4 => THEIR_V4,
            Self::V6 => THEIR_V6,
            Self::LinkLocal => THEIR_LINK_LOCAL,
        }
    }
}

impl Settings {
    pub(crate) fn over(over: Over) -> Self {
        Self {
            over,
            password: None,
            passive: true,
            hold_secs: 30,
        }
    }
}

impl Daemon {
    pub(crate) const ALL: [Self; 3] = [Self::Bird, Self::Frr, Self::Gobgp];

    pub(crate) fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Bird => &["bird", "birdc"],
            Self::Frr => &[ZEBRA, BGPD, "vtysh"],
            Self::Gobgp => &["gobgpd", "gobgp"],
        }
    }

    /// Starts it, with a route of each family: 198.51.100.0/24 and 2001:db8:2::/48.
    pub(crate) fn start(self, lab: &mut Lab, settings: Settings) {
        match self {
            Self::Bird => start_bird(lab, settings),
            Self::Frr => start_frr(lab, settings),
            Self::Gobgp => start_gobgp(lab, settings),
        }
    }

    /// What it says about a route; nothing about a route that it does not have.
    pub(crate) fn route(self, lab: &Lab, prefix: &str) -> String {
        let text = match self {
            Self::Bird => birdc(lab, &["show", "route", prefix, "all"]),
            Self::Frr => {
                let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
                vtysh(lab, &format!("show bgp {family} unicast {prefix}"))
            }
            Self::Gobgp => {
                let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
                gobgp(lab, &["global", "rib", "-a", family, prefix])
            }
        };
        let none = ["not found", "not in table"];
        if none.iter().any(|none| text.contains(none)) {
            String::new()
        } else {
            text
        }
    }

    pub(crate) fn until_route(self, lab: &Lab, prefix: &str) -> String {
        until(&format!("{self:?} has {prefix}"), || {
            let text = self.route(lab, prefix);
            if text.contains("65001") {
                Ok(text)
            } else {
                Err(format!("{text}\n{}", self.peer(lab)))
            }
        })
    }

    pub(crate) fn until_no_route(self, lab: &Lab, prefix: &str) {
        until(&format!("{self:?} does not have {prefix}"), || {
            let text = self.route(lab, prefix);
            if text.is_empty() { Ok(()) } else { Err(text) }
        });
    }

    /// What it says about the session with us.
    pub(crate) fn peer(self, lab: &Lab) -> String {
        match self {
            Self::Bird => birdc(lab, &["show", "protocols", "all", "edge"]),
            Self::Frr => vtysh(lab, "show bgp neighbors"),
            Self::Gobgp => gobgp(lab, &["neighbor"]),
        }
    }

    /// How many routes, or UPDATEs, it says have come from us.
    pub(crate) fn updates_received(self, lab: &Lab) -> u32 {
        let (label, column) = match self {
            Self::Bird => ("Import updates:", 0),
            Self::Frr | Self::Gobgp => ("Updates:", 1),
        };
        self.peer(lab)
            .lines()
            .filter_map(|line| line.trim().strip_prefix(label))
            .filter_map(|numbers| numbers.split_whitespace().nth(column)?.parse::<u32>().ok())
            .sum()
    }

    /// Asks us for all routes again.
    pub(crate) fn refresh(self, lab: &Lab) {
        match self {
            Self::Bird => drop(birdc(lab, &["reload", "in", "edge"])),
            Self::Frr => drop(vtysh(lab, "clear bgp * in")),
            Self::Gobgp => panic!("GoBGP never asks"),
        }
    }
}

fn start_bird(lab: &mut Lab, settings: Settings) {
    let over = settings.over;
    let (scope, source) = match over {
        Over::LinkLocal => ("%eth0", ""),
        Over::V4 | Over::V6 => ("", over.theirs()),
    };
    let (ours, hold) = (over.ours(), settings.hold_secs);
    let passive = if settings.passive { "on" } else { "off" };
    let password = settings
        .password
        .map(|it| format!("password \"{it}\";"))
        .unwrap_or_default();
    let extended = if over == Over::V4 { "off" } else { "on" };
    let config = lab.write(
        "bird.conf",
        &format!(
            "router id 10.9.0.2; debug protocols {{ states, events }};
             log \"{log}\" all;
             protocol device {{ scan time 1; }}
             protocol static v4 {{ ipv4; route 198.51.100.0/24 blackhole; }}
             protocol static v6 {{ ipv6; route 2001:db8:2::/48 blackhole; }}
             protocol bgp edge {{
               local {source} as 65002; neighbor {ours}{scope} as 65001;
               hold time {hold}; connect delay time 1; connect retry time 2; error wait time 1, 2;
               graceful restart on; passive {passive}; {password}
               ipv4 {{ import all; export where source = RTS_STATIC; extended next hop {extended}; }};
               ipv6 {{ import all; export where source = RTS_STATIC; }};
             }}",
            log = lab.path("bird.log").display(),
        ),
    );
    let socket = lab.path("bird.ctl").to_str().unwrap().to_owned();
    lab.start("bird", &["-f", "-c", &config, "-s", &socket]);
    until("BIRD answers", || {
        let text = birdc(lab, &["show", "status"]);
        if text.contains("Daemon is up") {
            Ok(())
        } else {
            Err(text)
        }
    });
}

fn birdc(lab: &Lab, command: &[&str]) -> String {
    let socket = lab.path("bird.ctl");
    let socket = socket.to_str().unwrap();
    output("birdc", &[&["-s", socket], command].concat())
}

fn start_frr(lab: &mut Lab, settings: Settings) {
    let ours = settings.over.ours();
    let mut options = String::new();
    let mut option = |text: &str| options.push_str(&format!(" neighbor {ours} {text}\n"));
    if settings.over == Over::LinkLocal {
        option("interface eth0");
    }
    if settings.over != Over::V4 {
        option("capability extended-nexthop");
    }
    if settings.passive {
        option("passive");
    }
    if let Some(password) = settings.password {
        option(&format!("password {password}"));
    }
    let config = format!(
        "router bgp 65002\n bgp router-id 10.9.0.2\n no bgp ebgp-requires-policy\n \
         no bgp default ipv4-unicast\n no bgp network import-check\n bgp graceful-restart\n \
         neighbor {ours} remote-as 65001\n neighbor {ours} timers 10 {hold}\n \
         neighbor {ours} timers connect 2\n neighbor {ours} advertisement-interval 0\n\
         {options} \
         address-family ipv4 unicast\n  network 198.51.100.0/24\n  neighbor {ours} activate\n \
         exit-address-family\n \
         address-family ipv6 unicast\n  network 2001:db8:2::/48\n  neighbor {ours} activate\n \
         exit-address-family\nexit\n",
        hold = settings.hold_secs,
    );
    let config = lab.write("bgpd.conf", &config);
    let empty = lab.write("zebra.conf", "");
    let folder = lab.folder.path().to_str().unwrap().to_owned();
    // FRR gives up root for a user of its own.
    assert!(output("chown", &["-R", "frr:frr", &folder]).is_empty());
    let socket = lab.path("zserv.api").to_str().unwrap().to_owned();
    let common = ["-z", &socket, "--vty_socket", &folder];
    let pid = |name: &str| lab.path(name).to_str().unwrap().to_owned();
    let (zebra_pid, bgpd_pid) = (pid("zebra.pid"), pid("bgpd.pid"));
    lab.start(
        ZEBRA,
        &[&common[..], &["-f", &empty, "-i", &zebra_pid]].concat(),
    );
    until("zebra listens", || {
        let there = lab.path("zserv.api").exists();
        if there { Ok(()) } else { Err(String::new()) }
    });
    lab.start(
        BGPD,
        &[&common[..], &["-f", &config, "-i", &bgpd_pid]].concat(),
    );
    until("bgpd answers", || {
        let text = vtysh(lab, "show bgp summary");
        if text.contains("65001") {
            Ok(())
        } else {
            Err(text)
        }
    });
}

fn vtysh(lab: &Lab, command: &str) -> String {
    let folder = lab.folder.path().to_str().unwrap();
    output("vtysh", &["--vty_socket", folder, "-c", command])
}

fn start_gobgp(lab: &mut Lab, settings: Settings) {
    let ours = settings.over.ours();
    let password = settings
        .password
        .map(|it| format!("auth-password = \"{it}\""))
        .unwrap_or_default();
    let families: String = ["ipv4-unicast", "ipv6-unicast"]
        .map(|name| {
            format!(
                "[[neighbors.afi-safis]]\n\
                 [neighbors.afi-safis.config]\nafi-safi-name = \"{name}\"\n\
                 [neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n"
            )
        })
        .concat();
    let config = format!(
        "[global.config]\nas = 65002\nrouter-id = \"10.9.0.2\"\n\
         [[neighbors]]\n[neighbors.config]\nneighbor-address = \"{ours}\"\npeer-as = 65001\n\
         {password}\n\
         [neighbors.transport.config]\npassive-mode = {passive}\n\
         [neighbors.timers.config]\nhold-time = {hold}\nkeepalive-interval = 10\n\
         connect-retry = 2\nidle-hold-time-after-reset = 1\n\
         [neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 60\n{families}",
        passive = settings.passive,
        hold = settings.hold_secs,
    );
    let config = lab.write("gobgpd.toml", &config);
    lab.start("gobgpd", &["-t", "toml", "-f", &config]);
    until("gobgpd answers", || {
        let text = gobgp(lab, &["neighbor"]);
        if text.contains("65001") {
            Ok(())
        } else {
            Err(text)
        }
    });
    gobgp(lab, &["global", "rib", "add", "198.51.100.0/24"]);
    let v6 = ["global", "rib", "add", "-a", "ipv6", "2001:db8:2::/48"];
    gobgp(lab, &[&v6[..], &["nexthop", THEIR_V6]].concat());
}

fn gobgp(lab: &Lab, command: &[&str]) -> String {
    let inside = ["netns", "exec", &lab.theirs, "gobgp"];
    output("ip", &[&inside[..], command].concat())
}
