//! What is around the node: its default gateways, and the addresses of its interfaces.

mod kernel;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use types::{Family, RouterId};

use kernel::Kernel;

/// Changes come in bursts; a burst is looked at once.
const SETTLE: Duration = Duration::from_millis(200);

/// How long to wait before the kernel is asked again that did not answer.
const RETRY: Duration = Duration::from_secs(5);

/// What is around the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// Where each family's default route leads.
    pub(crate) gateways: BTreeMap<Family, IpAddr>,
    /// The addresses of its interfaces that are up, by name.
    pub(crate) interfaces: BTreeMap<String, BTreeSet<IpAddr>>,
}

/// Follows what is around the node; dropping it ends that.
#[derive(Debug)]
pub(crate) struct Scout {
    found: watch::Receiver<Surroundings>,
    task: JoinHandle<()>,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    index: u32,
    name: String,
    /// Administratively up, and not known to be down.
    up: bool,
}

/// A default route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DefaultRoute {
    gateway: IpAddr,
    link: u32,
    metric: u32,
}

impl Scout {
    /// Begins to look, in this thread's network namespace. Must be called in a tokio runtime.
    pub(crate) fn start() -> Self {
        let (tell, found) = watch::channel(Surroundings::default());
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = follow(&tell).await {
                    tracing::warn!(%error, "routes and addresses are not known, and asked for again");
                }
                tokio::time::sleep(RETRY).await;
            }
        });
        Self { found, task }
    }

    /// What is around the node, now and whenever it changes.
    pub(crate) fn found(&self) -> watch::Receiver<Surroundings> {
        self.found.clone()
    }
}

impl Drop for Scout {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A BGP identifier for a node without an IPv4 address: the low 32 bits of its first interface's MAC
/// address, as Cilium takes those of its own interface.
pub(crate) fn spare_router_id() -> Option<RouterId> {
    let links = nix::ifaddrs::getifaddrs().ok()?;
    let macs = links.filter_map(|link| {
        let link = *link.address?.as_link_addr()?;
        Some((link.ifindex(), link.addr()?))
    });
    let (_, mac) = macs.filter(|(_, mac)| *mac != [0; 6]).min()?;
    let [_, _, low @ ..] = mac;
    RouterId::try_from(Ipv4Addr::from(low)).ok()
}

/// Tells what is found until the kernel does not answer.
async fn follow(tell: &watch::Sender<Surroundings>) -> Result<(), kernel::Unanswered> {
    let mut kernel = Kernel::open()?;
    loop {
        let (links, routes) = (kernel.links().await?, kernel.default_routes().await?);
        let found = survey(&links, &routes, &kernel.addresses().await?);
        tell.send_if_modified(|told| {
            let differs = *told != found;
            *told = found;
            differs
        });
        kernel.changed().await?;
        tokio::time::sleep(SETTLE).await;
        kernel.forget_changes();
    }
}

fn survey(links: &[Link], routes: &[DefaultRoute], addresses: &[(u32, IpAddr)]) -> Surroundings {
    let up: BTreeMap<u32, &Link> = links
        .iter()
        .filter(|link| link.up)
        .map(|link| (link.index, link))
        .collect();
    let mut found = Surroundings::default();
    for family in Family::BOTH {
        let usable = routes.iter().filter(|route| {
            Family::of(route.gateway) == family
                && up.contains_key(&route.link)
                && !is_link_local(route.gateway)
        });
        // The address decides between equal metrics, so that the choice does not change by itself.
        if let Some(best) = usable.min_by_key(|route| (route.metric, route.gateway)) {
            found.gateways.insert(family, best.gateway);
        }
    }
    for link in up.values() {
        let of_link = addresses.iter().filter(|(index, _)| *index == link.index);
        let of_link = of_link.map(|(_, addr)| *addr).collect();
        found.interfaces.insert(link.name.clone(), of_link);
    }
    found
}

fn is_link_local(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => addr.is_link_local(),
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_that_of_the_best_default_route_of_a_link_that_is_up() {
        let links = [
            link(1, "eth0", true),
            link(2, "eth1", true),
            link(3, "eth2", false),
        ];
        let routes = [
            route("10.0.1.1", 2, 100),
            route("10.0.0.1", 1, 50),
            route("10.0.2.1", 3, 1),
            route("fe80::1", 1, 10),
            route("fd00::1", 1, 1024),
        ];

        let found = survey(&links, &routes, &[]);

        let expected = [(Family::V4, "10.0.0.1"), (Family::V6, "fd00::1")];
        assert_eq!(found.gateways, expected.map(|(f, a)| (f, addr(a))).into());
        let without = survey(&[link(3, "eth2", false)], &routes, &[]);
        assert_eq!(without.gateways, BTreeMap::new());
    }

    #[test]
    fn an_interface_that_is_up_has_its_own_addresses() {
        let links = [link(1, "eth0", true), link(2, "eth1", false)];
        let addresses = [
            (1, addr("10.0.0.1")),
            (1, addr("fd00::1")),
            (2, addr("10.0.1.1")),
        ];

        let found = survey(&links, &[], &addresses);

        let eth0 = [addr("10.0.0.1"), addr("fd00::1")].into();
        let expected = [("eth0".to_owned(), eth0)];
        assert_eq!(found.interfaces, expected.into());
    }

    #[test]
    fn the_order_of_equal_routes_does_not_matter() {
        let links = [link(1, "eth0", true)];
        let (a, b) = (route("10.0.0.1", 1, 0), route("10.0.0.2", 1, 0));

        assert_eq!(survey(&links, &[a, b], &[]), survey(&links, &[b, a], &[]));
    }

    fn link(index: u32, name: &str, up: bool) -> Link {
        Link {
            index,
            name: name.into(),
            up,
        }
    }

    fn route(gateway: &str, link: u32, metric: u32) -> DefaultRoute {
        DefaultRoute {
            gateway: addr(gateway),
            link,
            metric,
        }
    }

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
}
