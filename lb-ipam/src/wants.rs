//! What a service wants: these addresses, or any of some families.

use std::net::IpAddr;
use std::sync::Arc;

use types::Family;

use crate::action::Satisfaction;
use crate::pools::Refusal;
use crate::request::{FamilyPolicy, Request};
use crate::waiting::Need;

/// Read from a request and the families that are enabled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wants<'a> {
    /// These and no others.
    These(&'a [IpAddr]),
    /// One of each family.
    Any {
        /// In the order of the request.
        families: Vec<Family>,
        /// A family that is required is not enabled.
        unavailable: bool,
    },
}

/// What is left to be found. One of the two is empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) families: Vec<Family>,
}

/// What could not be had: the first thing to say, and all that would help.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    pub(crate) first: Option<Satisfaction>,
    pub(crate) needs: Vec<Need>,
}

impl<'a> Wants<'a> {
    pub(crate) fn new(request: &'a Request, enabled: &[Family]) -> Self {
        if !request.requested.is_empty() {
            return Self::These(&request.requested);
        }
        let given = &request.families.order;
        let mut families: Vec<Family> = Vec::with_capacity(2);
        let mut add = |from: &[Family]| {
            for family in from {
                if enabled.contains(family) && !families.contains(family) {
                    families.push(*family);
                }
            }
        };
        let unavailable = match request.families.policy {
            FamilyPolicy::SingleStack => {
                let first = given.first().or(enabled.first());
                add(first.map(std::slice::from_ref).unwrap_or_default());
                families.is_empty()
            }
            FamilyPolicy::PreferDualStack => {
                add(if given.is_empty() { enabled } else { given });
                families.is_empty()
            }
            FamilyPolicy::RequireDualStack => {
                add(given);
                add(enabled);
                families.len() < Family::BOTH.len()
            }
        };
        Self::Any {
            families,
            unavailable,
        }
    }

    /// Whether the service may keep an address.
    pub(crate) fn accept(&self, addr: IpAddr) -> bool {
        match self {
            Self::These(addresses) => addresses.contains(&addr),
            Self::Any { families, .. } => families.contains(&Family::of(addr)),
        }
    }

    pub(crate) fn missing(&self, held: &[IpAddr]) -> Missing {
        let mut missing = Missing::default();
        match self {
            Self::These(addresses) => {
                for addr in *addresses {
                    if !held.contains(addr) && !missing.addresses.contains(addr) {
                        missing.addresses.push(*addr);
                    }
                }
            }
            Self::Any { families, .. } => {
                let has = |family: &Family| held.iter().any(|addr| Family::of(*addr) == *family);
                missing.families = families.iter().copied().filter(|f| !has(f)).collect();
            }
        }
        missing
    }

    /// Puts addresses in the order of the request; those of one family by number.
    pub(crate) fn sort(&self, held: &mut [IpAddr]) {
        match self {
            Self::These(addresses) => {
                held.sort_by_key(|addr| addresses.iter().position(|wanted| wanted == addr));
            }
            Self::Any { families, .. } => held.sort_by_key(|addr| {
                let family = families.iter().position(|f| *f == Family::of(*addr));
                (family, *addr)
            }),
        }
    }

    /// Whether no pool could satisfy it.
    pub(crate) const fn is_hopeless(&self) -> bool {
        matches!(
            self,
            Self::Any {
                unavailable: true,
                ..
            }
        )
    }
}

impl Missing {
    /// Whether an address would fill a gap.
    pub(crate) fn accept(&self, addr: IpAddr) -> bool {
        self.addresses.contains(&addr) || self.families.contains(&Family::of(addr))
    }
}

impl Shortage {
    pub(crate) fn note(&mut self, why: Satisfaction, needs: impl IntoIterator<Item = Need>) {
        self.first.get_or_insert(why);
        self.needs.extend(needs);
    }

