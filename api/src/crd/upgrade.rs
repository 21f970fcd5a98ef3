//! Whether a definition is to be installed over what a cluster has.

use serde_json::Value;

use super::{SCHEMA, SCHEMA_LABEL};

/// What to do with one definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// There is none: install ours.
    Install,
    /// Ours, of an older build: replace it.
    Upgrade {
        /// The schema that is there.
        from: u32,
    },
    /// Leave it, for that reason.
    Keep(&'static str),
}

/// What to do with a definition, given what the cluster has under its name.
#[must_use]
pub fn plan(existing: Option<&Value>) -> Plan {
    let Some(existing) = existing else {
        return Plan::Install;
    };
    let label = existing
        .pointer("/metadata/labels")
        .and_then(|labels| labels.get(SCHEMA_LABEL))
        .and_then(Value::as_str)
        .and_then(|label| label.parse::<u32>().ok());
    match label {
        None => Plan::Keep("it belongs to another program, such as Cilium, and is taken as it is"),
        Some(from) if from < SCHEMA => Plan::Upgrade { from },
        Some(SCHEMA) => Plan::Keep("it is this build's"),
        Some(_) => Plan::Keep("a newer build has installed it"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn definitions_are_installed_upgraded_and_never_taken_from_others_or_turned_back() {
        let labelled = |label: &str| json!({ "metadata": { "labels": { SCHEMA_LABEL: label } } });
        let older = SCHEMA - 1;

        assert_eq!(plan(None), Plan::Install);
        assert_eq!(
            plan(Some(&labelled(&older.to_string()))),
            Plan::Upgrade { from: older }
        );
        assert!(matches!(
            plan(Some(&labelled(&SCHEMA.to_string()))),
            Plan::Keep("it is this build's")
        ));
        assert!(matches!(
            plan(Some(&labelled(&(SCHEMA + 1).to_string()))),
            Plan::Keep("a newer build has installed it")
        ));
        for foreign in [json!({ "metadata": {} }), labelled("v1.2")] {
            assert!(matches!(plan(Some(&foreign)), Plan::Keep(why) if why.contains("Cilium")));
        }
    }
}
