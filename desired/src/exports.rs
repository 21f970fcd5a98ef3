//! Which prefixes each set of routes has, and with what attributes.
//!
//! ```text
//!  Service --matched by--> CiliumBGPAdvertisement --selected by--> CiliumBGPPeerConfig and family
//!     |                                                                    |  = one export
//!     +-- its ready addresses, masked --> prefix --> contributions --------+  merged: the route
//! ```
//!
//! A prefix has a contribution from each Service below it. Communities are united, and the largest
//! local preference wins.

mod routes;

use std::collections::{BTreeMap, BTreeSet};

use api::bgp::{
    Advertisement, AdvertisementSource, BgpAdvertisement, BgpPeerConfig, ServiceAddress,
};
use api::{Service, TrafficPolicy};
use bgp_speaker_core::desired::{Attributes, ExportChange, ExportId};
use types::{Family, NodeName, ObjectName, Prefix};

use crate::balancer::Balancer;
use crate::instances::ExportKey;
use crate::ipam;
use crate::objects::Objects;
use routes::{Routes, join};

/// The index over advertisements and the Services they match.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    numbers: BTreeMap<ExportKey, ExportId>,
    next: u32,
    /// The exports that a peer of this node names.
    active: BTreeMap<ExportKey, Export>,
    /// The Services that each advertisement matches.
    matched: BTreeMap<ObjectName, BTreeSet<ObjectName>>,
    /// Which exports have routes of a Service.
    contributing: BTreeMap<ObjectName, BTreeSet<ExportKey>>,
    dirty_services: BTreeSet<ObjectName>,
    dirty_advertisements: BTreeSet<ObjectName>,
    /// Whether an export may have gained or lost advertisements.
    dirty_selection: bool,
}

#[derive(Debug)]
struct Export {
    id: ExportId,
    advertisements: BTreeSet<ObjectName>,
    routes: Routes,
}

/// What decides about an address besides the advertisements.
pub(crate) struct Context<'c> {
    pub(crate) objects: &'c Objects,
    pub(crate) balancer: &'c Balancer,
    pub(crate) node: &'c NodeName,
}

impl Exports {
    pub(crate) fn touch_service(&mut self, service: &ObjectName) {
        self.dirty_services.insert(service.clone());
    }

    pub(crate) fn touch_advertisement(&mut self, advertisement: &ObjectName) {
        self.dirty_advertisements.insert(advertisement.clone());
        self.dirty_selection = true;
    }

    /// The number of an export; a new one if it has none.
    pub(crate) fn number(&mut self, key: ExportKey) -> ExportId {
        let next = &mut self.next;
        *self.numbers.entry(key).or_insert_with(|| {
            *next += 1;
            ExportId(*next)
        })
    }

    /// Exactly these exports are named by peers, whose configs may have changed. Those that are not
    /// named any more, to be cleared.
    pub(crate) fn activate(&mut self, wanted: &BTreeSet<ExportKey>) -> Vec<ExportId> {
        self.dirty_selection = true;
        let mut cleared = Vec::new();
        self.numbers.retain(|key, id| {
            let keep = wanted.contains(key);
            if !keep {
                cleared.push(*id);
            }
            keep
        });
        self.active.retain(|key, _| wanted.contains(key));
        for keys in self.contributing.values_mut() {
            keys.retain(|key| wanted.contains(key));
        }
        for key in wanted {
            let id = self.number(key.clone());
            self.active.entry(key.clone()).or_insert_with(|| Export {
                id,
                advertisements: BTreeSet::new(),
                routes: Routes::default(),
            });
        }
        cleared
    }

    /// Works through what was touched.
    pub(crate) fn settle(&mut self, context: &Context<'_>) -> Vec<ExportChange> {
        self.match_advertisements(context.objects);
        if std::mem::take(&mut self.dirty_selection) {
            self.select_advertisements(context.objects);
        }
        for name in std::mem::take(&mut self.dirty_services) {
            self.match_service(context.objects, &name);
            self.contribute(context, &name);
        }
        let mut changes = Vec::new();
        for export in self.active.values_mut() {
            export.routes.settle(export.id, &mut changes);
        }
        // A prefix that replaces others is there before they go.
        changes.sort_by_key(|change| !matches!(change, ExportChange::Announce { .. }));
        changes
    }

    /// Advertisements that changed touch the Services that they matched, and those that they match.
    fn match_advertisements(&mut self, objects: &Objects) {
        for name in std::mem::take(&mut self.dirty_advertisements) {
            let new: BTreeSet<ObjectName> = match objects.advertisements.get(&name) {
                Some(advertisement) => {
                    let services = objects.services.iter();
                    let matched = services.filter(|(_, service)| matches(advertisement, service));
                    matched.map(|(name, _)| name.clone()).collect()
                }
                None => BTreeSet::new(),
            };
            let old = self.matched.remove(&name).unwrap_or_default();
            self.dirty_services.extend(old);
            self.dirty_services.extend(new.iter().cloned());
            if !new.is_empty() {
                self.matched.insert(name, new);
            }
        }
    }

