//! What sources report and what watchers are told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::Deserialize as _;
use serde_json::Value;

use crate::{Condition, Fault, Ingress, Key, Kind, Object};

/// Which state of an object was seen. Its meaning is the source's own; equal means unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(Arc<str>);

/// One thing that a source saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// An object that validates is there.
    Put(Key, Object, Version),
    /// An object is there and does not validate; and what it shows, if something can be said on it.
    Refused(Key, Vec<Fault>, Option<Shown>),
    /// An object is not there any more.
    Gone(Key),
    /// All objects of a kind follow, from nothing, up to [`Change::Synced`].
    Restart(Kind),
    /// All objects of a kind were reported.
    Synced(Kind),
}

/// What an object that does not validate shows, where its status can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Which state of the object this is.
    pub version: Version,
    /// What its status says so far.
    pub conditions: Vec<Condition>,
    /// The addresses that a Service has.
    pub ingress: Vec<Ingress>,
}

/// What differs since the watcher last asked. Lag costs neither memory nor a change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delta {
    /// Objects that changed; none for those that are gone; the last good value of refused ones.
    pub objects: BTreeMap<Key, Option<Object>>,
    /// Objects whose newest value was refused, and why. An empty list says: not any more.
    pub refused: BTreeMap<Key, Vec<Fault>>,
    /// What those of the refused objects show that something can be said on.
    pub shown: BTreeMap<Key, Shown>,
    /// Kinds that were reported in whole since the watcher last asked.
    pub synced: BTreeSet<Kind>,
}

impl Version {
    /// A source's own word for a state.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// What the source wrote.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Shown {
    /// What a document shows that does not validate. None for kinds whose status is not written, and
    /// for Services that want no address from anybody.
    #[must_use]
    pub fn of(kind: Kind, document: &Value) -> Option<Self> {
        let text = |path: &str| document.pointer(path).and_then(Value::as_str);
        let is_written = match kind {
            Kind::Service => text("/spec/type") == Some("LoadBalancer"),
            Kind::CiliumLoadBalancerIPPool
            | Kind::CiliumBGPClusterConfig
            | Kind::CiliumBGPPeerConfig
            | Kind::CiliumBGPAdvertisement => true,
            Kind::EndpointSlice
            | Kind::Node
            | Kind::Secret
            | Kind::CiliumBGPNodeConfig
            | Kind::CiliumBGPNodeConfigOverride => false,
        };
        let version = text("/metadata/resourceVersion").filter(|_| is_written)?;
        let all = |path: &str| document.pointer(path).and_then(Value::as_array);
        let conditions = all("/status/conditions").into_iter().flatten();
        let ingress = all("/status/loadBalancer/ingress").into_iter().flatten();
        Some(Self {
            version: Version::new(version),
            conditions: conditions
                .filter_map(|held| Condition::deserialize(held).ok())
                .collect(),
            ingress: ingress.filter_map(entry).collect(),
        })
    }
}

fn entry(entry: &Value) -> Option<Ingress> {
    let text = |field: &str| entry.get(field).and_then(Value::as_str);
    let addr = text("ip").and_then(|ip| ip.parse().ok()).map(Ingress::Ip);
    addr.or_else(|| text("hostname").map(|name| Ingress::Hostname(name.to_owned())))
}

impl Delta {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.refused.is_empty() && self.synced.is_empty()
    }
}
