//! How far connections of a Service may go from this node: policies and hints, by kube-proxy's rules.

use api::{Endpoint, TrafficPolicy};
use types::NodeName;

/// Where this node is, in a cluster whose Services say how far connections may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) node: NodeName,
    pub(crate) zone: Option<String>,
}

/// How far connections of a Service may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach<'p> {
    /// To every endpoint.
    Everywhere,
    /// To endpoints on this node.
    Node(&'p NodeName),
    /// To endpoints that are meant for this node.
    ForNode(&'p NodeName),
    /// To endpoints that are meant for this zone.
    ForZone(&'p str),
}

/// What an endpoint gets from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// New connections.
    New,
    /// Only those that it has: where hints move, no connection is cut.
    Old,
    /// Nothing.
    Nothing,
}

impl<'p> Reach<'p> {
    /// Hints count if every endpoint that takes connections has one and at least one is for us: for the
    /// node first, then for its zone.
    pub(super) fn new<'e>(
        place: Option<&'p Place>,
        policy: TrafficPolicy,
        endpoints: &(impl Iterator<Item = &'e Endpoint> + Clone),
    ) -> Self {
        let Some(place) = place else {
            return Self::Everywhere;
        };
        if policy == TrafficPolicy::Local {
            return Self::Node(&place.node);
        }
        let choices = [
            Some(Self::ForNode(&place.node)),
            place.zone.as_deref().map(Self::ForZone),
        ];
        let mut choices = choices.into_iter().flatten();
        let found = choices.find(|reach| reach.is_hinted(endpoints.clone()));
        found.unwrap_or(Self::Everywhere)
    }

    pub(super) fn share(&self, endpoint: &Endpoint) -> Share {
        match self {
            Self::Everywhere => Share::New,
            Self::Node(node) if endpoint.node.as_ref() == Some(*node) => Share::New,
            Self::Node(_) => Share::Nothing,
            // Those that end are the last resort, wherever they are.
            Self::ForNode(_) | Self::ForZone(_) if endpoint.terminating => Share::New,
            Self::ForNode(_) | Self::ForZone(_) => match self.is_meant(endpoint) {
                Some(true) => Share::New,
                Some(false) | None => Share::Old,
            },
        }
    }

    fn is_hinted<'e>(&self, endpoints: impl Iterator<Item = &'e Endpoint>) -> bool {
        let ready = endpoints.filter(|endpoint| endpoint.ready && !endpoint.terminating);
        let mut any = false;
        for endpoint in ready {
            match self.is_meant(endpoint) {
                Some(meant) => any |= meant,
                None => return false,
            }
        }
        any
    }

    /// Whether the endpoint's hint is for us; none if it has no hint of that kind.
    fn is_meant(&self, endpoint: &Endpoint) -> Option<bool> {
        let hints = endpoint.hints.as_ref()?;
        match self {
            Self::Everywhere | Self::Node(_) => None,
            Self::ForNode(node) => {
                (!hints.nodes.is_empty()).then(|| hints.nodes.iter().any(|hint| hint == *node))
            }
            Self::ForZone(zone) => {
                (!hints.zones.is_empty()).then(|| hints.zones.iter().any(|hint| hint == *zone))
            }
        }
    }
}
