//! What peers hear of the exports: all of it, or nothing while the node is withdrawn.

use std::collections::BTreeMap;

use bgp_speaker_core::desired::{Attributes, ExportChange, ExportId};
use types::Prefix;

/// Stands between what is to be exported and the speaker.
#[derive(Debug, Default)]
pub(super) struct Gate {
    withdrawn: bool,
    /// What is to be exported, whether or not peers hear of it.
    exports: BTreeMap<ExportId, BTreeMap<Prefix, Attributes>>,
}

impl Gate {
    /// The exports changed: what peers are to hear of it.
    pub(super) fn pass(&mut self, changes: Vec<ExportChange>) -> Vec<ExportChange> {
        for change in &changes {
            self.keep(change);
        }
        if self.withdrawn { Vec::new() } else { changes }
    }

    /// The node is withdrawn, or is not: what peers are to hear of it.
    pub(super) fn set(&mut self, withdrawn: bool) -> Vec<ExportChange> {
        match (std::mem::replace(&mut self.withdrawn, withdrawn), withdrawn) {
            (false, true) => {
                let exports = self.exports.keys();
                exports.copied().map(ExportChange::Clear).collect()
            }
            (true, false) => self.all().collect(),
            (false, false) | (true, true) => Vec::new(),
        }
    }

    fn keep(&mut self, change: &ExportChange) {
        match change {
            ExportChange::Announce {
                export,
                prefix,
                attributes,
            } => {
                let prefixes = self.exports.entry(*export).or_default();
                prefixes.insert(*prefix, attributes.clone());
            }
            ExportChange::Withdraw { export, prefix } => {
                if let Some(prefixes) = self.exports.get_mut(export) {
                    prefixes.remove(prefix);
                    if prefixes.is_empty() {
                        self.exports.remove(export);
                    }
                }
            }
            ExportChange::Clear(export) => drop(self.exports.remove(export)),
        }
    }

    fn all(&self) -> impl Iterator<Item = ExportChange> {
        self.exports.iter().flat_map(|(export, prefixes)| {
            prefixes
                .iter()
                .map(|(prefix, attributes)| ExportChange::Announce {
                    export: *export,
                    prefix: *prefix,
                    attributes: attributes.clone(),
                })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str = "192.0.2.1/32";
    const DNS: &str = "192.0.2.2/32";

    #[test]
    fn an_open_gate_passes_everything_on() {
        let mut gate = Gate::default();
        let changes = vec![
            announce(1, WEB),
            withdraw(1, WEB),
            ExportChange::Clear(ExportId(1)),
        ];

        assert_eq!(gate.pass(changes.clone()), changes);
        assert_eq!(gate.set(false), []);
    }

    #[test]
    fn a_withdrawn_node_announces_nothing_and_what_came_meanwhile_when_it_is_back() {
        let mut gate = Gate::default();
        gate.pass(vec![announce(1, WEB), announce(2, WEB)]);

        assert_eq!(
            gate.set(true),
            [
                ExportChange::Clear(ExportId(1)),
                ExportChange::Clear(ExportId(2))
            ]
        );
        assert_eq!(gate.set(true), []);
        let meanwhile = vec![
            announce(1, DNS),
            withdraw(1, WEB),
            ExportChange::Clear(ExportId(2)),
        ];
        assert_eq!(gate.pass(meanwhile), []);
        assert_eq!(gate.set(false), [announce(1, DNS)]);
    }

    #[test]
    fn an_export_that_is_empty_is_not_kept() {
        let mut gate = Gate::default();

        gate.pass(vec![announce(1, WEB), withdraw(1, WEB)]);

        assert_eq!(gate.set(true), []);
    }

    fn announce(export: u32, prefix: &str) -> ExportChange {
        ExportChange::Announce {
            export: ExportId(export),
            prefix: prefix.parse().unwrap(),
            attributes: Attributes::default(),
        }
    }

    fn withdraw(export: u32, prefix: &str) -> ExportChange {
        ExportChange::Withdraw {
            export: ExportId(export),
            prefix: prefix.parse().unwrap(),
        }
    }
}
