//! Which prefixes each set of routes has, and with what attributes.
//!
//! ```text
//!  Service --matched by--> CiliumBGPAdvertisement --selected by--> CiliumBGPPeerConfig and family
//!     |                                                                    |  = one export
//!     +-- its ready addresses, masked --> prefix --> contributions --------+  merged: the route
//! ```
//!
//! A prefix has a contribution from each Service below it, and from the node itself for its pods and its
//! interfaces. Communities are united, and the largest local preference wins.

mod prefixes;
mod routes;

use std::collections::{BTreeMap, BTreeSet};

use api::Service;
use api::bgp::{AdvertisementSource, BgpAdvertisement, BgpPeerConfig};
use bgp_speaker_core::desired::{ExportChange, ExportId};
use types::{Family, ObjectName};

use crate::instances::ExportKey;
use crate::objects::Objects;
use routes::{Contributor, Routes};

pub(crate) use prefixes::Context;

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
    contributing: BTreeMap<ObjectName, Vec<ExportKey>>,
    dirty_services: BTreeSet<ObjectName>,
    dirty_advertisements: BTreeSet<ObjectName>,
    /// Whether an export may have gained or lost advertisements.
    dirty_selection: bool,
    /// Whether the node itself may contribute other routes.
    dirty_node: bool,
}

#[derive(Debug)]
struct Export {
    id: ExportId,
    advertisements: BTreeSet<ObjectName>,
    routes: Routes,
}

impl Exports {
    pub(crate) fn touch_service(&mut self, service: &ObjectName) {
        self.dirty_services.insert(service.clone());
    }

    /// The node has other prefixes or addresses.
    pub(crate) fn touch_node(&mut self) {
        self.dirty_node = true;
    }

    /// Whether addresses of Services are announced at all is decided anew.
    pub(crate) fn touch_services(&mut self) {
        let matched = self.matched.values().flatten();
        self.dirty_services.extend(matched.cloned());
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
            self.dirty_node = true;
        }
        if std::mem::take(&mut self.dirty_node) {
            self.contribute_node(context);
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

    fn contribute_node(&mut self, context: &Context<'_>) {
        for (key, export) in &mut self.active {
            let advertisements = export.advertisements.iter();
            let advertisements = advertisements
                .filter_map(|name| context.objects.advertisements.get(name))
                .flat_map(|advertisement| &advertisement.advertisements);
            let routes = context.of_node(key.family, advertisements);
            export.routes.set(&Contributor::Node, routes);
        }
    }

    fn contribute(&mut self, context: &Context<'_>, name: &ObjectName) {
        let mut keys = self.contributing.remove(name).unwrap_or_default();
        let contributor = Contributor::Service(name.clone());
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
                context.of_service(service, key.family, advertisements)
            });
            if routes.is_empty() {
                if keys.contains(key) {
                    keys.retain(|other| other != key);
                    export.routes.set(&contributor, routes);
                }
            } else {
                if !keys.contains(key) {
                    keys.push(key.clone());
                }
                export.routes.set(&contributor, routes);
            }
        }
        if !keys.is_empty() {
            self.contributing.insert(name.clone(), keys);
        }
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
