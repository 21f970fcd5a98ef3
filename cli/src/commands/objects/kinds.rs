//! What people call the kinds.

use std::collections::BTreeMap;

use api::{Kind, crd};
use serde_json::Value;

/// What a command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kinds {
    pub(crate) kinds: Vec<Kind>,
    /// The name in KIND/NAME.
    pub(crate) name: Option<String>,
}

/// Reads KIND, KIND,KIND or KIND/NAME.
pub(crate) fn kinds(text: &str) -> Result<Kinds, String> {
    if let Some((kind_name, name)) = text.split_once('/') {
        return Ok(Kinds {
            kinds: vec![kind(kind_name)?],
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
        });
    }
    let mut kinds = Vec::new();
    for name in text.split(',') {
        let kind = kind(name)?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(Kinds { kinds, name: None })
}

/// A kind's name in what is said of its objects: `ciliumloadbalancerippool.cilium.io`.
pub(super) fn resource(kind: Kind) -> String {
    let singular = kind.as_str().to_lowercase();
    match kind.group() {
        "" => singular,
        group => format!("{singular}.{group}"),
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    let lower = text.to_lowercase();
    let plain = lower
        .split_once('.')
        .map_or(lower.as_str(), |(plain, _)| plain);
    let is_meant = |kind: &Kind| {
        let singular = kind.as_str().to_lowercase();
        let group = kind.group();
        let is_named = plain == singular || plain == kind.plural();
        let in_group = lower == plain || lower == format!("{plain}.{group}");
        is_named && in_group
    };
    if let Some(kind) = Kind::ALL.into_iter().find(is_meant) {
        return Ok(kind);
    }
    if let Some(kind) = short_names().get(&lower) {
        return Ok(*kind);
    }
    let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.plural()).collect();
    Err(format!(
        "\"{text}\" is not a kind: expected one of {}",
        names.join(", ")
    ))
}

/// Kubernetes' own, and those that the definitions have.
fn short_names() -> BTreeMap<String, Kind> {
    let mut names: BTreeMap<String, Kind> = [
        ("svc".to_owned(), Kind::Service),
        ("no".to_owned(), Kind::Node),
    ]
    .into();
    for definition in crd::all() {
        let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str);
        let Some(kind) = text("/spec/names/kind").and_then(Kind::from_name) else {
            continue;
        };
        let short = definition.pointer("/spec/names/shortNames");
        let short = short.and_then(Value::as_array).into_iter().flatten();
        names.extend(short.filter_map(|name| Some((name.as_str()?.to_owned(), kind))));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_every_name_that_kubectl_knows() {
        for name in ["Service", "service", "services", "svc"] {
            assert_eq!(kind(name), Ok(Kind::Service), "{name}");
        }
        for name in [
            "CiliumLoadBalancerIPPool",
            "ciliumloadbalancerippools",
            "ciliumloadbalancerippools.cilium.io",
            "ippool",
            "ippools",
            "lbippool",
        ] {
            assert_eq!(kind(name), Ok(Kind::CiliumLoadBalancerIPPool), "{name}");
        }
        for kind_wanted in Kind::ALL {
            assert_eq!(kind(&resource(kind_wanted)), Ok(kind_wanted));
        }
        for bad in ["", "deployments", "services.cilium.io"] {
            assert!(kind(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn kinds_come_with_commas_or_with_a_name() {
        let both = kinds("svc,ippools,services").unwrap();
        let one = kinds("svc/web").unwrap();

        assert_eq!(both.kinds, [Kind::Service, Kind::CiliumLoadBalancerIPPool]);
        assert_eq!(
            (one.kinds, one.name),
            (vec![Kind::Service], Some("web".to_owned()))
        );
        assert!(kinds("svc,pods").is_err());
    }
}
