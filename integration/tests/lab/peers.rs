//! BGP peers that misbehave: why is said, and the other session goes on.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use agent_api::{Peer, SessionState};
use anyhow::{Context as _, Result, ensure};
use integration::daemons::Bird;
use integration::lab::Lab;
use integration::topology::Single;
use integration::topology::manifests::{PeerOf, instance, peer_config, pool};
use integration::topology::single::{OTHER_V4, RACK_MTU};
use integration::{lab, until};

use crate::node::{METRICS, Node, PATIENCE, ROUTER, VIPS, metrics, web};

/// The peer that misbehaves.
const OTHER: PeerOf<'_> = PeerOf {
    name: "second",
    asn: 65002,
    address: OTHER_V4,
    config: "tor",
};

/// A message of all ones in its marker, as every message starts.
const MARKER: [u8; 16] = [0xff; 16];

/// A router in another AS than the manifest says is refused by a NOTIFICATION that says so.
#[test]
fn a_router_in_the_wrong_as_is_refused_and_both_sides_say_why() {
    lab::run_programs(|lab| {
        let network = prepare(lab, &peer_config("tor", ""))?;
        let router = network.router(&other_bird(65099, ""))?;
        let node = start(network, router, "")?;

        node.session("second", |peer| said(peer, "bad peer AS"))?;

        undisturbed(&node)?;
        until("the router was told", PATIENCE, || {
            let shown = node.router.show("show protocols all second")?;
            ensure!(shown.contains("Bad peer AS"), "{shown}");
            Ok(())
        })
    });
}

/// A peer that sends what is no BGP is told so by the right NOTIFICATION.
#[test]
fn a_peer_that_sends_garbage_is_told_that_it_is_not_synchronised() {
    lab::run_programs(|lab| {
        let node = beside(lab, [0x47; 64].to_vec(), Keep::Open)?;

        node.session("second", |peer| said(peer, "message header error"))?;

        undisturbed(&node)
    });
}

/// A peer that hangs up in the middle of a message is only a connection that ended.
#[test]
fn a_peer_that_hangs_up_in_mid_message_is_said_to_have_closed() {
    lab::run_programs(|lab| {
        let node = beside(lab, open()[..15].to_vec(), Keep::Closed)?;

        node.session("second", |peer| said(peer, "closed by the peer"))?;

        undisturbed(&node)
    });
}

/// A peer that falls silent in the middle of a message, its session established, runs into the
/// hold timer.
#[test]
fn a_peer_that_falls_silent_in_mid_message_runs_into_the_hold_timer() {
    let established = [&open()[..], &keepalive(), &keepalive()[..7]].concat();
    lab::run_programs(|lab| {
        let node = beside(lab, established, Keep::Open)?;

        node.established("second")?;
        node.session("second", |peer| said(peer, "hold timer expired"))?;

        undisturbed(&node)
    });
}

/// A peer that takes the connection and never says a word is shown as one that has not answered
/// the OPEN.
#[test]
fn a_peer_that_says_nothing_is_shown_to_owe_an_open() {
    lab::run_programs(|lab| {
        let node = beside(lab, [].to_vec(), Keep::Open)?;

        node.session("second", |peer| peer.state == SessionState::OpenSent)?;

        undisturbed(&node)
    });
}

/// A peer whose message claims to be longer than any may be is told so.
#[test]
fn a_peer_with_a_message_of_a_bad_length_is_told_so() {
    let long = [&MARKER[..], &[0xff, 0xff, 1]].concat();
    lab::run_programs(|lab| {
        let node = beside(lab, long.to_vec(), Keep::Open)?;

        node.session("second", |peer| {
            said(peer, "message header error: bad message length")
        })?;

        undisturbed(&node)
    });
}

/// With the password of a Secret in the manifests on both sides a session is established; the
/// password is in no log, status, metric or answer.
#[test]
fn the_right_password_establishes_and_is_shown_nowhere() {
    const PASSWORD: &str = "hop-by-hop-4711";
    lab::run_programs(|lab| {
        let network = prepare(lab, &secured(PASSWORD))?;
        let router = network.router(&other_bird(65002, &format!("password \"{PASSWORD}\";")))?;
        let node = start(network, router, METRICS)?;

        node.established("second")?;

        undisturbed(&node)?;
        let bad = secured(PASSWORD).replace("stringData", "strngData");
        node.network
            .manifests
            .put("10-base.yaml", with_other(&bad))?;
        until("the Secret is refused", PATIENCE, || {
            ensure!(
                !node.agent.status()?.refused.is_empty(),
                "nothing is refused"
            );
            Ok(())
        })?;
        let mut shown = node.agent.log()? + &metrics(&node)?;
        for what in [
            "status",
            "bgp peers",
            "bgp routes advertised",
            "service list",
            "lb list",
        ] {
            for format in ["wide", "json", "yaml"] {
                let output = node.agent.ask(&format!("{what} -o {format}"))?;
                shown += &String::from_utf8_lossy(&output.stdout);
            }
        }
        let check = format!(
            "manifest check {}",
            node.network.manifests.folder().display()
        );
        let output = node.agent.ask(&check)?;
        shown += &String::from_utf8_lossy(&output.stdout);
        ensure!(
            shown.contains("Secret/"),
            "the refusal is not among what was looked through"
        );
        let encoded = "aG9wLWJ5LWhvcC00NzEx";
        for secret in [PASSWORD, encoded] {
            let mut lines = shown.lines().filter(|line| line.contains(secret));
            ensure!(lines.next().is_none(), "the password was shown");
        }
        node.established("second")
    });
}

