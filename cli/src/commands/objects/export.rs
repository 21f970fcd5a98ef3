//! `sluice export`: what is there as manifests that ask for it, to be applied elsewhere.

use anyhow::{Context as _, Result};
use api::Kind;
use serde_json::Value;

use super::args::ExportArgs;
use super::document::{list, manifest};
use super::place::Place;
use super::{in_words, run};
use crate::args::{Args, Output};
use crate::output::print;

pub(crate) fn export(args: &Args, wanted: &ExportArgs) -> Result<bool> {
    let manifests = run(async {
        let place = Place::of(args, &wanted.place).await?;
        let kinds = match &wanted.kinds {
            Some(kinds) => kinds.kinds.clone(),
            None => Kind::ALL
                .into_iter()
                .filter(|kind| is_written_by_people(*kind))
                .collect(),
        };
        let namespace = args.cluster.namespace.as_deref();
        let mut manifests = Vec::new();
        for kind in kinds {
            let documents = place.list(kind, namespace).await.map_err(in_words)?;
            manifests.extend(documents.iter().map(|document| manifest(kind, document)));
        }
        anyhow::Ok(manifests)
    })?;
    match args.output {
        Output::Json => print(args.output, &list(&manifests), |_, _| String::new())?,
        Output::Table | Output::Wide | Output::Yaml => {
            let text = documents(&manifests)?;
            print(Output::Table, &text, |text, _| text.clone())?;
        }
    }
    Ok(true)
}

/// What nobody asked to see, or what is made again from the rest, is exported when it is named.
fn is_written_by_people(kind: Kind) -> bool {
    match kind {
        Kind::Secret | Kind::CiliumBGPNodeConfig => false,
        Kind::Service
        | Kind::EndpointSlice
        | Kind::Node
        | Kind::CiliumLoadBalancerIPPool
        | Kind::CiliumBGPClusterConfig
        | Kind::CiliumBGPPeerConfig
        | Kind::CiliumBGPAdvertisement
        | Kind::CiliumBGPNodeConfigOverride => true,
    }
}

fn documents(manifests: &[Value]) -> Result<String> {
    let documents: Result<Vec<String>, _> = manifests.iter().map(serde_saphyr::to_string).collect();
    Ok(documents.context("writing YAML")?.join("---\n"))
}
