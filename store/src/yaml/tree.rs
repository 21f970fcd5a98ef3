//! A document as a tree with lines.

use std::collections::BTreeMap;
use std::rc::Rc;

use api::Step;
use serde_json::{Number, Value};

use super::{NODE_BYTES, TreeFault};

/// One document that is not empty.
#[derive(Clone, Debug)]
pub struct Document {
    pub(super) root: Rc<Node>,
    pub(super) faults: Vec<TreeFault>,
}

/// A value and where it begins. An alias shares its anchor's node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: u32,
    /// The size with aliases written out, see [`super::MAX_EXPANDED_BYTES`].
    pub(super) expanded: usize,
    pub(super) data: Data,
}

#[derive(Debug)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    Text(Box<str>),
    Sequence(Vec<Rc<Node>>),
    Mapping(BTreeMap<Box<str>, Entry>),
}

/// A mapping's value and the line of its key.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) line: u32,
    pub(super) value: Rc<Node>,
}

impl Document {
    /// What is wrong with parts of the document.
    #[must_use]
    pub fn faults(&self) -> &[TreeFault] {
        &self.faults
    }

    /// The document as JSON. Where a key is there twice, the first is taken.
    #[must_use]
    pub fn value(&self) -> Value {
        self.root.value()
    }

    /// The line where the document's content begins.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.root.line
    }

    /// The line of a field, or of the closest field around it that is there.
    #[must_use]
    pub fn line_of(&self, path: &[Step]) -> u32 {
        let mut node = &self.root;
        let mut line = node.line;
        for step in path {
            let Some((at, next)) = node.step(step) else {
                break;
            };
            line = at;
            node = next;
        }
        line
    }
}

impl Node {
    pub(super) fn new(line: u32, data: Data) -> Self {
        let content: usize = match &data {
            Data::Null | Data::Bool(_) | Data::Number(_) => 0,
            Data::Text(text) => text.len(),
            Data::Sequence(items) => items
                .iter()
                .fold(0, |sum: usize, item| sum.saturating_add(item.expanded)),
            Data::Mapping(entries) => entries.iter().fold(0, |sum: usize, (key, entry)| {
                sum.saturating_add(key.len())
                    .saturating_add(entry.value.expanded)
            }),
        };
        Self {
            line,
            expanded: content.saturating_add(NODE_BYTES),
            data,
        }
    }

    fn value(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Number(number) => Value::Number(number.clone()),
            Data::Text(text) => Value::String(text.as_ref().to_owned()),
            Data::Sequence(items) => items.iter().map(|item| item.value()).collect(),
            Data::Mapping(entries) => entries
                .iter()
                .map(|(key, entry)| (key.as_ref().to_owned(), entry.value.value()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// One step down: the line and the node.
    fn step(&self, step: &Step) -> Option<(u32, &Rc<Self>)> {
        match (&self.data, step) {
            (Data::Sequence(items), Step::Index(index)) => {
                items.get(*index).map(|item| (item.line, item))
            }
            (Data::Mapping(entries), Step::Field(name)) => entries
                .get(name.as_str())
                .map(|entry| (entry.line, &entry.value)),
            (Data::Sequence(_), Step::Field(_))
            | (Data::Mapping(_), Step::Index(_))
            | (Data::Null | Data::Bool(_) | Data::Number(_) | Data::Text(_), _) => None,
        }
    }
}
