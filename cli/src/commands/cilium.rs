//! The columns of Cilium's commands on a node, for those who call the program by Cilium's names.

use agent_api::{BackendState, Peer, Route, Service};

use crate::table::{Table, age};

/// `cilium-dbg service list`: a line a backend, and the first with its frontend.
pub(super) fn services(services: &[Service]) -> String {
    let mut table = Table::new(["ID", "Frontend", "Service Type", "Backend"]);
    let frontends = services
        .iter()
        .flat_map(|service| service.vips.iter().map(move |vip| (vip, service)));
    for (id, (vip, service)) in (1..).zip(frontends) {
        let mut head = [
            u32::to_string(&id),
            vip.to_string(),
            "LoadBalancer".to_owned(),
        ];
        let family = vip.addr.is_ipv4();
        let backends = service.backends.iter();
        let backends = backends.filter(|backend| backend.address.addr.is_ipv4() == family);
        let mut lines: Vec<String> = (1_u32..)
            .zip(backends)
            .map(|(number, backend)| {
                let state = state(backend.state);
                format!("{number} => {}/{} ({state})", backend.address, vip.protocol)
            })
            .collect();
        if lines.is_empty() {
            lines.push(String::new());
        }
        for line in lines {
            let [id, frontend, kind] = std::mem::take(&mut head);
            table.row([id, frontend, kind, line]);
        }
    }
    table.render("ID   Frontend   Service Type   Backend")
}

/// `cilium-dbg bgp peers`: by AS and address, a line a family.
pub(super) fn peers(peers: &[Peer]) -> String {
    let mut table = Table::new([
        "Local AS",
        "Peer AS",
        "Peer Address",
        "Session",
        "Uptime",
        "Family",
        "Received",
        "Advertised",
    ]);
    let mut sorted: Vec<&Peer> = peers.iter().collect();
    sorted.sort_by_key(|peer| (peer.local_asn, peer.address));
    for peer in sorted {
        let mut head = [
            peer.local_asn.to_string(),
            peer.peer_asn.to_string(),
            std::net::SocketAddr::new(peer.address, peer.port).to_string(),
            peer.state.as_str().to_owned(),
            age(peer.uptime_secs.unwrap_or(0)),
        ];
        for number in 0..peer.families.len().max(1) {
            let routes = peer.families.get(number);
            let cell = |text: Option<String>| text.unwrap_or_default();
            let [local, remote, address, session, uptime] = std::mem::take(&mut head);
            table.row([
                local,
                remote,
                address,
                session,
                uptime,
                cell(routes.map(|routes| format!("{}/unicast", routes.family))),
                cell(routes.map(|routes| routes.received.to_string())),
                cell(routes.map(|routes| routes.advertised.to_string())),
            ]);
        }
    }
    table.render(
        "Local AS   Peer AS   Peer Address   Session   Uptime   Family   Received   Advertised",
    )
}

/// `cilium-dbg bgp routes`.
pub(super) fn routes(routes: &[Route], advertised: bool) -> String {
    let mut table = if advertised {
        Table::new(["VRouter", "Peer", "Prefix", "NextHop", "Age", "Attrs"])
    } else {
        Table::new(["VRouter", "Prefix", "NextHop", "Age", "Attrs"])
    };
    for route in routes {
        let [vrouter, prefix, next_hop, age, attrs] = [
            route.vrouter.to_string(),
            route.prefix.to_string(),
            route.next_hop.to_string(),
            age(route.age_secs),
            format!("[{}]", route.attrs.join(" ")),
        ];
        if advertised {
            let peer = route.peer.map(|peer| peer.to_string()).unwrap_or_default();
            table.row([vrouter, peer, prefix, next_hop, age, attrs]);
        } else {
            table.row([vrouter, prefix, next_hop, age, attrs]);
        }
    }
    table.render("VRouter   Prefix   NextHop   Age   Attrs")
}

/// Cilium's words for what a backend takes.
fn state(state: BackendState) -> &'static str {
    match state {
        BackendState::Active => "active",
        BackendState::Draining => "terminating",
        BackendState::Maintenance => "maintenance",
        BackendState::Quarantined => "quarantined",
    }
}

#[cfg(test)]
mod tests {
    use agent_api::{Backend, BackendHealth, FamilyRoutes, SessionState};
    use types::Family;

    use super::*;

    #[test]
    fn services_have_a_line_a_backend_with_its_state() {
        let backend = |address: &str, state| Backend {
            address: address.parse().unwrap(),
            weight: 100,
            state,
            health: BackendHealth::Up,
        };
        let service = Service {
            namespace: "shop".into(),
            name: "web".into(),
            vips: vec![
                "192.0.2.1:80/TCP".parse().unwrap(),
                "[2001:db8::1]:80/TCP".parse().unwrap(),
            ],
            ready: true,
            notes: vec![],
            backends: vec![
                backend("10.0.0.1:8080", BackendState::Active),
                backend("10.0.0.2:8080", BackendState::Draining),
            ],
        };

        assert_eq!(
            services(&[service]),
            "ID   Frontend               Service Type   Backend\n\
             1    192.0.2.1:80/TCP       LoadBalancer   1 => 10.0.0.1:8080/TCP (active)\n\
             \u{20}                                          2 => 10.0.0.2:8080/TCP (terminating)\n\
             2    [2001:db8::1]:80/TCP   LoadBalancer\n"
        );
    }

    #[test]
    fn peers_are_sorted_and_have_their_port() {
        let peer = |address: &str, families: Vec<FamilyRoutes>| Peer {
            node: "n".parse().unwrap(),
            instance: "i".into(),
            name: "p".into(),
            local_asn: "65001".parse().unwrap(),
            peer_asn: 65000,
            address: address.parse().unwrap(),
            port: 179,
            state: SessionState::Established,
            uptime_secs: Some(61),
            hold_time_secs: None,
            keepalive_secs: None,
            families,
            notes: vec![],
        };
        let family = |family| FamilyRoutes {
            family,
            received: 3,
            advertised: 1,
        };

        let text = peers(&[
            peer("10.0.0.9", vec![]),
            peer("10.0.0.1", vec![family(Family::V4), family(Family::V6)]),
        ]);

        assert_eq!(
            text,
            "Local AS   Peer AS   Peer Address   Session       Uptime   Family         Received   \
             Advertised\n\
             65001      65000     10.0.0.1:179   established   1m1s     ipv4/unicast   3          1\n\
             \u{20}                                                          ipv6/unicast   3          1\n\
             65001      65000     10.0.0.9:179   established   1m1s\n"
        );
    }
}
