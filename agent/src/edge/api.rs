//! Answers the local API from the running parts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agent_api::{
    Allocation, Drained, Lb, Maglev, Objects, Peer, Pool, Role, Route, Service, Status, Withdrawn,
};
use anyhow::{Context as _, Result, bail};
use bgp_speaker::RouteQuery;
use store::Orders;
use types::{BackendAddr, Family, ObjectName, Vip};
use xdp_l4lb::{Inspector, State};
use xdp_l4lb_core::ServiceStatus;
use xdp_l4lb_core::desired::ServiceKey;

use super::leader::Leadership;
use super::node::{Node, Told};
use super::problems::Known;
use super::{announced, conditions, kernel_views, views};
use crate::http::Api;

/// Why the kernel's tables cannot be asked about.
const NOT_BALANCED: &str =
    "this node announces only: another program, such as kube-proxy, balances";

impl Api for Node {
    async fn status(&self) -> Result<Status> {
        let peers = self.speaker.peers().await?;
        let available = self.available().await?;
        let (state, services) = self.balanced().await?;
        let snapshot = self.hub.snapshot();
        let report = self.report();
        let orders = Arc::clone(&self.overrides.orders().borrow());
        let told = self.told();
        let known = Known {
            speaks: self.speaks,
            balancer: self.balancer.is_some().then_some((&*state, &services)),
            told: &told,
            report: &report,
            snapshot: &snapshot,
        };
        let mut problems = known.problems();
        problems.extend(self.ordered(&orders));
        let (vips_ready, vips_wanted) = match &self.balancer {
            Some(_) => views::in_place(&told, &state),
            None => announced::count(&snapshot, &available),
        };
        Ok(Status {
            node: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: self.role(),
            uptime_secs: self.started.elapsed().as_secs(),
            ready: known.is_known() && problems.is_empty(),
            problems,
            remarks: self.remarks(&snapshot, &told),
            source: Some(self.origin.shown()),
            operator: self.shown_operator(),
            objects: views::counts(&snapshot),
            refused: views::refused(&self.origin.file_faults()),
            interfaces: views::interfaces(&state.interfaces),
            bgp: views::bgp(&peers, available.len()),
            ipam: views::ipam(&report),
            alarms: state.alarms.iter().map(ToString::to_string).collect(),
            vips_ready,
            vips_wanted,
            stores: state.stores,
            drained: orders.drained.iter().copied().collect(),
            withdrawn: orders.withdrawn,
        })
    }

    async fn services(&self) -> Result<Vec<Service>> {
        let snapshot = self.hub.snapshot();
        if self.balancer.is_none() {
            return Ok(announced::services(&snapshot, &self.available().await?));
        }
        let (state, services) = self.balanced().await?;
        let report = self.report();
        let told = self.told();
        Ok(views::services(
            &snapshot, &services, &state, &told, &report,
        ))
    }

    fn lb(&self) -> Result<Lb> {
        let Some(balancer) = &self.balancer else {
            bail!("{NOT_BALANCED}");
        };
        let state = balancer.state().borrow().clone();
        kernel_views::lb(&self.inspector()?, &state)
    }

    fn maglev(&self, vip: Vip) -> Result<Option<Maglev>> {
        if self.balancer.is_none() {
            bail!("{NOT_BALANCED}");
        }
        kernel_views::maglev(&self.inspector()?, vip)
    }

    async fn drain(&self, backend: BackendAddr, drained: bool) -> Result<Option<Drained>> {
        if self.balancer.is_none() {
            bail!("{NOT_BALANCED}");
        }
        let services = self.services_of(backend);
        // A backend that is gone can still be undrained, so that its order does not outlive it.
        if services.is_empty()
            && (drained || !self.overrides.orders().borrow().drained.contains(&backend))
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

    async fn withdraw(&self, withdrawn: bool) -> Result<Withdrawn> {
        let is_new = self.overrides.set_withdrawn(withdrawn).await?;
        if is_new {
            tracing::info!(withdrawn, "an operator's order for the whole node");
        }
        Ok(Withdrawn {
            withdrawn,
            kept: self.overrides.are_kept(),
        })
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

    fn objects(&self) -> Option<Objects> {
        self.origin.objects()
    }

    fn allocations(&self) -> Vec<Allocation> {
        let Some(operator) = &self.operator else {
            return announced::allocations(&self.hub.snapshot());
        };
        let report = operator.report();
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
        views::pools(&self.hub.snapshot(), &self.report())
    }
}

impl Node {
    fn role(&self) -> Role {
        match &self.balancer {
            Some(_) => Role::Balancer,
            None => Role::Announcer,
        }
    }

    /// What the balancer does and plans; nothing where there is none.
    async fn balanced(&self) -> Result<(Arc<State>, BTreeMap<ServiceKey, ServiceStatus>)> {
        match &self.balancer {
            Some(balancer) => {
                let services = balancer.services().await?;
                Ok((Arc::clone(&balancer.state().borrow()), services))
            }
            None => Ok((Arc::default(), BTreeMap::new())),
        }
    }

    /// What is worth knowing and leaves the node ready.
    fn remarks(&self, snapshot: &store::Snapshot, told: &Told) -> Vec<String> {
        let own = conditions::of_own(snapshot, &self.name, self.role, self.speaks);
        conditions::remarks(snapshot)
            .into_iter()
            .chain(own)
            .chain(told.remark.clone())
            .chain(self.led())
            .chain(self.unreported())
            .collect()
    }

    /// What a person should know of who leads the operators.
    fn led(&self) -> Option<String> {
        let guide = self.guide.as_ref()?;
        guide.known().remark(guide.lease())
    }

    /// Why others cannot read how this node's sessions are.
    fn unreported(&self) -> Option<String> {
        let error = self.reports.as_ref()?.trouble()?;
        let name = &self.name;
        Some(format!(
            "the state of sessions is not written to CiliumBGPNodeConfig/{name}: {error}"
        ))
    }

    fn shown_operator(&self) -> Option<agent_api::Operator> {
        let guide = self.guide.as_ref()?;
        let holder = match guide.known() {
            Leadership::Held(holder) => Some(holder),
            Leadership::Unknown | Leadership::Vacant(_) | Leadership::Unreadable(_) => None,
        };
        Some(agent_api::Operator {
            lease: guide.lease().to_string(),
            holder,
        })
    }

    /// What orders keep from being in place.
    fn ordered(&self, orders: &Orders) -> Option<String> {
        let until = if self.overrides.are_kept() {
            "until sluice node restore"
        } else {
            "until sluice node restore or a restart of the agent: it has no state directory"
        };
        orders
            .withdrawn
            .then(|| format!("the node is withdrawn by order: nothing is announced {until}"))
    }

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
        let told = self.told();
        told.services
            .iter()
            .filter(|(_, service)| service.backends.contains_key(&backend))
            .map(|(key, _)| key.object.clone())
            .collect()
    }
}
