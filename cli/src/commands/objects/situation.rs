//! All objects of a place at once, or of manifests: what a dry run is made of.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use agent_api::Objects;
use anyhow::{Context as _, Result, bail, ensure};
use api::condition::peer_config::PASSWORD;
use api::{Key, Kind, Object, Strictness};
use desired::plan::{Layout, Refused, Situation};
use desired::{Facts, Role};
use serde_json::{Value, json};
use store::WriteError;
use store::manifest::{FileFault, Manifest, Subject, parse, read};

use super::args::PlaceArgs;
use super::place::{Place, documents};
use super::run;
use crate::args::Args;
use crate::client::Client;

/// The objects of a place.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) objects: Situation,
    /// Who decides there.
    pub(crate) layout: Layout,
    /// Objects that are there and not valid.
    pub(crate) refused: Vec<Refused>,
}

/// The objects of manifests.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) objects: Situation,
    /// What is wrong with others, and which they are.
    pub(crate) refused: Vec<Refused>,
    pub(crate) refused_keys: BTreeSet<String>,
}

/// The objects of the place that the command line, or else the environment, names.
pub(crate) fn of_place(args: &Args, place: &PlaceArgs) -> Result<Known> {
    run(async {
        let place = Place::of(args, place).await?;
        if let Place::Directory { files, socket } = &place {
            let found = documents(files.root(), socket).await;
            let values = found.into_iter().map(|(_, value)| value);
            return Ok(known(values, Layout::Nodes));
        }
        let mut values = Vec::new();
        let mut secrets_are_hidden = false;
        for kind in kinds() {
            let namespace = (kind == Kind::Secret).then_some(Facts::SECRETS_NAMESPACE);
            match place.list(kind, namespace).await {
                Ok(found) => values.extend(found),
                // A kind that is not installed has no objects.
                Err(WriteError::Gone) => {}
                Err(WriteError::Forbidden(_)) if kind == Kind::Secret => {
                    secrets_are_hidden = true;
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("listing {}", kind.plural()));
                }
            }
        }
        let mut known = known(values, Layout::Cluster);
        if secrets_are_hidden {
            assume_secrets(&mut known.objects);
        }
        Ok(known)
    })
}

/// The objects that this node's agent has.
pub(crate) fn of_agent(args: &Args) -> Result<Known> {
    let answer: Objects = Client::new(&args.socket).get("/v1/objects")?;
    Ok(known(answer.items, Layout::Nodes))
}

/// The objects of manifests: directories, files, or standard input.
pub(crate) fn given(paths: &[PathBuf]) -> Result<Given> {
    let mut given = Given {
        objects: Situation::new(),
        refused: Vec::new(),
        refused_keys: BTreeSet::new(),
    };
    for path in paths {
        let (found, faults) = manifests(path)?;
        given.refuse(faults)?;
        for manifest in found {
            let value = manifest.value.as_ref().clone();
            let object = Object::from_value(value, Strictness::Strict);
            let object = object.map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
            if given.objects.insert(manifest.key.clone(), object).is_some() {
                bail!("{} is in several of the paths", manifest.key);
            }
        }
    }
    Ok(given)
}

fn manifests(path: &Path) -> Result<(Vec<Manifest>, Vec<FileFault>)> {
    if path == Path::new("-") {
        let mut text = Vec::new();
        let mut input = std::io::stdin().lock();
        input
            .read_to_end(&mut text)
            .context("reading standard input")?;
        return Ok(parse("(standard input)", &text));
    }
    ensure!(path.exists(), "{} does not exist", path.display());
    Ok(read(path))
}

impl Given {
    /// Objects that are not valid stay as they are; a file that cannot be read could be anything.
    fn refuse(&mut self, faults: Vec<FileFault>) -> Result<()> {
        for fault in faults {
            let Subject::Field { object, path } = &fault.subject else {
                bail!("{fault}");
            };
            self.refused_keys.insert(object.clone());
            self.refused.push(Refused {
                place: format!("{}:{}", fault.file, fault.line),
                object: Some(format!("{object}: {path}")),
                reason: fault.reason.clone(),
            });
        }
        Ok(())
    }

    /// Whether an object is there and not valid.
    pub(crate) fn refuses(&self, key: &Key) -> bool {
        self.refused_keys.contains(&key.to_string())
    }
}

/// The kinds that anything is decided by.
fn kinds() -> BTreeSet<Kind> {
    let roles = [Role::Standalone, Role::Operator, Role::Agent];
    let kinds = roles.iter().flat_map(|role| role.kinds());
    kinds.copied().collect()
}

fn known(values: impl IntoIterator<Item = Value>, layout: Layout) -> Known {
    let mut known = Known {
        objects: Situation::new(),
        layout,
        refused: Vec::new(),
    };
    for value in values {
        match Object::from_value(value, Strictness::Lenient) {
            Ok(object) => drop(known.objects.insert(object.key(), object)),
            Err(refusal) => known
                .refused
                .extend(refusal.faults.iter().map(|fault| Refused {
                    place: refusal.to_string(),
                    object: Some(fault.path.to_string()),
                    reason: fault.reason.clone(),
                })),
        }
    }
    known
}

/// Secrets may be hidden from people; the sessions that need them are taken to have them.
fn assume_secrets(objects: &mut Situation) {
    let mut names = BTreeSet::new();
    for object in objects.values() {
        if let Object::CiliumBGPPeerConfig(config) = object {
            names.extend(config.session.auth_secret.clone());
        }
    }
    for name in names {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": Facts::SECRETS_NAMESPACE},
            "stringData": {PASSWORD: "assumed"},
        });
        if let Ok(object) = Object::from_value(secret, Strictness::Lenient) {
            objects.insert(object.key(), object);
        }
    }
}
