//! An API server that has too much to do.

use anyhow::{Result, ensure};
use api::{Kind, Statement, StatusPatch, Truth};
use integration::cluster::{self, ControlPlane, Options};
use integration::until;
use store::Statuses;

use super::view::{PATIENCE, View, all, key, service};

/// An API server that carries out one write at a time, and waits for etcd with that one, turns all
/// others away for a second. Each of them is made in the end, without anybody asking twice.
#[test]
fn writes_that_are_turned_away_are_made_later() {
    const SERVICES: usize = 8;

    cluster::run(|lab| {
        let options = Options {
            flags: vec![
                "--enable-priority-and-fairness=false".to_owned(),
                "--max-mutating-requests-inflight=1".to_owned(),
            ],
            ..Options::default()
        };
        let control = ControlPlane::start_with(lab, options)?;
        let services = (0..SERVICES).map(|n| service("default", &format!("web-{n}")));
        control.apply(&services.collect::<String>())?;
        // An administrator is never turned away.
        let writer = control.user("writer", None)?;
        control.kubectl(
            "create clusterrolebinding writer --clusterrole=cluster-admin --user=writer",
        )?;
        let watches = all(&[Kind::Service]);
        let view = View::open_patiently(&writer, &watches, PATIENCE.0)?;
        let keys = (0..SERVICES).map(|n| key(Kind::Service, "default", &format!("web-{n}")));
        let seen: Result<Vec<_>> = keys.map(|key| Ok((view.version(&key)?, key))).collect();
        let seen = seen?;
        let mut writes = tokio::task::JoinSet::new();

        control.etcd().freeze(true)?;
        for (version, key) in seen {
            let cluster = view.cluster.clone();
            let write = async move { Statuses::write(&cluster, key, version, satisfied()).await };
            view.block_on(async { writes.spawn(write) });
        }
        until("others are turned away", PATIENCE, || {
            let metrics = control.kubectl("get --raw /metrics")?;
            let mut lines = metrics.lines();
            let told = lines.any(|line| line.contains("\"429\"") && line.contains("\"services\""));
            ensure!(told, "nobody is");
            Ok(())
        })?;
        control.etcd().freeze(false)?;
        let outcomes = view.block_on(writes.join_all());

        let failed: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        ensure!(failed.is_empty(), "{failed:?}");
        view.until("every status is seen", |seen| {
            let objects = seen.objects.values();
            objects
                .filter(|object| object.conditions().len() == 1)
                .count()
                == SERVICES
        })?;
        Ok(())
    });
}

fn satisfied() -> StatusPatch {
    let statement = Statement::new(Truth::True, "satisfied", "");
    StatusPatch {
        conditions: [("cilium.io/IPAMRequestSatisfied".to_owned(), Some(statement))].into(),
        ..StatusPatch::default()
    }
}
