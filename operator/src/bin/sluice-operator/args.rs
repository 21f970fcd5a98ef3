//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// The Sluicegate operator: gives addresses to LoadBalancer Services, tells each node what to announce
/// to whom, and writes both into the objects' statuses.
#[derive(Clone, Debug, Default, Parser)]
#[command(
    version,
    after_help = "Outside of a cluster:  sluice-operator --kubeconfig FILE\n\
        In a pod:              sluice-operator\n\
        For a fleet on etcd:   sluice-operator --etcd URL --etcd URL ...\n\n\
        Run two or more: they compete for the lease \"sluicegate-operator\" and one leads. The others \
        wait, and one of them takes over when the leader ends (at once), or dies, hangs or is cut off \
        (once the lease has run out, 15 seconds by default). Clocks need not agree.\n\
        Without any operator nothing breaks: traffic, BGP and the addresses that were given stay as \
        they are. Only new addresses wait.\n\n\
        A leader installs the CustomResourceDefinitions that are missing and upgrades its own older \
        ones; Cilium's are taken as they are.\n\
        /healthz, /readyz and /metrics are served on --metrics. /readyz says in words what is wrong: \
        which rule its role lacks, what cannot be listed, which statuses are refused.\n\
        SIGTERM ends it: what is being written is finished, and the lease is given back."
)]
pub(crate) struct Args {
    /// The kubeconfig of the cluster; without it the service account of the pod
    #[arg(long, value_name = "FILE", conflicts_with = "etcd")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// A context of the kubeconfig other than its current one
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    pub(crate) context: Option<String>,

    /// The namespace of the lease; without it kube-system
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    pub(crate) namespace: Option<String>,

    /// A mounted ConfigMap: a file for each key; flags win
    #[arg(long, value_name = "DIR")]
    pub(crate) config_dir: Option<PathBuf>,

    /// What the lease calls this operator, followed by something random; without it the hostname
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub(crate) identity: Option<String>,

    /// Where /metrics, /healthz and /readyz are served; without it 127.0.0.1:9963
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) metrics: Option<SocketAddr>,

    /// Install no CustomResourceDefinitions
    #[arg(long)]
    pub(crate) skip_crd_creation: bool,

    /// For how long the lease is held after each renewal; whole seconds (15s)
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) leader_election_lease_duration: Option<Duration>,

    /// How long after its last renewal a leader stops writing (10s)
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) leader_election_renew_deadline: Option<Duration>,

    /// How often the lease is renewed or looked at (2s)
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) leader_election_retry_period: Option<Duration>,

    /// A level (error, warn, info, debug, trace) or a filter such as info,operator=debug
    #[arg(long, value_name = "FILTER")]
    pub(crate) log_level: Option<String>,

    /// Text for a person or JSON for a collector
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,

    #[command(flatten)]
    pub(crate) etcd: Etcd,
}

/// How etcd is reached.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Etcd {
    /// Objects and the lease are in this etcd instead of a cluster; repeated for more members
    #[arg(id = "etcd", long = "etcd", value_name = "URL")]
    pub(crate) urls: Vec<String>,

    /// Who may have signed etcd's certificates
    #[arg(long = "etcd-ca", value_name = "FILE", requires = "etcd")]
    pub(crate) etcd_ca: Option<PathBuf>,

    /// The certificate to show to etcd
    #[arg(long = "etcd-cert", value_name = "FILE", requires = "etcd_key")]
    pub(crate) etcd_cert: Option<PathBuf>,

    /// The key of that certificate
    #[arg(long = "etcd-key", value_name = "FILE", requires = "etcd_cert")]
    pub(crate) etcd_key: Option<PathBuf>,

    /// A user of etcd
    #[arg(
        long = "etcd-user",
        value_name = "NAME",
        requires = "etcd_password_file"
    )]
    pub(crate) etcd_user: Option<String>,

    /// A file with that user's password
    #[arg(
        long = "etcd-password-file",
        value_name = "FILE",
        requires = "etcd_user"
    )]
    pub(crate) etcd_password_file: Option<PathBuf>,

    /// What every key in etcd begins with
    #[arg(long = "etcd-prefix", value_name = "PREFIX", requires = "etcd")]
    pub(crate) etcd_prefix: Option<String>,
}

/// Text or JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// `15s`, `500ms` or `15`.
fn seconds(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s').unwrap_or(text), 1000),
    };
    let millis = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    let millis = millis.ok_or("expected a time such as 15s or 500ms")?;
    Ok(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn times_are_seconds_or_milliseconds() {
        assert_eq!(seconds("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(seconds("15"), Ok(Duration::from_secs(15)));
        assert_eq!(seconds("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["", "s", "1m", "-1s", "1.5s", "99999999999999999999s"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
