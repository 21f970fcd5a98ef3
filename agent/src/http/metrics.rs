//! Prometheus metrics, with Cilium's names where Cilium has one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use agent_api::{Counters, Ipam, Lb, LbBackend, Peer, Pool, Role, Status};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Api;

const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// What the agent answers at one moment.
struct Moment {
    status: Status,
    peers: Vec<Peer>,
    pools: Vec<Pool>,
    /// None while the kernel's tables cannot be read.
    lb: Option<Lb>,
}

/// One moment's metrics.
#[derive(Default)]
struct Metrics {
    registry: Registry,
}

impl Metrics {
    fn of(moment: &Moment) -> Self {
        let mut metrics = Self::default();
        metrics.node(&moment.status);
        if let Some(lb) = &moment.lb {
            metrics.verdicts(lb);
        }
        match moment.status.role {
            Role::Balancer | Role::Announcer => metrics.edge(moment),
            // It has neither services nor sessions.
            Role::Backend => {}
        }
        metrics
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn node(&mut self, status: &Status) {
        let ready = u64::from(status.ready);
        self.gauge(
            "sluicegate_agent_ready",
            "1 if everything is in place",
            ready,
        );
        self.gauges(
            "sluicegate_agent_interface_mode",
            "1 for what an interface runs",
            status.interfaces.iter().map(|interface| {
                let name = ("interface", interface.name.clone());
                (vec![name, ("mode", interface.mode.clone())], 1)
            }),
        );
    }

    fn edge(&mut self, moment: &Moment) {
        let status = &moment.status;
        for (name, help, value) in [
            (
                "sluicegate_agent_refused_objects",
                "Refused manifests",
                status.refused.len(),
            ),
            (
                "sluicegate_agent_vips_ready",
                "Addresses in place",
                status.vips_ready,
            ),
            (
                "sluicegate_agent_vips_wanted",
                "Addresses asked for",
                status.vips_wanted,
            ),
            (
                "sluicegate_agent_alarms",
                "Services of which more than half of the backends fail their checks",
                status.alarms.len(),
            ),
        ] {
            self.gauge(name, help, count(value));
        }
        let stores = Counter::<u64>::default();
        stores.inc_by(status.stores);
        let help = "Stores into kernel tables";
        self.registry
            .register("sluicegate_agent_stores", help, stores);
        self.shared(moment);
        self.bgp(&moment.peers);
        if let Some(lb) = &moment.lb {
            self.tables(lb);
        }
    }

    /// What others decide of the node, or it for others.
    fn shared(&mut self, moment: &Moment) {
        let status = &moment.status;
        self.gauge(
            "sluicegate_agent_withdrawn",
            "1 while the node is taken out of service by order",
            status.withdrawn.into(),
        );
        if let Some(source) = &status.source {
            let name = "sluicegate_agent_source_faults";
            self.gauge(
                name,
                "What objects cannot be read of",
                count(source.faults.len()),
            );
        }
        match &status.operator {
            // The operator has these.
            Some(operator) => self.gauge(
                "sluicegate_agent_operator_leads",
                "1 while an operator holds the lease, as far as this node knows",
                operator.holder.is_some().into(),
            ),
            None => self.ipam(&status.ipam, &moment.pools),
        }
    }

    fn ipam(&mut self, ipam: &Ipam, pools: &[Pool]) {
        let conflicting = pools.iter().filter(|pool| pool.conflicting).count();
        for (name, help, value) in [
            (
                "cilium_operator_lbipam_conflicting_pools",
                "Pools that conflict",
                conflicting,
            ),
            (
                "cilium_operator_lbipam_services_matching",
                "Services that addresses are given to",
                ipam.services,
            ),
            (
                "cilium_operator_lbipam_services_unsatisfied",
                "Services without all the addresses they ask for",
                ipam.unsatisfied,
            ),
        ] {
            self.gauge(name, help, count(value));
        }
        let by_pool = |counted: fn(&Pool) -> &String| {
            pools.iter().map(move |pool| {
                // Any decimal number is a float: that of an IPv6 pool loses its last digits.
                let value = counted(pool).parse::<f64>().unwrap_or(f64::MAX);
                (vec![("pool", pool.name.clone())], value)
            })
        };
        self.floats(
            "cilium_operator_lbipam_ips_available",
            "Free addresses of a pool",
            by_pool(|pool| &pool.available),
        );
        self.floats(
            "cilium_operator_lbipam_ips_used",
            "Given addresses of a pool",
            by_pool(|pool| &pool.used),
        );
    }

    fn bgp(&mut self, peers: &[Peer]) {
        let (mut states, mut advertised, mut received) = (Vec::new(), Vec::new(), Vec::new());
        for peer in peers {
            let established = peer.uptime_secs.is_some();
            let base = session(peer);
            states.push((base.clone(), established.into()));
            // Route counts exist only for established sessions.
            for routes in peer.families.iter().filter(|_| established) {
                let mut labels = base.clone();
                labels.push(("afi", routes.family.to_string()));
                labels.push(("safi", "unicast".to_owned()));
                advertised.push((labels.clone(), routes.advertised));
                received.push((labels, routes.received));
            }
        }
        let name = "cilium_bgp_control_plane_session_state";
        self.gauges(name, "1 is established", states);
        let name = "cilium_bgp_control_plane_advertised_routes";
        self.gauges(name, "Routes advertised", advertised);
        let name = "cilium_bgp_control_plane_received_routes";
        self.gauges(name, "Routes received", received);
    }

    fn verdicts(&mut self, lb: &Lb) {
        let verdicts = lb.verdicts.iter();
        self.counters(
            "sluicegate_l4lb_verdicts",
            "Packets by what became of them",
            verdicts.map(|(verdict, count)| (vec![("reason", verdict.clone())], *count)),
        );
    }

    fn tables(&mut self, lb: &Lb) {
        let change = &lb.transitions;
        let name = "sluicegate_l4lb_slots_in_change";
        self.gauge(name, "Slots in change", change.slots);
        let name = "sluicegate_l4lb_flows_remembered";
        self.gauge(name, "Flows remembered", change.flows);
        let services = lb.services.iter();
        let services = services.map(|service| {
            let labels = vec![("vip", service.vip.to_string())];
            (labels, service.counters)
        });
        self.traffic("service", "to a virtual address", services);
        // Services that share a table share its backends.
        let backends: BTreeMap<u32, &LbBackend> = lb
            .services
            .iter()
            .flat_map(|service| &service.backends)
            .map(|backend| (backend.id, backend))
            .collect();
        let backends = backends.values().map(|backend| {
            let address = ("backend", backend.address.to_string());
            (
                vec![address, ("id", backend.id.to_string())],
                backend.counters,
            )
        });
        self.traffic(
            "backend",
            "to a membership of a backend in a table",
            backends,
        );
    }

    fn traffic(
        &mut self,
        of: &str,
        help: &str,
        values: impl Iterator<Item = (Labels, Counters)> + Clone,
    ) {
        self.counters(
            &format!("sluicegate_l4lb_{of}_packets"),
            &format!("Packets {help}"),
            values.clone().map(|(labels, sent)| (labels, sent.packets)),
        );
        self.counters(
            &format!("sluicegate_l4lb_{of}_bytes"),
            &format!("Bytes {help}, before encapsulation"),
            values.map(|(labels, sent)| (labels, sent.bytes)),
        );
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        let gauge: Gauge = Gauge::default();
        gauge.set(clamp(value));
        self.registry.register(name, help, gauge);
    }

    fn gauges(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, u64)>) {
        let gauges = Family::<Labels, Gauge>::default();
        for (labels, value) in values {
            gauges.get_or_create(&labels).set(clamp(value));
        }
        self.registry.register(name, help, gauges);
    }

