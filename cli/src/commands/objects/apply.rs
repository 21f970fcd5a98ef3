//! `sluice apply`: all manifests are valid before the first is written.

use anyhow::Result;
use serde::Serialize;
use store::Applied;
use store::manifest::Manifest;

use super::args::ApplyArgs;
use super::document::named;
use super::input::manifests;
use super::kinds::resource;
use super::place::Place;
use super::{in_words, is_away, run};
use crate::args::{Args, Output};
use crate::output::print;

/// What became of one manifest, as a document has it.
#[derive(Serialize)]
struct Outcome {
    kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    name: String,
    outcome: &'static str,
}

pub(crate) fn apply(args: &Args, wanted: &ApplyArgs) -> Result<bool> {
    let Some(manifests) = manifests(&wanted.filename)? else {
        eprintln!("sluice: nothing was applied");
        return Ok(false);
    };
    run(async {
        let place = Place::of(args, &wanted.place).await?;
        let namespace = place.namespace(args);
        let mut outcomes = Vec::new();
        let mut is_done = true;
        for manifest in &manifests {
            let value = with_namespace(manifest, &namespace);
            let applied = if wanted.dry_run {
                place.rehearse(&value).await
            } else {
                place.apply(&value).await
            };
            match applied {
                Ok(applied) => {
                    let outcome = outcome(manifest, &namespace, applied);
                    if args.output == Output::Table {
                        println!("{}", line(manifest, &outcome, wanted.dry_run));
                    }
                    outcomes.push(outcome);
                }
                Err(error) => {
                    let (file, line) = (&manifest.file, manifest.line);
                    let error = in_words(error);
                    eprintln!("sluice: {file}:{line}: {}: {error}", manifest.key);
                    is_done = false;
                    // It will not be there for the next one.
                    if is_away(&error) {
                        return Err(error);
                    }
                }
            }
        }
        if args.output != Output::Table {
            print(args.output, &outcomes, |_, _| String::new())?;
        }
        Ok(is_done)
    })
}

/// A manifest that names no namespace goes to the one that is meant.
fn with_namespace(manifest: &Manifest, namespace: &str) -> serde_json::Value {
    let mut value = manifest.value.as_ref().clone();
    if manifest.key.kind.namespaced()
        && let Some(metadata) = value.get_mut("metadata").and_then(|is| is.as_object_mut())
        && metadata
            .get("namespace")
            .and_then(|is| is.as_str())
            .is_none_or(str::is_empty)
    {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    value
}

fn outcome(manifest: &Manifest, namespace: &str, applied: Applied) -> Outcome {
    let stated = manifest
        .value
        .pointer("/metadata/namespace")
        .and_then(|is| is.as_str());
    let stated = stated.filter(|stated| !stated.is_empty());
    let kind = manifest.key.kind;
    let key = named(kind, stated.unwrap_or(namespace), &manifest.key.name.name);
    Outcome {
        kind: kind.as_str(),
        namespace: key.name.namespace.to_string(),
        name: key.name.name.to_string(),
        outcome: match applied {
            Applied::Created => "created",
            Applied::Changed => "configured",
            Applied::Unchanged => "unchanged",
        },
    }
}

fn line(manifest: &Manifest, outcome: &Outcome, is_dry: bool) -> String {
    let dry = if is_dry { " (dry run)" } else { "" };
    let resource = resource(manifest.key.kind);
    format!("{resource}/{} {}{dry}", outcome.name, outcome.outcome)
}
