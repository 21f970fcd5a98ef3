//! Columns that line up, three spaces apart, as Cilium's users know them.

use std::fmt::Write as _;

/// The space between two columns.
const GAP: usize = 3;

/// Rows under a header. A row may be shorter than the header.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self {
            rows: vec![header.map(str::to_owned).into()],
        }
    }

    /// A table whose columns are found out at run time.
    pub(crate) fn with_header(header: Vec<String>) -> Self {
        Self { rows: vec![header] }
    }

    pub(crate) fn push(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The table as text; `empty` alone if it has no rows.
    pub(crate) fn render(&self, empty: &str) -> String {
        if self.rows.len() == 1 {
            return format!("{empty}\n");
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                // Writing to a String cannot fail.
                let _ = write!(line, "{cell:<width$}", width = width + GAP);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A duration as Go prints it, to the second: `1h13m41s`.
pub(crate) fn age(secs: u64) -> String {
    let (hours, minutes, seconds) = (secs / 3600, secs / 60 % 60, secs % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        (_, _) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_trailing_space() {
        let mut table = Table::new(["Name", "Backend"]);
        table.row(["web".into(), "10.0.0.1:80".into()]);
        table.row([String::new(), "10.0.0.2:80".into()]);

        assert_eq!(
            table.render("none"),
            "Name   Backend\nweb    10.0.0.1:80\n       10.0.0.2:80\n"
        );
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(
            Table::new(["Name"]).render("No services."),
            "No services.\n"
        );
    }

    #[test]
    fn an_age_reads_like_a_clock() {
        assert_eq!(age(41), "41s");
        assert_eq!(age(4421), "1h13m41s");
        assert_eq!(age(3600), "1h0m0s");
    }
}
