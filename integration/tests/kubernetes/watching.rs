//! What a source reports of a cluster that is well.

use anyhow::{Context as _, Result, ensure};
use api::{Change, Kind, Object};
use integration::cluster::{self, ControlPlane, Options};
use store::kubernetes::Watch;
use store::{Applied, Objects as _};

use super::view::{View, all, connect, first_report, install, key, service};

/// A definition as an older Cilium has it: one version, and no more said than that.
const OLDER_POOLS: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ciliumloadbalancerippools.cilium.io}
spec:
  group: cilium.io
  scope: Cluster
  names: {kind: CiliumLoadBalancerIPPool, plural: ciliumloadbalancerippools, singular: ciliumloadbalancerippool}
  versions:
  - name: v2alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
    subresources: {status: {}}
";

const OLDER_POOL: &str = "\
apiVersion: cilium.io/v2alpha1
kind: CiliumLoadBalancerIPPool
metadata: {name: blue}
spec: {blocks: [{cidr: 192.0.2.0/24}], somethingOfTheirs: {a: [1, 2]}}
";

/// Objects are seen when they appear, change and go. Only what is watched is ever synced, and what
/// only the API server needs to know is not kept.
#[test]
fn objects_are_seen_as_they_come_change_and_go() {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        control.apply(&service("default", "before"))?;
        control.kubectl("apply -f - --dry-run=client").ok();
        let view = View::open(control.admin(), &all(&[Kind::Service, Kind::Node]))?;
        let web = key(Kind::Service, "default", "web");

        let seen = view.until("both kinds are synced", |seen| seen.synced.len() == 2)?;
        ensure!(seen.synced == [Kind::Service, Kind::Node].into());
        ensure!(
            seen.objects
                .contains_key(&key(Kind::Service, "default", "before"))
        );

        control.kubectl_with(
            &["apply", "-f", "-"],
            &service("default", "web").replace("namespace:", "labels: {a: b}, namespace:"),
        )?;
        let seen = view.until("the new service is seen", |seen| {
            seen.objects.contains_key(&web)
        })?;
        let meta = seen.objects.get(&web).context("it is gone")?.meta().clone();
        ensure!(meta.labels.get("a").map(String::as_str) == Some("b"));
        ensure!(meta.annotations.is_empty(), "{:?}", meta.annotations);
        ensure!(meta.uid.is_some() && meta.resource_version.is_some());

        control.kubectl("annotate service web sluicegate.io/when-empty=refuse example.com/a=b")?;
        view.until("the annotation is seen", |seen| {
            let object = seen.objects.get(&web);
            object.is_some_and(|object| object.meta().annotations.len() == 1)
        })?;
        control.kubectl("annotate service web sluicegate.io/when-empty=never --overwrite")?;
        let seen = view.until("it is refused", |seen| seen.refused.contains_key(&web))?;
        ensure!(seen.objects.contains_key(&web), "its last value is kept");

        control.kubectl("delete service web")?;
        view.until("it is gone", |seen| {
            !seen.objects.contains_key(&web) && !seen.refused.contains_key(&web)
        })?;
        ensure!(view.troubles().is_empty(), "{:?}", view.troubles());
        Ok(())
    });
}

/// The first report of a kind begins with all there is, and the list of an older API server, which
/// has no streams, comes in pages and says the same.
#[test]
fn a_list_in_pages_says_the_same_as_a_stream() {
    const SERVICES: usize = 300;

    cluster::run(|lab| {
        let options = Options {
            flags: vec!["--feature-gates=WatchList=false".to_owned()],
            ..Options::default()
        };
        let control = ControlPlane::start_with(lab, options)?;
        let many: String = (0..SERVICES)
            .map(|n| service("default", &format!("web-{n}")).replace("LoadBalancer", "ClusterIP"))
            .collect();
        control.apply(&many)?;
        let view = View::open(control.admin(), &all(&[Kind::Service]))?;
        let in_pages = view.until("all is synced", |seen| seen.synced.len() == 1)?;

        control.kubectl("delete service web-7")?;
        let web = key(Kind::Service, "default", "web-7");
        view.until("the watch after the list goes on", |seen| {
            !seen.objects.contains_key(&web)
        })?;

        // The API server's own service is there too.
        ensure!(
            in_pages.objects.len() == SERVICES + 1,
            "{}",
            in_pages.objects.len()
        );
        ensure!(view.troubles().is_empty(), "{:?}", view.troubles());
        let (runtime, cluster) = connect(control.admin(), std::time::Duration::from_secs(5))?;
        let report = first_report(&runtime, &cluster, Watch::new(Kind::Service));
        ensure!(report.first() == Some(&Change::Restart(Kind::Service)));
        Ok(())
    });
}

