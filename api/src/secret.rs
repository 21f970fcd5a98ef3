//! Secret: passwords of BGP peers. Values are never shown.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::fault::{At, Faults};
use crate::meta::RawMetadata;
use crate::object::Raw;
use crate::{Fault, Kind, Metadata};

/// Named values that are never shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Secret {
    /// Namespace and name.
    pub meta: Metadata,
    /// What it is for; `Opaque` if not said.
    pub kind: String,
    /// Its values; `stringData` wins over `data`.
    pub data: BTreeMap<String, SecretValue>,
}

/// Bytes that are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Vec<u8>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "fields that are accepted and have no meaning here"
)]
pub(crate) struct RawSecret {
    api_version: Value,
    kind: Value,
    metadata: Option<RawMetadata>,
    #[serde(rename = "type")]
    secret_type: Option<String>,
    data: Option<BTreeMap<String, String>>,
    string_data: Option<BTreeMap<String, String>>,
    immutable: Option<bool>,
}

impl SecretValue {
    /// The bytes, for who needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(not shown)")
    }
}

impl Raw for Secret {
    type Form = RawSecret;

    const QUOTED: bool = false;
}

impl TryFrom<RawSecret> for Secret {
    type Error = Vec<Fault>;

    fn try_from(raw: RawSecret) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::default();
        let meta = raw.metadata.unwrap_or_default();
        let meta = meta.check(Kind::Secret, &mut faults);
        let at = At::ROOT.field("data");
        let mut data = BTreeMap::new();
        for (name, text) in raw.data.unwrap_or_default() {
            match STANDARD.decode(&text) {
                Ok(bytes) => drop(data.insert(name, SecretValue(bytes))),
                // The decoder's own message quotes what it read.
                Err(_) => faults.add(&at.field(&name), "is not base64"),
            }
        }
        let texts = raw.string_data.unwrap_or_default().into_iter();
        data.extend(texts.map(|(name, text)| (name, SecretValue(text.into_bytes()))));
        faults.finish(Some(Self {
            // `kubectl apply` keeps the values in an annotation too.
            meta: Metadata {
                annotations: BTreeMap::new(),
                ..meta
            },
            kind: raw.secret_type.unwrap_or_else(|| "Opaque".to_owned()),
            data,
        }))
    }
}
