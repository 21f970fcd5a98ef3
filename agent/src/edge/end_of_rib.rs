//! When peers may be told that everything has been announced.

use std::time::Duration;

use tokio::time::Instant;

/// How long End-of-RIB waits for VIPs that are asked for and not in place. Routers keep the routes
/// of a restarting speaker until then, or until its restart time is over.
const LATEST: Duration = Duration::from_secs(10);

/// Whether the speaker may say that it has announced everything (RFC 4724 §4.1). It waits until
/// every object is known, and a while for every VIP that is asked for to be in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum EndOfRib {
    /// Not everything is known yet.
    #[default]
    NotYet,
    /// Everything is known; VIPs are being put in place.
    Due(Instant),
    /// It was told.
    Told,
}

/// How far the node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Every object is known.
    pub(super) known: bool,
    /// Every VIP that is asked for may be announced.
    pub(super) in_place: bool,
}

impl EndOfRib {
    /// What it is now, and whether peers are to be told.
    pub(super) fn consider(&mut self, now: Instant, standing: Standing) -> bool {
        let next = match *self {
            Self::NotYet if !standing.known => Self::NotYet,
            Self::NotYet | Self::Due(_) if standing.in_place => Self::Told,
            Self::NotYet => Self::Due(now + LATEST),
            Self::Due(at) if at <= now => Self::Told,
            Self::Due(at) => Self::Due(at),
            Self::Told => return false,
        };
        *self = next;
        next == Self::Told
    }

    /// When to consider it again, if nothing else happens.
    pub(super) const fn deadline(self) -> Option<Instant> {
        match self {
            Self::Due(at) => Some(at),
            Self::NotYet | Self::Told => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_told_once_when_all_is_in_place_or_it_takes_too_long() {
        let start = Instant::now();
        let late = start + LATEST;
        for (from, now, (known, in_place), to, told) in [
            (
                EndOfRib::NotYet,
                start,
                (false, false),
                EndOfRib::NotYet,
                false,
            ),
            (
                EndOfRib::NotYet,
                start,
                (false, true),
                EndOfRib::NotYet,
                false,
            ),
            (
                EndOfRib::NotYet,
                start,
                (true, false),
                EndOfRib::Due(late),
                false,
            ),
            (EndOfRib::NotYet, start, (true, true), EndOfRib::Told, true),
            (
                EndOfRib::Due(late),
                start,
                (true, false),
                EndOfRib::Due(late),
                false,
            ),
            (
                EndOfRib::Due(late),
                start,
                (true, true),
                EndOfRib::Told,
                true,
            ),
            (
                EndOfRib::Due(late),
                late,
                (true, false),
                EndOfRib::Told,
                true,
            ),
            // A kind is being read anew: it was known before.
            (
                EndOfRib::Due(late),
                start,
                (false, false),
                EndOfRib::Due(late),
                false,
            ),
            (EndOfRib::Told, late, (true, true), EndOfRib::Told, false),
            (EndOfRib::Told, late, (false, false), EndOfRib::Told, false),
        ] {
            let mut state = from;

            let says = state.consider(now, Standing { known, in_place });

            assert_eq!((state, says), (to, told), "{from:?} {known} {in_place}");
        }
    }

    #[test]
    fn only_what_is_due_has_a_deadline() {
        let at = Instant::now();

        assert_eq!(EndOfRib::Due(at).deadline(), Some(at));
        assert_eq!(EndOfRib::NotYet.deadline(), None);
        assert_eq!(EndOfRib::Told.deadline(), None);
    }
}
