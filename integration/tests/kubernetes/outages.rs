//! What becomes of a source, and of writes, while the API server is away or behind.

use std::time::{Duration, Instant};

use anyhow::ensure;
use api::{Kind, Statement, StatusPatch, Truth};
use integration::cluster::{self, ControlPlane};
use store::{Statuses as _, WriteError};

use super::view::{View, all, connect, install, key, service};

fn satisfied() -> StatusPatch {
    let statement = Statement::new(Truth::True, "satisfied", "");
    StatusPatch {
        conditions: [("cilium.io/IPAMRequestSatisfied".to_owned(), Some(statement))].into(),
        ..StatusPatch::default()
    }
}

/// While the API server is gone everything stays as it was and the trouble is said; what came and
/// went meanwhile is seen once it is back, whether or not it still knows the source's position.
#[test]
fn an_api_server_that_is_killed_takes_nothing_along() {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        install(&control)?;
        control.apply(&(service("default", "one") + &service("default", "two")))?;
        let kinds = [Kind::Service, Kind::Node, Kind::CiliumLoadBalancerIPPool];
        let view = View::open(control.admin(), &all(&kinds))?;
        let one = key(Kind::Service, "default", "one");
        let three = key(Kind::Service, "default", "three");
        let before = view.until("all is synced", |seen| seen.synced.len() == 3)?;
        let version = view.version(&one)?;

        control.stop_api()?;
        view.until_trouble("the API server does not answer: ")?;
        view.until_trouble("refused")?;
        let write = view.write(&one, &version, satisfied());
        ensure!(view.snapshot() == before, "something changed");
        ensure!(
            matches!(write, Err(WriteError::Unavailable(_))),
            "{write:?}"
        );

        control.start_api()?;
        control.kubectl("delete service one")?;
        control.apply(&service("default", "three"))?;
        view.until("what happened is seen", |seen| {
            !seen.objects.contains_key(&one) && seen.objects.contains_key(&three)
        })?;
        view.until_well()
    });
}

/// A source that begins before its API server waits, says so, and is not synced.
#[test]
fn a_source_may_begin_before_its_api_server() {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        control.stop_api()?;
        let view = View::open(control.admin(), &all(&[Kind::Service]))?;

        view.until_trouble("does not answer")?;
        ensure!(view.snapshot().synced.is_empty());
        control.start_api()?;

        view.until("services are synced", |seen| !seen.synced.is_empty())?;
        view.until_well()
    });
}

/// A frozen API server holds its connections and answers nothing. Writes end in time, and all goes
/// on when it thaws.
#[test]
fn an_api_server_that_is_frozen_holds_nobody() {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        control.apply(&service("default", "web"))?;
        let web = key(Kind::Service, "default", "web");
        let view = View::open(control.admin(), &all(&[Kind::Service]))?;
        let version = view.version(&web)?;
        let (runtime, hurried) = connect(control.admin(), Duration::from_secs(1))?;

        control.freeze_api(true)?;
        let begun = Instant::now();
        let write = runtime.block_on(hurried.write(web.clone(), version.clone(), satisfied()));
        let took = begun.elapsed();
        control.freeze_api(false)?;

        ensure!(
            matches!(write, Err(WriteError::Unavailable(_))),
            "{write:?}"
        );
        ensure!(took < Duration::from_secs(4), "{took:?}");
        runtime.block_on(hurried.write(web.clone(), version, satisfied()))?;
        view.until("the status is seen", |seen| {
            let object = seen.objects.get(&web);
            object.is_some_and(|object| object.conditions().len() == 1)
        })?;
        Ok(())
    });
}

/// A certificate that has expired is named as what it is, what was seen stays, and a new one ends
/// the trouble without a restart.
#[test]
fn an_expired_certificate_is_said_and_survived() {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        control.apply(&service("default", "web"))?;
        let view = View::open(control.admin(), &all(&[Kind::Service]))?;
        let before = view.until("services are synced", |seen| !seen.synced.is_empty())?;

        control.set_serving_lifetime(Duration::ZERO);
        control.stop_api()?;
        control.start_api()?;
        let said = view.until_trouble("certificate has expired")?;
        ensure!(
            said.starts_with("the API server's certificate has expired: it has to be renewed"),
            "{said}"
        );
        ensure!(view.snapshot() == before, "something changed");

        control.set_serving_lifetime(Duration::from_secs(600));
        control.stop_api()?;
        control.start_api()?;
        control.apply(&service("default", "later"))?;
        let later = key(Kind::Service, "default", "later");
        view.until("what came later is seen", |seen| {
            seen.objects.contains_key(&later)
        })?;
        view.until_well()
    });
}

/// etcd goes, and the API server with it as far as anybody can use it: nothing changes.
#[test]
fn an_etcd_that_is_away_changes_nothing() {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        control.apply(&service("default", "web"))?;
        let web = key(Kind::Service, "default", "web");
        let view = View::open(control.admin(), &all(&[Kind::Service]))?;
        let version = view.version(&web)?;
        let before = view.snapshot();

        control.etcd().stop()?;
        let write = view.write(&web, &version, satisfied());
        ensure!(
            matches!(write, Err(WriteError::Unavailable(_))),
            "{write:?}"
        );
        ensure!(view.snapshot() == before, "something changed");
        control.etcd().resume()?;

        integration::until("writes go again", super::view::PATIENCE, || {
            let version = view.version(&web)?;
            Ok(view.write(&web, &version, satisfied())?)
        })?;
        view.until("the status is seen", |seen| {
            let object = seen.objects.get(&web);
            object.is_some_and(|object| object.conditions().len() == 1)
        })?;
        Ok(())
    });
}
