//! Answers the local API from the running parts.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use agent_api::{Allocation, Drained, Lb, Maglev, Peer, Pool, Role, Route, Service, Status};
use anyhow::{Context as _, Result};
use bgp_speaker::RouteQuery;
use types::{BackendAddr, Family, ObjectName, Vip};
use xdp_l4lb::Inspector;

use super::node::Node;
use super::problems::Known;
use super::{conditions, views};
use crate::http::Api;

impl Api for Node {
    async fn status(&self) -> Result<Status> {
        let peers = self.speaker.peers().await?;
        let available = self.available().await?;
        let services = self.balancer.services().await?;
        let state = self.balancer.state().borrow().clone();
        let snapshot = self.hub.snapshot();
        let report = self.operator.report();
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let known = Known {
            state: &state,
            services: &services,
            told: &told,
            report: &report,
            snapshot: &snapshot,
        };
        let problems = known.problems();
        let wanted: BTreeSet<&Vip> = told
            .services
            .values()
            .flat_map(|service| &service.frontends)
            .collect();
        Ok(Status {
            node: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: Role::Balancer,
            uptime_secs: self.started.elapsed().as_secs(),
            ready: state.synced && problems.is_empty(),
            problems,
            remarks: conditions::remarks(&snapshot),
            objects: views::counts(&snapshot),
            refused: views::refused(&self.faults.borrow()),
            interfaces: views::interfaces(&state.interfaces),
            bgp: views::bgp(&peers, available.len()),
            ipam: views::ipam(&report),
            alarms: state.alarms.iter().map(ToString::to_string).collect(),
            vips_ready: wanted
                .iter()
                .filter(|vip| state.ready.contains(vip))
                .count(),
            vips_wanted: wanted.len(),
            stores: state.stores,
            drained: self.overrides.drained().borrow().iter().copied().collect(),
        })
    }

    async fn services(&self) -> Result<Vec<Service>> {
        let services = self.balancer.services().await?;
        let state = self.balancer.state().borrow().clone();
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(views::services(
            &self.hub.snapshot(),
            &services,
            &state,
            &told,
            &self.operator.report(),
        ))
    }

    fn lb(&self) -> Result<Lb> {
        let state = self.balancer.state().borrow().clone();
        views::lb(&self.inspector()?, &state)
    }

    fn maglev(&self, vip: Vip) -> Result<Option<Maglev>> {
        views::maglev(&self.inspector()?, vip)
    }

    async fn drain(&self, backend: BackendAddr, drained: bool) -> Result<Option<Drained>> {
        let services = self.services_of(backend);
        // A backend that is gone can still be undrained, so that its order does not outlive it.
        if services.is_empty() && (drained || !self.overrides.drained().borrow().contains(&backend))
        {
            return Ok(None);
        }
        if drained {
            self.overrides.drain(backend).await?;
        } else {
            self.overrides.undrain(backend).await?;
        }
        let services = services.iter().map(ToString::to_string).collect();
        Ok(Some(Drained {
            backend,
            drained,
            services,
        }))
    }

    async fn peers(&self) -> Result<Vec<Peer>> {
        let peers = self.speaker.peers().await?;
        Ok(peers
            .iter()
            .map(|peer| views::peer(&self.name, peer))
            .collect())
    }

    async fn routes(&self, advertised: bool) -> Result<Vec<Route>> {
        let mut routes = Vec::new();
        for family in Family::BOTH {
            let query = if advertised {
                RouteQuery::Advertised(family)
            } else {
                RouteQuery::Available(family)
            };
            routes.extend(self.speaker.routes(query).await?);
        }
        Ok(routes
            .iter()
            .map(|route| views::route(&self.name, route))
            .collect())
    }

    fn allocations(&self) -> Vec<Allocation> {
        let report = self.operator.report();
        report
            .services
            .into_iter()
            .filter(|(_, (addresses, _))| !addresses.is_empty())
            .map(|(service, (addresses, _))| Allocation {
                namespace: service.namespace.to_string(),
                name: service.name.to_string(),
                addresses,
            })
            .collect()
    }

    fn pools(&self) -> Vec<Pool> {
        views::pools(&self.hub.snapshot(), &self.operator.report())
    }
}

impl Node {
    fn inspector(&self) -> Result<Inspector> {
        Inspector::open(&self.bpf_dir).context("reading the kernel's tables")
    }

    /// The prefixes that can be advertised, whatever instance has them.
    async fn available(&self) -> Result<BTreeSet<types::Prefix>> {
        let mut prefixes = BTreeSet::new();
        for family in Family::BOTH {
            let routes = self.speaker.routes(RouteQuery::Available(family)).await?;
            prefixes.extend(routes.iter().map(|route| route.prefix));
        }
        Ok(prefixes)
    }

    fn services_of(&self, backend: BackendAddr) -> BTreeSet<ObjectName> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.services
            .iter()
            .filter(|(_, service)| service.backends.contains_key(&backend))
            .map(|(key, _)| key.object.clone())
            .collect()
    }
}
