//! Who leads the operators, as far as a node has to know: read rarely, since every node does.

use std::time::Duration;

use store::{LeaseName, LeaseRecord, WriteError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::remote::Remote;

/// How long from one look to the next; stretched by a random factor of up to a half.
const LOOK: Duration = Duration::from_secs(24);

/// Longer than any lease should be.
const LONGEST: Duration = Duration::from_secs(120);

/// Who leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Leadership {
    /// Nobody has looked for long enough.
    #[default]
    Unknown,
    /// This operator.
    Held(String),
    /// Nobody: new addresses wait. The last that did, if there was one.
    Vacant(Option<String>),
    /// The lease may not be read, and why.
    Unreadable(String),
}

/// Follows who leads; dropping it ends that.
#[derive(Debug)]
pub(super) struct Leader {
    lease: LeaseName,
    known: watch::Receiver<Leadership>,
    task: JoinHandle<()>,
}

/// Judges by this node's clock only: a lease that does not change for its whole duration has run out.
#[derive(Debug, Default)]
struct Lookout {
    /// The lease, and when it was first seen so.
    seen: Option<(LeaseRecord, Instant)>,
    known: Leadership,
}

impl Leader {
    /// Begins to follow. Must be called in a tokio runtime.
    pub(super) fn follow(remote: Remote, lease: LeaseName) -> Self {
        let (tell, known) = watch::channel(Leadership::default());
        let name = lease.clone();
        let task = tokio::spawn(async move {
            let mut lookout = Lookout::default();
            let mut random = draws();
            loop {
                let read = remote.lease(&name).await;
                let pause = lookout.on_read(Instant::now(), read);
                tell.send_replace(lookout.known.clone());
                tokio::time::sleep(pause.mul_f64(1.0 + random() / 2.0)).await;
            }
        });
        Self { lease, known, task }
    }

    /// The operators' lease.
    pub(super) const fn lease(&self) -> &LeaseName {
        &self.lease
    }

    /// Who leads, as far as it is known.
    pub(super) fn known(&self) -> Leadership {
        self.known.borrow().clone()
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Leadership {
    /// What a person should know of it; the node is ready all the same.
    pub(super) fn remark(&self, lease: &LeaseName) -> Option<String> {
        match self {
            Self::Unknown | Self::Held(_) => None,
            Self::Vacant(None) => Some(format!(
                "no operator holds the lease {lease}: only new allocations wait"
            )),
            Self::Vacant(Some(last)) => Some(format!(
                "no operator holds the lease {lease} any more, {last} was the last: only new \
                 allocations wait"
            )),
            Self::Unreadable(why) => Some(format!(
                "whether an operator leads is not known: reading the lease {lease}: {why}"
            )),
        }
    }
}

impl Lookout {
    /// Takes what a look at the lease came to; how long to wait before the next.
    fn on_read(
        &mut self,
        now: Instant,
        read: Result<Option<(LeaseRecord, api::Version)>, WriteError>,
    ) -> Duration {
        let record = match read {
            Ok(found) => found.map(|(record, _)| record),
            // What is known stays: whoever leads may still.
            Err(WriteError::Unavailable(_) | WriteError::Conflict | WriteError::Gone) => {
                return LOOK;
            }
            Err(WriteError::Forbidden(why)) => {
                self.known = Leadership::Unreadable(why);
                return LOOK;
            }
        };
        let Some(record) = record.filter(|record| !record.holder.is_empty()) else {
            self.seen = None;
            self.known = Leadership::Vacant(None);
            return LOOK;
        };
        let duration = record.duration.min(LONGEST);
        match &self.seen {
            Some((seen, since)) if *seen == record && now.duration_since(*since) > duration => {
                self.known = Leadership::Vacant(Some(record.holder));
            }
            Some((seen, _)) if *seen == record => {}
            Some(_) => {
                self.known = Leadership::Held(record.holder.clone());
                self.seen = Some((record, now));
            }
            // It may have been abandoned long ago.
            None => {
                self.seen = Some((record, now));
                return duration;
            }
        }
        LOOK
    }
}

/// Numbers from zero to one, others in every process.
fn draws() -> impl FnMut() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};

