//! Who holds which address, whatever pool it is from.

use std::collections::BTreeMap;
use std::net::IpAddr;

use types::ObjectName;

use crate::span::{Runs, Span};

/// The addresses in use. Only here is it decided who may hold one together with whom.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    by_address: BTreeMap<IpAddr, ObjectName>,
    runs: Runs,
}

impl Holders {
    /// Lets `service` hold an address. `false` if it is in use.
    pub(crate) fn take(&mut self, addr: IpAddr, service: &ObjectName) -> bool {
        let free = self.is_free(addr);
        if free {
            self.by_address.insert(addr, service.clone());
            self.runs.insert(addr);
        }
        free
    }

    /// Notes that nobody holds an address. `false` if nobody did.
    pub(crate) fn release(&mut self, addr: IpAddr) -> bool {
        let held = self.by_address.remove(&addr).is_some();
        if held {
            self.runs.remove(addr);
        }
        held
    }

    pub(crate) fn is_free(&self, addr: IpAddr) -> bool {
        !self.by_address.contains_key(&addr)
    }

    /// The first address of `span` that nobody holds.
    pub(crate) fn first_free(&self, span: Span) -> Option<IpAddr> {
        self.runs.first_gap(span)
    }

    /// The addresses in use in `span`.
    pub(crate) fn within(&self, span: Span) -> impl Iterator<Item = (IpAddr, &ObjectName)> {
        self.by_address
            .range(span.addresses())
            .map(|(addr, service)| (*addr, service))
    }
}