    /// Advertisements that an export gains or loses touch the Services that they match.
    fn select_advertisements(&mut self, objects: &Objects) {
        for (key, export) in &mut self.active {
            let config = objects.peer_configs.get(&key.config);
            let advertisements = objects.advertisements.values();
            let selected: BTreeSet<ObjectName> = advertisements
                .filter(|advertisement| {
                    config.is_some_and(|config| selects(config, key.family, advertisement))
                })
                .map(|advertisement| advertisement.meta.name.clone())
                .collect();
            for changed in export.advertisements.symmetric_difference(&selected) {
                let services = self.matched.get(changed).into_iter().flatten();
                self.dirty_services.extend(services.cloned());
            }
            export.advertisements = selected;
        }
    }

    fn match_service(&mut self, objects: &Objects, name: &ObjectName) {
        let service = objects.services.get(name);
        for (key, advertisement) in &objects.advertisements {
            if service.is_some_and(|service| matches(advertisement, service)) {
                self.matched
                    .entry(key.clone())
                    .or_default()
                    .insert(name.clone());
            } else if let Some(matched) = self.matched.get_mut(key) {
                matched.remove(name);
                if matched.is_empty() {
                    self.matched.remove(key);
                }
            }
        }
    }

    fn contribute(&mut self, context: &Context<'_>, name: &ObjectName) {
        let mut keys = self.contributing.remove(name).unwrap_or_default();
        let service = context.objects.services.get(name);
        for (key, export) in &mut self.active {
            let matched = &self.matched;
            let advertisements = export.advertisements.iter().filter(|advertisement| {
                matched
                    .get(*advertisement)
                    .is_some_and(|services| services.contains(name))
            });
            let advertisements = advertisements
                .filter_map(|name| context.objects.advertisements.get(name))
                .flat_map(|advertisement| &advertisement.advertisements);
            let routes = service.map_or_else(BTreeMap::new, |service| {
                context.routes(service, key.family, advertisements)
            });
            if routes.is_empty() {
                if keys.remove(key) {
                    export.routes.set(name, routes);
                }
            } else {
                keys.insert(key.clone());
                export.routes.set(name, routes);
            }
        }
        if !keys.is_empty() {
            self.contributing.insert(name.clone(), keys);
        }
    }
}

impl Context<'_> {
    /// What the Service contributes in a family.
    fn routes<'a>(
        &self,
        service: &Service,
        family: Family,
        advertisements: impl Iterator<Item = &'a Advertisement>,
    ) -> BTreeMap<Prefix, Attributes> {
        let mut routes: BTreeMap<Prefix, Attributes> = BTreeMap::new();
        for advertisement in advertisements.filter(|entry| entry.selects(service)) {
            let AdvertisementSource::Service { addresses, .. } = &advertisement.source else {
                continue;
            };
            for kind in addresses {
                for prefix in self.prefixes(service, family, *kind, &advertisement.source) {
                    let attributes = routes.entry(prefix).or_default();
                    join(attributes, &carried(advertisement));
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
        let external = service.external_traffic_policy;
        let (addresses, policy): (Vec<_>, _) = match kind {
            // The class says who is to announce what was given; the others are the user's own.
            ServiceAddress::LoadBalancerIp if !ipam::class_is_ours(service) => {
                (Vec::new(), external)
            }
            ServiceAddress::LoadBalancerIp => (service.ingress_ips().collect(), external),
            ServiceAddress::ExternalIp => (service.external_ips.clone(), external),
            ServiceAddress::ClusterIp => {
                (service.cluster_ips.clone(), service.internal_traffic_policy)
            }
        };
        let aggregation = match policy {
            TrafficPolicy::Cluster => source.aggregation(family),
            TrafficPolicy::Local => None,
        };
        let is_wanted = |addr: &std::net::IpAddr| {
            Family::of(*addr) == family && self.balancer.is_ready(service.name(), *addr)
        };
        let is_here = || match policy {
            TrafficPolicy::Cluster => true,
            TrafficPolicy::Local => self
                .balancer
                .is_local(self.objects, service.name(), self.node),
        };
        let addresses: Vec<_> = addresses.into_iter().filter(is_wanted).collect();
        if addresses.is_empty() || !is_here() {
            return BTreeSet::new();
        }
        let length = aggregation.unwrap_or(family.bits());
        let prefixes = addresses.into_iter();
        prefixes
            .filter_map(|addr| Prefix::containing(addr, length).ok())
            .collect()
    }
}

/// Whether any part of the advertisement is about the Service.
fn matches(advertisement: &BgpAdvertisement, service: &Service) -> bool {
    let mut entries = advertisement.advertisements.iter();
    entries.any(|entry| match entry.source {
        AdvertisementSource::Service { .. } => entry.selects(service),
        AdvertisementSource::PodCidr
        | AdvertisementSource::PodIpPool
        | AdvertisementSource::Interface { .. } => false,
    })
}

fn selects(config: &BgpPeerConfig, family: Family, advertisement: &BgpAdvertisement) -> bool {
    let mut families = config.session.families.iter();
    families.any(|entry| entry.family == family && entry.selects(&advertisement.meta.labels))
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
