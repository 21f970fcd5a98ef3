//! Where objects are at an API server: paths and queries.

use std::fmt::Write;

use api::{Key, Kind};

/// What writes are known by to the API server, and to whoever asks who set a field.
pub(super) const MANAGER: &str = "sluice";

/// Objects of one kind, in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    /// The group and version, as `apiVersion` has them.
    pub(super) api_version: String,
    /// The name in URLs.
    pub(super) plural: String,
    /// Whether its objects are in namespaces.
    pub(super) namespaced: bool,
}

/// A path with a query in the making.
#[derive(Debug)]
pub(super) struct Address {
    text: String,
    has_query: bool,
}

impl Resource {
    /// A kind in one of its versions; the first if there are not so many.
    pub(super) fn of_kind(kind: Kind, version: usize) -> Self {
        let versions = kind.api_versions();
        let api_version = versions.get(version).or_else(|| versions.first());
        Self {
            api_version: api_version.copied().unwrap_or_default().to_owned(),
            plural: kind.plural().to_owned(),
            namespaced: kind.namespaced(),
        }
    }

    /// All objects, or those in a namespace.
    pub(super) fn list(&self, namespace: Option<&str>) -> Address {
        let mut address = Address::of_api(&self.api_version);
        if let Some(namespace) = namespace.filter(|_| self.namespaced) {
            address.push("namespaces").push(namespace);
        }
        address.push(&self.plural);
        address
    }

    /// One object.
    pub(super) fn object(&self, namespace: &str, name: &str) -> Address {
        let mut address = self.list(Some(namespace));
        address.push(name);
        address
    }

    /// The object that a key names.
    pub(super) fn at(&self, key: &Key) -> Address {
        self.object(&key.name.namespace, &key.name.name)
    }
}

impl Address {
    /// A group's version.
    pub(super) fn of_api(api_version: &str) -> Self {
        let mut address = Self {
            text: String::new(),
            has_query: false,
        };
        match api_version.split_once('/') {
            Some((group, version)) => address.push("apis").push(group).push(version),
            None => address.push("api").push(api_version),
        };
        address
    }

    /// One more step of the path.
    pub(super) fn push(&mut self, step: &str) -> &mut Self {
        self.text.push('/');
        encode(&mut self.text, step);
        self
    }

    /// The status of it.
    #[must_use]
    pub(super) fn status(mut self) -> Self {
        self.push("status");
        self
    }

    /// One more argument.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.text.push_str(name);
        self.text.push('=');
        encode(&mut self.text, value);
        self
    }

    /// One more argument, if there is a value.
    #[must_use]
    pub(super) fn maybe(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// As a request has it.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// Percent encoding (RFC 3986 §2.3) of all that is not plain. A name that is only dots would change
/// the path, so that is not plain either.
fn encode(text: &mut String, part: &str) {
    let is_dots = part.bytes().all(|byte| byte == b'.');
    for byte in part.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-_~:".contains(&byte);
        if is_plain || (byte == b'.' && !is_dots) {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use types::ObjectName;

    use super::*;

    #[test]
    fn an_object_has_the_path_that_kubernetes_gives_it() {
        let service = Key::new(Kind::Service, ObjectName::new("shop", "web"));
        let pool = Key::new(
            Kind::CiliumLoadBalancerIPPool,
            ObjectName::of_cluster("blue"),
        );

        let path = Resource::of_kind(service.kind, 0).at(&service);
        assert_eq!(
            path.status().with("fieldManager", MANAGER).into_text(),
            "/api/v1/namespaces/shop/services/web/status?fieldManager=sluice"
        );
        let paths = [0, 1, 2].map(|v| Resource::of_kind(pool.kind, v).at(&pool).into_text());
        assert_eq!(
            paths,
            [
                "/apis/cilium.io/v2/ciliumloadbalancerippools/blue",
                "/apis/cilium.io/v2alpha1/ciliumloadbalancerippools/blue",
                "/apis/cilium.io/v2/ciliumloadbalancerippools/blue",
            ]
        );
        assert_eq!(
            Resource::of_kind(Kind::EndpointSlice, 0)
                .list(None)
                .with("labelSelector", "a in (b,c)")
                .maybe("fieldSelector", None)
                .into_text(),
            "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=a%20in%20%28b%2Cc%29"
        );
    }

    #[test]
    fn a_name_stays_a_name() {
        let resource = Resource::of_kind(Kind::Secret, 0);

        for (name, encoded) in [
            ("..", "%2E%2E"),
            ("a/../b", "a%2F..%2Fb"),
            ("a?b=c#d", "a%3Fb%3Dc%23d"),
            ("system:node", "system:node"),
        ] {
            assert_eq!(
                resource.object("ns", name).into_text(),
                format!("/api/v1/namespaces/ns/secrets/{encoded}")
            );
        }
    }
}
