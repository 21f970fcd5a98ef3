//! The chain from a pool to what clients reach at an address, and its first broken link.

use std::collections::BTreeSet;
use std::net::IpAddr;

use api::bgp::{AdvertisementSource, BgpAdvertisement, BgpPeerConfig, ServiceAddress};
use api::{EndpointSlice, LoadBalancerIPPool, Object, Service, TrafficPolicy};
use serde::Serialize;
use types::{Family, NodeName};

use super::cut::has_ready;
use super::differ::list;
use super::{Assumptions, Outcome, Situation};
use crate::Forwarding;

/// How an address is reached, link by link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// The address.
    pub address: IpAddr,
    /// The first link that is broken, if one is.
    pub broken: Option<&'static str>,
    /// `pool`, `service`, `backends`, `advertisement`, `peer-config`, `session`, `kernel-map`.
    pub links: Vec<Link>,
}

/// One link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// What it is.
    pub name: &'static str,
    /// Whether it holds.
    pub state: LinkState,
    /// What there is to know, for a person to read.
    pub facts: Vec<String>,
    /// What to do, where it is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

/// Whether a link holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// It does.
    Whole,
    /// It does not.
    Broken,
    /// That depends on a link before it, or cannot be told from here.
    Unknown,
}

impl Chain {
    /// Puts what was found out since in the place of a link, and looks for the first broken one again.
    pub fn replace(&mut self, link: Link) {
        let mut links = self.links.iter_mut();
        if let Some(known) = links.find(|known| known.name == link.name) {
            *known = link;
        }
        let broken = self.links.iter();
        let mut broken = broken.filter(|link| link.state == LinkState::Broken);
        self.broken = broken.next().map(|link| link.name);
    }
}

impl Link {
    /// A link that holds.
    #[must_use]
    pub fn whole(name: &'static str, facts: Vec<String>) -> Self {
        Self {
            name,
            state: LinkState::Whole,
            facts,
            todo: None,
        }
    }

    /// A link that does not hold, and what to do.
    #[must_use]
    pub fn broken(name: &'static str, facts: Vec<String>, todo: impl Into<String>) -> Self {
        Self {
            name,
            state: LinkState::Broken,
            facts,
            todo: Some(todo.into()),
        }
    }

    /// A link of which nothing can be said.
    #[must_use]
    pub fn unknown(name: &'static str, fact: impl Into<String>) -> Self {
        Self {
            name,
            state: LinkState::Unknown,
            facts: vec![fact.into()],
            todo: None,
        }
    }
}

/// What is looked at.
struct Case<'c> {
    addr: IpAddr,
    objects: &'c Situation,
    outcome: &'c Outcome,
    assumptions: &'c Assumptions,
    services: Vec<&'c Service>,
}

pub(super) fn chain(outcome: &Outcome, addr: IpAddr, assumptions: &Assumptions) -> Chain {
    let objects = &outcome.objects;
    let has = |service: &&Service| service.ingress_ips().any(|held| held == addr);
    let case = Case {
        addr,
        objects,
        outcome,
        assumptions,
        services: services(objects).filter(has).collect(),
    };
    let links = vec![
        case.pool(),
        case.service(),
        case.backends(),
        case.advertisement(),
        case.peer_config(),
        case.session(),
        case.kernel_map(),
    ];
    let broken = links.iter().find(|link| link.state == LinkState::Broken);
    Chain {
        address: addr,
        broken: broken.map(|link| link.name),
        links,
    }
}

impl<'c> Case<'c> {
    fn pool(&self) -> Link {
        const NAME: &str = "pool";
        let pools: Vec<&LoadBalancerIPPool> = pools(self.objects)
            .filter(|pool| {
                let mut blocks = pool.blocks.iter().map(api::Block::bounds);
                blocks.any(|(first, last)| (first..=last).contains(&self.addr))
            })
            .collect();
        let name = |pool: &&LoadBalancerIPPool| pool.meta.name.to_string();
        if pools.is_empty() {
            return if self.services.is_empty() {
                let todo = "add it to the blocks of a CiliumLoadBalancerIPPool";
                Link::broken(NAME, vec!["no pool has it".to_owned()], todo)
            } else {
                let fact = "no pool has it; another program gave it, or its pool is gone";
                Link::whole(NAME, vec![fact.to_owned()])
            };
        }
        let mut facts: Vec<String> = pools
            .iter()
            .map(|pool| format!("{} has it", name(pool)))
            .collect();
        for (pool, conditions) in self.outcome.addresses.allocator.pools() {
            let is_one = pools.iter().any(|one| one.meta.name == *pool);
            if let Some(conflict) = conditions.conflict.filter(|_| is_one) {
                facts.push(format!("{pool}: {conflict}"));
            }
        }
        let disabled = pools.iter().filter(|pool| pool.disabled);
        facts.extend(disabled.map(|pool| format!("{} is disabled", name(pool))));
        Link::whole(NAME, facts)
    }

