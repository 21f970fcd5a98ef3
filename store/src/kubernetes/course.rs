//! Decides what to ask the API server for next, and what of its answers is news.
//!
//! ```text
//!          Stream (initial events, then the watch goes on)
//!   start <                                              > Watch from the position, again and again
//!          List by pages, where streams are not served
//! ```
//!
//! Once the position is forgotten by the server (410), or is in its future, all begins from the start.

use std::time::Duration;

use super::backoff::{BRISK, CALM, SPREAD, within};
use super::failure::Failure;

/// What to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Everything there is as events, a bookmark, then what happens.
    Stream,
    /// Everything there is, in pages.
    List {
        /// All of it in one page: pages outlived the server's memory.
        whole: bool,
    },
    /// What happened since.
    Watch {
        /// The position.
        from: String,
    },
}

/// How what was asked for ended.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// All pages arrived.
    Listed,
    /// The server closed it as it was told to.
    Complete,
    /// The server closed it, or it went silent, before that.
    Early,
    /// It failed.
    Failed(Failure),
}

/// What a bookmark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bookmark {
    /// Everything there is was reported.
    Synced,
    /// Nothing else happened up to here.
    Reached,
    /// The server's history is another one: all begins anew.
    Elsewhere,
}

/// The way through one kind of objects.
#[derive(Debug)]
pub(super) struct Course {
    /// How many versions of the API the kind has.
    versions: usize,
    /// Which one is asked for.
    version: usize,
    /// Whether the server may serve streams.
    streams: bool,
    /// Whether a list in pages took too long.
    whole: bool,
    /// Up to where everything was reported, once it was.
    position: Option<Position>,
    failures: u32,
}

/// The server's version of a whole kind.
#[derive(Clone, Debug)]
struct Position {
    text: String,
    /// Kubernetes promises since 1.35 that they are numbers and grow.
    number: Option<u64>,
}

impl Course {
    pub(super) fn new(versions: usize) -> Self {
        Self {
            versions,
            version: 0,
            streams: true,
            whole: false,
            position: None,
            failures: 0,
        }
    }

    /// What to ask for now.
    pub(super) fn next(&self) -> Step {
        match &self.position {
            Some(position) => Step::Watch {
                from: position.text.clone(),
            },
            None if self.streams => Step::Stream,
            None => Step::List { whole: self.whole },
        }
    }

    /// Which version of the API to ask.
    pub(super) fn version(&self) -> usize {
        self.version
    }

    /// An object arrived at that version. Whether that is news: what comes twice, or late, is not.
    pub(super) fn on_object(&mut self, version: &str) -> bool {
        let Some(position) = &self.position else {
            // The initial events are in no order.
            return true;
        };
        let at = Position::new(version);
        if let (Some(number), Some(reached)) = (at.number, position.number)
            && number < reached
        {
            return false;
        }
        self.failures = 0;
        self.position = Some(at);
        true
    }

    /// A bookmark arrived.
    pub(super) fn on_bookmark(&mut self, version: &str, ends_list: bool) -> Bookmark {
        let at = Position::new(version);
        let Some(position) = &self.position else {
            if ends_list {
                self.on_listed(version);
                return Bookmark::Synced;
            }
            return Bookmark::Reached;
        };
        if let (Some(number), Some(reached)) = (at.number, position.number)
            && number < reached
        {
            self.position = None;
            return Bookmark::Elsewhere;
        }
        self.failures = 0;
        self.position = Some(at);
        Bookmark::Reached
    }

    /// Everything there is was reported, as of that version.
    pub(super) fn on_listed(&mut self, version: &str) {
        self.position = Some(Position::new(version));
        self.whole = false;
        self.failures = 0;
    }

    /// What was asked for ended. For how long to wait before asking again.
    pub(super) fn on_end(&mut self, end: End, random: u64) -> Duration {
        match end {
            End::Listed | End::Complete => Duration::ZERO,
            End::Early if self.failures == 0 => {
                self.failures = 1;
                within(SPREAD, random)
            }
            End::Early => self.fail(random),
            End::Failed(failure) => self.on_failure(&failure, random),
        }
    }

    /// Whether a failure is something that is wrong, and not a turn of the way.
    pub(super) fn is_trouble(&self, failure: &Failure) -> bool {
        match failure {
            Failure::Expired(_) => false,
            Failure::Missing(_) | Failure::NotFound => self.version + 1 >= self.versions,
            Failure::Invalid(_) => !self.may_be_streams(),
            Failure::Unreachable(_)
            | Failure::Certificate(_)
            | Failure::Unauthorized(_)
            | Failure::Forbidden(_)
            | Failure::Conflict(_)
            | Failure::Throttled { .. }
            | Failure::Server(_) => true,
        }
    }

    /// Whether what the server does not accept may be that a list is asked for as a stream.
    fn may_be_streams(&self) -> bool {
        self.streams && self.position.is_none()
    }

    fn on_failure(&mut self, failure: &Failure, random: u64) -> Duration {
        match failure {
            Failure::Expired(_) => {
                // Pages that outlive the server's memory do so again.
                self.whole = self.position.is_none() && !self.streams;
                self.position = None;
                within(SPREAD, random)
            }
            Failure::Missing(_) | Failure::NotFound => {
                self.version = (self.version + 1) % self.versions.max(1);
                if self.version != 0 {
                    return Duration::ZERO;
                }
                self.failures = self.failures.saturating_add(1);
                CALM.pause(self.failures, random)
            }
            Failure::Invalid(_) if self.may_be_streams() => {
                self.streams = false;
                Duration::ZERO
            }
            Failure::Forbidden(_) | Failure::Unauthorized(_) | Failure::Invalid(_) => {
                self.failures = self.failures.saturating_add(1);
                CALM.pause(self.failures, random)
            }
            Failure::Throttled { after, .. } => {
                let after = after.unwrap_or_default();
                after.saturating_add(self.fail(random))
            }
            Failure::Unreachable(_)
            | Failure::Certificate(_)
            | Failure::Conflict(_)
            | Failure::Server(_) => self.fail(random),
        }
    }

    fn fail(&mut self, random: u64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        BRISK.pause(self.failures, random)
    }
}

impl Position {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            number: text.parse().ok(),
        }
    }
}

#[cfg(test)]
mod tests;
