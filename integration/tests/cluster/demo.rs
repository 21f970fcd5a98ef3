//! The demonstration on Kubernetes, as a test.

use std::time::Duration;

use integration::cluster;
use integration::demo::{KubernetesDemo, Say};

/// Every step of `make demo DEMO=kubernetes` is so: addresses, routes, requests, a Local service, a
/// rolling update, a drained node, an API server that is away.
#[test]
fn every_step_of_the_demonstration_on_kubernetes_is_so() {
    cluster::run_product(|lab| {
        let say = Say::default();
        KubernetesDemo::start(lab, &say)?.run(&say, Duration::from_secs(15))
    });
}
