//! CiliumBGPAdvertisement.
#![expect(dead_code, reason = "only the schema of these types is used")]

use schemars::JsonSchema;

use super::common::{ConditionsStatus, LabelSelector};

/// What is announced, and with which attributes. Its labels are what peer configs select.
#[derive(JsonSchema)]
pub(in crate::crd) struct CiliumBGPAdvertisement {
    /// What is announced.
    spec: Spec,
    /// What is not acted upon.
    status: Option<ConditionsStatus>,
}

#[derive(JsonSchema)]
struct Spec {
    /// What is announced, from one source each.
    #[schemars(length(min = 1))]
    advertisements: Vec<Advertisement>,
}

/// Prefixes from one source, with their attributes.
#[derive(JsonSchema)]
#[schemars(
    rename_all = "camelCase",
    extend("x-kubernetes-validations" = [
        {
            "rule": "self.advertisementType != 'Service' || has(self.service)",
            "message": "service field is required for the 'Service' advertisementType",
        },
        {
            "rule": "self.advertisementType == 'Service' || !has(self.service)",
            "message": "service field is not allowed for non-'Service' advertisementType",
        },
        {
            "rule": "self.advertisementType != 'Interface' || has(self.interface)",
            "message": "interface field is required for the 'Interface' advertisementType",
        },
        {
            "rule": "self.advertisementType == 'Interface' || !has(self.interface)",
            "message": "interface field is not allowed for non-'Interface' advertisementType",
        },
        {
            "rule": "self.advertisementType != 'PodCIDR' || !has(self.selector)",
            "message": "selector field is not allowed for the 'PodCIDR' advertisementType",
        },
    ])
)]
struct Advertisement {
    /// Where the prefixes come from.
    advertisement_type: AdvertisementType,
    /// What the routes carry.
    attributes: Option<Attributes>,
    /// The interface of type Interface.
    interface: Option<Interface>,
    /// Which objects of the source. Without a selector none.
    selector: Option<LabelSelector>,
    /// The addresses of type Service.
    service: Option<Service>,
}

#[derive(JsonSchema)]
enum AdvertisementType {
    #[schemars(rename = "PodCIDR")]
    PodCidr,
    #[schemars(rename = "CiliumPodIPPool")]
    PodIpPool,
    Service,
    Interface,
}

#[derive(JsonSchema)]
struct Interface {
    /// Its name on the node.
    #[schemars(length(min = 1))]
    name: String,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Service {
    /// Which addresses of a Service.
    #[schemars(length(min = 1))]
    addresses: Vec<ServiceAddress>,
    /// Announce the prefix of that length instead of a /32.
    #[schemars(rename = "aggregationLengthIPv4", range(min = 0, max = 31))]
    aggregation_v4: Option<i16>,
    /// Announce the prefix of that length instead of a /128.
    #[schemars(rename = "aggregationLengthIPv6", range(min = 0, max = 127))]
    aggregation_v6: Option<i16>,
}

#[derive(JsonSchema)]
enum ServiceAddress {
    #[schemars(rename = "LoadBalancerIP")]
    LoadBalancer,
    #[schemars(rename = "ClusterIP")]
    Cluster,
    #[schemars(rename = "ExternalIP")]
    External,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Attributes {
    /// Communities of the routes.
    communities: Option<Communities>,
    /// For internal peers only.
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    local_preference: Option<i64>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Communities {
    /// RFC 8092: three 32-bit numbers with colons between them.
    large: Option<Vec<LargeCommunity>>,
    /// RFC 1997: a 32-bit number, or two 16-bit ones with a colon between them.
    standard: Option<Vec<StandardCommunity>>,
    /// RFC 1997 and others, by name.
    well_known: Option<Vec<WellKnownCommunity>>,
}

#[derive(JsonSchema)]
#[schemars(transparent)]
struct LargeCommunity(#[schemars(regex(pattern = r"^\d{1,10}:\d{1,10}:\d{1,10}$"))] String);

#[derive(JsonSchema)]
#[schemars(transparent)]
struct StandardCommunity(#[schemars(regex(pattern = r"^(\d{1,10}|\d{1,5}:\d{1,5})$"))] String);

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum WellKnownCommunity {
    Internet,
    PlannedShut,
    AcceptOwn,
    #[schemars(rename = "route-filter-translated-v4")]
    RouteFilterTranslatedV4,
    #[schemars(rename = "route-filter-v4")]
    RouteFilterV4,
    #[schemars(rename = "route-filter-translated-v6")]
    RouteFilterTranslatedV6,
    #[schemars(rename = "route-filter-v6")]
    RouteFilterV6,
    LlgrStale,
    NoLlgr,
    Blackhole,
    NoExport,
    NoAdvertise,
    NoExportSubconfed,
    NoPeer,
}