/// With another password than the router's the session does not come up, whoever dials: either side
/// drops the other's segments. The other session goes on.
#[test]
fn the_wrong_password_establishes_nothing() {
    lab::run_programs(|lab| {
        let network = prepare(lab, &secured("ours"))?;
        let listening = with_other(&secured("ours")).replace(
            "localASN: 65010\n",
            "localASN: 65010\n      localPort: 179\n",
        );
        network.manifests.put("10-base.yaml", listening)?;
        let router = network.router(&other_bird(65002, "password \"theirs\";"))?;
        let node = start(network, router, "")?;
        undisturbed(&node)?;

        for host in [&node.network.tor, &node.network.edge] {
            until("segments are dropped for their signature", PATIENCE, || {
                let counters = host.run("nstat", &["-asz", "TcpExtTCPMD5Failure"])?;
                let count = counters.split_whitespace().rev().nth(1);
                let count: u32 = count.context("no counter")?.parse()?;
                ensure!(count >= 2, "{count} on {}", host.name());
                Ok(())
            })?;
        }

        let peers = node.agent.peers()?;
        let second = peers.iter().find(|peer| peer.name == "second");
        let state = second.context("no session")?.state;
        let is_connected = matches!(
            state,
            SessionState::OpenSent | SessionState::OpenConfirm | SessionState::Established
        );
        ensure!(!is_connected, "{peers:?}");
        undisturbed(&node)
    });
}

/// What the peer does with its end after it has sent everything.
#[derive(Clone, Copy)]
enum Keep {
    Open,
    Closed,
}

/// A node beside whose router is a peer that sends these bytes to every connection that it takes.
fn beside(lab: &Lab, bytes: Vec<u8>, keep: Keep) -> Result<Node> {
    let network = prepare(lab, &peer_config("tor", ""))?;
    misbehave(&network, bytes, keep)?;
    let router = network.router("")?;
    start(network, router, "")
}

/// The network, with manifests for both sessions.
fn prepare(lab: &Lab, configs: &str) -> Result<Single> {
    let network = Single::build(lab, RACK_MTU)?;
    network.manifests.put("10-base.yaml", with_other(configs))?;
    network.manifests.put("web.yaml", web())?;
    Ok(network)
}

fn start(network: Single, router: Bird, config: &str) -> Result<Node> {
    let mut agent = network.agent(config)?;
    agent.start()?;
    Ok(Node {
        network,
        router,
        agent,
    })
}

/// The instance with both sessions, and a pool of both families.
fn with_other(configs: &str) -> String {
    let secured = configs.contains("authSecretRef");
    let other = PeerOf {
        config: if secured { "secured" } else { "tor" },
        ..OTHER
    };
    let pool = pool("public", &["192.0.2.0/28", "2001:db8:0:1::/64"]);
    instance(&[ROUTER, other]) + configs + &pool
}

/// Both configurations, and the Secret of the second.
fn secured(password: &str) -> String {
    peer_config("tor", "")
        + &peer_config("secured", "  authSecretRef: session\n")
        + &format!(
            "---\napiVersion: v1\nkind: Secret\n\
             metadata: {{name: session, namespace: kube-system}}\n\
             stringData: {{password: {password}}}\n"
        )
}

/// BIRD's side of the other session.
fn other_bird(asn: u32, more: &str) -> String {
    format!(
        "protocol bgp second from tor {{ local {OTHER_V4} as {asn}; neighbor 10.2.11.2 as 65010; \
         {more} }}"
    )
}

/// Whether a note of the session says so.
fn said(peer: &Peer, words: &str) -> bool {
    peer.notes.iter().any(|note| note.contains(words))
}

/// The session with the router carries its routes and was never down.
fn undisturbed(node: &Node) -> Result<()> {
    node.established("tor")?;
    node.announced(&VIPS)?;
    node.never_withdrawn()
}

/// Takes connections on the other address of the router's host for ever.
fn misbehave(network: &Single, bytes: Vec<u8>, keep: Keep) -> Result<()> {
    let listener = network
        .tor
        .enter(|| TcpListener::bind((OTHER_V4, 179)))
        .context("listening as the peer")?;
    network.tor.spawn_thread(move || {
        let mut kept: Vec<TcpStream> = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            // Its OPEN has arrived, and nothing is left unread that would make a close a reset.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&bytes);
            match keep {
                Keep::Open => kept.push(stream),
                Keep::Closed => drop(stream),
            }
        }
    });
    Ok(())
}

/// RFC 4271 §4.2: version 4, AS 65002, a hold time of 3 s, an identifier, no parameters.
fn open() -> Vec<u8> {
    let fields = [0, 29, 1, 4, 0xfd, 0xea, 0, 3, 10, 255, 0, 3, 0];
    [&MARKER[..], &fields].concat()
}

fn keepalive() -> Vec<u8> {
    [&MARKER[..], &[0, 19, 4]].concat()
}
