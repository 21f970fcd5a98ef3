//! What selectors select.

use api::keys;
use serde_json::{Value, json};

use crate::{cilium, pool, service};

#[test]
fn a_missing_selector_means_what_its_use_says() {
    let service = read_as!(Service, service(json!({})));
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "edge1"}});
    let node = read_as!(Node, node);
    let pool = |spec| read_as!(CiliumLoadBalancerIPPool, pool(spec));
    let cluster = |selector| {
        let instances = json!([{"name": "one", "localASN": 1}]);
        let spec = json!({"nodeSelector": selector, "bgpInstances": instances});
        read_as!(
            CiliumBGPClusterConfig,
            cilium("CiliumBGPClusterConfig", spec)
        )
    };
    let advertisement = |selector| {
        let service = json!({"addresses": ["ClusterIP"]});
        let spec = json!({"advertisements": [
            {"advertisementType": "Service", "service": service, "selector": selector},
        ]});
        read_as!(
            CiliumBGPAdvertisement,
            cilium("CiliumBGPAdvertisement", spec)
        )
    };

    assert!(pool(json!({})).selects(&service));
    assert!(pool(json!({"serviceSelector": {}})).selects(&service));
    assert!(cluster(json!(null)).selects(&node));
    assert!(cluster(json!({})).selects(&node));
    assert!(cluster(json!({"matchLabels": {keys::HOSTNAME: "edge1"}})).selects(&node));
    assert!(!cluster(json!({"matchLabels": {keys::HOSTNAME: "edge2"}})).selects(&node));
    assert!(!advertisement(json!(null)).advertisements[0].selects(&service));
    assert!(advertisement(json!({})).advertisements[0].selects(&service));
}

#[test]
fn selectors_see_a_services_name_and_namespace_before_its_labels() {
    let service = read_as!(Service, service(json!({})));
    let selects = |expression: Value| {
        let spec = json!({"serviceSelector": {"matchExpressions": [expression]}});
        read_as!(CiliumLoadBalancerIPPool, pool(spec)).selects(&service)
    };

    for (key, operator, values, expected) in [
        (keys::SERVICE_NAME, "In", json!(["web"]), true),
        (keys::SERVICE_NAME, "In", json!(["other"]), false),
        (keys::SERVICE_NAMESPACE, "NotIn", json!(["default"]), false),
        ("tier", "In", json!(["front", "back"]), true),
        ("tier", "NotIn", json!(["back"]), true),
        ("tier", "Exists", json!([]), true),
        ("tier", "DoesNotExist", json!(null), false),
        ("absent", "NotIn", json!(["x"]), true),
        ("absent", "In", json!(["x"]), false),
        ("absent", "DoesNotExist", json!(null), true),
    ] {
        let expression = json!({"key": key, "operator": operator, "values": values});
        assert_eq!(selects(expression.clone()), expected, "{expression}");
    }
}
