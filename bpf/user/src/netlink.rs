//! Asks the kernel which XDP program an interface runs.

use std::io;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp, XdpAttached};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Where in the receive path a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before a socket buffer exists.
    Native,
    /// In the network stack: any driver has it, slower.
    Generic,
}

/// The XDP program of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpOn {
    /// The program's number.
    pub program: u32,
    /// Where it runs.
    pub mode: Mode,
}

/// The XDP program that an interface of this network namespace runs, if any.
///
/// # Errors
/// If the kernel does not answer; `NotFound` or `ENODEV` if there is no such interface.
pub fn xdp_on(ifindex: u32) -> io::Result<Option<XdpOn>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request(ifindex), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer =
        NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) = answer.payload {
        Ok(program_of(&link))
    } else if let NetlinkPayload::Error(error) = answer.payload {
        Err(error.to_io())
    } else {
        Err(io::Error::other("unexpected answer to RTM_GETLINK"))
    }
}

fn request(ifindex: u32) -> Vec<u8> {
    let mut link = LinkMessage::default();
    link.header.index = ifindex;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut message = NetlinkMessage::new(header, RouteNetlinkMessage::GetLink(link).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// The program that sees packets first, if the interface has several.
fn program_of(link: &LinkMessage) -> Option<XdpOn> {
    let xdp = link.attributes.iter().find_map(|attribute| {
        if let LinkAttribute::Xdp(xdp) = attribute {
            Some(xdp)
        } else {
            None
        }
    })?;
    let mut mode = Mode::Native;
    let (mut first, mut generic) = (None, None);
    for attribute in xdp {
        if let LinkXdp::Attached(XdpAttached::SocketBuffer) = attribute {
            mode = Mode::Generic;
        } else if let LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::HwProgId(id) =
            attribute
        {
            first = Some(*id);
        } else if let LinkXdp::SkbProgId(id) = attribute {
            generic = Some(*id);
        }
    }
    let program = first.or(generic).filter(|id| *id != 0)?;
    Some(XdpOn { program, mode })
}
