//! The operator on a real directory of manifests and its database.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking"
)]

mod lab;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::condition::{pool, service};
use api::{Key, StatusPatch, Version};
use lab::{Disk, life};
use store::{DirectoryStatuses, Statuses, WriteError};

const POOL: &str = "
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: blue}
spec: {blocks: [{cidr: 192.0.2.0/30}, {cidr: '2001:db8::/64'}]}
";

#[tokio::test]
async fn a_dual_stack_service_gets_the_first_address_of_each_family() {
    let disk = Disk::new();
    disk.put("pool.yaml", POOL);
    disk.put("web.yaml", &dual_stack("web"));

    let mut node = disk.start();

    node.until_ingress("web", &["192.0.2.0", "2001:db8::"])
        .await;
    assert_eq!(
        node.condition("web", service::IPAM_SATISFIED).as_deref(),
        Some("True satisfied")
    );
    node.until("the pool says what is left", |node| {
        let says = |kind| node.pool_condition("blue", kind);
        says(pool::IPS_AVAILABLE).as_deref() == Some("Unknown noreason: 18446744073709551618")
            && says(pool::IPS_TOTAL).as_deref() == Some("Unknown noreason: 18446744073709551620")
            && says(pool::IPS_USED).as_deref() == Some("Unknown noreason: 2")
            && says(pool::CONFLICT).as_deref() == Some("False resolved")
    })
    .await;
    assert_eq!(
        node.operator.export(),
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: \"web\"\n  namespace: \"default\"\n  \
         annotations:\n    lbipam.cilium.io/ips: \"192.0.2.0,2001:db8::\"\n"
    );
}

#[test]
fn a_restart_moves_no_address_and_writes_nothing() {
    let disk = Disk::new();
    disk.put("pool.yaml", POOL);
    disk.put("web.yaml", &plain("web"));

    let before = life(give_two(&disk));
    // A fresh node would give the first address to the first name.
    let after = life(async {
        let mut node = disk.start();
        disk.put("late.yaml", &plain("late"));
        node.until_ingress("late", &["192.0.2.2"]).await;
        assert_eq!(node.ingress("web"), ["192.0.2.0"]);
        assert_eq!(node.ingress("api"), ["192.0.2.1"]);
        node.versions()
    });

    let moved = before.iter();
    let moved = moved.filter(|(key, version)| after.get(*key) != Some(*version));
    let moved: Vec<String> = moved.map(|(key, _)| key.to_string()).collect();
    assert!(
        moved
            .iter()
            .all(|key| key == "CiliumLoadBalancerIPPool/blue"),
        "only the pool has something new to say: {moved:?}"
    );
}

/// Gives an address to `web`, then to `api`, and returns the version of every object.
async fn give_two(disk: &Disk) -> BTreeMap<Key, Option<String>> {
    let mut node = disk.start();
    node.until_ingress("web", &["192.0.2.0"]).await;
    disk.put("api.yaml", &plain("api"));
    node.until_ingress("api", &["192.0.2.1"]).await;
    let used = Some("Unknown noreason: 2".to_owned());
    node.until("the pool counts both", |node| {
        node.pool_condition("blue", pool::IPS_USED) == used
    })
    .await;
    node.versions()
}

#[tokio::test]
async fn what_others_say_in_a_status_stays() {
    let disk = Disk::new();
    disk.put("pool.yaml", POOL);
    let status = "
status:
  conditions: [{type: example.com/Mine, status: 'True', reason: Because, message: so}]
";
    disk.put("web.yaml", &(plain("web") + status));

    let mut node = disk.start();

    node.until_ingress("web", &["192.0.2.0"]).await;
    assert_eq!(
        node.condition("web", "example.com/Mine").as_deref(),
        Some("True Because: so")
    );
}

#[tokio::test]
async fn addresses_follow_the_pools_and_stay_when_the_last_one_goes_back_to_sleep() {
    let disk = Disk::new();
    disk.put("pool.yaml", POOL);
    disk.put("web.yaml", &plain("web"));
    let mut node = disk.start();
    node.until_ingress("web", &["192.0.2.0"]).await;

    disk.put(
        "other.yaml",
        &POOL
            .replace("blue", "green")
            .replace("192.0.2", "203.0.113")
            .replace("db8", "db9"),
    );
    disk.remove("pool.yaml");
    node.until_ingress("web", &["203.0.113.0"]).await;
    disk.remove("other.yaml");
    node.until_ingress("web", &[]).await;

    assert_eq!(
        node.condition("web", service::IPAM_SATISFIED).as_deref(),
        Some(
            "False no_pool: There are no enabled CiliumLoadBalancerIPPools that match this service"
        )
    );
    assert!(node.operator.report().dormant);
}

#[tokio::test]
async fn a_service_of_another_type_is_cleared() {
    let disk = Disk::new();
    disk.put("pool.yaml", POOL);
    disk.put("web.yaml", &plain("web"));
    let mut node = disk.start();
    node.until_ingress("web", &["192.0.2.0"]).await;

    disk.put(
        "web.yaml",
        &plain("web").replace("LoadBalancer", "ClusterIP"),
    );

    node.until_ingress("web", &[]).await;
    assert_eq!(node.condition("web", service::IPAM_SATISFIED), None);
}

#[tokio::test]
async fn a_write_that_fails_is_made_again() {
    let disk = Disk::new();
    disk.put("pool.yaml", POOL);
    disk.put("web.yaml", &plain("web"));
    let failures = Arc::new(AtomicUsize::new(3));

    let mut node = disk.start_with(|statuses| Failing {
        statuses,
        failures: Arc::clone(&failures),
    });

    node.until_ingress("web", &["192.0.2.0"]).await;
    assert_eq!(failures.load(Ordering::SeqCst), 0);
    node.until("nothing is wrong any more", |node| {
        node.operator.report().faults.is_empty()
            && node.pool_condition("blue", pool::IPS_USED).is_some()
    })
    .await;
}

#[tokio::test]
async fn many_services_are_given_in_order_and_all_written() {
    let disk = Disk::new();
    disk.put("pool.yaml", &POOL.replace("192.0.2.0/30", "10.0.0.0/16"));
    let all: Vec<String> = (0..1000).map(|n| plain(&format!("web-{n:04}"))).collect();
    disk.put("web.yaml", &all.join("---"));

    let mut node = disk.start();

    node.until("the last service has the last address", |node| {
        node.ingress("web-0999") == ["10.0.3.231"]
    })
    .await;
    node.until("each service has one", |node| {
        (0..1000).all(|n| node.ingress(&format!("web-{n:04}")).len() == 1)
    })
    .await;
}

/// Refuses the first writes.
struct Failing {
    statuses: DirectoryStatuses,
    failures: Arc<AtomicUsize>,
}

impl Statuses for Failing {
    async fn write(&self, key: Key, seen: Version, status: StatusPatch) -> Result<(), WriteError> {
        let less = |left: usize| left.checked_sub(1);
        let left = self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        match left {
            Ok(_) => Err(WriteError::Unavailable("the disk is full".into())),
            Err(_) => self.statuses.write(key, seen, status).await,
        }
    }
}

fn plain(name: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  type: LoadBalancer
  ports: [{{port: 80}}]
"
    )
}

fn dual_stack(name: &str) -> String {
    plain(name) + "  ipFamilies: [IPv4, IPv6]\n  ipFamilyPolicy: RequireDualStack\n"
}
