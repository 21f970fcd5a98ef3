//! `sluice explain`: why an address is reached, or not.

use std::fmt::Write as _;
use std::net::IpAddr;

use agent_api::{Lb, Peer, SessionState};
use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};
use desired::plan::{Chain, Link, LinkState};

use super::objects::{Known, PlaceArgs, of_agent, of_place};
use super::plan::{AssumeArgs, assumptions};
use crate::args::Args;
use crate::client::Client;
use crate::output::print;

/// `sluice explain`.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ExplainCommand {
    /// The chain from pool to kernel map of one address, and its first broken link. Exit status 1 if there is one
    Vip(VipArgs),
}

/// `sluice explain vip`.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct VipArgs {
    /// The address
    pub(crate) address: IpAddr,

    #[command(flatten)]
    pub(crate) assume: AssumeArgs,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// Whether every link holds.
pub(crate) fn run(args: &Args, command: &ExplainCommand) -> Result<bool> {
    let ExplainCommand::Vip(wanted) = command;
    let known = known(args, &wanted.place)?;
    let assumptions = assumptions(&wanted.assume, known.layout);
    let mut chain = desired::plan::explain(&known.objects, wanted.address, &assumptions);
    let client = Client::new(&args.socket);
    if args.socket.exists() {
        // The objects alone say much; an agent that does not answer is no reason to say nothing.
        if let Ok(peers) = client.get::<Vec<Peer>>("/v1/bgp/peers") {
            see_sessions(&mut chain, &peers);
        }
        if let Ok(held) = client.get::<Lb>("/v1/lb") {
            see_maps(&mut chain, &held, wanted.address);
        }
    }
    print(args.output, &chain, |chain, _| render(chain))?;
    Ok(chain.broken.is_none())
}

/// The objects of the place that is named; those of this node's agent, if none is.
pub(super) fn known(args: &Args, place: &PlaceArgs) -> Result<Known> {
    let cluster = &args.cluster;
    let is_named = place.manifests.is_some()
        || !place.etcd.is_empty()
        || cluster.kubeconfig.is_some()
        || cluster.context.is_some();
    if !is_named
        && args.socket.exists()
        && let Ok(known) = of_agent(args)
    {
        return Ok(known);
    }
    of_place(args, place)
}

/// Puts what the sessions are in the place of what they should be.
fn see_sessions(chain: &mut Chain, peers: &[Peer]) {
    const NAME: &str = "session";
    let Some(planned) = link(chain, NAME).filter(|link| link.state == LinkState::Whole) else {
        return;
    };
    let is_up = |peer: &&Peer| peer.state == SessionState::Established;
    let mut facts = planned.facts.clone();
    facts.extend(peers.iter().map(|peer| {
        let state = if is_up(&peer) {
            "established"
        } else {
            "not established"
        };
        let notes = peer.notes.iter().map(|note| format!(" ({note})"));
        let notes: String = notes.collect();
        format!(
            "this node: {}/{} {}: {state}{notes}",
            peer.instance, peer.name, peer.address
        )
    }));
    if peers.iter().any(|peer| is_up(&peer)) {
        chain.replace(Link::whole(NAME, facts));
    } else if !peers.is_empty() {
        let todo = "see `sluice bgp peers`: address, AS, password and port on both sides";
        chain.replace(Link::broken(NAME, facts, todo));
    }
}

/// Puts what the kernel has in the place of what it should have.
fn see_maps(chain: &mut Chain, held: &Lb, addr: IpAddr) {
    const NAME: &str = "kernel-map";
    if link(chain, NAME).is_none_or(|link| link.state == LinkState::Unknown) {
        return;
    }
    let found = held
        .services
        .iter()
        .filter(|service| service.vip.addr == addr);
    let facts: Vec<String> = found
        .clone()
        .map(|service| {
            let live = service
                .backends
                .iter()
                .filter(|backend| backend.live && backend.resolved);
            format!(
                "this node's kernel: {} with {} backends that can be sent to",
                service.vip,
                live.count()
            )
        })
        .collect();
    let mut found = found.flat_map(|service| &service.backends);
    if found.any(|backend| backend.live && backend.resolved) {
        chain.replace(Link::whole(NAME, facts));
    } else {
        let todo = "see `sluice status` and `sluice lb list`";
        let facts = if facts.is_empty() {
            vec!["this node's kernel does not have it".to_owned()]
        } else {
            facts
        };
        chain.replace(Link::broken(NAME, facts, todo));
    }
}

fn link<'c>(chain: &'c Chain, name: &str) -> Option<&'c Link> {
    chain.links.iter().find(|link| link.name == name)
}

fn render(chain: &Chain) -> String {
    let mut text = String::new();
    for link in &chain.links {
        let mark = match link.state {
            LinkState::Whole => "ok",
            LinkState::Broken => "BROKEN",
            LinkState::Unknown => "?",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<14} {mark}", link.name);
        for fact in &link.facts {
            let _ = writeln!(text, "               {fact}");
        }
    }
    let broken = chain.broken.and_then(|name| link(chain, name));
    match broken {
        None => {
            let _ = writeln!(
                text,
                "{}: nothing is broken as far as can be seen",
                chain.address
            );
        }
        Some(link) => {
            let todo = link.todo.as_deref().unwrap_or_default();
            let _ = writeln!(text, "{}: {} is broken: {todo}", chain.address, link.name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_broken_link_is_named_with_what_to_do() {
        let chain = Chain {
            address: "10.0.0.1".parse().unwrap(),
            broken: Some("backends"),
            links: vec![
                Link::whole("pool", vec!["blue has it".into()]),
                Link::broken(
                    "backends",
                    vec!["shop/web: 0 of 2".into()],
                    "look at the pods",
                ),
                Link::unknown("session", "of none"),
            ],
        };

        assert_eq!(
            render(&chain),
            "pool           ok\n               blue has it\n\
             backends       BROKEN\n               shop/web: 0 of 2\n\
             session        ?\n               of none\n\
             10.0.0.1: backends is broken: look at the pods\n"
        );
    }
}