    fn floats(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, f64)>) {
        let gauges = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, value) in values {
            gauges.get_or_create(&labels).set(value);
        }
        self.registry.register(name, help, gauges);
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        let counters = Family::<Labels, Counter>::default();
        for (labels, value) in values {
            counters.get_or_create(&labels).inc_by(value);
        }
        self.registry.register(name, help, counters);
    }
}

/// The text that a scrape gets.
pub(super) fn router<A: Api>(api: Arc<A>) -> Router {
    Router::new()
        .route("/metrics", get(scrape::<A>))
        .with_state(api)
}

async fn scrape<A: Api>(State(api): State<Arc<A>>) -> Response {
    match read(&api).await {
        Ok(metrics) => ([(CONTENT_TYPE, FORMAT)], metrics.text()).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response(),
    }
}

async fn read<A: Api>(api: &Arc<A>) -> anyhow::Result<Metrics> {
    let (status, peers) = (api.status().await?, api.peers().await?);
    let tables = Arc::clone(api);
    // Counters are read from every CPU's part of the kernel's tables.
    let lb = tokio::task::spawn_blocking(move || tables.lb()).await?;
    Ok(Metrics::of(&Moment {
        status,
        peers,
        pools: api.pools(),
        lb: lb.ok(),
    }))
}

