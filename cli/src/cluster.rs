//! The cluster that a command is about, and how it is asked.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Where Cilium's users have it.
pub(crate) const NAMESPACE: &str = "kube-system";

/// An API server that does not answer in this time is away.
const PATIENCE: Duration = Duration::from_secs(15);

/// Which cluster, and where in it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterArgs {
    /// How to reach the cluster (default: $KUBECONFIG, or ~/.kube/config)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The kubeconfig's context (default: its current one)
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// The namespace: of objects (default: the context's, or default), else of Sluicegate (default: kube-system)
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
}

/// Whether the API server did not answer at all.
pub(crate) fn is_away(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
    causes.any(|cause: &kube::Error| !matches!(cause, kube::Error::Api(_)))
}

impl ClusterArgs {
    /// The namespace that Sluicegate is in.
    pub(crate) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(NAMESPACE)
    }

    /// Whether the command line says anything about a cluster.
    pub(crate) fn given(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some() || self.namespace.is_some()
    }

    /// Whether there is a kubeconfig to be found without being told.
    pub(crate) fn at_hand() -> bool {
        let named = std::env::var_os("KUBECONFIG").is_some_and(|files| !files.is_empty());
        named || std::env::home_dir().is_some_and(|home| home.join(".kube").join("config").exists())
    }

    /// Does something with the cluster.
    ///
    /// # Errors
    /// Those of `work`, and if the kubeconfig cannot be used.
    pub(crate) fn ask<T, F: Future<Output = Result<T>>>(
        &self,
        work: impl FnOnce(Client) -> F,
    ) -> Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("starting the runtime")?;
        runtime.block_on(async { work(self.connect().await?).await })
    }

    async fn connect(&self) -> Result<Client> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let mut config = match &self.kubeconfig {
            Some(file) => {
                let file = Kubeconfig::read_from(file)
                    .with_context(|| format!("reading the kubeconfig {}", file.display()))?;
                Config::from_custom_kubeconfig(file, &options).await
            }
            None => Config::from_kubeconfig(&options).await,
        }
        .context("reading the kubeconfig (--kubeconfig names another)")?;
        config.connect_timeout = Some(PATIENCE);
        config.read_timeout = Some(PATIENCE);
        Client::try_from(config).context("making a client of the kubeconfig")
    }
}