    fn service(&self) -> Link {
        const NAME: &str = "service";
        if !self.services.is_empty() {
            let names = self
                .services
                .iter()
                .map(|service| service.name().to_string());
            return Link::whole(NAME, names.collect());
        }
        let asking =
            services(self.objects).filter(|service| service.requested.contains(&self.addr));
        let facts: Vec<String> = asking.map(|service| self.refusal(service)).collect();
        if facts.is_empty() {
            let fact = "no Service has it or asks for it".to_owned();
            let todo = "create a Service of type LoadBalancer; to have this very address, with the \
                        annotation lbipam.cilium.io/ips";
            return Link::broken(NAME, vec![fact], todo);
        }
        Link::broken(NAME, facts, "see `sluice lb-ipam why NAMESPACE/NAME`")
    }

    /// Why a Service that asks for the address does not have it.
    fn refusal(&self, service: &Service) -> String {
        let name = service.name();
        match self.outcome.addresses.satisfaction().get(name) {
            Some(says) => format!("{name} asks for it: {}", says.message()),
            None => format!("{name} asks for it, and its addresses are not given here"),
        }
    }

    fn backends(&self) -> Link {
        const NAME: &str = "backends";
        if self.services.is_empty() {
            return Link::unknown(NAME, "of no Service");
        }
        let mut facts = Vec::new();
        let mut any = false;
        for service in &self.services {
            let slices =
                slices(self.objects).filter(|slice| slice.service.as_ref() == Some(service.name()));
            let slices: Vec<&EndpointSlice> = slices.collect();
            let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
            let ready = endpoints
                .clone()
                .filter(|endpoint| endpoint.ready && !endpoint.terminating);
            any |= slices.iter().any(|slice| has_ready(slice));
            facts.push(format!(
                "{}: {} of {} endpoints are ready",
                service.name(),
                ready.count(),
                endpoints.count()
            ));
        }
        if any {
            return Link::whole(NAME, facts);
        }
        Link::broken(
            NAME,
            facts,
            "look at the pods and at the Service's selector",
        )
    }

