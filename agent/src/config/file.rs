//! The configuration file: TOML, unknown keys refused, every value checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use agent_api::Role;
use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use types::{NodeName, Prefix, RouterId};

use super::{
    Backend, Balancer, Bgp, Config, Edge, Etcd, Kubernetes, Log, RoleConfig, SourceConfig, Tables,
    XdpMode,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Raw {
    node_name: Option<String>,
    role: Role,
    #[serde(default = "default_socket")]
    socket: PathBuf,
    state_dir: Option<PathBuf>,
    #[serde(default = "default_bpf_dir")]
    bpf_dir: PathBuf,
    manifests: Option<PathBuf>,
    kubernetes: Option<Kubernetes>,
    etcd: Option<Etcd>,
    metrics: Option<SocketAddr>,
    #[serde(default)]
    log: Log,
    balancer: Option<RawBalancer>,
    backend: Option<RawBackend>,
    #[serde(default)]
    bgp: RawBgp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawBalancer {
    interfaces: Vec<String>,
    #[serde(default)]
    xdp: XdpMode,
    outer_source_ipv4: Prefix,
    outer_source_ipv6: Prefix,
    #[serde(default)]
    tables: Tables,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawBackend {
    interfaces: Vec<String>,
    balancers: Vec<Prefix>,
    vips: Vec<IpAddr>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawBgp {
    router_id: Option<Ipv4Addr>,
    secrets_namespace: Option<String>,
    status_report: Option<bool>,
    announce_empty: Option<bool>,
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// Names the file, the line or key, and the reason.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading the configuration {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in the configuration {}", path.display()))
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        toml::from_str::<Raw>(text)?.try_into()
    }
}

impl TryFrom<Raw> for Config {
    type Error = anyhow::Error;

    fn try_from(mut raw: Raw) -> Result<Self> {
        let (balancer, backend) = (raw.balancer.take(), raw.backend.take());
        let role = match (raw.role, balancer, backend) {
            (Role::Balancer, Some(balancer), None) => {
                RoleConfig::Edge(Box::new(raw.edge(Some(balancer.try_into()?))?))
            }
            (Role::Announcer, None, None) => RoleConfig::Edge(Box::new(raw.edge(None)?)),
            (Role::Backend, None, Some(backend)) => RoleConfig::Backend(backend.try_into()?),
            (Role::Balancer, None, _) => bail!("role is balancer, but there is no [balancer]"),
            (Role::Backend, _, None) => bail!("role is backend, but there is no [backend]"),
            (role @ (Role::Balancer | Role::Announcer), _, Some(_)) => {
                bail!("role is {role}, but there is a [backend]")
            }
            (role @ (Role::Announcer | Role::Backend), Some(_), _) => {
                bail!("role is {role}, but there is a [balancer]")
            }
        };
        Ok(Self {
            node: node_name(raw.node_name)?,
            socket: raw.socket,
            bpf_dir: raw.bpf_dir,
            metrics: raw.metrics,
            log: raw.log,
            role,
            remarks: Vec::new(),
        })
    }
}

impl Raw {
    fn edge(&mut self, balancer: Option<Balancer>) -> Result<Edge> {
        let source = self.source()?;
        let is_directory = matches!(source, SourceConfig::Directory(_));
        let (bgp, default) = (&self.bgp, Bgp::default());
        Ok(Edge {
            source,
            state_dir: self
                .state_dir
                .take()
                .or_else(|| is_directory.then(default_state_dir)),
            balancer,
            bgp: Bgp {
                router_id: bgp.router_id.map(RouterId::try_from).transpose()?,
                enabled: true,
                secrets_namespace: bgp
                    .secrets_namespace
                    .clone()
                    .unwrap_or(default.secrets_namespace),
                status_report: bgp.status_report.unwrap_or(default.status_report),
                announce_empty: bgp.announce_empty.unwrap_or(default.announce_empty),
            },
        })
    }

    fn source(&mut self) -> Result<SourceConfig> {
        match (
            self.manifests.take(),
            self.kubernetes.take(),
            self.etcd.take(),
        ) {
            (None, Some(kubernetes), None) => Ok(SourceConfig::Kubernetes(kubernetes)),
            (None, None, Some(etcd)) => {
                ensure!(!etcd.endpoints.is_empty(), "etcd.endpoints is empty");
                Ok(SourceConfig::Etcd(etcd))
            }
            (manifests, None, None) => Ok(SourceConfig::Directory(
                manifests.unwrap_or_else(default_manifests),
            )),
            (_, Some(_), _) | (_, _, Some(_)) => {
                bail!("objects come from one place: manifests, [kubernetes] or [etcd]")
            }
        }
    }
}

impl TryFrom<RawBalancer> for Balancer {
    type Error = anyhow::Error;

    fn try_from(raw: RawBalancer) -> Result<Self> {
        Ok(Self {
            interfaces: interfaces("balancer", raw.interfaces)?,
            xdp: raw.xdp,
            outer_v4: outer_v4(raw.outer_source_ipv4)?,
            outer_v6: outer_v6(raw.outer_source_ipv6)?,
            tables: raw.tables.checked()?,
        })
    }
}

impl TryFrom<RawBackend> for Backend {
    type Error = anyhow::Error;

    fn try_from(raw: RawBackend) -> Result<Self> {
        ensure!(!raw.balancers.is_empty(), "backend.balancers is empty");
        ensure!(!raw.vips.is_empty(), "backend.vips is empty");
        Ok(Self {
            interfaces: interfaces("backend", raw.interfaces)?,
            balancers: raw.balancers,
            vips: raw.vips,
        })
    }
}

impl Tables {
    fn checked(self) -> Result<Self> {
        for (key, value) in [
            ("services", self.services),
            ("slots", self.slots),
            ("backends", self.backends),
            ("flows", self.flows),
        ] {
            ensure!(
                (2..=1 << 28).contains(&value),
                "balancer.tables.{key} is {value}: expected 2 to {}",
                1 << 28
            );
        }
        Ok(self)
    }
}

/// Checks the names of interfaces.
pub(super) fn interfaces(section: &str, names: Vec<String>) -> Result<Vec<String>> {
    ensure!(!names.is_empty(), "{section}.interfaces is empty");
    for name in &names {
        let good = (1..=15).contains(&name.len())
            && !name.contains(|c: char| c == '/' || c.is_whitespace());
        ensure!(
            good,
            "{section}.interfaces: \"{name}\" is not an interface name"
        );
    }
    Ok(names)
}

pub(super) fn outer_v4(prefix: Prefix) -> Result<(Ipv4Addr, u8)> {
    match prefix.addr() {
        IpAddr::V4(addr) if prefix.len() <= 31 => Ok((addr, prefix.len())),
        IpAddr::V4(_) | IpAddr::V6(_) => bail!(
            "balancer.outer-source-ipv4: {prefix} leaves no room for the flow's hash: expected an \
             IPv4 prefix of at most 31 bits"
        ),
    }
}

pub(super) fn outer_v6(prefix: Prefix) -> Result<Ipv6Addr> {
    match prefix.addr() {
        IpAddr::V6(addr) if prefix.len() <= 64 => Ok(addr),
        IpAddr::V4(_) | IpAddr::V6(_) => bail!(
            "balancer.outer-source-ipv6: {prefix} leaves no room for the flow's hash: expected an \
             IPv6 prefix of at most 64 bits"
        ),
    }
}

/// The given name, else the host's.
pub(super) fn node_name(given: Option<String>) -> Result<NodeName> {
    let name = match given {
        Some(name) => name,
        None => std::fs::read_to_string("/proc/sys/kernel/hostname")
            .context("node-name is not set, and the hostname cannot be read")?
            .trim()
            .to_lowercase(),
    };
    name.parse::<NodeName>().context("node-name")
}

pub(super) fn default_socket() -> PathBuf {
    "/run/sluicegate/agent.sock".into()
}

fn default_state_dir() -> PathBuf {
    "/var/lib/sluicegate".into()
}

pub(super) fn default_bpf_dir() -> PathBuf {
    "/sys/fs/bpf".into()
}

fn default_manifests() -> PathBuf {
    "/etc/sluicegate/manifests".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BALANCER: &str = "\
        node-name = \"edge1\"\n\
        role = \"balancer\"\n\
        [balancer]\n\
        interfaces = [\"eth0\"]\n\
        outer-source-ipv4 = \"10.254.0.0/16\"\n\
        outer-source-ipv6 = \"fd00:fe::/64\"\n";

    #[test]
    fn a_balancer_needs_interfaces_and_outer_sources() {
        let config = Config::parse(BALANCER).unwrap();

        let RoleConfig::Edge(edge) = &config.role else {
            panic!("{config:?}");
        };
        assert!(edge.balancer.is_some());
        let manifests = "/etc/sluicegate/manifests".into();
        assert_eq!(edge.source, SourceConfig::Directory(manifests));
        assert_eq!(edge.state_dir, Some("/var/lib/sluicegate".into()));
        assert_eq!(config.socket, Path::new("/run/sluicegate/agent.sock"));
        for line in ["interfaces", "outer-source-ipv4", "outer-source-ipv6"] {
            let without: String = BALANCER
                .lines()
                .filter(|l| !l.starts_with(line))
                .map(|l| format!("{l}\n"))
                .collect();
            let error = format!("{:#}", Config::parse(&without).unwrap_err());
            assert!(error.contains(line), "{error}");
        }
    }

    #[test]
    fn every_example_configuration_is_valid() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/agent");
        let files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|file| file.unwrap())
            .collect();

        assert!(!files.is_empty());
        for file in files {
            let config = Config::read(&file.path());
            assert!(config.is_ok(), "{:#}", config.unwrap_err());
        }
    }

    #[test]
    fn objects_come_from_one_place() {
        let announcer = "node-name = \"n1\"\nrole = \"announcer\"\n";
        let source = |more: &str| {
            let config = Config::parse(&format!("{announcer}{more}"))?;
            let RoleConfig::Edge(edge) = config.role else {
                bail!("no edge");
            };
            Ok(edge)
        };

        let edge = source("[kubernetes]\nkubeconfig = \"/k\"\n").unwrap();
        assert!(matches!(edge.source, SourceConfig::Kubernetes(_)));
        assert_eq!((edge.state_dir, edge.balancer), (None, None));
        let edge = source("[etcd]\nendpoints = [\"http://e:2379\"]\n").unwrap();
        assert!(matches!(edge.source, SourceConfig::Etcd(_)));
        for more in [
            "manifests = \"/m\"\n[kubernetes]\n",
            "[kubernetes]\n[etcd]\nendpoints = [\"http://e:2379\"]\n",
            "[etcd]\n",
        ] {
            assert!(source(more).is_err(), "{more}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let error = format!(
            "{:#}",
            Config::parse(&format!("colour = 1\n{BALANCER}")).unwrap_err()
        );

        assert!(error.contains("colour"), "{error}");
    }

    #[test]
    fn values_that_make_no_sense_are_refused_with_their_key() {
        for (from, to, key) in [
            ("10.254.0.0/16", "10.254.0.1/32", "outer-source-ipv4"),
            ("fd00:fe::/64", "fd00:fe::/65", "outer-source-ipv6"),
            ("eth0", "eth 0", "interfaces"),
            ("edge1", "Edge_1", "node-name"),
            ("role = \"balancer\"", "role = \"backend\"", "backend"),
        ] {
            let text = BALANCER.replace(from, to);
            let error = format!("{:#}", Config::parse(&text).unwrap_err());
            assert!(error.contains(key), "{key}: {error}");
        }
    }
}
