//! Prometheus metrics, with Cilium's names where Cilium has one.

use std::sync::Arc;

use agent_api::{Lb, Peer, Status};
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
type Gauges = Family<Labels, Gauge>;

/// One moment's metrics, made from what the agent answers.
struct Metrics {
    registry: Registry,
}

impl Metrics {
    fn of(status: &Status, peers: &[Peer], lb: Option<&Lb>) -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
        };
        metrics.bgp(peers);
        if let Some(lb) = lb {
            metrics.balancer(lb);
        }
        metrics.agent(status);
        metrics
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn bgp(&mut self, peers: &[Peer]) {
        let state = self.gauges("cilium_bgp_control_plane_session_state", "1 is established");
        let advertised = self.gauges(
            "cilium_bgp_control_plane_advertised_routes",
            "Routes advertised",
        );
        let received = self.gauges(
            "cilium_bgp_control_plane_received_routes",
            "Routes received",
        );
        for peer in peers {
            let established = peer.uptime_secs.is_some();
            let base: Labels = vec![
                ("instance_name", peer.instance.clone()),
                ("vrouter", peer.local_asn.to_string()),
                ("local_asn", peer.local_asn.to_string()),
                (
                    "neighbor",
                    std::net::SocketAddr::new(peer.address, peer.port).to_string(),
                ),
                ("neighbor_asn", peer.peer_asn.to_string()),
            ];
            state.get_or_create(&base).set(established.into());
            // Route counts exist only for established sessions.
            for routes in peer.families.iter().filter(|_| established) {
                let mut labels = base.clone();
                labels.push(("afi", routes.family.to_string()));
                labels.push(("safi", "unicast".to_owned()));
                advertised
                    .get_or_create(&labels)
                    .set(clamp(routes.advertised));
                received.get_or_create(&labels).set(clamp(routes.received));
            }
        }
    }

    fn balancer(&mut self, lb: &Lb) {
        let slots = self.gauges("sluicegate_l4lb_slots_in_change", "Slots in change");
        slots
            .get_or_create(&vec![])
            .set(clamp(lb.transitions.slots));
        let flows = self.gauges("sluicegate_l4lb_flows_remembered", "Flows remembered");
        flows
            .get_or_create(&vec![])
            .set(clamp(lb.transitions.flows));
        self.counters(
            "sluicegate_l4lb_verdicts",
            "Packets by what became of them",
            lb.verdicts
                .iter()
                .map(|(verdict, count)| (vec![("reason", verdict.clone())], *count)),
        );
        let services = lb.services.iter();
        self.counters(
            "sluicegate_l4lb_service_packets",
            "Packets to a virtual address",
            services.clone().map(|service| {
                (
                    vec![("vip", service.vip.to_string())],
                    service.counters.packets,
                )
            }),
        );
        self.counters(
            "sluicegate_l4lb_service_bytes",
            "Bytes to a virtual address, before encapsulation",
            services.map(|service| {
                (
                    vec![("vip", service.vip.to_string())],
                    service.counters.bytes,
                )
            }),
        );
    }

    fn agent(&mut self, status: &Status) {
        for (name, help, value) in [
            (
                "sluicegate_agent_ready",
                "1 if everything is in place",
                u64::from(status.ready),
            ),
            (
                "sluicegate_agent_refused_objects",
                "Refused manifests",
                count(status.refused.len()),
            ),
            (
                "sluicegate_agent_vips_ready",
                "Addresses in place",
                count(status.vips_ready),
            ),
            (
                "sluicegate_agent_vips_wanted",
                "Addresses asked for",
                count(status.vips_wanted),
            ),
        ] {
            self.gauges(name, help)
                .get_or_create(&vec![])
                .set(clamp(value));
        }
        self.counters(
            "sluicegate_agent_stores",
            "Stores into kernel tables",
            [(vec![], status.stores)],
        );
    }

    fn gauges(&mut self, name: &str, help: &str) -> Gauges {
        let gauges = Gauges::default();
        self.registry.register(name, help, gauges.clone());
        gauges
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
    Ok(Metrics::of(&status, &peers, lb.ok().as_ref()))
}

fn clamp(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn count(items: usize) -> u64 {
    items as u64
}
