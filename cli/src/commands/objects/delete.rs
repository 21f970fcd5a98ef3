//! `sluice delete`.

use anyhow::{Result, ensure};
use api::Key;

use super::args::DeleteArgs;
use super::document::named;
use super::get::names;
use super::input::manifests;
use super::kinds::resource;
use super::place::Place;
use super::{in_words, is_away, run};
use crate::args::Args;

pub(crate) fn delete(args: &Args, wanted: &DeleteArgs) -> Result<bool> {
    let manifests = match wanted.filename.as_slice() {
        [] => Vec::new(),
        paths => match manifests(paths)? {
            Some(manifests) => manifests,
            None => {
                eprintln!("sluice: nothing was deleted");
                return Ok(false);
            }
        },
    };
    run(async {
        let place = Place::of(args, &wanted.place).await?;
        let namespace = place.namespace(args);
        let mut keys: Vec<Key> = Vec::new();
        for manifest in manifests {
            let stated = manifest.value.pointer("/metadata/namespace");
            let stated = stated
                .and_then(|is| is.as_str())
                .filter(|is| !is.is_empty());
            let name = &manifest.key.name.name;
            keys.push(named(manifest.key.kind, stated.unwrap_or(&namespace), name));
        }
        if let Some(kinds) = &wanted.kinds {
            let names = names(&kinds.name, &wanted.names);
            ensure!(!names.is_empty(), "name what is to be deleted");
            for kind in &kinds.kinds {
                keys.extend(names.iter().map(|name| named(*kind, &namespace, name)));
            }
        }
        let mut is_done = true;
        for key in keys {
            is_done &= delete_one(&place, &key, wanted.ignore_not_found).await?;
        }
        Ok(is_done)
    })
}

async fn delete_one(place: &Place, key: &Key, ignore_not_found: bool) -> Result<bool> {
    match place.delete(key).await {
        Ok(true) => {
            println!("{} \"{}\" deleted", resource(key.kind), key.name.name);
            Ok(true)
        }
        Ok(false) if ignore_not_found => Ok(true),
        Ok(false) => {
            eprintln!(
                "sluice: {} \"{}\" not found",
                key.kind.plural(),
                key.name.name
            );
            Ok(false)
        }
        Err(error) => match in_words(error) {
            away if is_away(&away) => Err(away),
            error => {
                eprintln!("sluice: {key}: {error}");
                Ok(false)
            }
        },
    }
}