    /// The advertisements that announce addresses of load balancers of one of the Services.
    fn advertisements(&self) -> Vec<&'c BgpAdvertisement> {
        let announces = |advertisement: &&BgpAdvertisement| {
            let mut entries = advertisement.advertisements.iter();
            entries.any(|entry| {
                let of_addresses = matches!(
                    &entry.source,
                    AdvertisementSource::Service { addresses, .. }
                        if addresses.contains(&ServiceAddress::LoadBalancerIp)
                );
                of_addresses && self.services.iter().any(|service| entry.selects(service))
            })
        };
        advertisements(self.objects).filter(announces).collect()
    }

    fn advertisement(&self) -> Link {
        const NAME: &str = "advertisement";
        if self.services.is_empty() {
            return Link::unknown(NAME, "of no Service");
        }
        let found = self.advertisements();
        if found.is_empty() {
            let fact =
                "no CiliumBGPAdvertisement announces LoadBalancerIP of the Service".to_owned();
            let todo = "add one of type Service with a selector that matches its labels; without a \
                        selector it matches nothing";
            return Link::broken(NAME, vec![fact], todo);
        }
        Link::whole(
            NAME,
            found.iter().map(|it| it.meta.name.to_string()).collect(),
        )
    }

    fn peer_configs(&self) -> Vec<&'c BgpPeerConfig> {
        let family = Family::of(self.addr);
        let found = self.advertisements();
        let takes = |config: &&BgpPeerConfig| {
            let families = config.session.families.iter();
            let mut families = families.filter(|of_peer| of_peer.family == family);
            families.any(|of_peer| found.iter().any(|it| of_peer.selects(&it.meta.labels)))
        };
        peer_configs(self.objects).filter(takes).collect()
    }

    fn peer_config(&self) -> Link {
        const NAME: &str = "peer-config";
        let advertisements = self.advertisements();
        if advertisements.is_empty() {
            return Link::unknown(NAME, "of no CiliumBGPAdvertisement");
        }
        let found = self.peer_configs();
        if found.is_empty() {
            let names: Vec<String> = advertisements
                .iter()
                .map(|it| it.meta.name.to_string())
                .collect();
            let family = Family::of(self.addr);
            let fact = format!(
                "no CiliumBGPPeerConfig has {} in its families' advertisements for {family}",
                list(&names)
            );
            let todo = "give it a family with a selector of the advertisement's labels; without a \
                        selector it announces nothing";
            return Link::broken(NAME, vec![fact], todo);
        }
        Link::whole(
            NAME,
            found.iter().map(|it| it.meta.name.to_string()).collect(),
        )
    }

    fn session(&self) -> Link {
        const NAME: &str = "session";
        if self.peer_configs().is_empty() {
            return Link::unknown(NAME, "of no CiliumBGPPeerConfig");
        }
        let mut facts = Vec::new();
        let mut silent: Vec<&NodeName> = Vec::new();
        for (node, state) in &self.outcome.nodes {
            let routes = state.routes();
            let told: BTreeSet<String> = routes
                .filter(|(_, _, _, prefix, _)| prefix.contains(self.addr))
                .map(|((instance, peer), _, of_peer, prefix, _)| {
                    format!(
                        "{node} tells {instance}/{peer} ({}) {prefix}",
                        of_peer.address
                    )
                })
                .collect();
            if told.is_empty() {
                silent.push(node);
            }
            facts.extend(told);
        }
        if facts.is_empty() {
            return Link::broken(
                NAME,
                self.silence(),
                "see the reasons above, and `sluice bgp peers`",
            );
        }
        if !silent.is_empty() {
            facts.push(format!("not announced by {}", list(&silent)));
        }
        Link::whole(NAME, facts)
    }

    /// Why no node announces it.
    fn silence(&self) -> Vec<String> {
        let mut facts = vec!["no node announces it".to_owned()];
        let nodes = &self.outcome.nodes;
        for (node, state) in nodes {
            facts.extend(state.left_out.iter().map(|left| format!("{node}: {left}")));
        }
        if nodes.values().all(|state| state.instances.is_empty()) {
            facts
                .push("no CiliumBGPClusterConfig gives a node an instance that can run".to_owned());
        } else if nodes.values().all(|state| state.peers().next().is_none()) {
            facts.push("no instance has a peer that can be run".to_owned());
        }
        let local = |service: &&Service| service.external_traffic_policy == TrafficPolicy::Local;
        if self.services.iter().any(local) {
            let fact =
                "externalTrafficPolicy is Local: only nodes with a ready endpoint announce it";
            facts.push(fact.to_owned());
        }
        facts
    }

    fn kernel_map(&self) -> Link {
        const NAME: &str = "kernel-map";
        if self.services.is_empty() {
            return Link::unknown(NAME, "of no Service");
        }
        if self.assumptions.forwarding == Forwarding::Elsewhere {
            return Link::unknown(NAME, "another program, such as kube-proxy, forwards");
        }
        let mut facts = Vec::new();
        let mut any = false;
        for (node, state) in &self.outcome.nodes {
            for (key, service) in &state.services {
                let vips = service.frontends.iter().filter(|vip| vip.addr == self.addr);
                let vips: Vec<String> = vips.map(ToString::to_string).collect();
                if !vips.is_empty() {
                    any |= !service.backends.is_empty();
                    let backends = service.backends.len();
                    facts.push(format!(
                        "{node}: {key} {} with {backends} backends",
                        list(&vips)
                    ));
                }
            }
        }
        if any {
            return Link::whole(NAME, facts);
        }
        Link::broken(
            NAME,
            facts,
            "endpoints need a port of the Service's name and protocol",
        )
    }
}

fn services(objects: &Situation) -> impl Iterator<Item = &Service> {
    objects.values().filter_map(|object| {
        if let Object::Service(service) = object {
            Some(&**service)
        } else {
            None
        }
    })
}

fn slices(objects: &Situation) -> impl Iterator<Item = &EndpointSlice> {
    objects.values().filter_map(|object| {
        if let Object::EndpointSlice(slice) = object {
            Some(&**slice)
        } else {
            None
        }
    })
}

fn pools(objects: &Situation) -> impl Iterator<Item = &LoadBalancerIPPool> {
    objects.values().filter_map(|object| {
        if let Object::CiliumLoadBalancerIPPool(pool) = object {
            Some(&**pool)
        } else {
            None
        }
    })
}

fn advertisements(objects: &Situation) -> impl Iterator<Item = &BgpAdvertisement> {
    objects.values().filter_map(|object| {
        if let Object::CiliumBGPAdvertisement(advertisement) = object {
            Some(&**advertisement)
        } else {
            None
        }
    })
}

fn peer_configs(objects: &Situation) -> impl Iterator<Item = &BgpPeerConfig> {
    objects.values().filter_map(|object| {
        if let Object::CiliumBGPPeerConfig(config) = object {
            Some(&**config)
        } else {
            None
        }
    })
}
