//! `sluice manifest`: without an agent.

use anyhow::{Result, ensure};
use serde::Serialize;
use store::manifest::{FileFault, Subject, check};

use crate::args::{ManifestCommand, Output};
use crate::output::print;

/// A fault as a document has it.
#[derive(Serialize)]
struct Fault {
    file: String,
    line: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    reason: String,
}

pub(super) fn run(output: Output, command: &ManifestCommand) -> Result<bool> {
    match command {
        ManifestCommand::Check { dir } => {
            ensure!(dir.exists(), "{} does not exist", dir.display());
            let faults = check(dir);
            match output {
                Output::Table | Output::Wide => {
                    print(output, &(), |(), _| {
                        faults.iter().map(|f| format!("{f}\n")).collect()
                    })?;
                }
                Output::Json | Output::Yaml => {
                    let documents: Vec<Fault> = faults.iter().map(document).collect();
                    print(output, &documents, |_, _| String::new())?;
                }
            }
            Ok(faults.is_empty())
        }
    }
}

fn document(fault: &FileFault) -> Fault {
    let (object, field) = match &fault.subject {
        Subject::Whole => (None, None),
        Subject::Field { object, path } => (Some(object.clone()), Some(path.to_string())),
    };
    Fault {
        file: fault.file.to_string(),
        line: fault.line,
        object,
        field,
        reason: fault.reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_manifests_are_valid() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/standalone");
        let faults = check(folder.as_ref());

        assert!(faults.is_empty(), "{faults:?}");
        assert!(std::fs::read_dir(folder).unwrap().count() > 0);
    }
}
