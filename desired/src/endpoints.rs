//! Which EndpointSlices a Service has, and what they say together.

use std::collections::BTreeMap;

use api::{AddressType, Endpoint, EndpointSlice};
use types::{Family, NodeName, ObjectName};

use crate::objects::Objects;

/// The index from Services to their slices.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    /// The slices of each service, whether that exists or not, by name. Most have one or two: a set
    /// would take the room of eleven.
    slices: BTreeMap<ObjectName, Vec<ObjectName>>,
}

impl Endpoints {
    /// A slice belongs to `new` now, and not to `old`.
    pub(crate) fn on_slice(
        &mut self,
        slice: &ObjectName,
        old: Option<&ObjectName>,
        new: Option<&ObjectName>,
    ) {
        if let Some(service) = old
            && let Some(slices) = self.slices.get_mut(service)
        {
            slices.retain(|other| other != slice);
            if slices.is_empty() {
                self.slices.remove(service);
            }
        }
        if let Some(service) = new {
            let slices = self.slices.entry(service.clone()).or_default();
            if let Err(at) = slices.binary_search(slice) {
                slices.insert(at, slice.clone());
            }
        }
    }

    pub(crate) fn slices_of<'o>(
        &'o self,
        objects: &'o Objects,
        service: &ObjectName,
    ) -> impl Iterator<Item = &'o EndpointSlice> {
        let names = self.slices.get(service).into_iter().flatten();
        names.filter_map(|name| objects.slices.get(name).map(AsRef::as_ref))
    }

    /// Whether an active backend of the service is on the node.
    pub(crate) fn is_on(&self, objects: &Objects, service: &ObjectName, node: &NodeName) -> bool {
        let slices = self.slices_of(objects, service);
        let mut endpoints = slices.flat_map(|slice| &slice.endpoints);
        endpoints.any(|endpoint| is_active(endpoint) && endpoint.node.as_ref() == Some(node))
    }

    /// Whether an active backend of the service is on the node, with addresses of that family.
    pub(crate) fn is_on_with(
        &self,
        objects: &Objects,
        service: &ObjectName,
        node: &NodeName,
        family: Family,
    ) -> bool {
        let mut endpoints = self.of_family(objects, service, family);
        endpoints.any(|endpoint| is_active(endpoint) && endpoint.node.as_ref() == Some(node))
    }

    /// Whether the service has an endpoint of that family that answers, if only to its end.
    pub(crate) fn answers(&self, objects: &Objects, service: &ObjectName, family: Family) -> bool {
        let mut endpoints = self.of_family(objects, service, family);
        endpoints.any(|endpoint| is_active(endpoint) || (endpoint.terminating && endpoint.serving))
    }

    fn of_family<'o>(
        &'o self,
        objects: &'o Objects,
        service: &ObjectName,
        family: Family,
    ) -> impl Iterator<Item = &'o Endpoint> {
        let slices = self.slices_of(objects, service);
        slices
            .filter(move |slice| slice.address_type == AddressType::Ip(family))
            .flat_map(|slice| &slice.endpoints)
    }
}

fn is_active(endpoint: &Endpoint) -> bool {
    endpoint.ready && !endpoint.terminating
}
