//! One object of any kind, read from JSON.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use types::ObjectName;

use crate::annotations;
use crate::bgp::{
    BgpAdvertisement, BgpClusterConfig, BgpPeerConfig, NodeConfig, NodeConfigOverride,
};
use crate::fault::{At, Faults};
use crate::kind::NOT_YET;
use crate::meta::{Owner, RawMetadata};
use crate::{
    Condition, EndpointSlice, Fault, FieldPath, Key, Kind, LoadBalancerIPPool, Metadata, Node,
    Refusal, Secret, Service, Step,
};

/// An object that validates. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// See [`Service`].
    Service(Arc<Service>),
    /// See [`EndpointSlice`].
    EndpointSlice(Arc<EndpointSlice>),
    /// See [`Node`].
    Node(Arc<Node>),
    /// See [`Secret`].
    Secret(Arc<Secret>),
    /// See [`LoadBalancerIPPool`].
    CiliumLoadBalancerIPPool(Arc<LoadBalancerIPPool>),
    /// See [`BgpClusterConfig`].
    CiliumBGPClusterConfig(Arc<BgpClusterConfig>),
    /// See [`BgpPeerConfig`].
    CiliumBGPPeerConfig(Arc<BgpPeerConfig>),
    /// See [`BgpAdvertisement`].
    CiliumBGPAdvertisement(Arc<BgpAdvertisement>),
    /// See [`NodeConfig`].
    CiliumBGPNodeConfig(Arc<NodeConfig>),
    /// See [`NodeConfigOverride`].
    CiliumBGPNodeConfigOverride(Arc<NodeConfigOverride>),
}

/// What happens to fields that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Each is a fault: a person wrote the manifest.
    Strict,
    /// They are passed over: an API server of another version did.
    Lenient,
}

/// A field that is accepted and not acted upon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unenforced {
    /// Where it is.
    pub path: FieldPath,
    /// What is done instead.
    pub note: String,
}

/// An object as a file has it: most kinds have this form.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "what the kind is was found before")]
pub(crate) struct Document<S, T> {
    api_version: Value,
    kind: Value,
    metadata: Option<RawMetadata>,
    spec: Option<S>,
    status: Option<T>,
}

/// A status of which only the conditions are read.
#[derive(Default, Deserialize)]
pub(crate) struct RawStatus {
    pub(crate) conditions: Option<Vec<Condition>>,
}

/// How a file has an object.
pub(crate) trait Raw {
    /// The types that mirror the file.
    type Form;

    /// Whether a fault may quote what the file says.
    const QUOTED: bool = true;
}

impl Object {
    /// Reads and validates an object.
    ///
    /// # Errors
    /// If the kind is not supported, or any field has a fault: then all of them are listed.
    pub fn from_value(value: Value, strictness: Strictness) -> Result<Self, Refusal> {
        let text = |field: &str| value.get(field)?.as_str().map(str::to_owned);
        let kind_name = text("kind");
        let name = name_of(&value, kind_name.as_deref());
        let refusal = |faults| Refusal {
            kind: kind_name.clone(),
            name,
            faults,
        };
        match kind_of(&value, text("apiVersion").as_deref(), kind_name.as_deref()) {
            Ok(kind) => Self::of_kind(kind, value, strictness).map_err(refusal),
            Err(fault) => Err(refusal(vec![fault])),
        }
    }

    fn of_kind(kind: Kind, value: Value, strictness: Strictness) -> Result<Self, Vec<Fault>> {
        match kind {
            Kind::Service => build(value, strictness).map(Self::Service),
            Kind::EndpointSlice => build(value, strictness).map(Self::EndpointSlice),
            Kind::Node => build(value, strictness).map(Self::Node),
            Kind::Secret => build(value, strictness).map(Self::Secret),
            Kind::CiliumLoadBalancerIPPool => {
                build(value, strictness).map(Self::CiliumLoadBalancerIPPool)
            }
            Kind::CiliumBGPClusterConfig => {
                build(value, strictness).map(Self::CiliumBGPClusterConfig)
            }
            Kind::CiliumBGPPeerConfig => build(value, strictness).map(Self::CiliumBGPPeerConfig),
            Kind::CiliumBGPAdvertisement => {
                build(value, strictness).map(Self::CiliumBGPAdvertisement)
            }
            Kind::CiliumBGPNodeConfig => build(value, strictness).map(Self::CiliumBGPNodeConfig),
            Kind::CiliumBGPNodeConfigOverride => {
                build(value, strictness).map(Self::CiliumBGPNodeConfigOverride)
            }
        }
    }

