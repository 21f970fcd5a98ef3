//! The command line and the environment, and what they make of the configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use types::NodeName;

use super::file::{default_bpf_dir, default_socket, node_name};
use super::{Bgp, Config, Edge, Etcd, Kubernetes, Log, RoleConfig, SourceConfig};

/// Where the configuration is without `--config`.
const FILE: &str = "/etc/sluicegate/agent.toml";

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Flags {
    /// The configuration file; /etc/sluicegate/agent.toml unless another source is named
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Objects come from the API server that this kubeconfig names; in a pod, its service account's
    #[arg(long, value_name = "FILE", conflicts_with = "etcd")]
    kubeconfig: Option<PathBuf>,

    /// A context of the kubeconfig other than its current one
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    context: Option<String>,

    /// This node's name, as in Node objects; without it K8S_NODE_NAME, else the hostname
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    node_name: Option<String>,

    /// The namespace of the operator's lease; without it POD_NAMESPACE, else kube-system
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,

    /// A mounted ConfigMap: a file for each key
    #[arg(long, value_name = "DIR")]
    config_dir: Option<PathBuf>,

    /// Where the local API listens
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// What must outlive the agent; with Kubernetes or etcd optional, for drains
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// Where Prometheus metrics are served
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,

    /// Objects come from this etcd, which a fleet of nodes shares; repeated for more members
    #[arg(long, value_name = "URL")]
    etcd: Vec<String>,

    /// Who may have signed etcd's certificates
    #[arg(long, value_name = "FILE", requires = "etcd")]
    etcd_ca: Option<PathBuf>,

    /// The certificate to show to etcd
    #[arg(long, value_name = "FILE", requires = "etcd", requires = "etcd_key")]
    etcd_cert: Option<PathBuf>,

    /// The key of that certificate
    #[arg(long, value_name = "FILE", requires = "etcd", requires = "etcd_cert")]
    etcd_key: Option<PathBuf>,

    /// A user of etcd
    #[arg(long, value_name = "NAME", requires = "etcd_password_file")]
    etcd_user: Option<String>,

    /// A file with that user's password
    #[arg(long, value_name = "FILE", requires = "etcd_user")]
    etcd_password_file: Option<PathBuf>,

    /// What every key in etcd begins with
    #[arg(long, value_name = "PREFIX", requires = "etcd")]
    etcd_prefix: Option<String>,
}

/// What the process was started in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    /// Whether Kubernetes runs it, in a pod.
    pub(crate) is_pod: bool,
    /// The node that Kubernetes runs it on.
    pub(crate) node_name: Option<String>,
    /// The pod's namespace.
    pub(crate) namespace: Option<String>,
}

impl Environment {
    /// The process's own.
    pub(crate) fn read() -> Self {
        let text = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        Self {
            is_pod: text("KUBERNETES_SERVICE_HOST").is_some(),
            node_name: text("K8S_NODE_NAME"),
            namespace: text("POD_NAMESPACE"),
        }
    }
}

impl Flags {
    /// What was checked, for a person to read.
    pub(crate) fn subject(&self) -> String {
        match &self.config {
            Some(file) => file.display().to_string(),
            None => "the configuration".to_owned(),
        }
    }

    /// The configuration: a file's, if there is one, and what the command line says in its place.
    ///
    /// # Errors
    /// Names the file or flag and the reason.
    pub(crate) fn config(self, environment: &Environment) -> Result<Config> {
        let source = self.source(environment);
        let name = self.node_name.clone();
        let name = name.or_else(|| environment.node_name.clone());
        let mut config = match (&self.config, &source) {
            (Some(file), _) => Config::read(file)?,
            (None, Some(source)) => Config::announcer(node_name(name.clone())?, source.clone()),
            (None, None) => Config::read(Path::new(FILE))?,
        };
        if name.is_some() {
            config.node = node_name(name)?;
        }
        if let Some(folder) = &self.config_dir {
            config.adopt(folder)?;
        }
        if let Some(socket) = &self.socket {
            config.socket.clone_from(socket);
        }
        config.metrics = self.metrics.or(config.metrics);
        let names_source = self.kubeconfig.is_some() || !self.etcd.is_empty();
        match &mut config.role {
            RoleConfig::Edge(edge) => {
                if let Some(named) = source.filter(|_| names_source) {
                    edge.source.replace(named);
                }
                edge.state_dir = self.state_dir.or(edge.state_dir.take());
                edge.source.fill(self.namespace, environment);
            }
            RoleConfig::Backend(_) if names_source => {
                bail!("a backend has no objects: --kubeconfig and --etcd are for the other roles")
            }
            RoleConfig::Backend(_) => {}
        }
        Ok(config)
    }

    /// Where objects come from, unless a file says so.
    fn source(&self, environment: &Environment) -> Option<SourceConfig> {
        if !self.etcd.is_empty() {
            return Some(SourceConfig::Etcd(Etcd {
                endpoints: self.etcd.clone(),
                prefix: self.etcd_prefix.clone(),
                ca: self.etcd_ca.clone(),
                certificate: self.etcd_cert.clone(),
                key: self.etcd_key.clone(),
                user: self.etcd_user.clone(),
                password_file: self.etcd_password_file.clone(),
                ..Etcd::default()
            }));
        }
        let is_cluster =
            self.kubeconfig.is_some() || self.config_dir.is_some() || environment.is_pod;
        is_cluster.then(|| {
            SourceConfig::Kubernetes(Kubernetes {
                kubeconfig: self.kubeconfig.clone(),
                context: self.context.clone(),
                ..Kubernetes::default()
            })
        })
    }
}

