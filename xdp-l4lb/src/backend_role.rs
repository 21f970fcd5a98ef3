//! Makes this host a real server: the decapsulation program on its interfaces, the VIPs on its
//! loopback, and nobody told of them by ARP.
//!
//! A VIP is added from the inside out (its address, then its entry in `owned`, which lets packets
//! in) and removed from the outside in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use bpf_user::{
    AttachMode, LoadError, MapError, Object, PinDir, PinError, Program, Table, TableError,
};
use futures_util::TryStreamExt;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol,
    AddressScope,
};
use types::Prefix;
use xdp_l4lb_common::layout::{BalancerKey, LAYOUT_VERSION, mapped, maps, programs};

use crate::links::{LinkState, Links};
use crate::netlink::{Event, Interface, Netlink, NetlinkError, REOPEN_AFTER, address, failed};
use crate::tables::BackendSpecs;

/// Marks the addresses as ours (`IFA_PROTO`), so that nothing else is removed.
const PROTOCOL: AddressProtocol = AddressProtocol::Other(236);

/// Settings that keep loopback addresses to ourselves: answer ARP only for addresses of the
/// interface that is asked, and ask only from such.
const QUIET: [(&str, &str); 2] = [
    ("/proc/sys/net/ipv4/conf/all/arp_ignore", "1"),
    ("/proc/sys/net/ipv4/conf/all/arp_announce", "2"),
];

/// Tables whose maps only the balancer uses.
const OTHERS: [&str; 13] = [
    maps::VIPS,
    maps::SERVICES,
    maps::SLOTS,
    maps::TOUCHED,
    maps::BACKENDS,
    maps::LINKS,
    maps::CONFIG,
    maps::FLOWS,
    maps::SERVICE_STATS,
    maps::BACKEND_STATS,
    maps::DROPS,
    maps::LIMITS,
    maps::DEVICES,
];

/// What a backend serves, and for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendDesired {
    /// Where encapsulated packets may come from.
    pub balancers: BTreeSet<Prefix>,
    /// The addresses that this host serves.
    pub vips: BTreeSet<IpAddr>,
}

/// The backend side of this host. What it set up stays when it is dropped; see [`Self::withdraw`].
pub struct BackendRole {
    pins: PinDir,
    program: Program,
    links: Links,
    balancers: Table<BalancerKey, u32>,
    owned: Table<[u8; 16], u32>,
    netlink: Netlink,
    /// Settings as they were before.
    before: BTreeMap<&'static str, String>,
}

