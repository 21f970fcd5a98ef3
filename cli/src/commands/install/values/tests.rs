use serde_json::json;

use super::*;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/helm/sluicegate/");

fn support() -> Support {
    Support::parse(&std::fs::read_to_string(format!("{CHART}files/support.yaml")).unwrap()).unwrap()
}

/// `a.b=c` as values.
fn one(path: &str, setting: Value) -> Value {
    path.rsplit('.')
        .fold(setting, |inner, name| json!({ name: inner }))
}

const CNI: &str = "pods keep the addresses and routes that the cluster's CNI gives them";
const KUBE_PROXY: &str = "another program, such as kube-proxy, balances inside the cluster";
const FLOWS: &str = "flows are not observed";

/// Every value that the install lines of Cilium's users have: what is said of a setting that asks for
/// something, and of none for what is honoured.
#[test]
fn every_value_that_ciliums_users_set_is_honoured_or_named() {
    let support = support();
    for (path, setting, missing) in [
        ("k8sServiceHost", json!("10.0.0.1"), None),
        ("k8sServicePort", json!(6443), None),
        ("operator.replicas", json!(1), None),
        ("bgpControlPlane.enabled", json!(true), None),
        ("compat.cilium", json!(true), None),
        ("ipam.mode", json!("kubernetes"), Some(CNI)),
        (
            "ipam.operator.clusterPoolIPv4PodCIDRList",
            json!(["10.0.0.0/8"]),
            Some(CNI),
        ),
        (
            "ipam.operator.clusterPoolIPv4PodCIDRList",
            json!("10.0.0.0/8"),
            Some(CNI),
        ),
        ("k8s.requireIPv4PodCIDR", json!(true), Some(CNI)),
        ("ipv4NativeRoutingCIDR", json!("10.0.0.0/8"), Some(CNI)),
        ("routingMode", json!("native"), Some(CNI)),
        ("autoDirectNodeRoutes", json!(true), Some(CNI)),
        ("bpf.masquerade", json!(true), Some(CNI)),
        ("kubeProxyReplacement", json!(true), Some(KUBE_PROXY)),
        ("kubeProxyReplacement", json!("true"), Some(KUBE_PROXY)),
        ("kubeProxyReplacement", json!("strict"), Some(KUBE_PROXY)),
        ("kubeProxyReplacement", json!("partial"), Some(KUBE_PROXY)),
        ("kubeProxyReplacement", json!("disabled"), None),
        ("kubeProxyReplacement", json!(false), None),
        ("installNoConntrackIptablesRules", json!(true), Some(CNI)),
        (
            "l2announcements.enabled",
            json!(true),
            Some("addresses are announced by BGP only"),
        ),
        (
            "egressGateway.enabled",
            json!(true),
            Some("egress traffic is left alone"),
        ),
        ("hubble.enabled", json!(true), Some(FLOWS)),
        ("hubble.relay.enabled", json!(true), Some(FLOWS)),
        ("hubble.ui.enabled", json!(true), Some(FLOWS)),
        (
            "hubble.metrics.enabled",
            json!(["dns", "drop"]),
            Some(FLOWS),
        ),
        (
            "hubble.metrics.enabled",
            json!("{dns,drop,tcp,flow,icmp,http}\n"),
            Some(FLOWS),
        ),
        ("hubble.tls.auto.enabled", json!(true), Some(FLOWS)),
        ("hubble.ui.service.type", json!("NodePort"), Some(FLOWS)),
        ("hubble.relay.service.type", json!("NodePort"), Some(FLOWS)),
        (
            "encryption.enabled",
            json!(true),
            Some("traffic between nodes is not encrypted here"),
        ),
        (
            "encryption.nodeEncryption",
            json!(true),
            Some("traffic between nodes is not encrypted here"),
        ),
        ("nodePort.enabled", json!(true), Some(KUBE_PROXY)),
        (
            "ingressController.enabled",
            json!(true),
            Some("Ingress objects are left to another controller"),
        ),
        (
            "ingressController.loadbalancerMode",
            json!("shared"),
            Some("Ingress objects are left to another controller"),
        ),
        ("cni.chainingMode", json!("portmap"), Some(CNI)),
        ("cni.chainingMode", json!("none"), None),
        ("cni.install", json!(true), Some(CNI)),
        ("cni.install", json!(false), None),
    ] {
        let word = word(&setting);
        let expected: Vec<String> = missing
            .map(|missing| format!("{path}={word}: not implemented; {missing}"))
            .into_iter()
            .collect();

        assert_eq!(support.warnings(&one(path, setting)), expected);
    }
}

