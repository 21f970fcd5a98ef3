//! `sluice status` of a cluster: DaemonSet, Deployment, their pods, and who leads.

mod look;
mod picture;
mod render;

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use tokio::time::{Instant, sleep};

use self::picture::Picture;
use crate::args::Output;
use crate::cluster::ClusterArgs;
use crate::output::print;

pub(super) use look::images;

/// How often to look again.
const STEP: Duration = Duration::from_secs(2);

/// A time to wait, as Go's programs have it.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    settings::duration(text).map_err(|reason| format!("\"{text}\" {reason}"))
}

/// Looks once.
pub(super) fn status(cluster: &ClusterArgs, output: Output) -> Result<bool> {
    let picture = cluster.ask(|client| async move { see(&client, cluster.namespace()).await })?;
    show(&picture, output)
}

/// Looks until all is well, or until `patience` is over; says on standard error what is waited for.
pub(super) fn wait(cluster: &ClusterArgs, output: Output, patience: Duration) -> Result<bool> {
    let picture = cluster.ask(|client| async move {
        let deadline = Instant::now() + patience;
        let mut told = String::new();
        loop {
            let picture = see(&client, cluster.namespace()).await?;
            if picture.is_well() || Instant::now() >= deadline {
                return Ok(picture);
            }
            let now = picture.waiting_for();
            if now != told {
                eprintln!("waiting: {now}");
                told = now;
            }
            sleep(STEP).await;
        }
    })?;
    show(&picture, output)
}

async fn see(client: &Client, namespace: &str) -> Result<Picture> {
    let seen = look::look(client, namespace).await?;
    Ok(Picture::of(&seen, namespace, Timestamp::now()))
}

fn show(picture: &Picture, output: Output) -> Result<bool> {
    print(output, picture, |picture, _| render::render(picture))?;
    Ok(picture.is_well())
}
