//! `sluice get`.

use anyhow::Result;
use api::{Kind, Timestamp};
use serde_json::Value;

use super::args::GetArgs;
use super::columns::Columns;
use super::document::{list, named, shown};
use super::place::Place;
use super::{in_words, run};
use crate::args::{Args, Output};
use crate::output::print;
use crate::table::Table;

pub(crate) fn get(args: &Args, wanted: &GetArgs) -> Result<bool> {
    run(async {
        let place = Place::of(args, &wanted.place).await?;
        let namespace = place.namespace(args);
        let names = names(&wanted.kinds.name, &wanted.names);
        let mut found: Vec<(Kind, Vec<Value>)> = Vec::new();
        let mut missing = 0;
        for kind in &wanted.kinds.kinds {
            let mut documents = Vec::new();
            if names.is_empty() {
                let namespace = Some(namespace.as_str()).filter(|_| !wanted.all_namespaces);
                documents = place.list(*kind, namespace).await.map_err(in_words)?;
            }
            for name in &names {
                let key = named(*kind, &namespace, name);
                match place.get(&key).await.map_err(in_words)? {
                    Some(document) => documents.push(document),
                    None => {
                        missing += 1;
                        eprintln!("sluice: {} \"{name}\" not found", kind.plural());
                    }
                }
            }
            found.push((*kind, documents));
        }
        let is_one = names.len() == 1 && found.len() == 1;
        if missing < names.len().max(1) {
            show(args, wanted.all_namespaces, &namespace, is_one, found)?;
        }
        Ok(missing == 0)
    })
}

/// The names in KIND/NAME and after it.
pub(super) fn names(first: &Option<String>, more: &[String]) -> Vec<String> {
    first.iter().chain(more).cloned().collect()
}

fn show(
    args: &Args,
    is_everywhere: bool,
    namespace: &str,
    is_one: bool,
    found: Vec<(Kind, Vec<Value>)>,
) -> Result<()> {
    let is_wide = match args.output {
        Output::Table => false,
        Output::Wide => true,
        Output::Json | Output::Yaml => {
            let documents = found.into_iter().flat_map(|(_, documents)| documents);
            let documents: Vec<Value> = documents.map(shown).collect();
            let answer = match documents.as_slice() {
                [only] if is_one => only.clone(),
                all => list(all),
            };
            return print(args.output, &answer, |_, _| String::new());
        }
    };
    if found.iter().all(|(_, documents)| documents.is_empty()) {
        let is_namespaced = found.iter().any(|(kind, _)| kind.namespaced());
        if is_everywhere || !is_namespaced {
            eprintln!("No resources found");
        } else {
            eprintln!("No resources found in {namespace} namespace.");
        }
        return Ok(());
    }
    let now = Timestamp::now();
    let shown = found.iter().filter(|(_, documents)| !documents.is_empty());
    let tables = shown.map(|(kind, documents)| {
        let columns = Columns::of(*kind, is_everywhere, is_wide);
        let mut table = Table::with_header(columns.header());
        for document in documents {
            table.push(columns.row(document, now));
        }
        table.render("")
    });
    let text = tables.collect::<Vec<_>>().join("\n");
    print(args.output, &text, |text, _| text.clone())
}
