//! An API server that has too much to do.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration::cluster::{self, ControlPlane, Options};
use serde_json::json;
use store::Objects as _;

use super::view::connect;

/// An API server that takes two writes at a time turns others away for a second. Each of them is
/// made in the end, without anybody asking twice.
#[test]
fn writes_that_are_turned_away_are_made_later() {
    const WRITES: usize = 40;

    cluster::run(|lab| {
        let options = Options {
            flags: vec![
                "--enable-priority-and-fairness=false".to_owned(),
                "--max-mutating-requests-inflight=2".to_owned(),
            ],
            ..Options::default()
        };
        let control = ControlPlane::start_with(lab, options)?;
        let (runtime, cluster) = connect(control.admin(), Duration::from_secs(20))?;

        let outcomes = runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for n in 0..WRITES {
                let cluster = cluster.clone();
                tasks.spawn(async move {
                    let map = json!({
                        "apiVersion": "v1", "kind": "ConfigMap",
                        "metadata": {"name": format!("map-{n}"), "namespace": "default"},
                        "data": {"a": "b".repeat(100_000)},
                    });
                    cluster.apply(&map).await
                });
            }
            tasks.join_all().await
        });

        let failed: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        ensure!(failed.is_empty(), "{failed:?}");
        let metrics = control.kubectl("get --raw /metrics")?;
        let turned_away = metrics
            .lines()
            .any(|line| line.starts_with("apiserver_request_total") && line.contains("\"429\""));
        ensure!(turned_away, "nobody was turned away: this proves nothing");
        Ok(())
    });
}