    let state = RandomState::new();
    let mut count = 0_u32;
    move || {
        count = count.wrapping_add(1);
        let bits = u32::try_from(state.hash_one(count) >> 32).unwrap_or_default();
        f64::from(bits) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use api::{Timestamp, Version};

    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    #[test]
    fn a_lease_that_changes_is_held_and_one_that_does_not_is_vacant() {
        let mut lookout = Lookout::default();
        let start = Instant::now();

        assert_eq!(lookout.on_read(start, held("a", 0)), LEASE);
        assert_eq!(lookout.known, Leadership::Unknown);
        lookout.on_read(start + LEASE * 2, held("a", 20));
        assert_eq!(lookout.known, Leadership::Held("a".into()));
        lookout.on_read(start + LEASE * 3, held("a", 20));
        assert_eq!(lookout.known, Leadership::Held("a".into()));
        lookout.on_read(start + LEASE * 4, held("a", 20));
        assert_eq!(lookout.known, Leadership::Vacant(Some("a".into())));
        lookout.on_read(start + LEASE * 6, held("b", 85));
        assert_eq!(lookout.known, Leadership::Held("b".into()));
    }

    #[test]
    fn clocks_of_others_do_not_matter() {
        let mut lookout = Lookout::default();
        let start = Instant::now();

        lookout.on_read(start, held("a", -86_400));
        lookout.on_read(start + LEASE * 2, held("a", -86_390));

        assert_eq!(lookout.known, Leadership::Held("a".into()));
    }

    #[test]
    fn a_lease_that_is_not_there_or_was_given_back_is_vacant() {
        let mut lookout = Lookout::default();
        let start = Instant::now();

        lookout.on_read(start, Ok(None));
        assert_eq!(lookout.known, Leadership::Vacant(None));
        lookout.on_read(start, held("", 0));
        assert_eq!(lookout.known, Leadership::Vacant(None));
    }

    #[test]
    fn what_is_known_stays_while_nobody_answers_and_a_refusal_is_said() {
        let mut lookout = Lookout::default();
        let start = Instant::now();
        lookout.on_read(start, held("a", 0));
        lookout.on_read(start + LEASE, held("a", 10));

        lookout.on_read(
            start + LEASE * 9,
            Err(WriteError::Unavailable("timed out".into())),
        );
        assert_eq!(lookout.known, Leadership::Held("a".into()));
        lookout.on_read(start + LEASE * 9, Err(WriteError::Forbidden("no".into())));
        assert_eq!(lookout.known, Leadership::Unreadable("no".into()));
    }

    #[test]
    fn only_what_a_person_can_act_upon_is_a_remark() {
        let lease = LeaseName {
            namespace: "kube-system".into(),
            name: "sluicegate-operator".into(),
        };

        assert_eq!(Leadership::Unknown.remark(&lease), None);
        assert_eq!(Leadership::Held("a".into()).remark(&lease), None);
        assert_eq!(
            Leadership::Vacant(None).remark(&lease).unwrap(),
            "no operator holds the lease kube-system/sluicegate-operator: only new allocations wait"
        );
    }

    #[test]
    fn pauses_differ() {
        let mut random = draws();
        let drawn: Vec<f64> = (0..8).map(|_| random()).collect();

        assert!(drawn.iter().all(|number| (0.0..=1.0).contains(number)));
        assert!(drawn.windows(2).any(|pair| pair.first() != pair.last()));
    }

    fn held(holder: &str, renewed: i64) -> Result<Option<(LeaseRecord, Version)>, WriteError> {
        let at = |secs| Timestamp::from_second(1_700_000_000 + secs).unwrap();
        let record = LeaseRecord {
            holder: holder.into(),
            duration: LEASE,
            acquired: at(0),
            renewed: at(renewed),
            transitions: 1,
        };
        Ok(Some((record, Version::new("1"))))
    }
}
