//! The routes of one export, each made of contributions.

use std::collections::{BTreeMap, BTreeSet};

use bgp_speaker_core::desired::{Attributes, ExportChange, ExportId};
use types::{ObjectName, Prefix};

/// Who contributes routes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contributor {
    /// The node itself: its pods' prefixes, its interfaces' addresses.
    Node,
    /// A Service.
    Service(ObjectName),
}

/// The routes of one export.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// What everybody contributes, by prefix. Most contribute one: a map would take the room of eleven.
    contributed: BTreeMap<Contributor, Vec<(Prefix, Attributes)>>,
    /// Who contributes to each prefix, each once; mostly one.
    contributors: BTreeMap<Prefix, Vec<Contributor>>,
    announced: BTreeMap<Prefix, Attributes>,
    touched: BTreeSet<Prefix>,
}

impl Routes {
    /// Somebody contributes exactly these.
    pub(crate) fn set(&mut self, who: &Contributor, routes: BTreeMap<Prefix, Attributes>) {
        let old = self.contributed.remove(who).unwrap_or_default();
        for (prefix, _) in old
            .iter()
            .filter(|(prefix, _)| !routes.contains_key(prefix))
        {
            if let Some(contributors) = self.contributors.get_mut(prefix) {
                contributors.retain(|other| other != who);
                if contributors.is_empty() {
                    self.contributors.remove(prefix);
                }
            }
            self.touched.insert(*prefix);
        }
        for (prefix, attributes) in &routes {
            let before = of(&old, prefix);
            if before.is_none() {
                let contributors = self.contributors.entry(*prefix).or_default();
                contributors.push(who.clone());
            }
            if before != Some(attributes) {
                self.touched.insert(*prefix);
            }
        }
        if !routes.is_empty() {
            let routes = routes.into_iter().collect();
            self.contributed.insert(who.clone(), routes);
        }
    }

    /// Adds what differs from what was announced.
    pub(crate) fn settle(&mut self, export: ExportId, changes: &mut Vec<ExportChange>) {
        for prefix in std::mem::take(&mut self.touched) {
            let new = self.merged(&prefix);
            if self.announced.get(&prefix) == new.as_ref() {
                continue;
            }
            match new {
                Some(attributes) => {
                    self.announced.insert(prefix, attributes.clone());
                    changes.push(ExportChange::Announce {
                        export,
                        prefix,
                        attributes,
                    });
                }
                None => {
                    self.announced.remove(&prefix);
                    changes.push(ExportChange::Withdraw { export, prefix });
                }
            }
        }
    }

    fn merged(&self, prefix: &Prefix) -> Option<Attributes> {
        let contributors = self.contributors.get(prefix)?.iter();
        let contributions = contributors.filter_map(|who| of(self.contributed.get(who)?, prefix));
        contributions.cloned().reduce(|mut all, more| {
            join(&mut all, &more);
            all
        })
    }
}

/// What somebody contributes to a prefix.
fn of<'r>(routes: &'r [(Prefix, Attributes)], prefix: &Prefix) -> Option<&'r Attributes> {
    let at = routes.binary_search_by_key(prefix, |(prefix, _)| *prefix);
    at.ok()
        .and_then(|at| routes.get(at))
        .map(|(_, attributes)| attributes)
}

/// Unites communities; the larger local preference wins.
pub(crate) fn join(attributes: &mut Attributes, more: &Attributes) {
    attributes.communities.extend(&more.communities);
    attributes.large.extend(&more.large);
    attributes.local_pref = attributes.local_pref.max(more.local_pref);
}
