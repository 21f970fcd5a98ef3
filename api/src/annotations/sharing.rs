//! Cilium's annotations that say which Services share addresses.

use std::collections::{BTreeMap, BTreeSet};

use crate::keys;

/// On what terms a Service shares its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Only Services with the same key share; never empty.
    pub key: String,
    /// The other namespaces that it shares with, if they do so in turn.
    pub namespaces: SharingNamespaces,
    /// With `externalTrafficPolicy: Local`: whether it shares with Services of other pods, if they do so
    /// in turn.
    pub permits_different_pods: bool,
}

/// Some namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharingNamespaces {
    /// These.
    These(BTreeSet<String>),
    /// All of them.
    All,
}

/// What they say; none without a key.
pub(crate) fn sharing(all: &BTreeMap<String, String>) -> Option<Sharing> {
    let value = |keys: &[&str]| keys.iter().find_map(|key| all.get(*key));
    let key = value(&keys::LB_IPAM_SHARING_KEY)?.trim();
    let namespaces: BTreeSet<String> = value(&keys::LB_IPAM_SHARING_CROSS_NAMESPACE)
        .iter()
        .flat_map(|list| list.split(','))
        .map(|namespace| namespace.trim().to_owned())
        .filter(|namespace| !namespace.is_empty())
        .collect();
    let permits = value(&[keys::LB_IPAM_SHARING_DIFFERENT_PODS]);
    (!key.is_empty()).then(|| Sharing {
        key: key.to_owned(),
        namespaces: if namespaces.contains("*") {
            SharingNamespaces::All
        } else {
            SharingNamespaces::These(namespaces)
        },
        permits_different_pods: permits.is_some_and(|text| text.trim() == "true"),
    })
}

/// Whether it is one of those.
pub(super) fn is_known(key: &str) -> bool {
    keys::LB_IPAM_SHARING_KEY.contains(&key)
        || keys::LB_IPAM_SHARING_CROSS_NAMESPACE.contains(&key)
        || key == keys::LB_IPAM_SHARING_DIFFERENT_PODS
}
