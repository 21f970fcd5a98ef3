//! The configuration file: TOML, unknown keys refused, every value checked before anything starts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use agent_api::Role;
use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use types::{NodeName, Prefix, RouterId};

/// What the agent does on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// This node's name, as in Node objects.
    pub(crate) node: NodeName,
    /// Where the local API listens.
    pub(crate) socket: PathBuf,
    /// The pins of programs, maps and links.
    pub(crate) bpf_dir: PathBuf,
    /// Where Prometheus metrics are served, if at all.
    pub(crate) metrics: Option<SocketAddr>,
    /// How to log.
    pub(crate) log: Log,
    /// What the node does, with that role's settings.
    pub(crate) role: RoleConfig,
}

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Log {
    /// A level, or a filter such as `info,bgp_speaker=debug`.
    pub(crate) level: String,
    /// Text for a terminal or JSON for a collector.
    pub(crate) format: LogFormat,
}

/// Text for a terminal or JSON for a collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// One line a message.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A role with its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RoleConfig {
    /// Balances and announces.
    Balancer(Balancer),
    /// Takes encapsulated packets from balancers.
    Backend(Backend),
}

/// The settings of a balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Balancer {
    /// The directory of manifests.
    pub(crate) manifests: PathBuf,
    /// Allocations and statuses.
    pub(crate) state_dir: PathBuf,
    /// Where client traffic comes in.
    pub(crate) interfaces: Vec<String>,
    /// Native, generic, or native where the driver has it.
    pub(crate) xdp: XdpMode,
    /// The source of encapsulated IPv4 packets: the prefix plus the flow's hash.
    pub(crate) outer_v4: (Ipv4Addr, u8),
    /// The source of encapsulated IPv6 packets: the prefix plus the flow's hash.
    pub(crate) outer_v6: Ipv6Addr,
    /// Table sizes.
    pub(crate) tables: Tables,
    /// The BGP identifier; the node's IPv4 address where it is not given.
    pub(crate) router_id: Option<RouterId>,
}

/// How programs are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum XdpMode {
    /// Native where the driver has it, generic else.
    #[default]
    Auto,
    /// Native or not at all.
    Native,
    /// Generic always.
    Generic,
}

/// How large the kernel's tables are; fixed when they are first made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Tables {
    /// Service records: one for each address and one for each address, port and protocol.
    pub(crate) services: u32,
    /// Slots of all services together.
    pub(crate) slots: u32,
    /// Memberships of backends in services.
    pub(crate) backends: u32,
    /// Flows that can be remembered while their slots are in change.
    pub(crate) flows: u32,
}

/// The settings of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    /// Where encapsulated packets come in.
    pub(crate) interfaces: Vec<String>,
    /// The outer sources of trusted balancers.
    pub(crate) balancers: Vec<Prefix>,
    /// The virtual addresses that this host serves.
    pub(crate) vips: Vec<IpAddr>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Raw {
    node_name: Option<String>,
    role: Role,
    #[serde(default = "default_socket")]
    socket: PathBuf,
    #[serde(default = "default_state_dir")]
    state_dir: PathBuf,
    #[serde(default = "default_bpf_dir")]
    bpf_dir: PathBuf,
    #[serde(default = "default_manifests")]
    manifests: PathBuf,
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

    fn parse(text: &str) -> Result<Self> {
        let raw: Raw = toml::from_str(text)?;
        let role = match (raw.role, raw.balancer, raw.backend) {
            (Role::Balancer, Some(balancer), None) => RoleConfig::Balancer(Balancer {
                manifests: raw.manifests,
                state_dir: raw.state_dir,
                interfaces: interfaces("balancer", balancer.interfaces)?,
                xdp: balancer.xdp,
                outer_v4: outer_v4(balancer.outer_source_ipv4)?,
                outer_v6: outer_v6(balancer.outer_source_ipv6)?,
                tables: balancer.tables.checked()?,
                router_id: raw.bgp.router_id.map(RouterId::try_from).transpose()?,
            }),
            (Role::Backend, None, Some(backend)) => {
                ensure!(!backend.balancers.is_empty(), "backend.balancers is empty");
                ensure!(!backend.vips.is_empty(), "backend.vips is empty");
                RoleConfig::Backend(Backend {
                    interfaces: interfaces("backend", backend.interfaces)?,
                    balancers: backend.balancers,
                    vips: backend.vips,
                })
            }
            (Role::Balancer, None, _) => bail!("role is balancer, but there is no [balancer]"),
            (Role::Backend, _, None) => bail!("role is backend, but there is no [backend]"),
            (Role::Balancer, Some(_), Some(_)) => {
                bail!("role is balancer, but there is a [backend]")
            }
            (Role::Backend, Some(_), Some(_)) => {
                bail!("role is backend, but there is a [balancer]")
            }
        };
        Ok(Self {
            node: node_name(raw.node_name)?,
            socket: raw.socket,
            bpf_dir: raw.bpf_dir,
            metrics: raw.metrics,
            log: raw.log,
            role,
        })
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            services: 1 << 17,
            slots: 1 << 22,
            backends: 1 << 17,
            flows: 1 << 18,
        }
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

fn interfaces(section: &str, names: Vec<String>) -> Result<Vec<String>> {
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

fn outer_v4(prefix: Prefix) -> Result<(Ipv4Addr, u8)> {
    match prefix.addr() {
        IpAddr::V4(addr) if prefix.len() <= 31 => Ok((addr, prefix.len())),
        IpAddr::V4(_) | IpAddr::V6(_) => bail!(
            "balancer.outer-source-ipv4: {prefix} leaves no room for the flow's hash: expected an \
             IPv4 prefix of at most 31 bits"
        ),
    }
}

fn outer_v6(prefix: Prefix) -> Result<Ipv6Addr> {
    match prefix.addr() {
        IpAddr::V6(addr) if prefix.len() <= 64 => Ok(addr),
        IpAddr::V4(_) | IpAddr::V6(_) => bail!(
            "balancer.outer-source-ipv6: {prefix} leaves no room for the flow's hash: expected an \
             IPv6 prefix of at most 64 bits"
        ),
    }
}

fn node_name(given: Option<String>) -> Result<NodeName> {
    let name = match given {
        Some(name) => name,
        None => std::fs::read_to_string("/proc/sys/kernel/hostname")
            .context("node-name is not set, and the hostname cannot be read")?
            .trim()
            .to_lowercase(),
    };
    name.parse::<NodeName>().context("node-name")
}

fn default_socket() -> PathBuf {
    "/run/sluicegate/agent.sock".into()
}

fn default_state_dir() -> PathBuf {
    "/var/lib/sluicegate".into()
}

fn default_bpf_dir() -> PathBuf {
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

        assert!(matches!(config.role, RoleConfig::Balancer(_)));
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
