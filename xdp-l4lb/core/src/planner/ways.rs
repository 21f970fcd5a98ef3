//! The ways to backends: resolved by the shell, stored once for each membership.

use std::net::IpAddr;

use xdp_l4lb_common::layout::NextHop;

use super::Planner;
use super::members::mode_of;
use crate::steps::{Step, Way};

impl Planner {
    /// The way to an address changed; `None` says that there is none now.
    pub fn on_next_hop(&mut self, addr: IpAddr, way: Option<Way>) {
        if let Some(reach) = self.held.reaches.get_mut(&addr)
            && reach.way != way
        {
            reach.way = way;
            self.ways.insert(addr);
        }
    }

    pub(super) fn publish_ways(&mut self, out: &mut Vec<Step>) {
        for addr in std::mem::take(&mut self.ways) {
            let Some(reach) = self.held.reaches.get(&addr) else {
                continue;
            };
            let mode = mode_of(reach.way);
            let next_hop = reach.way.map_or(NextHop::NONE, |way| way.next_hop);
            for id in &reach.ids {
                let id = *id;
                out.push(Step::StoreBackendMode { id, mode });
                out.push(Step::StoreNextHop { id, next_hop });
                let table = self.held.holders.get(&id).and_then(|holder| holder.table);
                let owner = table.and_then(|name| self.held.tables.get(&name)?.owner.clone());
                self.recheck.extend(owner);
            }
        }
    }
}