impl SourceConfig {
    /// Another source is named; what a fleet's node says of itself stays.
    fn replace(&mut self, mut named: Self) {
        if let (Self::Etcd(of_file), Self::Etcd(named)) = (&*self, &mut named) {
            named.labels.clone_from(&of_file.labels);
            named.addresses.clone_from(&of_file.addresses);
        }
        *self = named;
    }

    fn fill(&mut self, namespace: Option<String>, environment: &Environment) {
        if let Self::Kubernetes(kubernetes) = self {
            let given = namespace.or_else(|| environment.namespace.clone());
            kubernetes.namespace = kubernetes.namespace.take().or(given);
        }
    }
}

impl Config {
    /// A node that announces what another program balances.
    fn announcer(node: NodeName, source: SourceConfig) -> Self {
        Self {
            node,
            socket: default_socket(),
            bpf_dir: default_bpf_dir(),
            metrics: None,
            log: Log::default(),
            role: RoleConfig::Edge(Box::new(Edge {
                source,
                state_dir: None,
                balancer: None,
                bgp: Bgp::default(),
            })),
            remarks: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }

    #[test]
    fn a_kubeconfig_and_a_name_are_enough() {
        let config = config("--kubeconfig /k --node-name n1", &Environment::default()).unwrap();

        assert_eq!(config.node.as_str(), "n1");
        assert_eq!(config.socket, Path::new("/run/sluicegate/agent.sock"));
        let edge = edge(&config);
        assert!(edge.balancer.is_none() && edge.state_dir.is_none());
        assert_eq!(edge.bgp, Bgp::default());
        let expected = Kubernetes {
            kubeconfig: Some("/k".into()),
            ..Kubernetes::default()
        };
        assert_eq!(edge.source, SourceConfig::Kubernetes(expected));
    }

    #[test]
    fn a_pod_needs_no_flags() {
        let pod = Environment {
            is_pod: true,
            node_name: Some("n2".into()),
            namespace: Some("networking".into()),
        };

        let config = config("", &pod).unwrap();

        assert_eq!(config.node.as_str(), "n2");
        let expected = Kubernetes {
            namespace: Some("networking".into()),
            ..Kubernetes::default()
        };
        assert_eq!(edge(&config).source, SourceConfig::Kubernetes(expected));
    }

    #[test]
    fn etcd_needs_urls_and_its_flags_go_together() {
        let environment = Environment::default();
        let line = "--node-name n --etcd http://a:2379 --etcd http://b:2379 --etcd-prefix /x";

        let config = config(line, &environment).unwrap();

        let SourceConfig::Etcd(etcd) = &edge(&config).source else {
            panic!("{config:?}");
        };
        assert_eq!(etcd.endpoints, ["http://a:2379", "http://b:2379"]);
        for line in [
            "--etcd http://a --kubeconfig /k",
            "--etcd-ca /ca",
            "--etcd http://a --etcd-cert /c",
            "--etcd http://a --etcd-user u",
            "--context other",
        ] {
            assert!(Line::try_parse_from(words(line)).is_err(), "{line}");
        }
    }

    #[test]
    fn what_a_node_says_of_itself_stays_when_another_etcd_is_named() {
        let etcd = |url: &str, rack: &str| Etcd {
            endpoints: vec![url.into()],
            labels: [("rack".to_owned(), rack.to_owned())].into(),
            ..Etcd::default()
        };
        let mut source = SourceConfig::Etcd(etcd("http://file", "r1"));

        source.replace(SourceConfig::Etcd(Etcd {
            labels: std::collections::BTreeMap::new(),
            ..etcd("http://line", "")
        }));

        assert_eq!(source, SourceConfig::Etcd(etcd("http://line", "r1")));
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let folder = std::env::temp_dir().join(format!("sluice-flags-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("agent.toml");
        let text = "node-name = \"file\"\nrole = \"announcer\"\nmanifests = \"/m\"\n";
        std::fs::write(&file, text).unwrap();
        let read = |more: &str| {
            let line = format!("--config {} {more}", file.display());
            config(&line, &Environment::default()).unwrap()
        };

        let of_file = read("");
        let of_both = read("--kubeconfig /k --node-name line --socket /s --state-dir /d");

        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(of_file.node.as_str(), "file");
        assert!(matches!(edge(&of_file).source, SourceConfig::Directory(_)));
        assert_eq!(of_both.node.as_str(), "line");
        assert_eq!(of_both.socket, Path::new("/s"));
        assert!(matches!(edge(&of_both).source, SourceConfig::Kubernetes(_)));
        assert_eq!(edge(&of_both).state_dir.as_deref(), Some(Path::new("/d")));
    }

    fn config(line: &str, environment: &Environment) -> Result<Config> {
        let line = Line::try_parse_from(words(line))?;
        line.flags.config(environment)
    }

    fn words(line: &str) -> impl Iterator<Item = &str> {
        std::iter::once("sluice-agent").chain(line.split_whitespace())
    }

    fn edge(config: &Config) -> &Edge {
        match &config.role {
            RoleConfig::Edge(edge) => edge,
            RoleConfig::Backend(backend) => panic!("{backend:?}"),
        }
    }
}
