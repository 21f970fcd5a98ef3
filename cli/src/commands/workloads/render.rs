//! The picture that Cilium's users know.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::picture::{Picture, Workload};

/// The space between two columns.
const GAP: usize = 4;

/// The picture as text.
pub(super) fn render(picture: &Picture) -> String {
    let name = match picture.agent.name.as_deref() {
        Some("cilium") => "Cilium:",
        Some(_) | None => "Sluicegate:",
    };
    let (agent, operator) = (picture.agent.summary(), picture.operator.summary());
    let off = "disabled".to_owned();
    let mut text = String::new();
    for (drawing, label, value) in [
        ("    /¯¯\\", "", ""),
        (" /¯¯\\__/¯¯\\", name, &*agent),
        (" \\__/¯¯\\__/", "Operator:", &*operator),
        (" /¯¯\\__/¯¯\\", "Envoy DaemonSet:", &*off),
        (" \\__/¯¯\\__/", "Hubble Relay:", &*off),
        ("    \\__/", "ClusterMesh:", &*off),
    ] {
        // Writing to a String cannot fail.
        let line = format!("{drawing:<15}{label:<20}{value}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push('\n');
    text.push_str(&align(&rows(picture)));
    text
}

fn rows(picture: &Picture) -> Vec<[String; 3]> {
    let workloads = [&picture.agent, &picture.operator];
    let mut rows = Vec::new();
    for workload in workloads {
        if let Some(name) = &workload.name {
            let (desired, ready) = (workload.desired, workload.ready);
            let counts = format!(
                "Desired: {desired}, Ready: {ready}/{desired}, Available: {}/{desired}",
                workload.available
            );
            rows.push([workload.kind.to_owned(), name.clone(), counts]);
        }
    }
    section(&mut rows, "Containers:", workloads, |workload| {
        let counts = workload.phases.iter();
        let counts: Vec<String> = counts.map(|(phase, n)| format!("{phase}: {n}")).collect();
        vec![counts.join(", ")]
    });
    if let (Some(name), Some(leader)) = (&picture.operator.name, &picture.leader) {
        rows.push(["Leader:".to_owned(), name.clone(), leader.clone()]);
    }
    section(&mut rows, "Image versions", workloads, |workload| {
        images(&workload.images)
    });
    section(&mut rows, "Errors:", workloads, |workload| {
        workload.errors.clone()
    });
    section(&mut rows, "Warnings:", workloads, |workload| {
        workload.warnings.clone()
    });
    rows
}

fn images(images: &BTreeMap<String, usize>) -> Vec<String> {
    let images = images.iter();
    images.map(|(image, n)| format!("{image}: {n}")).collect()
}

/// Rows of which only the first has the title.
fn section(
    rows: &mut Vec<[String; 3]>,
    title: &str,
    workloads: [&Workload; 2],
    lines: impl Fn(&Workload) -> Vec<String>,
) {
    let mut title = title.to_owned();
    for workload in workloads {
        let name = workload.name.as_deref().unwrap_or(workload.kind);
        for line in lines(workload).into_iter().filter(|line| !line.is_empty()) {
            rows.push([std::mem::take(&mut title), name.to_owned(), line]);
        }
    }
}

fn align(rows: &[[String; 3]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0) + GAP
    };
    let (first, second) = (width(0), width(1));
    let mut text = String::new();
    for [title, name, value] in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{title:<first$}{name:<second$}{value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(kind: &'static str, name: &str, count: usize) -> Workload {
        let number = i32::try_from(count).unwrap();
        Workload {
            kind,
            name: Some(name.to_owned()),
            desired: number,
            ready: number,
            available: number,
            phases: [("Running".to_owned(), count)].into(),
            images: [("sluicegate/sluicegate:v0.1.0".to_owned(), count)].into(),
            ..Workload::default()
        }
    }

    #[test]
    fn the_picture_is_the_one_that_ciliums_users_know() {
        let picture = Picture {
            namespace: "kube-system".into(),
            agent: workload("DaemonSet", "sluicegate", 2),
            operator: workload("Deployment", "sluicegate-operator", 1),
            leader: Some("node1_c4".into()),
        };

        assert_eq!(
            render(&picture),
            r"    /¯¯\
 /¯¯\__/¯¯\    Sluicegate:         OK
 \__/¯¯\__/    Operator:           OK
 /¯¯\__/¯¯\    Envoy DaemonSet:    disabled
 \__/¯¯\__/    Hubble Relay:       disabled
    \__/       ClusterMesh:        disabled

DaemonSet         sluicegate             Desired: 2, Ready: 2/2, Available: 2/2
Deployment        sluicegate-operator    Desired: 1, Ready: 1/1, Available: 1/1
Containers:       sluicegate             Running: 2
                  sluicegate-operator    Running: 1
Leader:           sluicegate-operator    node1_c4
Image versions    sluicegate             sluicegate/sluicegate:v0.1.0: 2
                  sluicegate-operator    sluicegate/sluicegate:v0.1.0: 1
"
        );
    }

    #[test]
    fn what_is_wrong_is_below_the_picture() {
        let mut agent = workload("DaemonSet", "cilium", 1);
        agent.errors = vec!["one".into(), "two".into()];
        let operator = Workload {
            kind: "Deployment",
            errors: vec!["there is none".into()],
            ..Workload::default()
        };
        let picture = Picture {
            namespace: "networking".into(),
            agent,
            operator,
            leader: None,
        };

        let text = render(&picture);

        assert!(
            text.contains("    Cilium:             2 errors\n"),
            "{text}"
        );
        assert!(
            text.ends_with(
                "Errors:           cilium        one\n                  cilium        two\n\
                 \u{20}                 Deployment    there is none\n"
            ),
            "{text}"
        );
    }
}
