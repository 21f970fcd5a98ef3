//! What is not in place and why, a sentence each. Without any, the node is ready.

use std::collections::BTreeMap;

use api::{Key, Kind};
use desired::Inputs;
use xdp_l4lb::{LinkState, State};
use xdp_l4lb_core::desired::ServiceKey;
use xdp_l4lb_core::{Fault, Role, ServiceStatus};

use super::node::Told;

/// What the parts know at one moment.
pub(super) struct Known<'k> {
    /// Whether BGP is spoken at all.
    pub(super) speaks: bool,
    /// None where another program balances.
    pub(super) balancer: Option<(&'k State, &'k BTreeMap<ServiceKey, ServiceStatus>)>,
    pub(super) told: &'k Told,
    pub(super) report: &'k operator::Report,
    pub(super) snapshot: &'k store::Snapshot,
}

impl Known<'_> {
    /// What is not in place, a sentence each.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = self.told.left_out.clone();
        self.of_inputs(&mut problems);
        if let Some((state, services)) = self.balancer {
            self.of_balancer(state, services, &mut problems);
        }
        for (service, (_, satisfaction)) in &self.report.services {
            if !satisfaction.is_satisfied() {
                problems.push(format!("service {service}: {satisfaction}"));
            }
        }
        for (pool, told) in &self.report.pools {
            if let Some(conflict) = &told.conflict {
                problems.push(format!("pool {pool}: {conflict}"));
            }
        }
        for (key, why) in &self.report.faults {
            problems.push(format!("the status of {key} is not written: {why}"));
        }
        problems
    }

    /// Whether everything that traffic depends on was known once.
    pub(super) fn is_known(&self) -> bool {
        match self.balancer {
            Some((state, _)) => state.synced,
            None => self.told.end_of_rib || !self.speaks,
        }
    }

    fn of_balancer(
        &self,
        state: &State,
        services: &BTreeMap<ServiceKey, ServiceStatus>,
        problems: &mut Vec<String>,
    ) {
        for (name, link) in &state.interfaces {
            match link {
                LinkState::Native | LinkState::Generic => {}
                LinkState::Absent => problems.push(format!("interface {name} does not exist")),
                LinkState::Refused(why) => problems.push(format!("interface {name}: {why}")),
            }
        }
        for (what, why) in &state.faults {
            problems.push(format!("{what}: {why}"));
        }
        for key in &state.alarms {
            problems.push(format!(
                "service {key}: more than half of its backends fail their checks, so none is taken out"
            ));
        }
        for (key, status) in services {
            for fault in &status.faults {
                problems.push(format!("service {key}: {fault}"));
            }
            for (vip, planned) in &status.frontends {
                if *planned && state.ready.contains(vip) {
                    continue;
                }
                let why = if *planned {
                    not_forwarding(state)
                } else {
                    self.not_planned(key, status).to_owned()
                };
                problems.push(format!("{vip} of {} is not in place: {why}", key.object));
            }
        }
    }

    /// What holds up everything else: objects that are not read, or never were good.
    fn of_inputs(&self, problems: &mut Vec<String>) {
        let progress = self.told.progress;
        let (inputs, concerns): (Inputs, fn(Kind) -> bool) = match self.balancer {
            Some(_) => (progress.balancer, |kind| {
                matches!(kind, Kind::Service | Kind::EndpointSlice)
            }),
            None => (progress.bgp, concerns_bgp),
        };
        let mut named = Vec::new();
        if !self.is_known() && inputs == Inputs::Faulty {
            named.extend(self.never_good(concerns));
            problems.extend(named.iter().map(|key| {
                format!(
                    "{key} is refused and never was valid: until it is mended, nothing that was \
                     there before is removed"
                )
            }));
        } else if !self.is_known() {
            problems.push("the objects have not been read in whole yet".to_owned());
        }
        if self.speaks && !self.told.end_of_rib && progress.bgp == Inputs::Faulty {
            let held = self.never_good(concerns_bgp);
            problems.extend(held.filter(|key| !named.contains(key)).map(|key| {
                format!(
                    "{key} is refused and never was valid: until it is mended, peers are not told \
                     End-of-RIB"
                )
            }));
        }
    }

    /// Objects that are refused and of which no good value is known.
    fn never_good(&self, concerns: impl Fn(Kind) -> bool) -> impl Iterator<Item = &Key> {
        let refused = self.snapshot.refused.iter();
        refused
            .filter(|(_, faults)| !faults.is_empty())
            .map(|(key, _)| key)
            .filter(move |key| concerns(key.kind) && !self.snapshot.objects.contains_key(key))
    }

    fn not_planned(&self, key: &ServiceKey, status: &ServiceStatus) -> &'static str {
        let roles = || status.backends.iter().map(|(_, role)| *role);
        let service = self.told.services.get(key);
        let checked = service.is_some_and(|service| service.check.is_some());
        if status.backends.is_empty() {
            "it has no backends"
        } else if status.faults.contains(&Fault::NoRoom) {
            "the kernel's tables have no room"
        } else if status.faults.contains(&Fault::Unreachable) {
            "the way to none of the backends is known"
        } else if roles().any(|role| role == Role::Pending) {
            "not every backend has been checked once"
        } else if roles().any(|role| role == Role::Active) {
            "it is being put in place"
        } else if roles().any(|role| matches!(role, Role::Maintenance | Role::Terminating)) {
            "no backend takes new flows: they are drained, terminating or fail their checks"
        } else if checked {
            "all backends fail their checks"
        } else {
            "no backend can be used"
        }
    }
}

