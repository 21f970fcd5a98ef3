use proptest::prelude::*;

use super::*;

fn keys(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn parse(pairs: &[(&str, &str)]) -> Parsed {
    Settings::parse(&keys(pairs)).unwrap()
}

fn faults(pairs: &[(&str, &str)]) -> Vec<String> {
    let Faults(faults) = Settings::parse(&keys(pairs)).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

fn said(pairs: &[(&str, &str)]) -> Vec<String> {
    parse(pairs)
        .remarks
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn an_empty_map_is_the_default_and_says_nothing() {
    let parsed = parse(&[]);

    assert_eq!(parsed, Parsed::default());
    let Settings { bgp, ipam, .. } = parsed.settings;
    assert!(bgp.enabled && bgp.status_report && bgp.announce_without_endpoints && ipam.enabled);
    assert_eq!(bgp.secrets_namespace, "kube-system");
}

#[test]
fn every_key_has_an_effect() {
    let outer = [
        ("balancer-outer-source-ipv4", "10.254.0.0/16"),
        ("balancer-outer-source-ipv6", "fd00:fe::/64"),
    ];
    for (key, value, beside) in [
        ("balancer-interfaces", "eth0, eth1", &outer[..]),
        (
            "balancer-xdp",
            "native",
            &[("balancer-interfaces", "eth0"), outer[0], outer[1]],
        ),
        (
            "balancer-outer-source-ipv4",
            "10.253.0.0/16",
            &[("balancer-interfaces", "eth0"), outer[1]],
        ),
        (
            "balancer-outer-source-ipv6",
            "fd00:fd::/64",
            &[("balancer-interfaces", "eth0"), outer[0]],
        ),
        (
            "bgp-router-id-allocation-ip-pool",
            "10.9.0.0/16",
            &[("bgp-router-id-allocation-mode", "ip-pool")],
        ),
        (
            "bgp-router-id-allocation-mode",
            "ip-pool",
            &[("bgp-router-id-allocation-ip-pool", "10.9.0.0/16")],
        ),
        ("bgp-secrets-namespace", "bgp", &[]),
        ("debug", "true", &[]),
        ("default-lb-service-ipam", "none", &[]),
        ("enable-bgp-control-plane", "false", &[]),
        ("enable-bgp-control-plane-status-report", "false", &[]),
        ("enable-ipv4", "false", &[]),
        ("enable-ipv6", "false", &[]),
        ("enable-lb-ipam", "false", &[]),
        ("enable-no-service-endpoints-routable", "false", &[]),
        ("k8s-client-burst", "40", &[]),
        ("k8s-client-qps", "20", &[]),
        ("leader-election-lease-duration", "1m", &[]),
        ("leader-election-renew-deadline", "9s", &[]),
        ("leader-election-retry-period", "500ms", &[]),
        ("log-format", "json", &[]),
        ("log-level", "warn", &[]),
        ("operator-prometheus-serve-addr", ":9963", &[]),
        ("prometheus-serve-addr", "127.0.0.1:9962", &[]),
        ("watch-namespaces", "shop,web", &[]),
    ] {
        let mut with = beside.to_vec();
        with.push((key, value));
        let parsed = parse(&with);

        assert!(Settings::keys().any(|known| known == key), "{key}");
        assert_eq!(parsed.remarks, [], "{key}");
        // A pool or a source alone does nothing, and says so.
        let without = Settings::parse(&keys(beside)).map(|parsed| parsed.settings);
        assert_ne!(
            without,
            Ok(parsed.settings),
            "{key}={value} changes nothing"
        );
    }
    assert_eq!(Settings::keys().count(), 25);
}

#[test]
fn the_document_names_every_key() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/kubernetes.md");
    let document = std::fs::read_to_string(document).unwrap();

    for key in Settings::keys() {
        assert!(document.contains(&format!("`{key}`")), "{key}");
    }
}

#[test]
fn values_that_make_no_sense_are_faults_with_key_and_reason() {
    for (pairs, expected) in [
        (
            &[("enable-ipv6", "ture")][..],
            "enable-ipv6: \"ture\" is neither true nor false",
        ),
        (
            &[("enable-ipv4", "0"), ("enable-ipv6", "f")],
            "enable-ipv6: \"f\" leaves no family, as enable-ipv4 is off too",
        ),
        (
            &[("bgp-router-id-allocation-mode", "ip-pool")],
            "bgp-router-id-allocation-mode: \"ip-pool\" needs bgp-router-id-allocation-ip-pool",
        ),
        (
            &[("bgp-router-id-allocation-ip-pool", "fd00::/64")],
            "bgp-router-id-allocation-ip-pool: \"fd00::/64\" is not an IPv4 prefix",
        ),
        (
            &[("leader-election-lease-duration", "15")],
            "leader-election-lease-duration: \"15\" is not a duration, such as 15s or 1m30s",
        ),
        (
            &[("leader-election-renew-deadline", "15s")],
            "leader-election-renew-deadline: \"15s\" is not less than leader-election-lease-duration",
        ),
        (
            &[("leader-election-retry-period", "9s")],
            "leader-election-retry-period: \"9s\" is not well below leader-election-renew-deadline",
        ),
        (
            &[("prometheus-serve-addr", "localhost")],
            "prometheus-serve-addr: \"localhost\" is not ADDRESS:PORT or :PORT",
        ),
        (
            &[("k8s-client-qps", "0")],
            "k8s-client-qps: \"0\" is not a whole number of at least 1",
        ),
        (
            &[("watch-namespaces", "shop,Web")],
            "watch-namespaces: \"shop,Web\" has \"Web\", which is not a namespace's name",
        ),
        (
            &[("log-format", "xml")],
            "log-format: \"xml\" is neither text nor json",
        ),
    ] {
        assert_eq!(faults(pairs), [expected]);
    }
}

#[test]
fn a_balancer_needs_both_outer_sources() {
    assert_eq!(
        faults(&[("balancer-interfaces", "eth0")]),
        [
            "balancer-outer-source-ipv4: \"\" is needed by balancer-interfaces",
            "balancer-outer-source-ipv6: \"\" is needed by balancer-interfaces",
        ]
    );
    assert_eq!(
        parse(&[("balancer-interfaces", "")]).settings.balancer,
        None
    );
}

#[test]
fn all_faults_are_told_at_once() {
    assert_eq!(
        faults(&[("debug", "x"), ("enable-lb-ipam", "y"), ("log-format", "z")]).len(),
        3
    );
}

#[test]
fn nothing_to_listen_on_is_nowhere_and_no_key_is_the_default() {
    let off = parse(&[("prometheus-serve-addr", "")]).settings;

    assert_eq!(off.agent_metrics, Some(Serve::Off));
    assert_eq!(off.operator_metrics, None);
    let on = parse(&[("operator-prometheus-serve-addr", ":9963")]).settings;
    assert_eq!(
        on.operator_metrics,
        Some(Serve::On("[::]:9963".parse().unwrap()))
    );
}

#[test]
fn the_older_words_for_kube_proxy_replacement_are_known() {
    for asks in ["true", "strict", "partial", "probe"] {
        assert_eq!(
            said(&[("kube-proxy-replacement", asks)]),
            [format!(
                "kube-proxy-replacement: \"{asks}\" is not implemented: another program, such as \
                 kube-proxy, balances inside the cluster"
            )]
        );
    }
    for quiet in ["false", "disabled", ""] {
        assert!(
            said(&[("kube-proxy-replacement", quiet)]).is_empty(),
            "{quiet}"
        );
    }
}

#[test]
fn what_is_not_implemented_is_said_where_it_is_asked_for() {
    for (key, asks, quiet) in [
        ("enable-l2-announcements", "true", "false"),
        ("enable-egress-gateway", "true", "false"),
        ("enable-hubble", "true", "false"),
        ("enable-wireguard", "true", "false"),
        ("encrypt-node", "true", "false"),
        ("enable-ingress-controller", "true", "false"),
        ("auto-direct-node-routes", "true", "false"),
        ("cni-chaining-mode", "portmap", "none"),
        ("cluster-id", "3", "0"),
    ] {
        let remarks = parse(&[(key, asks)]).remarks;
        assert!(
            matches!(&remarks[..], [Remark::NotImplemented { .. }]),
            "{key}"
        );
        assert_eq!(parse(&[(key, quiet)]).remarks, [], "{key}");
    }
}

#[test]
fn host_bits_of_the_native_routing_prefix_are_cleared_with_a_remark() {
    assert_eq!(
        said(&[("ipv4-native-routing-cidr", "10.1.2.3/8")]),
        [
            "ipv4-native-routing-cidr: \"10.1.2.3/8\" has host bits set; 10.0.0.0/8 is used",
            "ipv4-native-routing-cidr: \"10.1.2.3/8\" is not implemented: pods keep the addresses \
             and routes that the cluster's CNI gives them",
        ]
    );
    assert_eq!(said(&[("ipv4-native-routing-cidr", "10.0.0.0/8")]).len(), 1);
}

#[test]
fn a_key_that_nobody_knows_is_named() {
    assert_eq!(
        said(&[("colour", "blue")]),
        ["colour: no such key; it has no effect"]
    );
}

#[test]
fn durations_are_written_as_go_writes_them() {
    for (text, millis) in [
        ("15s", 15_000),
        ("1m30s", 90_000),
        ("500ms", 500),
        ("1h0m1s", 3_601_000),
    ] {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in [
        "",
        "s",
        "15",
        "15 s",
        "-1s",
        "1.5s",
        "0s",
        "1d",
        "99999999999999999999s",
        "1é",
    ] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn lists_are_read_with_commas_spaces_and_braces() {
    for text in ["a,b", "a b", "{a,b}", " {a, b} ", "a,\nb\n"] {
        assert_eq!(value::words(text), ["a", "b"], "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_map_makes_it_panic(
        map in prop::collection::btree_map(
            prop_oneof![prop::sample::select(read::KEYS.to_vec()).prop_map(str::to_owned), ".{0,30}"],
            ".{0,40}",
            0..12,
        )
    ) {
        let _ = Settings::parse(&map);
    }
}
