//! What people are shown of a family's tables.

use std::collections::BTreeSet;
use std::time::Duration;

use super::attrs::{AttrId, Attrs};
use super::export::Export;
use super::family::FamilyRib;
use super::paged::Paged;
use super::prefixes::PrefixId;
use super::{Advertised, Route};
use crate::desired::ExportId;
use crate::io::ConnectionId;

impl FamilyRib {
    pub(crate) fn received_count(&self, session: ConnectionId) -> usize {
        self.inbound.get(&session).map_or(0, Paged::len)
    }

    pub(crate) fn advertised_count(&self, session: ConnectionId) -> usize {
        let out = self.outbound.get(&session);
        out.map_or(0, |out| out.advertised.len())
    }

    pub(crate) fn prefix_count(&self) -> usize {
        self.prefixes.len()
    }

    pub(crate) fn received<'r>(
        &'r self,
        attrs: &'r Attrs,
        session: ConnectionId,
    ) -> impl Iterator<Item = Route<'r>> {
        let routes = self.inbound.get(&session).into_iter().flat_map(Paged::iter);
        routes.filter_map(|(id, attr)| self.route(attrs, id, attr, None))
    }

    /// The routes of several exports; what is the same in two of them is given once.
    pub(crate) fn exported<'r>(
        &'r self,
        attrs: &'r Attrs,
        exports: &BTreeSet<ExportId>,
    ) -> impl Iterator<Item = Route<'r>> + use<'r> {
        let tables: Vec<&Export> = exports
            .iter()
            .filter_map(|export| self.exports.get(export))
            .collect();
        (0..tables.len()).flat_map(move |at| {
            let (earlier, rest) = tables.split_at(at);
            let (earlier, table) = (earlier.to_vec(), rest.first().copied());
            let routes = table.into_iter().flat_map(|table| table.routes.iter());
            routes
                .filter(move |&(id, attr)| {
                    !earlier.iter().any(|it| it.routes.get(id) == Some(attr))
                })
                .filter_map(move |(id, attr)| self.route(attrs, id, attr, table?.since(id)))
        })
    }

    /// Routes that changed since they were told are given as they are now; those that are gone
    /// are left out.
    pub(crate) fn advertised<'r>(
        &'r self,
        attrs: &'r Attrs,
        session: ConnectionId,
    ) -> impl Iterator<Item = Advertised> {
        let out = self.outbound.get(&session).into_iter();
        out.flat_map(move |out| {
            let group = self.groups.get(&out.group);
            let table = group.and_then(|group| self.exports.get(&group.profile.export?));
            out.advertised.iter().filter_map(move |id| {
                let (group, table) = (group?, table?);
                let attr = table.routes.get(id)?;
                let route = self.route(attrs, id, attr, table.since(id))?;
                Some(Advertised {
                    prefix: route.prefix,
                    next_hop: group.profile.next_hop?,
                    attributes: group.profile.attributes(route.attributes, route.key),
                    since: route.since,
                })
            })
        })
    }

    fn route<'r>(
        &'r self,
        attrs: &'r Attrs,
        id: PrefixId,
        attr: AttrId,
        since: Option<Duration>,
    ) -> Option<Route<'r>> {
        let set = attrs.get(attr)?;
        Some(Route {
            prefix: self.prefixes.get(id)?,
            next_hop: set.next_hop(),
            attributes: set.attributes(),
            key: set.key(),
            since,
        })
    }
}
