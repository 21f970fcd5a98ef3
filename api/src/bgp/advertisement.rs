//! CiliumBGPAdvertisement: what is announced, and with which attributes.

use std::collections::BTreeSet;

use serde::Deserialize;
use types::Family;

use super::community::{self, LargeCommunity};
use crate::fault::{At, Faults};
use crate::object::{Document, Raw, RawStatus, Unenforced};
use crate::read;
use crate::selector::RawSelector;
use crate::{Condition, Fault, Kind, LabelSelector, Metadata, Service};

/// What is announced, and with which attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct BgpAdvertisement {
    /// Its labels are what peer configs select.
    pub meta: Metadata,
    /// At least one.
    pub advertisements: Vec<Advertisement>,
    /// What its status says so far.
    pub conditions: Vec<Condition>,
    /// Fields that are accepted and not acted upon.
    pub unenforced: Vec<Unenforced>,
}

/// Prefixes from one source, with their attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// Where the prefixes come from.
    pub source: AdvertisementSource,
    /// Which objects of the source; see [`Advertisement::selects`].
    pub selector: Option<LabelSelector>,
    /// What the routes carry.
    pub attributes: Attributes,
}

/// Where prefixes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdvertisementSource {
    /// The node's pod prefixes.
    PodCidr,
    /// Prefixes of pools that the node has. Not acted upon yet.
    PodIpPool,
    /// Addresses of Services.
    Service {
        /// Which of their addresses; at least one.
        addresses: BTreeSet<ServiceAddress>,
        /// Announce the prefix of that length instead of a /32.
        aggregation_v4: Option<u8>,
        /// Announce the prefix of that length instead of a /128.
        aggregation_v6: Option<u8>,
    },
    /// Addresses of an interface.
    Interface {
        /// Its name.
        name: String,
    },
}

/// Which addresses of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceAddress {
    /// Those it was given.
    LoadBalancerIp,
    /// Those within the cluster.
    ClusterIp,
    /// Those that the user routes to the nodes.
    ExternalIp,
}

/// What a route carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// RFC 1997 communities, well-known ones included.
    pub communities: BTreeSet<u32>,
    /// RFC 8092 communities.
    pub large_communities: BTreeSet<LargeCommunity>,
    /// For internal peers only.
    pub local_preference: Option<u32>,
}

