//! Label selectors over services.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use types::ObjectName;

use crate::request::Request;

/// Selects a service by its name, whatever its labels say.
pub const NAME_KEY: &str = "io.kubernetes.service.name";
/// Selects a service by its namespace, whatever its labels say.
pub const NAMESPACE_KEY: &str = "io.kubernetes.service.namespace";

/// A label selector: every part must hold. The default, which has no part, selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Labels that must have these values.
    pub match_labels: BTreeMap<Arc<str>, Arc<str>>,
    /// More that must hold.
    pub match_expressions: Vec<Requirement>,
}

/// One of `matchExpressions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label.
    pub key: Arc<str>,
    /// What must be true of it.
    pub test: Test,
}

/// What must be true of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// There, with one of these values.
    In(BTreeSet<Arc<str>>),
    /// Not there, or with another value.
    NotIn(BTreeSet<Arc<str>>),
    /// There.
    Exists,
    /// Not there.
    DoesNotExist,
}

/// A service as selectors see it.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    name: &'a ObjectName,
    labels: &'a BTreeMap<Arc<str>, Arc<str>>,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(name: &'a ObjectName, request: &'a Request) -> Self {
        Self {
            name,
            labels: &request.labels,
        }
    }

    /// Every label with its value, the special ones last.
    pub(crate) fn labels(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let own = self.labels.iter().map(|(key, value)| (&**key, &**value));
        own.filter(|(key, _)| *key != NAME_KEY && *key != NAMESPACE_KEY)
            .chain([
                (NAME_KEY, &*self.name.name),
                (NAMESPACE_KEY, &*self.name.namespace),
            ])
    }

    fn label(self, key: &str) -> Option<&'a str> {
        match key {
            NAME_KEY => Some(&self.name.name),
            NAMESPACE_KEY => Some(&self.name.namespace),
            _ => self.labels.get(key).map(|value| &**value),
        }
    }
}

impl Selector {
    pub(crate) fn matches(&self, subject: Subject<'_>) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| subject.label(key) == Some(value))
            && self
                .match_expressions
                .iter()
                .all(|requirement| requirement.holds(subject))
    }

    /// Labels of which every selected service has one, or `None` if there are no such labels.
    pub(crate) fn anchors(&self) -> Option<Vec<(&str, &str)>> {
        if let Some((key, value)) = self.match_labels.first_key_value() {
            return Some(vec![(key, value)]);
        }
        self.match_expressions
            .iter()
            .find_map(|requirement| match &requirement.test {
                Test::In(values) => {
                    Some(values.iter().map(|v| (&*requirement.key, &**v)).collect())
                }
                Test::NotIn(_) | Test::Exists | Test::DoesNotExist => None,
            })
    }
}

impl Requirement {
    fn holds(&self, subject: Subject<'_>) -> bool {
        let label = subject.label(&self.key);
        match &self.test {
            Test::In(values) => label.is_some_and(|value| values.contains(value)),
            Test::NotIn(values) => label.is_none_or(|value| !values.contains(value)),
            Test::Exists => label.is_some(),
            Test::DoesNotExist => label.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_means_what_kubernetes_means() {
        let has = |test: Test| {
            let requirement = Requirement {
                key: "app".into(),
                test,
            };
            selects(&Selector {
                match_expressions: vec![requirement],
                ..Selector::default()
            })
        };

        assert_eq!(has(Test::In(values(&["web", "api"]))), [true, false, false]);
        assert_eq!(has(Test::NotIn(values(&["web"]))), [false, true, true]);
        assert_eq!(has(Test::Exists), [true, true, false]);
        assert_eq!(has(Test::DoesNotExist), [false, false, true]);
    }

    #[test]
    fn no_selector_selects_all() {
        assert_eq!(selects(&Selector::default()), [true, true, true]);
    }

    #[test]
    fn the_special_keys_are_the_name_and_namespace_whatever_the_labels_say() {
        let name = ObjectName::new("shop", "web");
        let lying = Request {
            labels: labels(&[(NAME_KEY, "api"), (NAMESPACE_KEY, "bank")]),
            ..Request::default()
        };
        let by = |key: &str, value: &str| Selector {
            match_labels: labels(&[(key, value)]),
            ..Selector::default()
        };

        let subject = Subject::new(&name, &lying);

        assert!(by(NAME_KEY, "web").matches(subject));
        assert!(by(NAMESPACE_KEY, "shop").matches(subject));
        assert!(!by(NAME_KEY, "api").matches(subject));
        assert_eq!(
            subject.labels().collect::<Vec<_>>(),
            [(NAME_KEY, "web"), (NAMESPACE_KEY, "shop")]
        );
    }

    #[test]
    fn an_anchor_is_a_label_that_every_selected_service_has() {
        let by_label = Selector {
            match_labels: labels(&[("app", "web")]),
            ..Selector::default()
        };
        let by_values = Selector {
            match_expressions: vec![
                Requirement {
                    key: "tier".into(),
                    test: Test::Exists,
                },
                Requirement {
                    key: "app".into(),
                    test: Test::In(values(&["a", "b"])),
                },
            ],
            ..Selector::default()
        };

        assert_eq!(by_label.anchors(), Some(vec![("app", "web")]));
        assert_eq!(by_values.anchors(), Some(vec![("app", "a"), ("app", "b")]));
        assert_eq!(Selector::default().anchors(), None);
    }

    /// Whether services with `app: web`, with `app: db`, and without the label are selected.
    fn selects(selector: &Selector) -> [bool; 3] {
        let name = ObjectName::new("shop", "any");
        [&[("app", "web")][..], &[("app", "db")], &[]].map(|given| {
            let request = Request {
                labels: labels(given),
                ..Request::default()
            };
            selector.matches(Subject::new(&name, &request))
        })
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<Arc<str>, Arc<str>> {
        pairs
            .iter()
            .map(|(k, v)| (Arc::from(*k), Arc::from(*v)))
            .collect()
    }

    fn values(list: &[&str]) -> BTreeSet<Arc<str>> {
        list.iter().map(|v| Arc::from(*v)).collect()
    }
}
