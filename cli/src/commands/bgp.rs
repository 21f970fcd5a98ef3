//! `sluice bgp`, with the columns of Cilium's command.

use agent_api::{Peer, Route};
use anyhow::Result;
use types::Family;

use super::cilium;
use crate::args::{BgpCommand, Output, RouteTable};
use crate::called::Called;
use crate::client::Client;
use crate::cluster::ClusterArgs;
use crate::output::print;
use crate::table::{Table, age};

pub(super) fn run(
    client: &Client<'_>,
    output: Output,
    command: &BgpCommand,
    called: Called,
) -> Result<bool> {
    match command {
        BgpCommand::Peers => {
            let peers: Vec<Peer> = client.get("/v1/bgp/peers")?;
            print(output, &peers, |peers, wide| {
                if called.expects_cilium() {
                    cilium::peers(peers)
                } else {
                    render_peers(peers, wide)
                }
            })?;
        }
        BgpCommand::Routes { table, family } => {
            let (name, advertised) = match table {
                RouteTable::Available => ("available", false),
                RouteTable::Advertised => ("advertised", true),
            };
            let mut routes: Vec<Route> = client.get(&format!("/v1/bgp/routes?table={name}"))?;
            routes.retain(|route| {
                family.is_none_or(|wanted: Family| route.prefix.family() == wanted)
            });
            print(output, &routes, |routes, _| {
                if called.expects_cilium() {
                    cilium::routes(routes, advertised)
                } else {
                    render_routes(routes, advertised)
                }
            })?;
        }
    }
    Ok(true)
}

/// Sessions of every node of a cluster.
pub(super) fn peers_of_cluster(cluster: &ClusterArgs, output: Output) -> Result<bool> {
    let peers = cluster.ask(super::peers::of_cluster)?;
    print(output, &peers, |peers, wide| render_peers(peers, wide))?;
    Ok(true)
}

fn render_peers(peers: &[Peer], wide: bool) -> String {
    let mut table = Table::new([
        "Node",
        "Local AS",
        "Peer AS",
        "Peer Address",
        "Session State",
        "Uptime",
        "Family",
        "Received",
        "Advertised",
    ]);
    for peer in peers {
        for number in 0..peer.families.len().max(1) {
            let first = |text: String| if number == 0 { text } else { String::new() };
            let routes = peer.families.get(number);
            let address = if wide {
                std::net::SocketAddr::new(peer.address, peer.port).to_string()
            } else {
                peer.address.to_string()
            };
            table.row([
                first(peer.node.to_string()),
                first(peer.local_asn.to_string()),
                first(peer.peer_asn.to_string()),
                first(address),
                first(peer.state.as_str().to_owned()),
                first(peer.uptime_secs.map_or_else(|| "-".into(), age)),
                routes
                    .map(|r| format!("{}/unicast", r.family))
                    .unwrap_or_default(),
                routes.map(|r| r.received.to_string()).unwrap_or_default(),
                routes.map(|r| r.advertised.to_string()).unwrap_or_default(),
            ]);
        }
    }
    let mut text = table.render("No BGP peers.");
    for peer in peers {
        for note in &peer.notes {
            text.push_str(&format!("{} ({}): {note}\n", peer.name, peer.address));
        }
    }
    text
}

fn render_routes(routes: &[Route], advertised: bool) -> String {
    let mut table = if advertised {
        Table::new([
            "Node", "VRouter", "Peer", "Prefix", "NextHop", "Age", "Attrs",
        ])
    } else {
        Table::new(["Node", "VRouter", "Prefix", "NextHop", "Age", "Attrs"])
    };
    for route in routes {
        let [node, vrouter, prefix, next_hop, age, attrs] = [
            route.node.to_string(),
            route.vrouter.to_string(),
            route.prefix.to_string(),
            route.next_hop.to_string(),
            age(route.age_secs),
            format!("[{}]", route.attrs.join(" ")),
        ];
        if advertised {
            let peer = route.peer.map(|peer| peer.to_string()).unwrap_or_default();
            table.row([node, vrouter, peer, prefix, next_hop, age, attrs]);
        } else {
            table.row([node, vrouter, prefix, next_hop, age, attrs]);
        }
    }
    table.render("No routes.")
}

#[cfg(test)]
mod tests {
    use agent_api::{FamilyRoutes, SessionState};

    use super::*;

    #[test]
    fn peers_have_the_columns_that_ciliums_users_know() {
        let family = |family| FamilyRoutes {
            family,
            received: 3,
            advertised: 1,
        };
        let peer = Peer {
            node: "kind-control-plane".parse().unwrap(),
            instance: "instance-65001".into(),
            name: "peer-65000".into(),
            local_asn: "65001".parse().unwrap(),
            peer_asn: 65000,
            address: "fd00:10:0:1::1".parse().unwrap(),
            port: 179,
            state: SessionState::Established,
            uptime_secs: Some(4421),
            hold_time_secs: Some(90),
            keepalive_secs: Some(30),
            families: vec![family(Family::V4), family(Family::V6)],
            notes: vec![],
        };

        let text = render_peers(&[peer], false);

        let mut lines = text.lines();
        assert_eq!(
            lines.next().unwrap(),
            "Node                 Local AS   Peer AS   Peer Address     Session State   Uptime     \
             Family         Received   Advertised"
        );
        assert_eq!(
            lines.next().unwrap(),
            "kind-control-plane   65001      65000     fd00:10:0:1::1   established     1h13m41s   \
             ipv4/unicast   3          1"
        );
        assert_eq!(
            lines.next().unwrap().trim_start(),
            "ipv6/unicast   3          1"
        );
    }
}
