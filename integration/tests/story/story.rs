//! Addresses, statuses and BGP configurations: the same objects come to the same in every place.

use anyhow::{Result, ensure};
use integration::until;
use serde_json::{Value, json};

use crate::picture::{until_picture, versions};
use crate::site::{Kind, NODE, PATIENCE, Site, run};

#[test]
fn the_story_in_a_directory() {
    run(Kind::Directory, |lab| {
        story(&mut Site::build(Kind::Directory, lab)?)
    });
}

#[test]
fn the_story_in_a_fleet() {
    run(Kind::Fleet, |lab| {
        story(&mut Site::build(Kind::Fleet, lab)?)
    });
}

#[test]
fn the_story_in_a_cluster() {
    run(Kind::Cluster, |lab| {
        story(&mut Site::build(Kind::Cluster, lab)?)
    });
}

/// As users of Cilium have it; the second Service is not the pool's.
const OBJECTS: &str = r#"
apiVersion: cilium.io/v2alpha1
kind: CiliumLoadBalancerIPPool
metadata:
  name: empire-ip-pool
spec:
  blocks:
    - cidr: "172.18.255.200/29"
    - cidr: "2001:db8:dead:beef::0/64"
  serviceSelector:
    matchLabels:
      org: empire
---
apiVersion: v1
kind: Service
metadata:
  name: deathstar
  namespace: batuu
  labels: {org: empire}
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  ipFamilies: [IPv4, IPv6]
  ports: [{name: http, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: falcon, namespace: batuu, labels: {org: alliance}}
spec:
  type: LoadBalancer
  ports: [{name: http, port: 80}]
---
apiVersion: cilium.io/v2
kind: CiliumBGPClusterConfig
metadata: {name: rack1}
spec:
  nodeSelector: {matchLabels: {rack: r1}}
  bgpInstances:
    - name: edge
      localASN: 65010
      peers:
        - {name: tor, peerASN: 65001, peerAddress: "10.1.0.254", peerConfigRef: {name: tor}}
---
apiVersion: cilium.io/v2
kind: CiliumBGPClusterConfig
metadata: {name: rack2}
spec:
  nodeSelector: {matchLabels: {rack: r2}}
  bgpInstances:
    - name: edge
      localASN: 65020
"#;

const PEERING: &str = "
apiVersion: cilium.io/v2
kind: CiliumBGPPeerConfig
metadata: {name: tor}
spec:
  families:
    - {afi: ipv4, safi: unicast}
";

const AT_FIRST: &str = "\
services deathstar 172.18.255.200,2001:db8:dead:beef::
  IPAMRequestSatisfied True satisfied
services falcon
  IPAMRequestSatisfied False no_pool There are no enabled CiliumLoadBalancerIPPools that match this service
ciliumloadbalancerippools empire-ip-pool
  IPsAvailable Unknown noreason 18446744073709551622
  IPsTotal Unknown noreason 18446744073709551624
  IPsUsed Unknown noreason 2
  PoolConflict False resolved
ciliumbgpclusterconfigs rack1
  ConflictingClusterConfig False ConflictingClusterConfigs
  MissingPeerConfigs True MissingPeerConfigs Referenced CiliumBGPPeerConfig(s) are missing: [tor]
  NoMatchingNode False NoMatchingNode No node matches spec.nodeSelector
ciliumbgpclusterconfigs rack2
  ConflictingClusterConfig False ConflictingClusterConfigs
  MissingPeerConfigs False MissingPeerConfigs
  NoMatchingNode True NoMatchingNode No node matches spec.nodeSelector
";

fn story(site: &mut Site) -> Result<()> {
    site.sluice_with(&["apply", "-f", "-"], OBJECTS)?;
    until_picture(site, "everything has its status", AT_FIRST)?;
    looks_as_with_kubectl(site)?;
    node_config(
        site,
        &[],
        "BGP peer tor of edge: CiliumBGPPeerConfig tor is not there",
    )?;

    let quiet = versions(site)?;
    site.restart()?;
    site.sluice_with(&["apply", "-f", "-"], PEERING)?;
    let peered = AT_FIRST.replace(
        "MissingPeerConfigs True MissingPeerConfigs Referenced CiliumBGPPeerConfig(s) are missing: [tor]",
        "MissingPeerConfigs False MissingPeerConfigs",
    ) + "ciliumbgppeerconfigs tor\n  MissingAuthSecret False MissingAuthSecret\n";
    until_picture(site, "the peer's configuration is found", &peered)?;
    node_config(site, &["tor"], "")?;
    let now = versions(site)?;
    for (object, version) in quiet
        .iter()
        .filter(|(object, _)| !object.ends_with("rack1"))
    {
        ensure!(
            now.get(object) == Some(version),
            "{object} was written again"
        );
    }

    edited(site, &peered)?;
    deleted_and_made_again(site)?;
    spoilt(site)
}

/// The columns and cells of `kubectl get`, whatever the place.
fn looks_as_with_kubectl(site: &Site) -> Result<()> {
    let cells = |text: &str| -> Vec<Vec<String>> {
        let rows = text.lines();
        let cells = rows.map(|row| row.split("   ").map(str::trim));
        let cells = cells.map(|row| row.filter(|cell| !cell.is_empty()).map(str::to_owned));
        cells.map(Iterator::collect).collect()
    };
    let pools = cells(&site.sluice("get ippools")?);
    let [head, pool] = pools.as_slice() else {
        anyhow::bail!("{pools:?}");
    };
    ensure!(
        head == &["NAME", "DISABLED", "CONFLICTING", "IPS AVAILABLE", "AGE"],
        "{head:?}"
    );
    let counted = ["empire-ip-pool", "false", "False", "18446744073709551622"];
    ensure!(
        pool.get(..4).is_some_and(|pool| pool == counted),
        "{pool:?}"
    );
    ensure!(pool.len() == 5, "{pool:?} has no age");
    let services = cells(&site.sluice("get svc deathstar falcon -n batuu")?);
    let external: Vec<Option<&String>> = services.iter().map(|row| row.get(3)).collect();
    ensure!(
        external
            == [
                Some(&"EXTERNAL-IP".to_owned()),
                Some(&"172.18.255.200,2001:db8:dead:beef::".to_owned()),
                Some(&"<pending>".to_owned())
            ],
        "{services:?}"
    );
    Ok(())
}

/// What the operator makes of the BGP configuration for the node, and what the agent says of it: the
/// names of its peers or, as long as it cannot run them, why not.
fn node_config(site: &Site, peers: &[&str], error: &str) -> Result<()> {
    if !site.has_node_configs() {
        let configs = site.json("get ciliumbgpnodeconfigs")?;
        ensure!(configs["items"] == json!([]), "{configs}");
        return Ok(());
    }
    let wanted = json!([{
        "name": "edge",
        "localASN": 65010,
        "peers": [{
            "name": "tor", "peerASN": 65001, "peerAddress": "10.1.0.254",
            "peerConfigRef": {"name": "tor"},
        }],
    }]);
    until("the agent says how its sessions are", PATIENCE, || {
        let config = site.json(&format!("get ciliumbgpnodeconfigs {NODE}"))?;
        let mut spec = config
            .pointer("/spec/bgpInstances")
            .cloned()
            .unwrap_or_default();
        // An API server puts the defaults there.
        if let Some(Value::Object(named)) = spec.pointer_mut("/0/peers/0/peerConfigRef") {
            named.retain(|field, _| field == "name");
        }
        ensure!(spec == wanted, "{config:#}");
        let all = |value: &Value, field: &str| -> Vec<Value> {
            let items = value.get(field).and_then(Value::as_array);
            items.cloned().unwrap_or_default()
        };
        let status = config.get("status").cloned().unwrap_or_default();
        let instances = all(&status, "bgpInstances");
        let running = instances.iter().flat_map(|instance| all(instance, "peers"));
        let running: Vec<Value> = running.map(|peer| peer["name"].clone()).collect();
        ensure!(running == peers, "{config:#}");
        ensure!(
            instances
                .iter()
                .all(|it| it["name"] == "edge" && it["localASN"] == 65010),
            "{config:#}"
        );
        let conditions = all(&status, "conditions");
        let mut said = conditions
            .iter()
            .filter(|condition| condition["status"] == "True");
        let said = said
            .next()
            .map_or(json!(""), |condition| condition["message"].clone());
        ensure!(said == error, "{config:#}");
        Ok(())
    })
}

/// Addresses that are asked for, a pool that gives no more, and a Service that joins.
fn edited(site: &mut Site, before: &str) -> Result<()> {
    let asked = OBJECTS.replace(
        "  labels: {org: empire}\n",
        "  labels: {org: empire}\n  annotations: {lbipam.cilium.io/ips: \
         \"172.18.255.203,2001:db8:dead:beef::7\"}\n",
    );
    let said = site.sluice_with(&["apply", "-f", "-"], &asked)?;
    ensure!(
        said == "ciliumloadbalancerippool.cilium.io/empire-ip-pool unchanged\n\
                 service/deathstar configured\n\
                 service/falcon unchanged\n\
                 ciliumbgpclusterconfig.cilium.io/rack1 unchanged\n\
                 ciliumbgpclusterconfig.cilium.io/rack2 unchanged\n",
        "{said}"
    );
    let moved = before.replace(
        "172.18.255.200,2001:db8:dead:beef::\n",
        "172.18.255.203,2001:db8:dead:beef::7\n",
    );
    until_picture(site, "what is asked for is given", &moved)?;

    let disabled = asked.replace("spec:\n  blocks:", "spec:\n  disabled: true\n  blocks:");
    let joined = disabled.replace("org: alliance", "org: empire");
    site.sluice_with(&["apply", "-f", "-"], &disabled)?;
    site.sluice_with(&["apply", "-f", "-"], &joined)?;
    until_picture(
        site,
        "a disabled pool gives nothing and takes nothing",
        &moved,
    )?;

    // While nobody gives addresses, one is asked for; what was given stays.
    site.pause(true)?;
    let enabled = joined.replace("  disabled: true\n", "");
    site.sluice_with(&["apply", "-f", "-"], &enabled)?;
    site.pause(false)?;
    let both = moved
        .replace(
            "services falcon\n  IPAMRequestSatisfied False no_pool There are no enabled \
             CiliumLoadBalancerIPPools that match this service\n",
            "services falcon 172.18.255.200\n  IPAMRequestSatisfied True satisfied\n",
        )
        .replace(
            "noreason 18446744073709551622",
            "noreason 18446744073709551621",
        )
        .replace("IPsUsed Unknown noreason 2", "IPsUsed Unknown noreason 3");
    until_picture(site, "both have addresses", &both)?;

    let given = site.json("get svc deathstar -n batuu")?;
    ensure!(
        given
            .pointer("/metadata/annotations/lbipam.cilium.io~1ips")
            .is_some(),
        "{given}"
    );
    Ok(())
}

/// What goes gives its address back; what comes again is served again, and a Service of another type
/// has nothing.
fn deleted_and_made_again(site: &mut Site) -> Result<()> {
    let said = site.sluice("delete svc deathstar -n batuu")?;
    ensure!(said == "service \"deathstar\" deleted\n", "{said}");
    let falcon = |more: &str| {
        format!(
            "apiVersion: v1\nkind: Service\n\
             metadata: {{name: falcon, namespace: batuu, labels: {{org: empire}}}}\n\
             spec: {{{more}, ports: [{{name: http, port: 80}}]}}\n"
        )
    };
    site.sluice_with(&["apply", "-f", "-"], &falcon("type: ClusterIP"))?;
    site.sluice("delete ciliumbgpclusterconfigs rack1 rack2")?;
    site.sluice("delete ciliumbgppeerconfigs tor")?;
    until_picture(
        site,
        "nothing is given",
        "services falcon\n\
         ciliumloadbalancerippools empire-ip-pool\n  \
         IPsAvailable Unknown noreason 18446744073709551624\n  \
         IPsTotal Unknown noreason 18446744073709551624\n  \
         IPsUsed Unknown noreason 0\n  \
         PoolConflict False resolved\n",
    )?;
    if site.has_node_configs() {
        until("the node's configuration goes", PATIENCE, || {
            let configs = site.json("get ciliumbgpnodeconfigs")?;
            ensure!(configs["items"] == json!([]), "{configs}");
            Ok(())
        })?;
    }

    site.sluice_with(&["apply", "-f", "-"], OBJECTS)?;
    until_picture(site, "everything is as it was at first", AT_FIRST)
}

/// Another program puts a pool there that makes no sense: what it was last stays, also for a Service
/// that comes meanwhile, until it is right again.
fn spoilt(site: &Site) -> Result<()> {
    let late = "apiVersion: v1\nkind: Service\n\
        metadata: {name: late, namespace: batuu, labels: {org: empire}}\n\
        spec: {type: LoadBalancer, ports: [{name: http, port: 80}]}\n";
    let spoilt = json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumLoadBalancerIPPool",
        "metadata": {"name": "empire-ip-pool"},
        "spec": {
            "blocks": [{"start": "172.18.255.207", "stop": "172.18.255.200"}],
            "serviceSelector": {"matchLabels": {"org": "empire"}},
        },
    });
    site.put("ciliumloadbalancerippools", "empire-ip-pool", &spoilt)?;
    site.sluice_with(&["apply", "-f", "-"], late)?;
    let given = "172.18.255.201";
    until("the late one is served", PATIENCE, || {
        let late = site.json("get svc late -n batuu")?;
        let address = late.pointer("/status/loadBalancer/ingress/0/ip");
        ensure!(address == Some(&json!(given)), "{late:#}");
        Ok(())
    })?;

    site.sluice_with(&["apply", "-f", "-"], OBJECTS)?;
    site.sluice("delete svc late -n batuu")?;
    until_picture(site, "nothing of it is left", AT_FIRST)
}
