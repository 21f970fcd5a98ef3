//! Whether an operator is ready, and in words why not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use operator::{Standing, Summary};
use store::WriteError;

/// What is said of an operator's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) is_ready: bool,
    pub(crate) text: String,
}

/// What keeps the present term from its objects, in words.
#[derive(Clone, Default)]
pub(crate) struct Troubles(Arc<Mutex<Sections>>);

/// By who tells.
type Sections = BTreeMap<&'static str, Box<dyn Fn() -> Vec<String> + Send>>;

impl Troubles {
    /// From now on `tell` says what is wrong with that part.
    pub(crate) fn follow(
        &self,
        part: &'static str,
        tell: impl Fn() -> Vec<String> + Send + 'static,
    ) {
        let mut sections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sections.insert(part, Box::new(tell));
    }

    /// Everything that is wrong now.
    pub(crate) fn texts(&self) -> Vec<String> {
        let sections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sections.values().flat_map(|tell| tell()).collect()
    }
}

/// A standby is ready while it sees the lease; a leader once it has listed everything, and while
/// nothing that it writes is refused. `troubles` are those of its source.
pub(crate) fn health(standing: &Standing, troubles: &[String]) -> Health {
    let (role, mut wrong) = match standing {
        Standing::Standby {
            holder: Some(holder),
            trouble: None,
        } => (format!("standby; {holder} leads"), Vec::new()),
        Standing::Standby { trouble, .. } => {
            let trouble = trouble.iter();
            let trouble = trouble.map(|error| format!("the lease cannot be reached: {error}"));
            ("standby".to_owned(), trouble.collect())
        }
        Standing::Leading { summary } => {
            let mut wrong = troubles.to_vec();
            wrong.extend(faults_of_leader(summary.as_ref()));
            ("this operator leads".to_owned(), wrong)
        }
        Standing::Ended => (
            "ended".to_owned(),
            vec!["it writes nothing any more".to_owned()],
        ),
    };
    let is_ready = wrong.is_empty();
    let mut text = format!("{}: {role}\n", if is_ready { "ok" } else { "not ready" });
    for line in wrong.drain(..) {
        text.push_str("- ");
        text.push_str(&line);
        text.push('\n');
    }
    Health { is_ready, text }
}

fn faults_of_leader(summary: Option<&Summary>) -> Vec<String> {
    let Some(summary) = summary else {
        return vec!["the objects are not being listed yet".to_owned()];
    };
    let mut wrong = Vec::new();
    if !summary.is_synced() {
        wrong.push("not every kind of objects has been listed".to_owned());
    }
    wrong.extend(refused(summary));
    wrong
}

/// Refusals, those with the same reason once.
fn refused(summary: &Summary) -> Vec<String> {
    let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (key, error) in &summary.faults {
        match error {
            WriteError::Forbidden(reason) => {
                by_reason.entry(reason).or_default().push(key.to_string());
            }
            // They pass, and are tried again until they do.
            WriteError::Conflict | WriteError::Gone | WriteError::Unavailable(_) => {}
        }
    }
    let lines = by_reason.into_iter().map(|(reason, keys)| {
        let mut line = keys.first().cloned().unwrap_or_default();
        if keys.len() > 1 {
            // Writing to a String cannot fail.
            let _ = write!(line, " and {} more", keys.len() - 1);
        }
        format!("{line} cannot be written: {reason}")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use api::{Key, Kind};
    use desired::Inputs;
    use types::ObjectName;

    use super::*;

    #[test]
    fn a_standby_is_ready_while_it_sees_who_leads() {
        let standing = Standing::Standby {
            holder: Some("a_1".to_owned()),
            trouble: None,
        };

        let health = health(&standing, &["of an ended term".to_owned()]);

        assert!(health.is_ready);
        assert_eq!(health.text, "ok: standby; a_1 leads\n");
    }

    #[test]
    fn a_lease_that_cannot_be_reached_is_said() {
        let standing = Standing::Standby {
            holder: None,
            trouble: Some(WriteError::Forbidden("it may not get leases".to_owned())),
        };

        let health = health(&standing, &[]);

        assert!(!health.is_ready);
        assert_eq!(
            health.text,
            "not ready: standby\n- the lease cannot be reached: it is not accepted: it may not get leases\n"
        );
    }

    #[test]
    fn a_leader_names_what_is_refused_once_a_reason() {
        let summary = Summary {
            progress: [("LB-IPAM", Inputs::Complete)].into(),
            faults: ["a", "b", "c"]
                .map(|name| {
                    let key = Key::new(Kind::Service, ObjectName::new("ns", name));
                    (key, WriteError::Forbidden("the rule is missing".to_owned()))
                })
                .into(),
            ..Summary::default()
        };

        let health = health(&leading(summary), &[]);

        assert!(!health.is_ready);
        assert_eq!(
            health.text,
            "not ready: this operator leads\n\
             - Service/ns/a and 2 more cannot be written: the rule is missing\n"
        );
    }

    #[test]
    fn a_leader_is_ready_once_everything_is_listed() {
        let listed = |inputs| Summary {
            progress: [("LB-IPAM", Inputs::Complete), ("BGP", inputs)].into(),
            ..Summary::default()
        };

        assert!(!health(&Standing::Leading { summary: None }, &[]).is_ready);
        assert!(!health(&leading(listed(Inputs::Incomplete)), &[]).is_ready);
        assert!(health(&leading(listed(Inputs::Faulty)), &[]).is_ready);
        let troubles = ["services: nobody answers".to_owned()];
        assert!(!health(&leading(listed(Inputs::Complete)), &troubles).is_ready);
    }

    fn leading(summary: Summary) -> Standing {
        Standing::Leading {
            summary: Some(summary),
        }
    }
}
