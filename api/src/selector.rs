//! Label selectors. What a missing selector means differs by use and is said where one is used.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::fault::{At, Faults};
use crate::read::{self, one_of};

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// Selects objects by their labels. An empty selector selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// Labels that must have exactly these values.
    pub match_labels: Labels,
    /// Further requirements; all must hold.
    pub match_expressions: Vec<Requirement>,
}

/// What one label must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What must hold for it.
    pub operator: Operator,
}

/// What must hold for a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// It is there, with one of these values.
    In(Vec<String>),
    /// It is not there, or has none of these values.
    NotIn(Vec<String>),
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

/// A selector as a file has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawSelector {
    match_labels: Option<Labels>,
    match_expressions: Option<Vec<RawRequirement>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRequirement {
    key: Option<String>,
    operator: Option<String>,
    values: Option<Vec<String>>,
}

#[derive(Clone, Copy)]
enum Op {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl LabelSelector {
    /// Whether an object with these labels is selected. `extra` are labels that the object has by
    /// what it is, such as [`keys::SERVICE_NAME`](crate::keys::SERVICE_NAME); they win over `labels`.
    #[must_use]
    pub fn matches(&self, labels: &Labels, extra: &[(&str, &str)]) -> bool {
        let value = |key: &str| {
            let extra = extra.iter().find(|(name, _)| *name == key);
            extra.map_or_else(|| labels.get(key).map(String::as_str), |(_, v)| Some(*v))
        };
        self.match_labels
            .iter()
            .all(|(key, wanted)| value(key) == Some(wanted))
            && self
                .match_expressions
                .iter()
                .all(|requirement| requirement.holds(value(&requirement.key)))
    }
}

impl Requirement {
    fn holds(&self, value: Option<&str>) -> bool {
        let is_one_of = |values: &[String]| value.is_some_and(|v| values.iter().any(|w| w == v));
        match &self.operator {
            Operator::In(values) => is_one_of(values),
            Operator::NotIn(values) => !is_one_of(values),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

impl RawSelector {
    pub(crate) fn check(self, at: &At<'_>, faults: &mut Faults) -> LabelSelector {
        let match_labels = self.match_labels.unwrap_or_default();
        read::labels(&match_labels, &at.field("matchLabels"), faults);
        let at = at.field("matchExpressions");
        let match_expressions = self.match_expressions.unwrap_or_default();
        LabelSelector {
            match_labels,
            match_expressions: match_expressions
                .into_iter()
                .enumerate()
                .filter_map(|(index, raw)| raw.check(&at.index(index), faults))
                .collect(),
        }
    }
}

impl RawRequirement {
    fn check(self, at: &At<'_>, faults: &mut Faults) -> Option<Requirement> {
        const OPERATORS: [(&str, Op); 4] = [
            ("In", Op::In),
            ("NotIn", Op::NotIn),
            ("Exists", Op::Exists),
            ("DoesNotExist", Op::DoesNotExist),
        ];
        let key = read::required(self.key, &at.field("key"), faults);
        if let Some(key) = &key {
            read::label_key(key, &at.field("key"), faults);
        }
        let operator = read::required(self.operator, &at.field("operator"), faults)
            .and_then(|text| one_of(&text, &OPERATORS, &at.field("operator"), faults))?;
        let values = self.values.unwrap_or_default();
        let values_at = at.field("values");
        match operator {
            Op::In | Op::NotIn if values.is_empty() => {
                faults.add(&values_at, "must not be empty for In and NotIn");
            }
            Op::Exists | Op::DoesNotExist if !values.is_empty() => {
                faults.add(&values_at, "must be empty for Exists and DoesNotExist");
            }
            Op::In | Op::NotIn | Op::Exists | Op::DoesNotExist => {}
        }
        for (index, value) in values.iter().enumerate() {
            read::label_value(value, &values_at.index(index), faults);
        }
        let operator = match operator {
            Op::In => Operator::In(values),
            Op::NotIn => Operator::NotIn(values),
            Op::Exists => Operator::Exists,
            Op::DoesNotExist => Operator::DoesNotExist,
        };
        Some(Requirement {
            key: key?,
            operator,
        })
    }
}