/// The labels that Cilium gives to everything about a session.
fn session(peer: &Peer) -> Labels {
    let neighbor = std::net::SocketAddr::new(peer.address, peer.port);
    vec![
        ("instance_name", peer.instance.clone()),
        ("vrouter", peer.local_asn.to_string()),
        ("local_asn", peer.local_asn.to_string()),
        ("neighbor", neighbor.to_string()),
        ("neighbor_asn", peer.peer_asn.to_string()),
    ]
}

fn clamp(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn count(items: usize) -> u64 {
    items as u64
}

#[cfg(test)]
mod tests {
    use agent_api::{Bgp, FamilyRoutes, Interface, LbService, SessionState, Transitions};
    use types::Family as AddressFamily;

    use super::*;

    #[test]
    fn what_cilium_measures_has_ciliums_names() {
        let text = Metrics::of(&moment(Role::Balancer)).text();

        let session = "instance_name=\"edge\",vrouter=\"65010\",local_asn=\"65010\",\
                       neighbor=\"[fd00::1]:179\",neighbor_asn=\"65001\"";
        for line in [
            format!("cilium_bgp_control_plane_session_state{{{session}}} 1"),
            format!(
                "cilium_bgp_control_plane_advertised_routes{{{session},afi=\"ipv4\",safi=\"unicast\"}} 2"
            ),
            format!(
                "cilium_bgp_control_plane_received_routes{{{session},afi=\"ipv4\",safi=\"unicast\"}} 3"
            ),
            "cilium_operator_lbipam_conflicting_pools 1".to_owned(),
            "cilium_operator_lbipam_services_matching 4".to_owned(),
            "cilium_operator_lbipam_services_unsatisfied 1".to_owned(),
            "cilium_operator_lbipam_ips_available{pool=\"v6\"} 18446744073709553000.0".to_owned(),
            "cilium_operator_lbipam_ips_used{pool=\"v6\"} 2.0".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_balancers_own_metrics_name_interfaces_services_and_backends() {
        let text = Metrics::of(&moment(Role::Balancer)).text();

        for line in [
            "sluicegate_agent_ready 1",
            "sluicegate_agent_alarms 1",
            "sluicegate_agent_stores_total 9",
            "sluicegate_agent_interface_mode{interface=\"tor1\",mode=\"native\"} 1",
            "sluicegate_l4lb_slots_in_change 0",
            "sluicegate_l4lb_verdicts_total{reason=\"malformed\"} 7",
            "sluicegate_l4lb_service_packets_total{vip=\"192.0.2.1:80/TCP\"} 5",
            "sluicegate_l4lb_service_bytes_total{vip=\"192.0.2.2:80/TCP\"} 500",
            "sluicegate_l4lb_backend_packets_total{backend=\"10.0.0.1\",id=\"3\"} 5",
            "sluicegate_l4lb_backend_bytes_total{backend=\"10.0.0.1\",id=\"3\"} 500",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("{}"), "{text}");
    }

    #[test]
    fn a_backend_has_what_it_counted_and_neither_services_nor_sessions() {
        let text = Metrics::of(&moment(Role::Backend)).text();

        assert!(text.contains("sluicegate_l4lb_verdicts_total{reason=\"malformed\"} 7"));
        assert!(text.contains("sluicegate_agent_interface_mode"));
        for name in ["cilium_", "vips", "slots", "service_packets"] {
            assert!(!text.contains(name), "{name}\n{text}");
        }
    }

    #[test]
    fn a_node_of_a_cluster_leaves_addresses_to_the_operators_metrics() {
        let mut moment = moment(Role::Announcer);
        moment.status.operator = Some(agent_api::Operator {
            lease: "kube-system/sluicegate-operator".into(),
            holder: None,
        });
        moment.status.source = Some(agent_api::Source {
            kind: agent_api::SourceKind::Kubernetes,
            place: "https://10.0.0.1:6443".into(),
            faults: vec!["timed out".into()],
        });

        let text = Metrics::of(&moment).text();

        for line in [
            "sluicegate_agent_operator_leads 0",
            "sluicegate_agent_source_faults 1",
            "sluicegate_agent_withdrawn 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.contains("cilium_bgp_control_plane_session_state"));
        assert!(!text.contains("cilium_operator_lbipam"), "{text}");
    }

    fn moment(role: Role) -> Moment {
        // Two VIPs of one table, and so one backend.
        let services = ["192.0.2.1:80/TCP", "192.0.2.2:80/TCP"].map(service);
        Moment {
            status: status(role),
            peers: vec![peer()],
            pools: vec![Pool {
                name: "v6".into(),
                disabled: false,
                conflicting: true,
                total: "18446744073709551616".into(),
                available: "18446744073709551614".into(),
                used: "2".into(),
                message: String::new(),
            }],
            lb: Some(Lb {
                role,
                services: services.into(),
                transitions: Transitions::default(),
                verdicts: vec![("malformed".into(), 7)],
            }),
        }
    }

    fn status(role: Role) -> Status {
        Status {
            node: "edge1".parse().unwrap(),
            version: "0.1.0".into(),
            role,
            uptime_secs: 1,
            ready: true,
            problems: vec![],
            remarks: vec![],
            source: None,
            operator: None,
            objects: vec![],
            refused: vec![],
            interfaces: vec![Interface {
                name: "tor1".into(),
                mode: "native".into(),
                reason: None,
            }],
            bgp: Bgp::default(),
            ipam: Ipam {
                services: 4,
                unsatisfied: 1,
            },
            alarms: vec!["shop/web:80".into()],
            vips_ready: 2,
            vips_wanted: 2,
            stores: 9,
            drained: vec![],
            withdrawn: false,
        }
    }

    fn peer() -> Peer {
        Peer {
            node: "edge1".parse().unwrap(),
            instance: "edge".into(),
            name: "tor1".into(),
            local_asn: "65010".parse().unwrap(),
            peer_asn: 65001,
            address: "fd00::1".parse().unwrap(),
            port: 179,
            state: SessionState::Established,
            uptime_secs: Some(1),
            hold_time_secs: None,
            keepalive_secs: None,
            families: vec![FamilyRoutes {
                family: AddressFamily::V4,
                received: 3,
                advertised: 2,
            }],
            notes: vec![],
        }
    }

    fn service(vip: &str) -> LbService {
        let counters = Counters {
            packets: 5,
            bytes: 500,
        };
        LbService {
            vip: vip.parse().unwrap(),
            slots: 64,
            slots_in_change: 0,
            counters,
            backends: vec![LbBackend {
                id: 3,
                address: "10.0.0.1".parse().unwrap(),
                live: true,
                resolved: true,
                current: 64,
                previous: 64,
                counters,
            }],
        }
    }
}