/// A kind that is not installed is not synced, which is said, and is seen once it is installed.
#[test]
fn a_definition_that_comes_later_is_seen_without_a_restart() {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        let kinds = [Kind::Service, Kind::CiliumLoadBalancerIPPool];
        let view = View::open(control.admin(), &all(&kinds))?;

        let said = view.until_trouble("not installed")?;
        let seen = view.until("services are synced", |seen| !seen.synced.is_empty())?;
        ensure!(seen.synced == [Kind::Service].into(), "{:?}", seen.synced);
        ensure!(
            said == "CiliumLoadBalancerIPPool (cilium.io/v2, cilium.io/v2alpha1) is not installed \
                     in the cluster",
            "{said}"
        );

        install(&control)?;
        control.apply(
            &OLDER_POOL
                .replace("v2alpha1", "v2")
                .replace(", somethingOfTheirs: {a: [1, 2]}", ""),
        )?;
        let blue = key(Kind::CiliumLoadBalancerIPPool, "", "blue");
        let seen = view.until("the pool is seen", |seen| seen.objects.contains_key(&blue))?;
        ensure!(seen.synced == kinds.into(), "{:?}", seen.synced);
        view.until_well()
    });
}

/// Cilium's older definitions serve one version only, and have fields that nobody here knows.
#[test]
fn an_older_cilium_definition_is_taken_as_it_is() {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        control.apply(OLDER_POOLS)?;
        control.kubectl("wait --for=condition=Established --timeout=30s crd --all")?;
        integration::until("it is served", integration::Patience::START, || {
            control.kubectl("get ciliumloadbalancerippools").map(drop)
        })?;
        control.apply(OLDER_POOL)?;

        let view = View::open(control.admin(), &all(&[Kind::CiliumLoadBalancerIPPool]))?;
        let blue = key(Kind::CiliumLoadBalancerIPPool, "", "blue");
        let seen = view.until("the pool is seen", |seen| seen.objects.contains_key(&blue))?;

        ensure!(matches!(
            seen.objects.get(&blue),
            Some(Object::CiliumLoadBalancerIPPool(pool)) if pool.blocks.len() == 1
        ));
        // Written in the version that is served, whatever the manifest says.
        let manifest = serde_json::json!({
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumLoadBalancerIPPool",
            "metadata": {"name": "green"},
            "spec": {"blocks": [{"cidr": "198.51.100.0/24"}]},
        });
        ensure!(view.block_on(view.cluster.apply(&manifest))? == Applied::Created);
        let green = key(Kind::CiliumLoadBalancerIPPool, "", "green");
        view.until("it is seen", |seen| seen.objects.contains_key(&green))?;
        ensure!(view.block_on(view.cluster.delete(&green))?);
        view.until("it is gone", |seen| !seen.objects.contains_key(&green))?;
        Ok(())
    });
}

/// Where only some namespaces are watched, the others' objects are not seen, and the kind is synced
/// when all of them were listed. A list that is made anew says what has gone in one of them.
#[test]
fn only_the_namespaces_that_are_told_are_watched() {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        for name in ["one", "two", "three"] {
            control.kubectl(&format!("create namespace {name}"))?;
            control.apply(&service(name, "web"))?;
        }
        let watches = [
            Watch::new(Kind::Service).in_namespaces(["one", "two"]),
            Watch::new(Kind::Secret)
                .in_namespaces(["one"])
                .with_fields("metadata.name=bgp"),
        ];
        let view = View::open(control.admin(), &watches)?;

        let seen = view.until("all is synced", |seen| seen.synced.len() == 2)?;
        let namespaces: Vec<String> = seen.objects.keys().map(ToString::to_string).collect();
        ensure!(
            namespaces == ["Service/one/web", "Service/two/web"],
            "{namespaces:?}"
        );

        for name in ["bgp", "other"] {
            control.kubectl(&format!(
                "create secret generic {name} -n one --from-literal=password=x --from-literal=k=v"
            ))?;
        }
        let bgp = key(Kind::Secret, "one", "bgp");
        let seen = view.until("the secret is seen", |seen| seen.objects.contains_key(&bgp))?;
        ensure!(seen.objects.len() == 3);
        ensure!(
            matches!(seen.objects.get(&bgp), Some(Object::Secret(secret)) if secret.data.len() == 1)
        );

        // The new API server has forgotten what happened before, so all is listed anew.
        control.stop_api()?;
        control.start_api()?;
        control.kubectl("delete service web -n two")?;
        let seen = view.until("what went is seen to be gone", |seen| {
            seen.objects.len() == 2
        })?;
        ensure!(seen.objects.contains_key(&key(Kind::Service, "one", "web")));
        Ok(())
    });
}

/// What only counts how often a Node was heard of is no news.
#[test]
fn a_heartbeat_is_no_news() -> Result<()> {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        control.apply("apiVersion: v1\nkind: Node\nmetadata: {name: a}\n")?;
        let view = View::open(control.admin(), &all(&[Kind::Node]))?;
        let a = key(Kind::Node, "", "a");
        let before = view.until("the node is seen", |seen| seen.objects.contains_key(&a))?;

        control.kubectl("annotate node a example.com/heard=1")?;
        control.kubectl("label node a mark=1")?;
        let after = view.until("the label is seen", |seen| {
            let object = seen.objects.get(&a);
            object.is_some_and(|node| node.meta().labels.contains_key("mark"))
        })?;

        ensure!(before.objects.get(&a) != after.objects.get(&a));
        let meta = after.objects.get(&a).context("it is gone")?.meta();
        ensure!(meta.resource_version.is_none() && meta.annotations.is_empty());
        Ok(())
    });
    Ok(())
}