/// The backend side is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum BackendRoleError {
    /// The kernel programs were not built.
    #[error("{0}")]
    NoObject(&'static str),
    /// The pins cannot be used.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The program cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A table cannot be opened.
    #[error(transparent)]
    Map(#[from] MapError),
    /// A table cannot be written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// An address or the state of interfaces.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A setting could not be read or changed.
    #[error("setting {path}")]
    Setting {
        /// Which.
        path: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl BackendRole {
    /// Opens or makes what is pinned. Nothing is attached yet.
    ///
    /// # Errors
    /// If the programs were not built, the kernel refuses, or what is pinned is not as expected.
    pub fn open(
        bpffs: &Path,
        interfaces: impl IntoIterator<Item = String>,
    ) -> Result<Self, BackendRoleError> {
        let elf = crate::OBJECT.map_err(BackendRoleError::NoObject)?;
        let specs = BackendSpecs::new();
        let pins = PinDir::at(bpffs, LAYOUT_VERSION)?;
        let object = Object {
            elf,
            maps: &specs.all(),
            others: &OTHERS,
        };
        let program = bpf_user::load(&object, programs::DECAP, &pins)?;
        Ok(Self {
            program,
            links: Links::new(interfaces, AttachMode::Auto),
            balancers: Table::open(&specs.balancers, &pins)?,
            owned: Table::open(&specs.owned, &pins)?,
            netlink: Netlink::open()?,
            before: BTreeMap::new(),
            pins,
        })
    }

    /// Brings everything to `desired`; changes nothing that is right. To be called again whenever
    /// that or an interface changes.
    ///
    /// # Errors
    /// If a part of it fails; calling again goes on from there.
    pub async fn apply(&mut self, desired: &BackendDesired) -> Result<(), BackendRoleError> {
        self.keep_quiet()?;
        let lo = self.loopback().await?;
        let present = self.addresses(lo).await?;
        for vip in desired.vips.difference(&present) {
            self.add_address(lo, *vip).await?;
        }
        set(
            &mut self.owned,
            &desired.vips.iter().copied().map(mapped).collect(),
        )?;
        set_balancers(&mut self.balancers, &desired.balancers)?;
        for vip in present.difference(&desired.vips) {
            self.remove_address(lo, *vip).await?;
        }
        self.attach().await?;
        self.program.retire_others(&self.pins)?;
        self.links.detach_others(&self.pins)?;
        Ok(())
    }

    /// What each interface runs.
    #[must_use]
    pub const fn states(&self) -> &BTreeMap<String, LinkState> {
        self.links.states()
    }

    /// Returns when an interface that matters came, went or changed. Cancel safe.
    pub async fn interface_changed(&mut self) {
        loop {
            match self.netlink.next().await {
                Some(
                    Event::Interface(Interface { name, .. }) | Event::InterfaceGone { name, .. },
                ) if self.links.includes(&name) => return,
                Some(_) => {}
                None => {
                    tokio::time::sleep(REOPEN_AFTER).await;
                    match Netlink::open() {
                        Ok(netlink) => self.netlink = netlink,
                        Err(error) => tracing::error!(%error, "changes of interfaces are missed"),
                    }
                    return;
                }
            }
        }
    }

    /// Takes everything back: no packet is let in, no address stays, settings are as they were.
    ///
    /// # Errors
    /// If a part of it fails; calling again goes on from there.
    pub async fn withdraw(&mut self) -> Result<(), BackendRoleError> {
        for interface in self.pins.linked_interfaces()? {
            if self.links.includes(&interface) {
                bpf_user::detach(&self.pins, &interface)?;
            }
        }
        set(&mut self.owned, &BTreeSet::new())?;
        set_balancers(&mut self.balancers, &BTreeSet::new())?;
        let lo = self.loopback().await?;
        for vip in self.addresses(lo).await? {
            self.remove_address(lo, vip).await?;
        }
        for (path, value) in std::mem::take(&mut self.before) {
            write_setting(path, &value)?;
        }
        Ok(())
    }

    async fn attach(&mut self) -> Result<(), BackendRoleError> {
        let interfaces = self.netlink.interfaces().await?;
        let present = interfaces
            .into_iter()
            .map(|interface| (interface.name, interface.index))
            .collect();
        self.links.attach(&self.pins, &self.program, &present);
        Ok(())
    }

    fn keep_quiet(&mut self) -> Result<(), BackendRoleError> {
        for (path, value) in QUIET {
            let now = fs::read_to_string(path)
                .map_err(|source| BackendRoleError::Setting { path, source })?;
            if now.trim() != value {
                write_setting(path, value)?;
                self.before.entry(path).or_insert(now);
            }
        }
        Ok(())
    }

    async fn loopback(&self) -> Result<u32, BackendRoleError> {
        let interfaces = self.netlink.interfaces().await?;
        let lo = interfaces.iter().find(|interface| interface.name == "lo");
        // The loopback interface of every network namespace is its first.
        Ok(lo.map_or(1, |interface| interface.index))
    }

    /// The addresses on loopback that we put there.
    async fn addresses(&self, lo: u32) -> Result<BTreeSet<IpAddr>, NetlinkError> {
        let all: Vec<AddressMessage> = self
            .netlink
            .handle
            .address()
            .get()
            .set_link_index_filter(lo)
            .execute()
            .try_collect()
            .await
            .map_err(|error| failed("listing addresses", &error))?;
        Ok(all.iter().filter_map(ours).collect())
    }

    async fn add_address(&self, lo: u32, vip: IpAddr) -> Result<(), NetlinkError> {
        let mut request = self
            .netlink
            .handle
            .address()
            .add(lo, vip, Prefix::host(vip).len());
        let message = request.message_mut();
        message.header.scope = AddressScope::Host;
        message
            .attributes
            .push(AddressAttribute::Protocol(PROTOCOL));
        if vip.is_ipv6() {
            // Other real servers have it too: duplicate address detection would take it away.
            message.header.flags |= AddressHeaderFlags::Nodad;
            message
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        match request.execute().await {
            Ok(()) => Ok(()),
            Err(error) => match failed("adding an address to lo", &error) {
                // Somebody else put it there, which serves as well.
                error if error.errno() == Some(libc::EEXIST) => Ok(()),
                error => Err(error),
            },
        }
    }

    async fn remove_address(&self, lo: u32, vip: IpAddr) -> Result<(), NetlinkError> {
        let mut request = self
            .netlink
            .handle
            .address()
            .add(lo, vip, Prefix::host(vip).len());
        let message = request.message_mut().clone();
        match self.netlink.handle.address().del(message).execute().await {
            Ok(()) => Ok(()),
            Err(error) => match failed("removing an address from lo", &error) {
                error if error.errno() == Some(libc::EADDRNOTAVAIL) => Ok(()),
                error => Err(error),
            },
        }
    }
}

fn set(owned: &mut Table<[u8; 16], u32>, wanted: &BTreeSet<[u8; 16]>) -> Result<(), TableError> {
    let present: BTreeSet<_> = owned.entries()?.into_iter().map(|(addr, _)| addr).collect();
    for addr in wanted.difference(&present) {
        owned.put(addr, &1)?;
    }
    for addr in present.difference(wanted) {
        owned.remove(addr)?;
    }
    Ok(())
}

fn set_balancers(
    table: &mut Table<BalancerKey, u32>,
    wanted: &BTreeSet<Prefix>,
) -> Result<(), TableError> {
    let wanted: BTreeSet<_> = wanted.iter().map(mapped_prefix).collect();
    let entries = table.entries()?;
    let present: BTreeSet<_> = entries
        .iter()
        .map(|(key, _)| (key.prefix_len, key.addr))
        .collect();
    for &(prefix_len, addr) in wanted.difference(&present) {
        table.put(&BalancerKey { prefix_len, addr }, &1)?;
    }
    for &(prefix_len, addr) in present.difference(&wanted) {
        table.remove(&BalancerKey { prefix_len, addr })?;
    }
    Ok(())
}

/// IPv4 prefixes lie under ::ffff:0:0/96.
fn mapped_prefix(prefix: &Prefix) -> (u32, [u8; 16]) {
    let offset = match prefix.addr() {
        IpAddr::V4(_) => 96,
        IpAddr::V6(_) => 0,
    };
    (offset + u32::from(prefix.len()), mapped(prefix.addr()))
}

fn ours(message: &AddressMessage) -> Option<IpAddr> {
    let is_ours = message
        .attributes
        .contains(&AddressAttribute::Protocol(PROTOCOL));
    address(message).filter(|_| is_ours)
}

fn write_setting(path: &'static str, value: &str) -> Result<(), BackendRoleError> {
    fs::write(path, value).map_err(|source| BackendRoleError::Setting { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_both_families_share_one_trie() {
        let v4: Prefix = "10.1.0.0/16".parse().unwrap();
        let v6: Prefix = "2001:db8::/64".parse().unwrap();

        let (len, addr) = mapped_prefix(&v4);

        assert_eq!((len, &addr[10..14]), (112, &[0xff, 0xff, 10, 1][..]));
        assert_eq!(mapped_prefix(&v6).0, 64);
    }
}
