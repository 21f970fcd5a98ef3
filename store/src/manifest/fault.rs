//! What is wrong with manifests, as a person and a script read it.

use std::fmt;
use std::sync::Arc;

use api::{FieldPath, Refusal};

/// One thing that is wrong: `FILE:LINE: KIND/NAME: FIELD: reason`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileFault {
    /// The file, from the manifest directory; a dot for the directory itself.
    pub file: Arc<str>,
    /// The line, counted from one.
    pub line: u32,
    /// What it is about.
    pub subject: Subject,
    /// What is wrong.
    pub reason: String,
}

/// What a fault is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The file or directory.
    Whole,
    /// A field of an object.
    Field {
        /// `KIND/NAME`, with question marks for what is not known.
        object: String,
        /// The field, empty for the object itself.
        path: FieldPath,
    },
}

impl FileFault {
    pub(crate) fn whole(file: &str, line: u32, reason: impl fmt::Display) -> Self {
        Self {
            file: file.into(),
            line,
            subject: Subject::Whole,
            reason: one_line(&reason.to_string()),
        }
    }

    pub(crate) fn field(
        file: &str,
        line: u32,
        object: &impl fmt::Display,
        path: FieldPath,
        reason: impl fmt::Display,
    ) -> Self {
        Self {
            file: file.into(),
            line,
            subject: Subject::Field {
                object: one_line(&object.to_string()),
                path,
            },
            reason: one_line(&reason.to_string()),
        }
    }

    /// The fault without its place, as it goes into a [`Refusal`] or a change.
    pub(crate) fn to_fault(&self) -> api::Fault {
        let path = match &self.subject {
            Subject::Whole => FieldPath::default(),
            Subject::Field { path, .. } => path.clone(),
        };
        let place = format_args!("{}:{}", self.file, self.line);
        api::Fault {
            path,
            reason: format!("{} ({place})", self.reason),
        }
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", one_line(&self.file), self.line)?;
        match &self.subject {
            Subject::Whole => write!(f, "{}: (file): ", Refusal::default())?,
            Subject::Field { object, path } => {
                write!(f, "{object}: {}: ", one_line(&path.to_string()))?;
            }
        }
        f.write_str(&self.reason)
    }
}

/// A fault is one line whatever the file has in it, and nothing that a terminal would act upon.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