    /// No address of a family could be had.
    pub(crate) fn note_none(&mut self, mut needs: Vec<Need>, request: &Request) {
        let why = if needs.iter().any(|need| matches!(need, Need::Quota(..))) {
            Satisfaction::QuotaUsedUp
        } else if needs.is_empty() {
            Satisfaction::NoPool
        } else {
            Satisfaction::OutOfAddresses
        };
        let key = request.sharing.as_ref();
        needs.extend(key.map(|sharing| Need::Key(Arc::clone(&sharing.key))));
        self.note(why, needs);
    }

    pub(crate) fn note_refusal(&mut self, addr: IpAddr, refusal: Refusal) {
        let (why, need) = match refusal {
            Refusal::NoPool => (Satisfaction::NoPoolWith(addr), None),
            Refusal::Mismatch => (Satisfaction::SelectorMismatch(addr), None),
            Refusal::UsedUp(need) => (Satisfaction::QuotaUsedUp, Some(need)),
            Refusal::Taken => (
                Satisfaction::AlreadyAllocated(addr),
                Some(Need::Address(addr)),
            ),
            Refusal::Incompatible(why) => (
                Satisfaction::Incompatible(addr, why),
                Some(Need::Address(addr)),
            ),
        };
        self.note(why, need);
    }
}

#[cfg(test)]
mod tests {
    use FamilyPolicy::{PreferDualStack, RequireDualStack, SingleStack};
    use types::Family::{V4, V6};

    use super::*;
    use crate::request::Families;

    #[test]
    fn policies_choose_the_families() {
        let table = [
            (SingleStack, vec![], vec![V4, V6], vec![V4], false),
            (SingleStack, vec![], vec![V6], vec![V6], false),
            (SingleStack, vec![V6, V4], vec![V4, V6], vec![V6], false),
            (SingleStack, vec![V6], vec![V4], vec![], true),
            (PreferDualStack, vec![], vec![V4, V6], vec![V4, V6], false),
            (
                PreferDualStack,
                vec![V6, V4],
                vec![V4, V6],
                vec![V6, V4],
                false,
            ),
            (PreferDualStack, vec![V4], vec![V4, V6], vec![V4], false),
            (PreferDualStack, vec![V4, V6], vec![V4], vec![V4], false),
            (PreferDualStack, vec![V6], vec![V4], vec![], true),
            (RequireDualStack, vec![], vec![V4, V6], vec![V4, V6], false),
            (
                RequireDualStack,
                vec![V6],
                vec![V4, V6],
                vec![V6, V4],
                false,
            ),
            (
                RequireDualStack,
                vec![V4, V6],
                vec![V4, V6],
                vec![V4, V6],
                false,
            ),
            (RequireDualStack, vec![V4, V6], vec![V4], vec![V4], true),
            (RequireDualStack, vec![], vec![V6], vec![V6], true),
        ];
        for (policy, order, enabled, families, unavailable) in table {
            let request = Request {
                families: Families {
                    order: order.clone(),
                    policy,
                },
                ..Request::default()
            };

            let wants = Wants::new(&request, &enabled);

            let expected = Wants::Any {
                families,
                unavailable,
            };
            assert_eq!(wants, expected, "{policy:?} {order:?} of {enabled:?}");
        }
    }

    #[test]
    fn requested_addresses_count_and_families_do_not() {
        let [a, b, c] = ["192.0.2.1", "2001:db8::1", "192.0.2.3"].map(|a| a.parse().unwrap());
        let request = Request {
            requested: vec![c, b, c],
            ..Request::default()
        };

        let wants = Wants::new(&request, &[V4]);

        assert!(wants.accept(b) && !wants.accept(a));
        assert_eq!(wants.missing(&[]).addresses, [c, b]);
        assert_eq!(wants.missing(&[c]).addresses, [b]);
        let mut held = [b, c];
        wants.sort(&mut held);
        assert_eq!(held, [c, b]);
    }
}