    /// What names it.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::new(self.kind(), self.meta().name.clone())
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Service(_) => Kind::Service,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::Node(_) => Kind::Node,
            Self::Secret(_) => Kind::Secret,
            Self::CiliumLoadBalancerIPPool(_) => Kind::CiliumLoadBalancerIPPool,
            Self::CiliumBGPClusterConfig(_) => Kind::CiliumBGPClusterConfig,
            Self::CiliumBGPPeerConfig(_) => Kind::CiliumBGPPeerConfig,
            Self::CiliumBGPAdvertisement(_) => Kind::CiliumBGPAdvertisement,
            Self::CiliumBGPNodeConfig(_) => Kind::CiliumBGPNodeConfig,
            Self::CiliumBGPNodeConfigOverride(_) => Kind::CiliumBGPNodeConfigOverride,
        }
    }

    /// Name, labels, annotations.
    #[must_use]
    pub fn meta(&self) -> &Metadata {
        match self {
            Self::Service(object) => &object.meta,
            Self::EndpointSlice(object) => &object.meta,
            Self::Node(object) => &object.meta,
            Self::Secret(object) => &object.meta,
            Self::CiliumLoadBalancerIPPool(object) => &object.meta,
            Self::CiliumBGPClusterConfig(object) => &object.meta,
            Self::CiliumBGPPeerConfig(object) => &object.meta,
            Self::CiliumBGPAdvertisement(object) => &object.meta,
            Self::CiliumBGPNodeConfig(object) => &object.meta,
            Self::CiliumBGPNodeConfigOverride(object) => &object.meta,
        }
    }

    /// The fields that are accepted and not acted upon, so that a condition can say so.
    #[must_use]
    pub fn unenforced(&self) -> &[Unenforced] {
        match self {
            Self::Service(object) => &object.unenforced,
            Self::EndpointSlice(object) => &object.unenforced,
            Self::CiliumBGPClusterConfig(object) => &object.unenforced,
            Self::CiliumBGPPeerConfig(object) => &object.unenforced,
            Self::CiliumBGPAdvertisement(object) => &object.unenforced,
            Self::CiliumBGPNodeConfigOverride(object) => &object.unenforced,
            Self::Node(_)
            | Self::Secret(_)
            | Self::CiliumLoadBalancerIPPool(_)
            | Self::CiliumBGPNodeConfig(_) => &[],
        }
    }

    /// What its status says so far; none for kinds that nothing is written to.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        match self {
            Self::Service(object) => &object.conditions,
            Self::CiliumLoadBalancerIPPool(object) => &object.conditions,
            Self::CiliumBGPClusterConfig(object) => &object.conditions,
            Self::CiliumBGPPeerConfig(object) => &object.conditions,
            Self::CiliumBGPAdvertisement(object) => &object.conditions,
            Self::CiliumBGPNodeConfig(object) => &object.conditions,
            Self::EndpointSlice(_)
            | Self::Node(_)
            | Self::Secret(_)
            | Self::CiliumBGPNodeConfigOverride(_) => &[],
        }
    }
}

impl Unenforced {
    pub(crate) fn new(at: &At<'_>, note: impl fmt::Display) -> Self {
        Self {
            path: at.path(),
            note: note.to_string(),
        }
    }
}

impl fmt::Display for Unenforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.note)
    }
}

impl<S, T: Default> Document<S, T> {
    /// The object of that kind whose deletion deletes this one, if one is named.
    pub(crate) fn controller(&self, kind: Kind) -> Option<Owner> {
        self.metadata.as_ref()?.controller(kind)
    }

    /// Metadata, spec and status; a fault for each that is missing and must not be.
    pub(crate) fn open(self, kind: Kind, faults: &mut Faults) -> (Metadata, Option<S>, T) {
        let metadata = self.metadata.unwrap_or_default();
        let meta = metadata.check(kind, faults);
        (meta, self.spec, self.status.unwrap_or_default())
    }
}

