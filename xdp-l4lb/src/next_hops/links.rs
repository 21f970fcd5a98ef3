//! Gives interfaces their places in the table `links`.
//!
//! A place never changes while a next hop may name it, so an interface that gets another address
//! gets another place, and a place is used again only a while after its last user has gone.

use std::collections::BTreeSet;
use std::time::Duration;

use xdp_l4lb_common::layout::Link;

/// How long a packet may still use what it read: far longer than any packet takes.
const GRACE: Duration = Duration::from_secs(1);

/// An interface's index and its own address.
pub(crate) type Port = (u32, [u8; 6]);

/// Every place in `links` is taken by an interface in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no place left in the table of links")]
pub struct NoLinkLeft;

/// The places; the first one is never used.
#[derive(Debug)]
pub(crate) struct LinkSlots {
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Free,
    Used(Port),
    Idle(Port, Duration),
}

impl LinkSlots {
    /// As the kernel's table has them: all that are there may be in use.
    pub(crate) fn read(links: impl IntoIterator<Item = Link>) -> Self {
        let slots = links.into_iter().map(|link| match link.ifindex {
            0 => Slot::Free,
            ifindex => Slot::Used((ifindex, link.mac)),
        });
        Self {
            slots: slots.collect(),
        }
    }

    /// The place of an interface, and the record to write there first if that is new.
    pub(crate) fn assign(
        &mut self,
        now: Duration,
        port: Port,
    ) -> Result<(u16, Option<Link>), NoLinkLeft> {
        let found = self.find(|slot| slot.port() == Some(port));
        let place = found
            .or_else(|| self.find(|slot| slot == Slot::Free))
            .or_else(|| self.find(|slot| slot.may_be_reused(now)))
            .ok_or(NoLinkLeft)?;
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Slot::Used(port);
        }
        let (ifindex, mac) = port;
        let record = Link {
            ifindex,
            mac,
            pad: [0; 6],
        };
        let place = u16::try_from(place).map_err(|_| NoLinkLeft)?;
        Ok((place, found.is_none().then_some(record)))
    }

    /// Only `used` is named by next hops from now on.
    pub(crate) fn retain(&mut self, now: Duration, used: &BTreeSet<Port>) {
        for slot in &mut self.slots {
            if let Slot::Used(port) = *slot
                && !used.contains(&port)
            {
                *slot = Slot::Idle(port, now);
            }
        }
    }

    fn find(&self, is_wanted: impl Fn(Slot) -> bool) -> Option<usize> {
        let mut places = self.slots.iter().enumerate().skip(1);
        places
            .find(|(_, slot)| is_wanted(**slot))
            .map(|(place, _)| place)
    }
}

impl Slot {
    const fn port(self) -> Option<Port> {
        match self {
            Self::Free => None,
            Self::Used(port) | Self::Idle(port, _) => Some(port),
        }
    }

    fn may_be_reused(self, now: Duration) -> bool {
        match self {
            Self::Free => true,
            Self::Used(_) => false,
            Self::Idle(_, since) => since + GRACE <= now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn an_interface_keeps_its_place_and_the_first_place_stays_empty() {
        let mut links = LinkSlots::read(vec![free(); 4]);

        let (place, record) = links.assign(NOW, port(7)).unwrap();
        let again = links.assign(NOW, port(7)).unwrap();

        assert_eq!(place, 1);
        assert_eq!(record.unwrap().ifindex, 7);
        assert_eq!(again, (1, None));
    }

    #[test]
    fn what_was_read_back_is_not_written_again() {
        let mut links = LinkSlots::read([free(), link(7), link(8)]);

        assert_eq!(links.assign(NOW, port(8)), Ok((2, None)));
    }

    #[test]
    fn a_place_is_used_again_a_while_after_its_last_user() {
        let mut links = LinkSlots::read([free(), link(7), link(8)]);
        links.retain(NOW, &BTreeSet::from([port(8)]));

        let too_early = links.assign(NOW + GRACE / 2, port(9));
        let later = links.assign(NOW + GRACE, port(9));

        assert_eq!(too_early, Err(NoLinkLeft));
        assert_eq!(later.map(|(place, _)| place), Ok(1));
        assert_eq!(links.assign(NOW + GRACE * 9, port(10)), Err(NoLinkLeft));
    }

    #[test]
    fn an_interface_with_a_new_address_gets_a_new_place() {
        let mut links = LinkSlots::read([free(), link(7), free()]);

        let moved = links.assign(NOW, (7, [9; 6])).unwrap();

        assert_eq!(moved.0, 2);
    }

    fn port(ifindex: u32) -> Port {
        (ifindex, [2; 6])
    }

    fn link(ifindex: u32) -> Link {
        Link {
            ifindex,
            mac: [2; 6],
            pad: [0; 6],
        }
    }

    fn free() -> Link {
        Link {
            ifindex: 0,
            mac: [0; 6],
            pad: [0; 6],
        }
    }
}
