//! The command lines about objects.

use std::path::PathBuf;

use clap::Args;

use super::kinds::{Kinds, kinds};

/// Where objects are. The cluster of a kubeconfig is named by the arguments that all commands have.
#[derive(Clone, Debug, Default, Args)]
#[command(
    next_help_heading = "Place (one of them; default: $SLUICE_MANIFESTS, $SLUICE_ETCD, \
                               $KUBECONFIG, ~/.kube/config, or the pod's own cluster)"
)]
pub(crate) struct PlaceArgs {
    /// A directory of manifests
    #[arg(long, value_name = "DIR", conflicts_with_all = ["etcd", "kubeconfig", "context"])]
    pub(crate) manifests: Option<PathBuf>,

    /// The etcd of a fleet; repeated or with commas for more members
    #[arg(long, value_name = "URL", value_delimiter = ',', conflicts_with_all = ["kubeconfig", "context"])]
    pub(crate) etcd: Vec<String>,

    /// Who may have signed etcd's certificates
    #[arg(long, value_name = "FILE", env = "SLUICE_ETCD_CA")]
    pub(crate) etcd_ca: Option<PathBuf>,

    /// The certificate to show to etcd
    #[arg(
        long,
        value_name = "FILE",
        env = "SLUICE_ETCD_CERT",
        requires = "etcd_key"
    )]
    pub(crate) etcd_cert: Option<PathBuf>,

    /// Its private key
    #[arg(
        long,
        value_name = "FILE",
        env = "SLUICE_ETCD_KEY",
        requires = "etcd_cert"
    )]
    pub(crate) etcd_key: Option<PathBuf>,

    /// A user of etcd
    #[arg(
        long,
        value_name = "NAME",
        env = "SLUICE_ETCD_USER",
        requires = "etcd_password_file"
    )]
    pub(crate) etcd_user: Option<String>,

    /// Its password, in the first line of a file
    #[arg(
        long,
        value_name = "FILE",
        env = "SLUICE_ETCD_PASSWORD_FILE",
        requires = "etcd_user"
    )]
    pub(crate) etcd_password_file: Option<PathBuf>,

    /// What every key in etcd begins with (default: /sluicegate)
    #[arg(long, value_name = "PREFIX", env = "SLUICE_ETCD_PREFIX")]
    pub(crate) etcd_prefix: Option<String>,
}

/// `sluice apply`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ApplyArgs {
    /// Manifests: a directory, a file, or - for standard input; repeated for more
    #[arg(short, long, value_name = "DIR|FILE|-", required = true)]
    pub(crate) filename: Vec<PathBuf>,

    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `sluice get`.
#[derive(Clone, Debug, Args)]
pub(crate) struct GetArgs {
    /// Kinds with commas between them, by any of their names, or KIND/NAME
    #[arg(value_name = "KIND", value_parser = kinds)]
    pub(crate) kinds: Kinds,

    /// Names; all of the kind if there is none
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// Of all namespaces
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `sluice delete`.
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["kinds", "filename"]))]
pub(crate) struct DeleteArgs {
    /// The kind, by any of its names, or KIND/NAME
    #[arg(value_name = "KIND", value_parser = kinds)]
    pub(crate) kinds: Option<Kinds>,

    /// Names
    #[arg(value_name = "NAME", requires = "kinds")]
    pub(crate) names: Vec<String>,

    /// What these manifests name: a directory, a file, or - for standard input
    #[arg(short, long, value_name = "DIR|FILE|-")]
    pub(crate) filename: Vec<PathBuf>,

    /// What is not there needs no deletion
    #[arg(long)]
    pub(crate) ignore_not_found: bool,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `sluice export`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ExportArgs {
    /// Kinds with commas between them; all but Secrets and what the operator makes if there is none
    #[arg(value_name = "KIND", value_parser = kinds)]
    pub(crate) kinds: Option<Kinds>,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// `sluice watch`.
#[derive(Clone, Debug, Args)]
pub(crate) struct WatchArgs {
    /// Kinds with commas between them, by any of their names, or KIND/NAME
    #[arg(value_name = "KIND", value_parser = kinds)]
    pub(crate) kinds: Kinds,

    /// Names; all of the kind if there is none
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// Of all namespaces
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}
