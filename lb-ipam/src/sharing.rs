//! Who may share an address with whom.
//!
//! Two services share an address if they have the same key, each is granted by the other where their
//! namespaces differ, no client could mean both, and traffic for both is served on the same nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use types::Protocol;

/// On what terms a service shares its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Only services with the same key share; never empty.
    pub key: Arc<str>,
    /// The other namespaces that it shares with, if they do so in turn.
    pub grant: Grant,
    /// What its clients dial.
    pub listeners: BTreeSet<Listener>,
    /// Where its traffic goes.
    pub traffic: Traffic,
}

/// Some namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// These; a service's own is always among them.
    These(BTreeSet<Arc<str>>),
    /// All of them.
    All,
}

/// A port and its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// `spec.externalTrafficPolicy`, and what it makes important.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Any node takes traffic.
    Cluster,
    /// Nodes with a pod of the service take traffic.
    Local {
        /// `spec.selector`: which pods.
        pods: BTreeMap<Arc<str>, Arc<str>>,
        /// Whether it shares with services of other pods, if they do so in turn.
        permits_others: bool,
    },
}

/// The first rule that keeps two services from sharing. Displayed as in the condition's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Incompatibility {
    /// The keys differ, or one has none.
    Key,
    /// One namespace does not grant the other.
    Namespace,
    /// A port and protocol of both.
    Listener,
    /// One is `Local` and one is not.
    Policy,
    /// Both are `Local`, and one does not say which pods it has.
    NoSelector,
    /// Both are `Local`, of other pods, and one does not permit that.
    Pods,
}

impl Sharing {
    /// Whether a service of `namespace` with these terms may share with one of `other_namespace`.
    ///
    /// # Errors
    /// The first rule that is against it.
    pub(crate) fn meet(
        &self,
        namespace: &str,
        other: &Self,
        other_namespace: &str,
    ) -> Result<(), Incompatibility> {
        if self.key != other.key {
            return Err(Incompatibility::Key);
        }
        let granted = self.grant.has(other_namespace) && other.grant.has(namespace);
        if namespace != other_namespace && !granted {
            return Err(Incompatibility::Namespace);
        }
        if !self.listeners.is_disjoint(&other.listeners) {
            return Err(Incompatibility::Listener);
        }
        self.traffic.meet(&other.traffic)
    }
}

impl Grant {
    fn has(&self, namespace: &str) -> bool {
        match self {
            Self::These(namespaces) => namespaces.contains(namespace),
            Self::All => true,
        }
    }
}

impl Traffic {
    fn meet(&self, other: &Self) -> Result<(), Incompatibility> {
        match (self, other) {
            (Self::Cluster, Self::Cluster) => Ok(()),
            (Self::Cluster, Self::Local { .. }) | (Self::Local { .. }, Self::Cluster) => {
                Err(Incompatibility::Policy)
            }
            (
                Self::Local {
                    pods,
                    permits_others,
                },
                Self::Local {
                    pods: other_pods,
                    permits_others: other_permits,
                },
            ) => {
                if pods.is_empty() || other_pods.is_empty() {
                    Err(Incompatibility::NoSelector)
                } else if pods == other_pods || *permits_others && *other_permits {
                    Ok(())
                } else {
                    Err(Incompatibility::Pods)
                }
            }
        }
    }
}

impl fmt::Display for Incompatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "different sharing key",
            Self::Namespace => "different and not permitted namespace",
            Self::Listener => "same port and protocol",
            Self::Policy => "different ExternalTrafficPolicy",
            Self::NoSelector => "ExternalTrafficPolicy local but a service has no selector",
            Self::Pods => {
                "ExternalTrafficPolicy local but selecting different set of pods without \
                 lbipam.cilium.io/sharing-permit-different-pods on both services"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_services_share_only_if_every_rule_allows_it() {
        let a = terms(80, Protocol::Tcp);
        let other_key = Sharing {
            key: "other".into(),
            ..terms(81, Protocol::Tcp)
        };
        let rows = [
            ("shop", terms(81, Protocol::Tcp), Ok(())),
            ("shop", terms(80, Protocol::Udp), Ok(())),
            (
                "shop",
                terms(80, Protocol::Tcp),
                Err(Incompatibility::Listener),
            ),
            ("shop", other_key, Err(Incompatibility::Key)),
            (
                "shop",
                local(81, "web", false),
                Err(Incompatibility::Policy),
            ),
            (
                "bank",
                terms(81, Protocol::Tcp),
                Err(Incompatibility::Namespace),
            ),
        ];
        for (namespace, other, expected) in rows {
            assert_eq!(a.meet("shop", &other, namespace), expected, "{other:?}");
            assert_eq!(other.meet(namespace, &a, "shop"), expected, "{other:?}");
        }
    }

    #[test]
    fn another_namespace_must_be_granted_by_both() {
        let grants = |port, namespaces: &[&str]| Sharing {
            grant: Grant::These(namespaces.iter().map(|name| Arc::from(*name)).collect()),
            ..terms(port, Protocol::Tcp)
        };
        let all = Sharing {
            grant: Grant::All,
            ..terms(83, Protocol::Tcp)
        };

        let mine = grants(80, &["bank"]);

        assert_eq!(
            mine.meet("shop", &grants(81, &[]), "bank"),
            Err(Incompatibility::Namespace)
        );
        assert_eq!(mine.meet("shop", &grants(81, &["shop"]), "bank"), Ok(()));
        assert_eq!(mine.meet("shop", &all, "bank"), Ok(()));
        assert_eq!(
            mine.meet("shop", &all, "mint"),
            Err(Incompatibility::Namespace)
        );
    }

    #[test]
    fn local_services_have_the_same_pods_unless_both_permit_others() {
        let rows = [
            (local(80, "web", false), local(81, "web", false), Ok(())),
            (
                local(80, "web", true),
                local(81, "db", false),
                Err(Incompatibility::Pods),
            ),
            (local(80, "web", true), local(81, "db", true), Ok(())),
            (
                local(80, "web", true),
                local(81, "", true),
                Err(Incompatibility::NoSelector),
            ),
        ];
        for (a, b, expected) in rows {
            assert_eq!(a.meet("shop", &b, "shop"), expected, "{a:?} {b:?}");
            assert_eq!(b.meet("shop", &a, "shop"), expected, "{a:?} {b:?}");
        }
    }

    fn terms(port: u16, protocol: Protocol) -> Sharing {
        Sharing {
            key: "key".into(),
            grant: Grant::These(BTreeSet::new()),
            listeners: [Listener { port, protocol }].into(),
            traffic: Traffic::Cluster,
        }
    }

    fn local(port: u16, app: &str, permits_others: bool) -> Sharing {
        let pods = match app {
            "" => BTreeMap::new(),
            app => [("app".into(), app.into())].into(),
        };
        Sharing {
            traffic: Traffic::Local {
                pods,
                permits_others,
            },
            ..terms(port, Protocol::Tcp)
        }
    }
}
