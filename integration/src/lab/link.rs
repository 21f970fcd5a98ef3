//! Cables and switches between hosts.

use anyhow::Result;

use super::{Host, Lab, command};

/// The largest frame's payload that a lab cable carries unless told otherwise.
const MTU: u32 = 1500;

/// A veth pair between two hosts. Offloads that XDP never sees through are off.
pub struct Cable {
    ends: [(Host, String); 2],
}

/// A bridge in a host of its own. Unplugging a port is silent: the link stays up at both ends.
pub struct Switch {
    host: Host,
    mtu: u32,
}

impl Lab {
    /// Plugs a cable into two hosts.
    ///
    /// # Errors
    /// If an interface name is taken.
    pub fn cable(&self, a: (&Host, &str), b: (&Host, &str)) -> Result<Cable> {
        cable_of(a, b, MTU)
    }

    /// A switch that carries payloads of up to `mtu` bytes.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn switch(&self, name: &str, mtu: u32) -> Result<Switch> {
        let host = self.host(name)?;
        host.ip("link add name br0 type bridge mcast_snooping 0")?;
        host.ip(&format!("link set br0 mtu {mtu} up"))?;
        Ok(Switch { host, mtu })
    }
}

impl Cable {
    /// Takes the cable out: the kernel removes both interfaces.
    ///
    /// # Errors
    /// If they are gone already.
    pub fn pull(self) -> Result<()> {
        let [(host, interface), _] = &self.ends;
        host.ip(&format!("link del {interface}"))?;
        Ok(())
    }
}

impl Switch {
    /// Connects a host's new interface to this switch.
    ///
    /// # Errors
    /// If the interface name is taken.
    pub fn plug(&self, host: &Host, interface: &str) -> Result<()> {
        let port = port_name(host, interface);
        cable_of((host, interface), (&self.host, &port), self.mtu)?;
        self.connect(host, interface)
    }

    /// Stops carrying frames of a port while both link ends stay up: a silent failure.
    ///
    /// # Errors
    /// If the port does not exist.
    pub fn disconnect(&self, host: &Host, interface: &str) -> Result<()> {
        self.host
            .ip(&format!("link set {} nomaster", port_name(host, interface)))?;
        Ok(())
    }

    /// Carries frames of a port again.
    ///
    /// # Errors
    /// If the port does not exist.
    pub fn connect(&self, host: &Host, interface: &str) -> Result<()> {
        self.host.ip(&format!(
            "link set {} master br0",
            port_name(host, interface)
        ))?;
        Ok(())
    }

    /// Sets a port down or up, as pulling or plugging a cable would: the host sees the carrier go.
    ///
    /// # Errors
    /// If the port does not exist.
    pub fn set_carrier(&self, host: &Host, interface: &str, up: bool) -> Result<()> {
        let state = if up { "up" } else { "down" };
        self.host
            .ip(&format!("link set {} {state}", port_name(host, interface)))?;
        Ok(())
    }
}

/// At most 15 characters: the host's name, a dot and the end of the interface's.
fn port_name(host: &Host, interface: &str) -> String {
    let room = 14usize.saturating_sub(host.name().len());
    let end = interface.len().saturating_sub(room);
    format!(
        "{}.{}",
        host.name(),
        interface.get(end..).unwrap_or(interface)
    )
}

fn cable_of(a: (&Host, &str), b: (&Host, &str), mtu: u32) -> Result<Cable> {
    let mtu = mtu.to_string();
    command(
        "ip",
        &[
            "link",
            "add",
            a.1,
            "mtu",
            &mtu,
            "netns",
            a.0.name(),
            "type",
            "veth",
            "peer",
            "name",
            b.1,
            "mtu",
            &mtu,
            "netns",
            b.0.name(),
        ],
    )?;
    // A veth leaves checksums and segmentation to hardware that XDP never reaches, and takes frames
    // from XDP_TX and XDP_REDIRECT only where the other end has receive offload when it comes up.
    for (host, interface) in [a, b] {
        let offloads = [
            "-K", interface, "tx", "off", "tso", "off", "gso", "off", "gro", "on",
        ];
        host.run("ethtool", &offloads)?;
    }
    for (host, interface) in [a, b] {
        host.ip(&format!("link set {interface} up"))?;
    }
    Ok(Cable {
        ends: [(a.0.clone(), a.1.to_owned()), (b.0.clone(), b.1.to_owned())],
    })
}