#[derive(Default, Deserialize)]
pub(crate) struct RawAdvertisementSpec {
    advertisements: Option<Vec<RawAdvertisement>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAdvertisement {
    advertisement_type: Option<String>,
    service: Option<RawService>,
    interface: Option<RawInterface>,
    selector: Option<RawSelector>,
    attributes: Option<RawAttributes>,
}

#[derive(Deserialize)]
struct RawService {
    addresses: Option<Vec<String>>,
    #[serde(rename = "aggregationLengthIPv4")]
    aggregation_v4: Option<i64>,
    #[serde(rename = "aggregationLengthIPv6")]
    aggregation_v6: Option<i64>,
}

#[derive(Deserialize)]
struct RawInterface {
    name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAttributes {
    communities: Option<RawCommunities>,
    local_preference: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCommunities {
    standard: Option<Vec<String>>,
    well_known: Option<Vec<String>>,
    large: Option<Vec<String>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Type {
    PodCidr,
    PodIpPool,
    Service,
    Interface,
}

impl Advertisement {
    /// Whether addresses of the Service are announced. Without a selector none are.
    #[must_use]
    pub fn selects(&self, service: &Service) -> bool {
        self.selector
            .as_ref()
            .is_some_and(|selector| selector.matches(&service.meta.labels, &service.extra_labels()))
    }
}

impl AdvertisementSource {
    /// The length of prefix that is announced for an address of the family; none means all its bits.
    #[must_use]
    pub fn aggregation(&self, family: Family) -> Option<u8> {
        match (self, family) {
            (Self::Service { aggregation_v4, .. }, Family::V4) => *aggregation_v4,
            (Self::Service { aggregation_v6, .. }, Family::V6) => *aggregation_v6,
            (Self::PodCidr | Self::PodIpPool | Self::Interface { .. }, _) => None,
        }
    }
}

impl Raw for BgpAdvertisement {
    type Form = Document<RawAdvertisementSpec, RawStatus>;
}

impl TryFrom<Document<RawAdvertisementSpec, RawStatus>> for BgpAdvertisement {
    type Error = Vec<Fault>;

    fn try_from(document: Document<RawAdvertisementSpec, RawStatus>) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::default();
        let at = At::ROOT.field("spec");
        let (meta, spec, status) = document.open(Kind::CiliumBGPAdvertisement, &mut faults);
        let spec = read::required(spec, &at, &mut faults).unwrap_or_default();
        let at = at.field("advertisements");
        if spec.advertisements.as_ref().is_none_or(Vec::is_empty) {
            faults.add(&at, "must have at least one item");
        }
        let mut unenforced = Vec::new();
        let advertisements =
            read::each(spec.advertisements, &at, &mut faults, |raw, at, faults| {
                raw.check(at, faults, &mut unenforced)
            });
        faults.finish(Some(Self {
            meta,
            advertisements,
            conditions: status.conditions.unwrap_or_default(),
            unenforced,
        }))
    }
}

impl RawAdvertisement {
    fn check(
        self,
        at: &At<'_>,
        faults: &mut Faults,
        unenforced: &mut Vec<Unenforced>,
    ) -> Option<Advertisement> {
        const TYPES: [(&str, Type); 4] = [
            ("PodCIDR", Type::PodCidr),
            ("CiliumPodIPPool", Type::PodIpPool),
            ("Service", Type::Service),
            ("Interface", Type::Interface),
        ];
        let selector = self
            .selector
            .map(|raw| raw.check(&at.field("selector"), faults));
        let attributes = self.attributes.unwrap_or_default();
        let attributes = attributes.check(&at.field("attributes"), faults);
        let service = self
            .service
            .map(|raw| raw.check(&at.field("service"), faults));
        let interface = self
            .interface
            .map(|raw| read::required(raw.name, &at.field("interface").field("name"), faults));
        let type_at = at.field("advertisementType");
        let kind = read::required(self.advertisement_type, &type_at, faults)?;
        let kind = read::one_of(&kind, &TYPES, &type_at, faults)?;
        let given = (service.is_some(), interface.is_some(), selector.is_some());
        fits(kind, given, at, faults);
        if kind == Type::PodIpPool {
            let note = "there are no pools of pod addresses, so nothing is announced";
            unenforced.push(Unenforced::new(&type_at, note));
        }
        let source = match kind {
            Type::PodCidr => AdvertisementSource::PodCidr,
            Type::PodIpPool => AdvertisementSource::PodIpPool,
            Type::Service => service?,
            Type::Interface => AdvertisementSource::Interface { name: interface?? },
        };
        Some(Advertisement {
            source,
            selector,
            attributes,
        })
    }
}

impl RawService {
    fn check(self, at: &At<'_>, faults: &mut Faults) -> AdvertisementSource {
        const ADDRESSES: [(&str, ServiceAddress); 3] = [
            ("LoadBalancerIP", ServiceAddress::LoadBalancerIp),
            ("ClusterIP", ServiceAddress::ClusterIp),
            ("ExternalIP", ServiceAddress::ExternalIp),
        ];
        let addresses_at = at.field("addresses");
        if self.addresses.as_ref().is_none_or(Vec::is_empty) {
            faults.add(&addresses_at, "must have at least one item");
        }
        let addresses = read::each(self.addresses, &addresses_at, faults, |text, at, faults| {
            read::one_of(&text, &ADDRESSES, at, faults)
        });
        let at4 = at.field("aggregationLengthIPv4");
        let at6 = at.field("aggregationLengthIPv6");
        AdvertisementSource::Service {
            addresses: addresses.into_iter().collect(),
            aggregation_v4: read::optional(self.aggregation_v4, 0..=31, &at4, faults),
            aggregation_v6: read::optional(self.aggregation_v6, 0..=127, &at6, faults),
        }
    }
}

impl RawAttributes {
    fn check(self, at: &At<'_>, faults: &mut Faults) -> Attributes {
        let communities = self.communities.unwrap_or_default();
        let communities_at = at.field("communities");
        let standard = read::each(
            communities.standard,
            &communities_at.field("standard"),
            faults,
            |text, at, faults| read::parsed::<community::Standard>(&text, at, faults),
        );
        let well_known = read::each(
            communities.well_known,
            &communities_at.field("wellKnown"),
            faults,
            |text, at, faults| read::one_of(&text, &community::WELL_KNOWN, at, faults),
        );
        let large = read::each(
            communities.large,
            &communities_at.field("large"),
            faults,
            |text, at, faults| {
                let large = LargeCommunity::read(&text);
                large.map_err(|error| faults.add(at, error)).ok()
            },
        );
        let preference_at = at.field("localPreference");
        let preferences = 0..=i64::from(u32::MAX);
        Attributes {
            communities: standard
                .into_iter()
                .map(|s| s.0)
                .chain(well_known)
                .collect(),
            large_communities: large.into_iter().collect(),
            local_preference: read::optional(
                self.local_preference,
                preferences,
                &preference_at,
                faults,
            ),
        }
    }
}

/// A fault for each part that a type needs and that is not there, or the other way round.
fn fits(kind: Type, given: (bool, bool, bool), at: &At<'_>, faults: &mut Faults) {
    let (service, interface, selector) = given;
    for (field, given, wanted) in [
        ("service", service, kind == Type::Service),
        ("interface", interface, kind == Type::Interface),
    ] {
        match (given, wanted) {
            (false, true) => faults.add(&at.field(field), "is required for this type"),
            (true, false) => faults.add(&at.field(field), "is not allowed for this type"),
            (true, true) | (false, false) => {}
        }
    }
    if kind == Type::PodCidr && selector {
        faults.add(&at.field("selector"), "is not allowed for this type");
    }
}