#[test]
fn what_is_switched_off_asks_for_nothing() {
    for path in [
        "k8s.requireIPv4PodCIDR",
        "autoDirectNodeRoutes",
        "bpf.masquerade",
        "installNoConntrackIptablesRules",
        "l2announcements.enabled",
        "egressGateway.enabled",
        "hubble.enabled",
        "hubble.relay.enabled",
        "hubble.tls.auto.enabled",
        "encryption.enabled",
        "encryption.nodeEncryption",
        "nodePort.enabled",
        "ingressController.enabled",
    ] {
        for off in [json!(false), json!("false"), json!(""), Value::Null] {
            let said = support().warnings(&one(path, off.clone()));
            assert!(said.is_empty(), "{path}={off}: {said:?}");
        }
    }
}

#[test]
fn host_bits_are_cleared_with_a_warning() {
    let said = support().warnings(&json!({"ipv4NativeRoutingCIDR": "10.1.2.3/8"}));

    assert_eq!(
        said.first().map(String::as_str),
        Some("ipv4NativeRoutingCIDR=10.1.2.3/8: has host bits set; 10.0.0.0/8 is used")
    );
    assert_eq!(said.len(), 2);
    assert_eq!(without_host_bits("1.2.3.4/0"), Some("0.0.0.0/0".into()));
    for fine in [
        "10.0.0.0/8",
        "1.2.3.4/32",
        "0.0.0.0/0",
        "10.0.0.0/33",
        "fd00::1/64",
        "x",
    ] {
        assert_eq!(without_host_bits(fine), None, "{fine}");
    }
}

#[test]
fn a_value_that_nobody_knows_is_named() {
    let values = json!({"colour": {"blue": 1}, "nodeSelector": {"kubernetes.io/os": "linux"}});

    assert_eq!(
        support().warnings(&values),
        ["colour.blue=1: no such value; it has no effect"]
    );
}

#[test]
fn the_closest_path_decides() {
    let support = support();

    assert_eq!(
        support
            .warnings(&json!({"hubble": {"relay": {"replicas": 2}}}))
            .len(),
        1
    );
    assert!(
        support
            .warnings(&json!({"defaultLBServiceIPAM": "none"}))
            .is_empty()
    );
    assert_eq!(
        support
            .warnings(&json!({"defaultLBServiceIPAM": "nodeipam"}))
            .len(),
        1
    );
    assert_eq!(
        support.warnings(&json!({"k8sServiceHost": "auto"})).len(),
        1
    );
}

#[test]
fn the_defaults_of_the_chart_are_all_known_and_ask_for_nothing_missing() {
    let text = std::fs::read_to_string(format!("{CHART}values.yaml")).unwrap();
    let values: Value = serde_saphyr::from_str(&text).unwrap();

    assert_eq!(support().warnings(&values), Vec::<String>::new());
}

#[test]
fn a_chart_without_a_table_says_nothing_of_values() {
    let support = Support::parse("").unwrap();

    assert!(support.warnings(&json!({"colour": 1})).is_empty());
}

#[test]
fn the_table_names_keys_that_agents_and_operators_know() {
    let text = std::fs::read_to_string(format!("{CHART}files/support.yaml")).unwrap();
    let table: Value = serde_saphyr::from_str(&text).unwrap();
    let lines = table.get("values").and_then(Value::as_object).unwrap();

    for (path, line) in lines {
        for (name, value) in line.as_object().unwrap() {
            assert!(
                ["key", "form", "missing", "quiet", "asks"].contains(&name.as_str()),
                "{path}: {name}"
            );
            if name == "key" {
                let key = value.as_str().unwrap().to_owned();
                let known = settings::Settings::parse(&[(key.clone(), String::new())].into());
                let unknown = settings::Remark::Unknown { key };
                assert!(
                    !known.unwrap().remarks.contains(&unknown),
                    "{path}: {unknown}"
                );
            }
        }
    }
}
