//! Keeps the program on the interfaces that it is configured for, as they come and go.

use std::collections::BTreeMap;

use bpf_user::{AttachError, AttachMode, Change, Interface, Mode, PinDir, PinError, Program};

/// What an interface runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The program, in the driver.
    Native,
    /// The program, in the network stack: slower.
    Generic,
    /// There is no such interface now.
    Absent,
    /// Not the program, for this reason. It is tried again.
    Refused(String),
}

/// The interfaces that a program belongs on.
#[derive(Debug)]
pub(crate) struct Links {
    states: BTreeMap<String, LinkState>,
    mode: AttachMode,
}

impl LinkState {
    /// Whether the program runs.
    #[must_use]
    pub const fn is_attached(&self) -> bool {
        match self {
            Self::Native | Self::Generic => true,
            Self::Absent | Self::Refused(_) => false,
        }
    }
}

impl Links {
    /// For these interfaces; nothing is attached yet.
    pub(crate) fn new(interfaces: impl IntoIterator<Item = String>, mode: AttachMode) -> Self {
        Self {
            mode,
            states: interfaces
                .into_iter()
                .map(|name| (name, LinkState::Absent))
                .collect(),
        }
    }

    /// What each interface runs.
    pub(crate) const fn states(&self) -> &BTreeMap<String, LinkState> {
        &self.states
    }

    /// Whether an interface of this name is to run the program.
    pub(crate) fn includes(&self, name: &str) -> bool {
        self.states.contains_key(name)
    }

    /// Attaches wherever the program is missing, and nowhere else. `present` are the interfaces
    /// that exist. Gives the number of links that had to be made or switched.
    pub(crate) fn attach(
        &mut self,
        pins: &PinDir,
        program: &Program,
        present: &BTreeMap<String, u32>,
    ) -> usize {
        let mut changes = 0;
        for (name, state) in &mut self.states {
            let (next, changed) = match present.get(name) {
                None => {
                    // A link that is left belongs to an interface that is gone or renamed.
                    if let Err(error) = bpf_user::detach(pins, name) {
                        tracing::warn!(interface = name, %error, "old link not removed");
                    }
                    (LinkState::Absent, false)
                }
                Some(&index) => {
                    let interface = Interface {
                        name: name.clone(),
                        index,
                    };
                    outcome(bpf_user::attach(pins, program, &interface, self.mode))
                }
            };
            changes += usize::from(changed);
            if *state != next {
                log(name, &next);
                *state = next;
            }
        }
        changes
    }

    /// Detaches from interfaces that are pinned but not configured any more.
    pub(crate) fn detach_others(&self, pins: &PinDir) -> Result<(), PinError> {
        for name in pins.linked_interfaces()? {
            if !self.includes(&name) {
                bpf_user::detach(pins, &name)?;
                tracing::info!(interface = name, "program detached");
            }
        }
        Ok(())
    }
}

fn outcome(attached: Result<bpf_user::Attached, AttachError>) -> (LinkState, bool) {
    match attached {
        Ok(attached) => {
            let state = match attached.mode {
                Mode::Native => LinkState::Native,
                Mode::Generic => LinkState::Generic,
            };
            (state, attached.change != Change::Kept)
        }
        Err(AttachError::Gone(_)) => (LinkState::Absent, false),
        Err(error) => (LinkState::Refused(chain(&error)), false),
    }
}

fn log(interface: &str, state: &LinkState) {
    match state {
        LinkState::Native => tracing::info!(interface, mode = "native", "program attached"),
        LinkState::Generic => tracing::info!(interface, mode = "generic", "program attached"),
        LinkState::Absent => tracing::warn!(interface, "interface is absent"),
        LinkState::Refused(reason) => tracing::error!(interface, reason, "program not attached"),
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_refusal_is_shown_with_its_cause() {
        let refused = AttachError::Refused {
            interface: "eth0".into(),
            source: io::Error::other("no queues"),
        };

        let (state, changed) = outcome(Err(refused));

        assert_eq!(
            state,
            LinkState::Refused("attaching XDP to eth0: no queues".into())
        );
        assert!(!changed);
        assert!(!state.is_attached());
    }
}
