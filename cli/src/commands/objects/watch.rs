//! `sluice watch`: what is there, and then what happens, until it is ended.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use anyhow::{Context as _, Result};
use api::{Key, Kind, Timestamp};
use serde_json::{Value, json};

use super::args::WatchArgs;
use super::columns::Columns;
use super::document::shown;
use super::get::names;
use super::news::{News, Watching};
use super::place::Place;
use super::run;
use crate::args::{Args, Output};

/// Says each piece of news once.
struct Printer<'a> {
    output: Output,
    namespace: Option<&'a str>,
    names: Vec<String>,
    columns: BTreeMap<Kind, Columns>,
    /// What was said last of each object that is there.
    known: BTreeMap<Key, Value>,
    /// Of the columns, as wide as they ever were.
    widths: Vec<usize>,
    /// Whose header stands above.
    headed: Option<Kind>,
}

pub(crate) fn watch(args: &Args, wanted: &WatchArgs) -> Result<bool> {
    run(async {
        let place = Place::of(args, &wanted.place).await?;
        let namespace = place.namespace(args);
        let is_wide = args.output == Output::Wide;
        let columns = wanted.kinds.kinds.iter().map(|kind| {
            let columns = Columns::of(*kind, wanted.all_namespaces, is_wide);
            (*kind, columns)
        });
        let mut printer = Printer {
            output: args.output,
            namespace: Some(namespace.as_str()).filter(|_| !wanted.all_namespaces),
            names: names(&wanted.kinds.name, &wanted.names),
            columns: columns.collect(),
            known: BTreeMap::new(),
            widths: Vec::new(),
            headed: None,
        };
        let mut watching = Watching::begin(&place, &wanted.kinds.kinds).await?;
        loop {
            let news = watching.next().await?;
            let now = Timestamp::now();
            let text: String = news
                .into_iter()
                .map(|news| printer.text(news, now))
                .collect();
            let mut output = io::stdout().lock();
            match output
                .write_all(text.as_bytes())
                .and_then(|()| output.flush())
            {
                // The reader has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(true),
                outcome => outcome.context("writing to standard output")?,
            }
        }
    })
}

impl Printer<'_> {
    fn text(&mut self, news: News, now: Timestamp) -> String {
        let (key, event, document) = match news {
            News::Put(key, document) if self.is_wanted(&key) => {
                let document = shown(document);
                let event = match self.known.insert(key.clone(), document.clone()) {
                    None => "ADDED",
                    Some(before) if before == document => return String::new(),
                    Some(_) => "MODIFIED",
                };
                (key, event, document)
            }
            News::Gone(key) => match self.known.remove(&key) {
                Some(document) => (key, "DELETED", document),
                None => return String::new(),
            },
            News::Put(..) => return String::new(),
        };
        match self.output {
            Output::Json => format!("{}\n", json!({"type": event, "object": document})),
            Output::Yaml => {
                let event = json!({"type": event, "object": document});
                let text = serde_saphyr::to_string(&event).unwrap_or_default();
                format!("---\n{text}")
            }
            Output::Table | Output::Wide => self.lines(&key, event, &document, now),
        }
    }

    fn is_wanted(&self, key: &Key) -> bool {
        let is_here = self
            .namespace
            .is_none_or(|namespace| !key.kind.namespaced() || *key.name.namespace == *namespace);
        let is_named =
            self.names.is_empty() || self.names.iter().any(|name| *key.name.name == **name);
        is_here && is_named
    }

    fn lines(&mut self, key: &Key, event: &str, document: &Value, now: Timestamp) -> String {
        let Some(columns) = self.columns.get(&key.kind) else {
            return String::new();
        };
        let mut rows = Vec::new();
        if self.headed != Some(key.kind) {
            self.headed = Some(key.kind);
            self.widths.clear();
            rows.push([vec!["EVENT".to_owned()], columns.header()].concat());
        }
        rows.push([vec![event.to_owned()], columns.row(document, now)].concat());
        for row in &rows {
            self.widths
                .resize(self.widths.len().max(row.len()), "MODIFIED".len());
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&self.widths);
            let cells = cells.map(|(cell, width)| format!("{cell:<width$}"));
            let line = cells.collect::<Vec<_>>().join("   ");
            format!("{}\n", line.trim_end())
        };
        rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::named;
    use super::*;

    #[test]
    fn each_piece_of_news_is_a_line_and_nothing_is_said_twice() {
        let mut printer = printer(Output::Table);
        let blue = named(Kind::CiliumBGPPeerConfig, "", "blue");
        let document = |label: &str| json!({"metadata": {"name": "blue", "labels": {"a": label}}});

        let mut said = String::new();
        for news in [
            News::Put(blue.clone(), document("1")),
            News::Put(blue.clone(), document("1")),
            News::Put(blue.clone(), document("2")),
            News::Gone(blue.clone()),
            News::Gone(blue),
        ] {
            said.push_str(&printer.text(news, Timestamp::UNIX_EPOCH));
        }

        assert_eq!(
            said,
            "EVENT      NAME       AGE\nADDED      blue\nMODIFIED   blue\nDELETED    blue\n"
        );
    }

    #[test]
    fn only_what_is_asked_for_is_said() {
        let mut printer = printer(Output::Json);
        printer.namespace = Some("shop");
        printer.names = vec!["web".to_owned()];
        let news = |namespace: &str, name: &str| {
            News::Put(
                named(Kind::Service, namespace, name),
                json!({"metadata": {"name": name}}),
            )
        };

        let said = [
            news("shop", "web"),
            news("shop", "other"),
            news("prod", "web"),
        ];
        let said = said.map(|news| printer.text(news, Timestamp::UNIX_EPOCH));

        assert_eq!(
            said.concat(),
            "{\"object\":{\"metadata\":{\"name\":\"web\"}},\"type\":\"ADDED\"}\n"
        );
    }

    fn printer(output: Output) -> Printer<'static> {
        let columns = Kind::ALL.map(|kind| (kind, Columns::of(kind, false, false)));
        Printer {
            output,
            namespace: None,
            names: Vec::new(),
            columns: columns.into(),
            known: BTreeMap::new(),
            widths: Vec::new(),
            headed: None,
        }
    }
}
