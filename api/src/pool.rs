//! CiliumLoadBalancerIPPool: addresses for services.

use std::net::IpAddr;

use serde::Deserialize;
use types::{Family, Prefix};

use crate::annotations::PoolSettings;
use crate::fault::{At, Faults};
use crate::object::{Document, Raw, RawStatus};
use crate::read;
use crate::selector::RawSelector;
use crate::{Condition, Fault, Kind, LabelSelector, Metadata, Service};

/// Addresses for services.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadBalancerIPPool {
    /// Name, labels, when it was created.
    pub meta: Metadata,
    /// Where its addresses are, in the order of the file.
    pub blocks: Vec<Block>,
    /// Which services may have them; see [`LoadBalancerIPPool::selects`].
    pub service_selector: Option<LabelSelector>,
    /// Whether the first and last address of a CIDR block may be given.
    pub allow_first_last_ips: bool,
    /// Whether no more addresses are given.
    pub disabled: bool,
    /// What Sluicegate's own annotations say.
    pub settings: PoolSettings,
    /// What its status says so far.
    pub conditions: Vec<Condition>,
}

/// A run of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Block {
    /// All of a prefix. Host bits in the file are cleared, as Cilium does.
    Cidr(Prefix),
    /// From one address to another of the same family, both included.
    Range {
        /// The first.
        start: IpAddr,
        /// The last; not before the first.
        stop: IpAddr,
    },
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawPoolSpec {
    // Cilium 1.15 and older wrote `cidrs`.
    #[serde(alias = "cidrs")]
    blocks: Option<Vec<RawBlock>>,
    service_selector: Option<RawSelector>,
    #[serde(rename = "allowFirstLastIPs")]
    allow_first_last_ips: Option<String>,
    disabled: Option<bool>,
}

#[derive(Deserialize)]
struct RawBlock {
    cidr: Option<String>,
    start: Option<String>,
    stop: Option<String>,
}

impl LoadBalancerIPPool {
    /// Whether the Service may have addresses of this pool. Without a selector every Service may.
    #[must_use]
    pub fn selects(&self, service: &Service) -> bool {
        self.service_selector
            .as_ref()
            .is_none_or(|selector| selector.matches(&service.meta.labels, &service.extra_labels()))
    }
}

impl Block {
    /// The first address and the last.
    #[must_use]
    pub fn bounds(&self) -> (IpAddr, IpAddr) {
        match self {
            Self::Cidr(prefix) => (prefix.addr(), prefix.last()),
            Self::Range { start, stop } => (*start, *stop),
        }
    }
}

impl Raw for LoadBalancerIPPool {
    type Form = Document<RawPoolSpec, RawStatus>;
}

impl TryFrom<Document<RawPoolSpec, RawStatus>> for LoadBalancerIPPool {
    type Error = Vec<Fault>;

    fn try_from(document: Document<RawPoolSpec, RawStatus>) -> Result<Self, Vec<Fault>> {
        const YES_NO: [(&str, bool); 2] = [("Yes", true), ("No", false)];
        let mut faults = Faults::default();
        let at = At::ROOT.field("spec");
        let (meta, spec, status) = document.open(Kind::CiliumLoadBalancerIPPool, &mut faults);
        let spec = read::required(spec, &at, &mut faults).unwrap_or_default();
        let blocks = read::each(
            spec.blocks,
            &at.field("blocks"),
            &mut faults,
            RawBlock::check,
        );
        let service_selector = spec
            .service_selector
            .map(|raw| raw.check(&at.field("serviceSelector"), &mut faults));
        let allow_first_last_ips = spec.allow_first_last_ips.and_then(|text| {
            read::one_of(&text, &YES_NO, &at.field("allowFirstLastIPs"), &mut faults)
        });
        let settings = PoolSettings::read(&meta.annotations, &mut faults);
        faults.finish(Some(Self {
            meta,
            settings,
            blocks,
            service_selector,
            allow_first_last_ips: allow_first_last_ips.unwrap_or(true),
            disabled: spec.disabled.unwrap_or(false),
            conditions: status.conditions.unwrap_or_default(),
        }))
    }
}

impl RawBlock {
    fn check(self, at: &At<'_>, faults: &mut Faults) -> Option<Block> {
        match (self.cidr, self.start, self.stop) {
            (Some(cidr), None, None) => cidr_block(&cidr, &at.field("cidr"), faults),
            (None, Some(start), stop) => {
                let start = read::address(&start, &at.field("start"), faults)?;
                let stop = match stop {
                    Some(stop) => read::address(&stop, &at.field("stop"), faults)?,
                    None => start,
                };
                range_block(start, stop, &at.field("stop"), faults)
            }
            (Some(_), Some(_), _) | (Some(_), None, Some(_)) => {
                faults.add(at, "has both cidr and start or stop");
                None
            }
            (None, None, Some(_)) => {
                faults.add(&at.field("start"), "is required with stop");
                None
            }
            (None, None, None) => {
                faults.add(at, "needs a cidr or a start");
                None
            }
        }
    }
}

fn cidr_block(text: &str, at: &At<'_>, faults: &mut Faults) -> Option<Block> {
    let prefix = text
        .split_once('/')
        .and_then(|(addr, len)| Some((addr.parse::<IpAddr>().ok()?, len.parse::<u8>().ok()?)));
    let Some((addr, len)) = prefix else {
        faults.add(
            at,
            format_args!("\"{text}\" is not a prefix: expected ADDRESS/LENGTH"),
        );
        return None;
    };
    let prefix = Prefix::containing(addr, len);
    prefix
        .map(Block::Cidr)
        .map_err(|error| faults.add(at, error))
        .ok()
}

fn range_block(start: IpAddr, stop: IpAddr, at: &At<'_>, faults: &mut Faults) -> Option<Block> {
    if Family::of(start) != Family::of(stop) {
        faults.add(
            at,
            format_args!("{stop} is not of the same family as {start}"),
        );
        return None;
    }
    if stop < start {
        faults.add(at, format_args!("{stop} is before {start}"));
        return None;
    }
    Some(Block::Range { start, stop })
}