fn concerns_bgp(kind: Kind) -> bool {
    kind != Kind::CiliumLoadBalancerIPPool
}

/// Why packets might miss the program.
fn not_forwarding(state: &State) -> String {
    let interfaces = &state.interfaces;
    let mut refused = interfaces
        .iter()
        .filter(|(_, link)| matches!(link, LinkState::Refused(_)));
    if let Some((name, _)) = refused.next() {
        format!("interface {name} does not run the program")
    } else if interfaces.values().any(LinkState::is_attached) {
        "it is being put in place".to_owned()
    } else {
        "no interface runs the program".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use api::{Fault as Refusal, FieldPath};
    use desired::Progress;
    use types::{BackendAddr, ObjectName};
    use xdp_l4lb_core::desired::{Check, CheckKind, Service};

    use super::*;

    const VIP: &str = "192.0.2.1:80/TCP";

    #[test]
    fn a_vip_that_is_not_in_place_says_why() {
        let gone = |roles: &[Role]| status(false, roles, vec![]);
        for (status, checked, expected) in [
            (gone(&[]), true, "it has no backends"),
            (
                gone(&[Role::Gone, Role::Quarantined]),
                true,
                "all backends fail their checks",
            ),
            (gone(&[Role::Gone]), false, "no backend can be used"),
            (
                gone(&[Role::Gone, Role::Pending]),
                true,
                "not every backend has been checked once",
            ),
            (
                gone(&[Role::Gone, Role::Maintenance]),
                true,
                "no backend takes new flows: they are drained, terminating or fail their checks",
            ),
            (gone(&[Role::Active]), true, "it is being put in place"),
            (
                status(false, &[Role::Active], vec![Fault::Unreachable]),
                true,
                "the way to none of the backends is known",
            ),
            (
                status(false, &[Role::Active], vec![Fault::NoRoom]),
                true,
                "the kernel's tables have no room",
            ),
        ] {
            let world = World::new(status, checked);

            let expected = format!("{VIP} of shop/web is not in place: {expected}");
            assert!(
                world.problems().contains(&expected),
                "{expected}: {:?}",
                world.problems()
            );
        }
    }

    #[test]
    fn a_refused_interface_keeps_every_vip_from_being_in_place() {
        let mut world = World::new(status(true, &[Role::Active], vec![]), true);
        let links = &mut world.state.interfaces;
        links.insert("tor1".into(), LinkState::Native);
        links.insert("tor2".into(), LinkState::Refused("busy".into()));

        assert_eq!(
            world.problems(),
            [
                "interface tor2: busy".to_owned(),
                format!(
                    "{VIP} of shop/web is not in place: interface tor2 does not run the program"
                ),
            ]
        );
        world.state.interfaces.remove("tor2");
        world.state.ready = Arc::new(BTreeSet::from([VIP.parse().unwrap()]));
        assert_eq!(world.problems(), Vec::<String>::new());
    }

    #[test]
    fn an_object_that_never_was_good_is_named_with_what_it_holds_up() {
        let mut world = World::default();
        assert_eq!(
            world.problems(),
            ["the objects have not been read in whole yet"]
        );

        world.told.progress = Progress {
            ipam: Inputs::Faulty,
            balancer: Inputs::Faulty,
            bgp: Inputs::Faulty,
        };
        for kind in [Kind::Service, Kind::Node, Kind::CiliumLoadBalancerIPPool] {
            world.refuse(Key::new(kind, ObjectName::new("shop", "api")));
        }

        assert_eq!(
            world.problems(),
            [
                "Service/shop/api is refused and never was valid: until it is mended, nothing \
                 that was there before is removed",
                "Node/shop/api is refused and never was valid: until it is mended, peers are not \
                 told End-of-RIB",
            ]
        );
        world.state.synced = true;
        world.told.end_of_rib = true;
        assert_eq!(world.problems(), Vec::<String>::new());
    }

    #[test]
    fn a_node_that_only_announces_waits_for_what_announcements_are_made_of() {
        let mut world = World {
            balances: false,
            ..World::default()
        };
        assert_eq!(
            world.problems(),
            ["the objects have not been read in whole yet"]
        );

        world.told.progress.bgp = Inputs::Faulty;
        world.refuse(Key::new(Kind::Node, ObjectName::new("", "n1")));
        assert_eq!(
            world.problems(),
            [
                "Node/n1 is refused and never was valid: until it is mended, nothing that was there \
              before is removed"
            ]
        );
        world.told.end_of_rib = true;
        assert_eq!(world.problems(), Vec::<String>::new());
    }

    struct World {
        balances: bool,
        state: State,
        services: BTreeMap<ServiceKey, ServiceStatus>,
        told: Told,
        report: operator::Report,
        snapshot: store::Snapshot,
    }

    impl Default for World {
        fn default() -> Self {
            Self {
                balances: true,
                state: State::default(),
                services: BTreeMap::new(),
                told: Told::default(),
                report: operator::Report::default(),
                snapshot: store::Snapshot::default(),
            }
        }
    }

    impl World {
        fn new(status: ServiceStatus, checked: bool) -> Self {
            let mut world = Self::default();
            let key = ServiceKey {
                object: ObjectName::new("shop", "web"),
                port: "http".into(),
            };
            let service = Service {
                check: checked.then(check),
                ..Service::default()
            };
            world.state.synced = true;
            world.services.insert(key.clone(), status);
            world.told.services.insert(key, service);
            world
        }

        fn refuse(&mut self, key: Key) {
            let fault = Refusal {
                path: FieldPath::default(),
                reason: "is wrong".into(),
            };
            self.snapshot.refused.insert(key, vec![fault]);
        }

        fn problems(&self) -> Vec<String> {
            let known = Known {
                speaks: true,
                balancer: self.balances.then_some((&self.state, &self.services)),
                told: &self.told,
                report: &self.report,
                snapshot: &self.snapshot,
            };
            known.problems()
        }
    }

    fn status(planned: bool, roles: &[Role], faults: Vec<Fault>) -> ServiceStatus {
        let backends = (1..).zip(roles).map(|(host, role)| {
            let addr = std::net::Ipv4Addr::new(10, 0, 0, host).into();
            (BackendAddr { addr, port: 80 }, *role)
        });
        ServiceStatus {
            frontends: vec![(VIP.parse().unwrap(), planned)],
            backends: backends.collect(),
            tables: vec![],
            faults,
        }
    }

    fn check() -> Check {
        Check {
            kind: CheckKind::Tcp,
            port: None,
            interval: std::time::Duration::from_secs(2),
            timeout: std::time::Duration::from_secs(1),
            rise: std::num::NonZeroU8::MIN,
            fall: std::num::NonZeroU8::MIN,
        }
    }
}