fn build<R, T>(value: Value, strictness: Strictness) -> Result<Arc<T>, Vec<Fault>>
where
    R: DeserializeOwned,
    T: TryFrom<R, Error = Vec<Fault>> + Raw<Form = R>,
{
    let mut faults = Vec::new();
    if strictness == Strictness::Strict {
        unknown_annotations(&value, &mut faults);
    }
    let mut unknown = |path: serde_ignored::Path<'_>| {
        if strictness == Strictness::Strict {
            faults.push(Fault {
                path: ignored_path(&path),
                reason: "is not a known field".to_owned(),
            });
        }
    };
    let reader = serde_ignored::Deserializer::new(value, &mut unknown);
    let raw: Result<R, _> = serde_path_to_error::deserialize(reader);
    let built = match raw {
        Ok(raw) => T::try_from(raw),
        Err(error) => Err(vec![Fault {
            path: error_path(error.path()),
            reason: if T::QUOTED {
                in_words(&error.inner().to_string())
            } else {
                "is not of the right type".to_owned()
            },
        }]),
    };
    match built {
        Ok(object) if faults.is_empty() => Ok(Arc::new(object)),
        Ok(_) => Err(faults),
        Err(more) => {
            faults.extend(more);
            Err(faults)
        }
    }
}

/// serde's message, without the names of Rust types.
fn in_words(message: &str) -> String {
    match message.rsplit_once(", expected ") {
        Some((found, "i64")) => format!("{found}, expected a number"),
        Some((found, wanted)) if wanted.starts_with("struct ") => {
            format!("{found}, expected a map")
        }
        Some(_) | None => message.to_owned(),
    }
}

/// A misspelt annotation of ours would change nothing and say nothing.
fn unknown_annotations(value: &Value, faults: &mut Vec<Fault>) {
    let at = At::ROOT.field("metadata");
    let at = at.field("annotations");
    let annotations = value
        .pointer("/metadata/annotations")
        .and_then(Value::as_object);
    let keys = annotations.into_iter().flat_map(|map| map.keys());
    for key in keys.filter(|key| !annotations::is_known(key)) {
        faults.push(Fault {
            path: at.field(key).path(),
            reason: "is not an annotation that Sluicegate knows".to_owned(),
        });
    }
}

fn name_of(value: &Value, kind: Option<&str>) -> Option<ObjectName> {
    let metadata = value.get("metadata")?;
    let text = |field: &str| metadata.get(field)?.as_str();
    let namespaced = kind.and_then(Kind::from_name).map(Kind::namespaced);
    let namespace = match (namespaced, text("namespace")) {
        (Some(true), None | Some("")) => "default",
        (Some(false), _) | (None, None) => "",
        (Some(true) | None, Some(namespace)) => namespace,
    };
    Some(ObjectName::new(namespace, text("name")?))
}

fn kind_of(value: &Value, version: Option<&str>, name: Option<&str>) -> Result<Kind, Fault> {
    let fault = |field: &str, reason: String| {
        let at = At::ROOT;
        let path = if value.is_object() {
            at.field(field).path()
        } else {
            at.path()
        };
        Fault { path, reason }
    };
    if !value.is_object() {
        return Err(fault(
            "",
            "is not an object: expected apiVersion, kind, metadata".to_owned(),
        ));
    }
    let Some(version) = version else {
        return Err(fault("apiVersion", "is required, as text".to_owned()));
    };
    let Some(name) = name else {
        return Err(fault("kind", "is required, as text".to_owned()));
    };
    if let Some(kind) = Kind::from_name(name) {
        let supported = kind.api_versions();
        if supported.contains(&version) {
            return Ok(kind);
        }
        let supported = supported.join(" and ");
        let reason = format!("\"{version}\" is not supported for {name}: expected {supported}");
        return Err(fault("apiVersion", reason));
    }
    let known = NOT_YET.iter().find(|(known, _)| *known == name);
    let reason = if known.is_some_and(|(_, versions)| versions.contains(&version)) {
        format!("{name} is not supported yet")
    } else {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!(
            "{version} {name} is not supported: expected one of {}",
            names.join(", ")
        )
    };
    Err(fault("kind", reason))
}

fn ignored_path(path: &serde_ignored::Path<'_>) -> FieldPath {
    use serde_ignored::Path;

    let mut steps = Vec::new();
    let mut at = path;
    loop {
        at = match at {
            Path::Root => break,
            Path::Seq { parent, index } => {
                steps.push(Step::Index(*index));
                parent
            }
            Path::Map { parent, key } => {
                steps.push(Step::Field(key.clone()));
                parent
            }
            Path::Some { parent }
            | Path::NewtypeStruct { parent }
            | Path::NewtypeVariant { parent } => parent,
        };
    }
    steps.reverse();
    FieldPath::new(steps)
}

fn error_path(path: &serde_path_to_error::Path) -> FieldPath {
    use serde_path_to_error::Segment;

    let steps = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Field(key.clone())),
        Segment::Enum { variant } => Some(Step::Field(variant.clone())),
        Segment::Unknown => None,
    });
    FieldPath::new(steps.collect())
}
