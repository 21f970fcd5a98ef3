//! Which fields of an object are accepted and not acted upon, given who acts here.

use api::annotations::{self, ServiceSettings};
use api::bgp::{AdvertisementSource, BgpAdvertisement, ServiceAddress};
use api::{FieldPath, Object, Step, Unenforced};

use crate::{Facts, Forwarding, Role, ipam};

/// Fields of a Service that agents honour in a cluster.
const HONOURED: [&str; 2] = ["externalTrafficPolicy", "trafficDistribution"];

pub(super) fn of(facts: &Facts, object: &Object) -> Vec<Unenforced> {
    let plain = || object.unenforced().to_vec();
    match object {
        // Whoever forwards acts upon what a Service says, and knows nothing of our annotations.
        Object::Service(service)
            if facts.forwarding == Forwarding::Elsewhere && ipam::is_ours(service) =>
        {
            for_the_balancer(&service.settings)
        }
        Object::Service(service) if ipam::is_ours(service) => {
            let mut notes = plain();
            if facts.role == Role::Operator {
                notes.retain(|note| !is_honoured(&note.path));
            }
            notes
        }
        // Somebody else's services carry nothing of ours.
        Object::Service(_) => Vec::new(),
        Object::CiliumBGPAdvertisement(advertisement) => {
            let mut notes = plain();
            if facts.forwarding == Forwarding::Balancer {
                notes.extend(not_balanced(advertisement));
            }
            notes
        }
        Object::CiliumBGPNodeConfig(_) if facts.role == Role::Standalone => {
            vec![Unenforced {
                path: field(["spec"].map(str::to_owned)),
                note: "a node on its own makes this of its CiliumBGPClusterConfig".to_owned(),
            }]
        }
        Object::CiliumBGPClusterConfig(_) | Object::CiliumBGPPeerConfig(_) => plain(),
        // These have no status to say it in, or nothing to say.
        Object::CiliumBGPNodeConfig(_)
        | Object::CiliumBGPNodeConfigOverride(_)
        | Object::CiliumLoadBalancerIPPool(_)
        | Object::EndpointSlice(_)
        | Object::Node(_)
        | Object::Secret(_) => Vec::new(),
    }
}

/// Annotations that tell the balancer something.
fn for_the_balancer(settings: &ServiceSettings) -> Vec<Unenforced> {
    let given = [
        (annotations::HEALTH_CHECK, settings.health_check.is_some()),
        (annotations::IDLE_TIMEOUT, settings.idle_timeout.is_some()),
        (annotations::QUARANTINE, !settings.quarantine.is_zero()),
        (
            annotations::MAGLEV_TABLE_SIZE,
            settings.maglev_table_size.is_some(),
        ),
    ];
    let given = given.into_iter().filter(|(_, given)| *given);
    given
        .map(|(name, _)| Unenforced {
            path: field(["metadata", "annotations", name].map(str::to_owned)),
            note: "another program balances".to_owned(),
        })
        .collect()
}

/// The balancer has tables for addresses that LB-IPAM gave, and only what is in its tables is announced.
fn not_balanced(advertisement: &BgpAdvertisement) -> Vec<Unenforced> {
    let entries = advertisement.advertisements.iter().enumerate();
    let affected = entries.filter_map(|(index, entry)| match &entry.source {
        AdvertisementSource::Service { addresses, .. } => {
            let only_given = [ServiceAddress::LoadBalancerIp].into();
            (*addresses != only_given).then_some(index)
        }
        AdvertisementSource::PodCidr
        | AdvertisementSource::PodIpPool
        | AdvertisementSource::Interface { .. } => None,
    });
    affected
        .map(|index| {
            let path = [
                Step::Field("spec".to_owned()),
                Step::Field("advertisements".to_owned()),
                Step::Index(index),
                Step::Field("service".to_owned()),
                Step::Field("addresses".to_owned()),
            ];
            Unenforced {
                path: FieldPath::new(path.into()),
                note: "only LoadBalancerIP is announced, as the others are not balanced here"
                    .to_owned(),
            }
        })
        .collect()
}

fn is_honoured(path: &FieldPath) -> bool {
    let mut honoured = HONOURED.into_iter();
    honoured.any(|name| *path == field(["spec", name].map(str::to_owned)))
}

fn field<const N: usize>(names: [String; N]) -> FieldPath {
    FieldPath::new(names.into_iter().map(Step::Field).collect())
}
