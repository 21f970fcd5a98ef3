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
    /// What everybody contributes.
    contributed: BTreeMap<Contributor, BTreeMap<Prefix, Attributes>>,
    /// Who contributes to each prefix.
    contributors: BTreeMap<Prefix, BTreeSet<Contributor>>,
    announced: BTreeMap<Prefix, Attributes>,
    touched: BTreeSet<Prefix>,
}

impl Routes {
    /// Somebody contributes exactly these.
    pub(crate) fn set(&mut self, who: &Contributor, routes: BTreeMap<Prefix, Attributes>) {
        let old = self.contributed.remove(who).unwrap_or_default();
        for prefix in old.keys().filter(|prefix| !routes.contains_key(prefix)) {
            if let Some(contributors) = self.contributors.get_mut(prefix) {
                contributors.remove(who);
                if contributors.is_empty() {
                    self.contributors.remove(prefix);
                }
            }
            self.touched.insert(*prefix);
        }
        for (prefix, attributes) in &routes {
            if old.get(prefix) != Some(attributes) {
                let contributors = self.contributors.entry(*prefix).or_default();
                contributors.insert(who.clone());
                self.touched.insert(*prefix);
            }
        }
        if !routes.is_empty() {
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
        let contributions = contributors.filter_map(|who| self.contributed.get(who)?.get(prefix));
        contributions.cloned().reduce(|mut all, more| {
            join(&mut all, &more);
            all
        })
    }
}

/// Unites communities; the larger local preference wins.
pub(crate) fn join(attributes: &mut Attributes, more: &Attributes) {
    attributes.communities.extend(&more.communities);
    attributes.large.extend(&more.large);
    attributes.local_pref = attributes.local_pref.max(more.local_pref);
}
