//! Where in etcd an object is.

use api::{Key, Kind};
use types::ObjectName;

use crate::source::LeaseName;

/// What stands for the group without a name.
const CORE: &str = "core";

/// What stands for the namespace of a kind that has none.
const NO_NAMESPACE: &str = "-";

/// Where leases are, below the prefix.
const LEASES: &str = "coordination.k8s.io/leases";

/// The keys below one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// With the slash at its end.
    root: String,
}

/// Not a prefix of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a prefix for keys: expected /NAME or /NAME/NAME..., as in /sluicegate, of \
     letters, digits, '-', '_' and '.'"
)]
pub struct BadPrefix(String);

impl Layout {
    pub(super) fn new(prefix: &str) -> Result<Self, BadPrefix> {
        let bad = || BadPrefix(prefix.to_owned());
        let path = prefix.strip_prefix('/').ok_or_else(bad)?;
        let is_name = |name: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !name.is_empty() && name.chars().all(is_plain)
        };
        if path.split('/').all(is_name) {
            Ok(Self {
                root: format!("{prefix}/"),
            })
        } else {
            Err(bad())
        }
    }

    /// What every key begins with.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// The key of an object.
    pub(super) fn object(&self, key: &Key) -> String {
        let namespace = match key.name.namespace.as_ref() {
            "" => NO_NAMESPACE,
            namespace => namespace,
        };
        format!("{}{namespace}/{}", self.kind(key.kind), key.name.name)
    }

    /// What the keys of all objects of a kind begin with.
    pub(super) fn kind(&self, kind: Kind) -> String {
        format!("{}{}/{}/", self.root, group(kind), kind.plural())
    }

    /// The key of a lease.
    pub(super) fn lease(&self, name: &LeaseName) -> String {
        format!("{}{LEASES}/{}/{}", self.root, name.namespace, name.name)
    }

    /// The key that says whose term it is, see [`super::leases`].
    pub(super) fn term(&self, name: &LeaseName) -> String {
        format!("{}/term", self.lease(name))
    }

    /// The object of that key; none for keys of leases, of kinds that are not read, and others.
    pub(super) fn key_of(&self, path: &[u8]) -> Option<Key> {
        let path = std::str::from_utf8(path).ok()?;
        let mut parts = path.strip_prefix(&self.root)?.split('/');
        let (group_name, plural) = (parts.next()?, parts.next()?);
        let (namespace, name) = (parts.next()?, parts.next()?);
        if parts.next().is_some() || name.is_empty() {
            return None;
        }
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| group(*kind) == group_name && kind.plural() == plural)?;
        let name = match (kind.namespaced(), namespace) {
            (false, NO_NAMESPACE) => ObjectName::of_cluster(name),
            (true, "" | NO_NAMESPACE) | (false, _) => return None,
            (true, namespace) => ObjectName::new(namespace, name),
        };
        Some(Key::new(kind, name))
    }
}

fn group(kind: Kind) -> &'static str {
    match kind.group() {
        "" => CORE,
        group => group,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_place_and_is_found_there() {
        let layout = Layout::new("/sluicegate").unwrap();

        for kind in Kind::ALL {
            let name = if kind.namespaced() {
                ObjectName::new("shop", "web.v1")
            } else {
                ObjectName::of_cluster("web.v1")
            };
            let key = Key::new(kind, name);
            let path = layout.object(&key);
            assert!(path.starts_with(&layout.kind(kind)), "{path}");
            assert_eq!(layout.key_of(path.as_bytes()), Some(key));
        }
    }

    #[test]
    fn the_places_are_those_that_the_documents_name() {
        let layout = Layout::new("/a/b").unwrap();
        let service = Key::new(Kind::Service, ObjectName::new("shop", "web"));
        let pool = ObjectName::of_cluster("blue");
        let pool = Key::new(Kind::CiliumLoadBalancerIPPool, pool);

        assert_eq!(layout.object(&service), "/a/b/core/services/shop/web");
        assert_eq!(
            layout.object(&pool),
            "/a/b/cilium.io/ciliumloadbalancerippools/-/blue"
        );
    }

    #[test]
    fn what_is_no_object_is_passed_over() {
        let layout = Layout::new("/sluicegate").unwrap();
        let lease = LeaseName {
            namespace: "kube-system".into(),
            name: "sluicegate-operator".into(),
        };

        for path in [
            layout.lease(&lease).as_str(),
            &layout.term(&lease),
            "/sluicegate/core/services/shop",
            "/sluicegate/core/services/shop/",
            "/sluicegate/core/services/-/web",
            "/sluicegate/core/services/shop/web/more",
            "/sluicegate/core/nodes/shop/edge1",
            "/sluicegate/apps/deployments/shop/web",
            "/other/core/services/shop/web",
        ] {
            assert_eq!(layout.key_of(path.as_bytes()), None, "{path}");
        }
        assert_eq!(layout.key_of(b"/sluicegate/core/services/shop/\xff"), None);
    }

    #[test]
    fn a_prefix_is_a_path() {
        for bad in ["", "/", "sluicegate", "/a/", "/a//b", "/a b"] {
            assert!(Layout::new(bad).is_err(), "{bad:?}");
        }
    }
}
