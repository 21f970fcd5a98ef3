//! A table for a person, and `target/bench/AREA.json` for a script.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// The least and the middle of several rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The least.
    pub min: f64,
    /// The middle.
    pub median: f64,
}

/// One figure and what it is compared with.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// What was measured.
    pub case: String,
    /// In what.
    pub unit: &'static str,
    /// The figure.
    #[serde(flatten)]
    pub measured: Summary,
    /// The floor or peer that was measured in the same run.
    pub reference: String,
    /// The reference's middle, in the same unit.
    pub reference_median: f64,
}

/// One area's figures.
pub struct Report {
    area: &'static str,
    cases: Vec<Case>,
}

impl Summary {
    /// Of several rounds; zero without any.
    #[must_use]
    pub fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let min = rounds.first().copied().unwrap_or_default();
        let median = rounds.get(rounds.len() / 2).copied().unwrap_or_default();
        Self { min, median }
    }
}

impl Report {
    /// An empty report.
    #[must_use]
    pub const fn new(area: &'static str) -> Self {
        Self {
            area,
            cases: Vec::new(),
        }
    }

    /// Prints a figure and keeps it.
    pub fn add(&mut self, case: Case) {
        if self.cases.is_empty() {
            println!(
                "\n{:<28} {:>12} {:>12} {:<6} {:>8}  reference",
                self.area, "min", "median", "unit", "ratio"
            );
        }
        println!(
            "{:<28} {:>12.1} {:>12.1} {:<6} {:>7.2}x  {} ({:.1})",
            case.case,
            case.measured.min,
            case.measured.median,
            case.unit,
            case.measured.median / case.reference_median,
            case.reference,
            case.reference_median,
        );
        self.cases.push(case);
    }

    /// Writes `bench/AREA.json` into the target folder that this program is in.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write(&self) -> Result<PathBuf> {
        let own = std::env::current_exe().context("finding this program")?;
        let target = own
            .parent()
            .and_then(|folder| folder.parent())
            .context("no target folder")?;
        let folder = target.join("bench");
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let path = folder.join(format!("{}.json", self.area));
        let text = serde_json::to_string_pretty(&self.cases)?;
        fs::write(&path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_rounds_is_not_moved_by_one_that_was_disturbed() {
        let summary = Summary::of(vec![3.0, 1.0, 2.0, 900.0, 2.5]);

        assert_eq!(
            summary,
            Summary {
                min: 1.0,
                median: 2.5
            }
        );
    }
}
