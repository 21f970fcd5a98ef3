//! The status of an object as the source shows it.

use std::collections::BTreeMap;

use api::{Condition, Ingress, Object, Shown, Statement, Version};

/// What a wish is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Which state of the object this is.
    pub(crate) version: Version,
    /// Empty for objects other than Services.
    pub(crate) ingress: Vec<Ingress>,
    /// By type.
    pub(crate) conditions: BTreeMap<String, Statement>,
}

impl Seen {
    /// `None` for kinds whose status is not written, and for objects without a version.
    pub(crate) fn of(object: &Object) -> Option<Self> {
        let ingress = match object {
            Object::Service(service) => service.ingress.clone(),
            Object::CiliumLoadBalancerIPPool(_)
            | Object::CiliumBGPClusterConfig(_)
            | Object::CiliumBGPPeerConfig(_)
            | Object::CiliumBGPAdvertisement(_)
            | Object::CiliumBGPNodeConfig(_) => Vec::new(),
            Object::EndpointSlice(_)
            | Object::Node(_)
            | Object::Secret(_)
            | Object::CiliumBGPNodeConfigOverride(_) => return None,
        };
        let version = object.meta().resource_version.as_deref()?;
        Some(Self {
            version: Version::new(version),
            ingress,
            conditions: by_type(object.conditions()),
        })
    }
}

impl From<Shown> for Seen {
    fn from(shown: Shown) -> Self {
        Self {
            version: shown.version,
            conditions: by_type(&shown.conditions),
            ingress: shown.ingress,
        }
    }
}

fn by_type(conditions: &[Condition]) -> BTreeMap<String, Statement> {
    let conditions = conditions.iter();
    conditions
        .map(|condition| (condition.kind.clone(), statement(condition)))
        .collect()
}

fn statement(condition: &Condition) -> Statement {
    Statement {
        status: condition.status,
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        observed_generation: condition.observed_generation,
    }
}
