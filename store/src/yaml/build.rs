//! Turns the parser's events into documents.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use api::{FieldPath, Step};
use saphyr_parser::{Event, ScalarStyle, Tag};

use super::scalar::{Scalar, resolve};
use super::tree::{Data, Document, Entry, Node};
use super::{
    BadYaml, BadYamlReason, MAX_DEPTH, MAX_EXPANDED_BYTES, MAX_FAULTS, NODE_BYTES, TreeFault,
    TreeFaultReason,
};

/// Builds one file's documents.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) documents: Vec<Document>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Rc<Node>>,
    faults: Vec<TreeFault>,
    /// The size of what has been read, aliases written out.
    expanded: usize,
}

/// A sequence or mapping that has not ended.
struct Open {
    line: u32,
    anchor: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Rc<Node>>),
    Mapping {
        entries: BTreeMap<Box<str>, Entry>,
        key: Option<Key>,
    },
}

/// A key whose value has not been read yet.
struct Key {
    text: Box<str>,
    line: u32,
    /// The value is read over: the key is there twice or is no key.
    ignored: bool,
}

impl Content {
    const EMPTY_MAPPING: Self = Self::Mapping {
        entries: BTreeMap::new(),
        key: None,
    };
}

impl Builder {
    pub(super) fn on_event(&mut self, event: Event<'_>, line: u32) -> Result<(), BadYaml> {
        match event {
            Event::Scalar(text, style, ..) if self.wants_key() => {
                self.key(&text, style, line);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(text, style, tag.as_deref(), line);
                self.grow(node.expanded, line)?;
                self.finish(anchor, Rc::new(node));
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned().ok_or(BadYaml {
                    line,
                    reason: BadYamlReason::UnknownAnchor,
                })?;
                self.grow(node.expanded, line)?;
                if self.wants_key() {
                    self.fault(line, TreeFaultReason::KeyIsNotText);
                    self.read_over_value(line);
                } else {
                    self.finish(0, node);
                }
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "seq", line);
                self.open(anchor, line, Content::Sequence(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), "map", line);
                self.open(anchor, line, Content::EMPTY_MAPPING)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            // An anchor is known within its document (YAML 1.2 §3.2.2.2).
            Event::DocumentStart(_) => self.anchors.clear(),
            Event::DocumentEnd | Event::Nothing | Event::StreamStart | Event::StreamEnd => {}
        }
        Ok(())
    }

