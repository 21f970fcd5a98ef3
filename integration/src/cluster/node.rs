//! One node: a host with a container runtime, a kubelet, a pod network and a kube-proxy.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{ControlPlane, IMAGE, program};
use crate::lab::{Host, Process};
use crate::{Patience, until};

/// Where Debian has the plugins that make pods' networks.
const CNI: &str = "/usr/lib/cni";

/// A node of the cluster; dropping it ends its programs, and the lab's end its pods.
pub struct Node {
    host: Host,
    number: u8,
    runtime: Process,
    kubelet: Option<Process>,
    proxy: Option<Process>,
}

impl Node {
    /// Starts the container runtime of a node and gives it the image.
    pub(super) fn start(host: &Host, number: u8, image: &Path) -> Result<Self> {
        let folder = host.folder();
        let file = folder.join("containerd.toml");
        fs::write(&file, runtime_config(folder)).context("writing containerd.toml")?;
        let args = [
            format!("--config={}", file.display()),
            "--log-level=warn".to_owned(),
        ];
        let runtime = host.spawn("containerd", "/usr/bin/containerd", &args)?;
        let mut node = Self {
            host: host.clone(),
            number,
            runtime,
            kubelet: None,
            proxy: None,
        };
        node.import(image)?;
        Ok(node)
    }

    /// Gives the container runtime an image.
    pub(super) fn import(&mut self, image: &Path) -> Result<()> {
        let socket = socket(self.host.folder());
        let socket = socket.to_string_lossy();
        let image = image.to_string_lossy();
        let args = ["-a", &socket, "-n", "k8s.io", "images", "import"];
        let args: Vec<&str> = args
            .into_iter()
            .chain(["--snapshotter", "native", &image])
            .collect();
        until("the image is imported", Patience::START, || {
            self.runtime.check_running()?;
            self.host.run("ctr", &args)
        })?;
        Ok(())
    }

    /// The node's host, whose name is the node's too.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The node's own addresses, IPv4 and IPv6.
    #[must_use]
    pub fn addresses(&self) -> [String; 2] {
        let number = self.number;
        [format!("10.20.0.{number}"), format!("fd00:20::{number}")]
    }

    /// Starts the kubelet: the node joins.
    pub(super) fn start_kubelet(&mut self, cluster: &ControlPlane) -> Result<()> {
        let (name, folder) = (self.host.name(), self.host.folder());
        let kubeconfig = cluster.user(&format!("system:node:{name}"), Some("system:nodes"))?;
        let file = folder.join("kubelet.yaml");
        let config = kubelet_config(folder, &cluster.authority().certificate());
        fs::write(&file, config).context("writing kubelet.yaml")?;
        let args = [
            format!("--config={}", file.display()),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--hostname-override={name}"),
            format!("--root-dir={}", folder.join("kubelet").display()),
            format!("--cert-dir={}", folder.join("kubelet-pki").display()),
            "--v=0".to_owned(),
            format!("--node-ip={}", self.addresses().join(",")),
        ];
        self.kubelet = Some(self.host.spawn("kubelet", program("kubelet")?, &args)?);
        Ok(())
    }

    /// Starts kube-proxy, which balances services with nftables.
    pub(super) fn start_proxy(&mut self, cluster: &ControlPlane) -> Result<()> {
        let kubeconfig = cluster.user("system:kube-proxy", None)?;
        let file = self.host.folder().join("kube-proxy.yaml");
        let config = proxy_config(self.host.name(), &kubeconfig);
        fs::write(&file, config).context("writing kube-proxy.yaml")?;
        let args = [format!("--config={}", file.display())];
        self.proxy = Some(
            self.host
                .spawn("kube-proxy", program("kube-proxy")?, &args)?,
        );
        Ok(())
    }

    /// Waits until the node has joined; the pod networks that it was given.
    pub(super) fn pod_networks(&mut self, cluster: &ControlPlane) -> Result<Vec<String>> {
        let name = self.host.name().to_owned();
        until("the node has joined", Patience::START, || {
            self.check_running()?;
            let node = cluster.json(&format!("get node {name}"))?;
            let networks = node.pointer("/spec/podCIDRs").and_then(Value::as_array);
            let networks = networks.with_context(|| format!("{name} has no pod networks yet"))?;
            let networks: Vec<String> = networks
                .iter()
                .filter_map(Value::as_str)
                .map(ToOwned::to_owned)
                .collect();
            ensure!(
                networks.len() == 2,
                "{name} has the pod networks {networks:?}"
            );
            Ok(networks)
        })
    }

    /// Gives pods of this node addresses of these networks.
    pub(super) fn serve_pods(&self, networks: &[String]) -> Result<()> {
        let folder = self.host.folder().join("cni");
        fs::create_dir_all(&folder).context("creating the CNI folder")?;
        let ranges: Vec<String> = networks
            .iter()
            .map(|network| format!(r#"[{{"subnet":"{network}"}}]"#))
            .collect();
        let config = format!(
            r#"{{"cniVersion":"0.4.0","name":"lab","plugins":[{{"type":"ptp","mtu":1500,"ipam":{{"type":"host-local","dataDir":"{}","ranges":[{}],"routes":[{{"dst":"0.0.0.0/0"}},{{"dst":"::/0"}}]}}}}]}}"#,
            folder.join("leases").display(),
            ranges.join(","),
        );
        fs::write(folder.join("10-lab.conflist"), config).context("writing the CNI list")
    }

    /// Fails with the end of its log if a program of the node has ended.
    ///
    /// # Errors
    /// If one has.
    pub fn check_running(&mut self) -> Result<()> {
        let programs = [
            Some(&mut self.runtime),
            self.kubelet.as_mut(),
            self.proxy.as_mut(),
        ];
        programs
            .into_iter()
            .flatten()
            .try_for_each(Process::check_running)
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("containerd.sock")
}

fn runtime_config(folder: &Path) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    format!(
        r#"version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
address = "{socket}"
[ttrpc]
address = "{socket}.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{IMAGE}"
# Without CAP_SYS_RESOURCE, runc cannot lower a score.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI}"
conf_dir = "{cni}"
"#,
        root = path("containerd"),
        state = path("containerd-state"),
        socket = socket(folder).display(),
        cni = path("cni"),
    )
}

fn kubelet_config(folder: &Path, authority: &Path) -> String {
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
evictionHard:
  memory.available: 1Mi
  nodefs.available: 0%
  nodefs.inodesFree: 0%
  imagefs.available: 0%
imageGCHighThresholdPercent: 100
containerRuntimeEndpoint: unix://{}
podLogsDir: {}
resolvConf: /dev/null
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {}}}
authorization: {{mode: Webhook}}
",
        socket(folder).display(),
        folder.join("pods").display(),
        authority.display(),
    )
}

/// The node's connection tracking is as the lab made it: kube-proxy may not set those sysctls.
fn proxy_config(name: &str, kubeconfig: &Path) -> String {
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: {name}
clientConnection: {{kubeconfig: {}}}
clusterCIDR: {}
nftables: {{minSyncPeriod: 100ms}}
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
",
        kubeconfig.display(),
        super::POD_NETWORKS.join(","),
    )
}
