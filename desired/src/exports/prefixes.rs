//! Which prefixes an advertisement has on this node, and with what attributes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::annotations::WhenEmpty;
use api::bgp::{Advertisement, AdvertisementSource, ServiceAddress};
use api::{Service, ServiceType, TrafficPolicy};
use bgp_speaker_core::desired::Attributes;
use types::{Family, Prefix};

use super::routes::join;
use crate::balancer::Balancer;
use crate::endpoints::Endpoints;
use crate::network::Network;
use crate::objects::Objects;
use crate::{Facts, Forwarding, ipam};

/// What decides about an address besides the advertisements.
pub(crate) struct Context<'c> {
    pub(crate) facts: &'c Facts,
    pub(crate) objects: &'c Objects,
    pub(crate) endpoints: &'c Endpoints,
    pub(crate) balancer: &'c Balancer,
    pub(crate) network: &'c Network,
    /// Whether this node is to announce no addresses of Services.
    pub(crate) excluded: bool,
}

type Contribution = BTreeMap<Prefix, Attributes>;

/// Whether addresses of a Service may be announced.
#[derive(Clone, Copy)]
enum Gate {
    Open,
    Closed,
    /// Each once it is in place.
    WhenReady,
}

impl Context<'_> {
    /// What the node itself contributes in a family.
    pub(super) fn of_node<'a>(
        &self,
        family: Family,
        advertisements: impl Iterator<Item = &'a Advertisement>,
    ) -> Contribution {
        let mut routes = Contribution::new();
        for advertisement in advertisements {
            let prefixes = match &advertisement.source {
                AdvertisementSource::PodCidr => {
                    self.objects.node(&self.facts.node).pod_cidrs.clone()
                }
                AdvertisementSource::Interface { name } => {
                    self.network.addresses(name).map(Prefix::host).collect()
                }
                // Services are looked at one by one, and there are no pools of pod addresses.
                AdvertisementSource::Service { .. } | AdvertisementSource::PodIpPool => Vec::new(),
            };
            for prefix in prefixes.into_iter().filter(|it| it.family() == family) {
                join(routes.entry(prefix).or_default(), &carried(advertisement));
            }
        }
        routes
    }

    /// What the Service contributes in a family.
    pub(super) fn of_service<'a>(
        &self,
        service: &Service,
        family: Family,
        advertisements: impl Iterator<Item = &'a Advertisement>,
    ) -> Contribution {
        let mut routes = Contribution::new();
        for advertisement in advertisements.filter(|entry| entry.selects(service)) {
            let AdvertisementSource::Service { addresses, .. } = &advertisement.source else {
                continue;
            };
            for kind in addresses {
                for prefix in self.prefixes(service, family, *kind, &advertisement.source) {
                    join(routes.entry(prefix).or_default(), &carried(advertisement));
                }
            }
        }
        routes
    }

    /// The prefixes of the Service's addresses that may be announced from this node.
    fn prefixes(
        &self,
        service: &Service,
        family: Family,
        kind: ServiceAddress,
        source: &AdvertisementSource,
    ) -> BTreeSet<Prefix> {
        if self.excluded {
            return BTreeSet::new();
        }
        let policy = match kind {
            ServiceAddress::LoadBalancerIp | ServiceAddress::ExternalIp => {
                service.external_traffic_policy
            }
            ServiceAddress::ClusterIp => service.internal_traffic_policy,
        };
        let aggregation = match policy {
            TrafficPolicy::Cluster => source.aggregation(family),
            TrafficPolicy::Local => None,
        };
        let addresses: Vec<IpAddr> = addresses(service, kind)
            .into_iter()
            .filter(|addr| Family::of(*addr) == family)
            .collect();
        if addresses.is_empty() {
            return BTreeSet::new();
        }
        let gate = self.gate(service, family, policy);
        let may_announce = |addr: &IpAddr| match gate {
            Gate::Open => true,
            Gate::Closed => false,
            Gate::WhenReady => self.balancer.is_ready(service.name(), *addr),
        };
        let length = aggregation.unwrap_or(family.bits());
        let addresses = addresses.into_iter().filter(may_announce);
        addresses
            .filter_map(|addr| Prefix::containing(addr, length).ok())
            .collect()
    }

    /// Whether this node may announce addresses of the Service.
    fn gate(&self, service: &Service, family: Family, policy: TrafficPolicy) -> Gate {
        let name = service.name();
        let (objects, endpoints, node) = (self.objects, self.endpoints, &self.facts.node);
        let open_if = |open| if open { Gate::Open } else { Gate::Closed };
        match (self.facts.forwarding, policy) {
            (Forwarding::Balancer, TrafficPolicy::Cluster) => Gate::WhenReady,
            (Forwarding::Balancer, TrafficPolicy::Local) => {
                let is_here = endpoints.is_on(objects, name, node);
                if is_here {
                    Gate::WhenReady
                } else {
                    Gate::Closed
                }
            }
            // The forwarder passes on to other nodes what has no backend here.
            (Forwarding::Elsewhere, TrafficPolicy::Cluster) => {
                let answers = || endpoints.answers(objects, name, family);
                open_if(match service.settings.when_empty {
                    Some(WhenEmpty::Refuse) => true,
                    Some(WhenEmpty::Withdraw) => answers(),
                    None => self.facts.announce_empty || answers(),
                })
            }
            (Forwarding::Elsewhere, TrafficPolicy::Local) => {
                open_if(endpoints.is_on_with(objects, name, node, family))
            }
        }
    }
}

/// The class says who is to announce what was given; the other addresses are the user's own.
fn addresses(service: &Service, kind: ServiceAddress) -> Vec<IpAddr> {
    match kind {
        ServiceAddress::LoadBalancerIp if ipam::is_ours(service) => service.ingress_ips().collect(),
        ServiceAddress::LoadBalancerIp => Vec::new(),
        // A name in DNS has no addresses that anybody would forward.
        ServiceAddress::ExternalIp | ServiceAddress::ClusterIp
            if service.kind == ServiceType::ExternalName =>
        {
            Vec::new()
        }
        ServiceAddress::ExternalIp => service.external_ips.clone(),
        ServiceAddress::ClusterIp => service.cluster_ips.clone(),
    }
}

fn carried(advertisement: &Advertisement) -> Attributes {
    let attributes = &advertisement.attributes;
    let large = attributes.large_communities.iter();
    Attributes {
        local_pref: attributes.local_preference,
        communities: attributes.communities.clone(),
        large: large.map(|c| (c.global, c.local1, c.local2)).collect(),
        ..Attributes::default()
    }
}