    fn wants_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open {
                content: Content::Mapping { key: None, .. },
                ..
            })
        )
    }

    /// Takes a scalar as the next entry's key. Whatever it would be as a value, a key is its text.
    fn key(&mut self, text: &str, style: ScalarStyle, line: u32) {
        let is_merge = text == "<<" && style == ScalarStyle::Plain;
        let Some(Content::Mapping { entries, key }) = self.open.last_mut().map(|o| &mut o.content)
        else {
            return;
        };
        let reason = match entries.get(text) {
            Some(first) => Some(TreeFaultReason::DuplicateKey { first: first.line }),
            None => is_merge.then_some(TreeFaultReason::MergeKey),
        };
        *key = Some(Key {
            text: text.into(),
            line,
            ignored: reason.is_some(),
        });
        if let Some(reason) = reason {
            self.fault(line, reason);
        }
    }

    /// What comes next belongs to something that is no key.
    fn read_over_value(&mut self, line: u32) {
        if let Some(Content::Mapping { key, .. }) = self.open.last_mut().map(|o| &mut o.content) {
            *key = Some(Key {
                text: "?".into(),
                line,
                ignored: true,
            });
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        line: u32,
    ) -> Node {
        let value = match tag {
            None if style == ScalarStyle::Plain => resolve(&text),
            None => Scalar::Text,
            Some(tag) => self.tagged(&text, tag, line),
        };
        let data = match value {
            Scalar::Null => Data::Null,
            Scalar::Bool(value) => Data::Bool(value),
            Scalar::Number(number) => Data::Number(number),
            Scalar::Text => Data::Text(text.into()),
            Scalar::NotFinite => {
                self.fault(line, TreeFaultReason::NotFinite);
                Data::Null
            }
        };
        Node::new(line, data)
    }

    /// The value of a tagged scalar: YAML 1.2 §10.3 for the tags, §6.9.1 for a lone `!`.
    fn tagged(&mut self, text: &str, tag: &Tag, line: u32) -> Scalar {
        let is_plain_text = tag.handle.is_empty() && tag.suffix == "!"
            || tag.handle == "!" && tag.suffix.is_empty();
        if is_plain_text || is_core(tag, "str") {
            return Scalar::Text;
        }
        let value = resolve(text);
        let fits = match &value {
            Scalar::Null => is_core(tag, "null"),
            Scalar::Bool(_) => is_core(tag, "bool"),
            Scalar::Number(number) => {
                is_core(tag, "float") || !number.is_f64() && is_core(tag, "int")
            }
            Scalar::NotFinite => is_core(tag, "float"),
            Scalar::Text => false,
        };
        if fits {
            return value;
        }
        self.fault(line, TreeFaultReason::Tag(tag.to_string()));
        Scalar::Null
    }

    fn check_tag(&mut self, tag: Option<&Tag>, expected: &str, line: u32) {
        if let Some(tag) = tag.filter(|tag| !is_core(tag, expected)) {
            self.fault(line, TreeFaultReason::Tag(tag.to_string()));
        }
    }

    fn open(&mut self, anchor: usize, line: u32, content: Content) -> Result<(), BadYaml> {
        if self.open.len() >= MAX_DEPTH {
            return Err(BadYaml {
                line,
                reason: BadYamlReason::TooDeep,
            });
        }
        if self.wants_key() {
            self.fault(line, TreeFaultReason::KeyIsNotText);
        }
        self.open.push(Open {
            line,
            anchor,
            content,
        });
        self.grow(NODE_BYTES, line)
    }

    fn close(&mut self) {
        let Some(closed) = self.open.pop() else {
            return;
        };
        if self.wants_key() {
            self.read_over_value(closed.line);
            return;
        }
        let data = match closed.content {
            Content::Sequence(items) => Data::Sequence(items),
            Content::Mapping { entries, .. } => Data::Mapping(entries),
        };
        self.finish(closed.anchor, Rc::new(Node::new(closed.line, data)));
    }

    /// A node is complete: it goes where it belongs.
    fn finish(&mut self, anchor: usize, node: Rc<Node>) {
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            Some(Content::Sequence(items)) => items.push(node),
            Some(Content::Mapping { entries, key }) => {
                if let Some(key) = key.take().filter(|key| !key.ignored) {
                    let line = key.line;
                    entries.insert(key.text, Entry { line, value: node });
                }
            }
            None => self.document(node),
        }
    }

    fn grow(&mut self, by: usize, line: u32) -> Result<(), BadYaml> {
        self.expanded = self.expanded.saturating_add(by);
        if self.expanded > MAX_EXPANDED_BYTES {
            return Err(BadYaml {
                line,
                reason: BadYamlReason::Expansion,
            });
        }
        Ok(())
    }

    fn document(&mut self, root: Rc<Node>) {
        let faults = std::mem::take(&mut self.faults);
        if !matches!(root.data, Data::Null) || !faults.is_empty() {
            self.documents.push(Document { root, faults });
        }
    }

    fn fault(&mut self, line: u32, reason: TreeFaultReason) {
        if self.faults.len() < MAX_FAULTS {
            let path = self.path();
            self.faults.push(TreeFault { line, path, reason });
        }
    }

    /// Where the parser is.
    fn path(&self) -> FieldPath {
        let steps = self.open.iter().filter_map(|open| match &open.content {
            Content::Sequence(items) => Some(Step::Index(items.len())),
            Content::Mapping { key, .. } => key
                .as_ref()
                .map(|key| Step::Field(key.text.as_ref().to_owned())),
        });
        FieldPath::new(steps.collect())
    }
}

fn is_core(tag: &Tag, suffix: &str) -> bool {
    tag.is_yaml_core_schema() && tag.suffix == suffix
}
