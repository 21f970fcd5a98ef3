//! What is wrong with an object, and where in it.

use std::fmt;
use std::fmt::Display;

use types::ObjectName;

use crate::{Key, Kind};

/// Where a value is in an object, such as `spec.blocks[0].cidr`; empty for the object itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Vec<Step>);

/// One step from an object or a list to what is in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// To a field, or a map's key.
    Field(String),
    /// To an item, counted from zero.
    Index(usize),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    /// Where it is.
    pub path: FieldPath,
    /// What is wrong, for a person to read.
    pub reason: String,
}

/// Why a document is not an object: as much of its identity as was readable, and every fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// What `kind` says, whether known or not.
    pub kind: Option<String>,
    /// The name and namespace, where there are any.
    pub name: Option<ObjectName>,
    /// What is wrong; at least one.
    pub faults: Vec<Fault>,
}

/// A [`FieldPath`] in the making, on the stack: it costs nothing until there is a fault.
#[derive(Clone, Copy)]
pub(crate) struct At<'p> {
    parent: Option<&'p At<'p>>,
    step: Stride<'p>,
}

#[derive(Clone, Copy)]
enum Stride<'p> {
    Root,
    Field(&'p str),
    Index(usize),
}

/// Collects every fault of one object.
#[derive(Default)]
pub(crate) struct Faults(Vec<Fault>);

impl FieldPath {
    /// The path of those steps.
    #[must_use]
    pub fn new(steps: Vec<Step>) -> Self {
        Self(steps)
    }

    /// The steps from the object to the value.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether this is the object itself.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("(object)");
        }
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                // Annotations and labels have dots of their own.
                Step::Field(name) if name.contains(['.', '/', '[']) => write!(f, "[{name:?}]")?,
                Step::Field(name) if at == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
            }
        }
        Ok(())
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

impl Refusal {
    /// The object's key, if its kind is one that is read and it has a name.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        let kind = Kind::from_name(self.kind.as_deref()?)?;
        Some(Key::new(kind, self.name.clone()?))
    }
}

impl Display for Refusal {
    /// `KIND/NAME`, with question marks for what is not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_deref().unwrap_or("?"))?;
        match &self.name {
            Some(name) => write!(f, "/{name}"),
            None => f.write_str("/?"),
        }
    }
}

impl std::error::Error for Refusal {}

impl<'p> At<'p> {
    pub(crate) const ROOT: At<'static> = At {
        parent: None,
        step: Stride::Root,
    };

    pub(crate) fn field(&'p self, name: &'p str) -> Self {
        self.then(Stride::Field(name))
    }

    pub(crate) fn index(&'p self, index: usize) -> Self {
        self.then(Stride::Index(index))
    }

    pub(crate) fn path(&self) -> FieldPath {
        let mut steps = Vec::new();
        let mut at = Some(self);
        while let Some(here) = at {
            match here.step {
                Stride::Root => {}
                Stride::Field(name) => steps.push(Step::Field(name.to_owned())),
                Stride::Index(index) => steps.push(Step::Index(index)),
            }
            at = here.parent;
        }
        steps.reverse();
        FieldPath(steps)
    }

    fn then(&'p self, step: Stride<'p>) -> Self {
        Self {
            parent: Some(self),
            step,
        }
    }
}

impl Faults {
    pub(crate) fn add(&mut self, at: &At<'_>, reason: impl Display) {
        self.0.push(Fault {
            path: at.path(),
            reason: reason.to_string(),
        });
    }

    /// The value if there is one and nothing was wrong.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Fault>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            Some(_) | None => Err(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_people_write_it() {
        let spec = At::ROOT.field("spec");
        let annotations = At::ROOT.field("metadata");
        let annotations = annotations.field("annotations");

        let block = spec.field("blocks").index(0).field("cidr").path();
        let annotation = annotations.field("sluicegate.io/when-empty").path();

        assert_eq!(block.to_string(), "spec.blocks[0].cidr");
        assert_eq!(
            annotation.to_string(),
            "metadata.annotations[\"sluicegate.io/when-empty\"]"
        );
        assert_eq!(FieldPath::default().to_string(), "(object)");
    }

    #[test]
    fn a_refusal_names_what_it_knows() {
        let nothing = Refusal::default();
        let unknown = Refusal {
            kind: Some("Deployment".into()),
            name: Some(ObjectName::new("shop", "web")),
            faults: Vec::new(),
        };
        let known = Refusal {
            kind: Some("Service".into()),
            ..unknown.clone()
        };

        assert_eq!(nothing.to_string(), "?/?");
        assert_eq!(unknown.to_string(), "Deployment/shop/web");
        assert_eq!(unknown.key(), None);
        assert_eq!(known.key().unwrap().to_string(), "Service/shop/web");
    }
}
