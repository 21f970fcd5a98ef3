//! A BGP peer that does nothing but note when routes come and go.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use bgp_speaker_packet::{Families, Message, MessageLimit, Offer, Update, split, write_keepalive};
use types::Prefix;

use crate::lab::Host;

/// Enough that no timer of the session matters while routes are timed.
const HOLD_SECS: u16 = 240;

/// Reports that wait. When there are more, the peer stops reading, as a slow router would.
const WAITING: usize = 1024;

/// A route came or went, and when that was read from the socket.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) prefix: Prefix,
    pub(super) is_there: bool,
    pub(super) at: Instant,
}

/// A peer that listens on a host of the lab, for one session.
pub(super) struct Peer {
    heard: Receiver<Result<Heard>>,
}

impl Peer {
    /// Listens on the BGP port of an address of `host`. The thread ends with the session.
    pub(super) fn listen(host: &Host, addr: Ipv4Addr, asn: u32) -> Result<Self> {
        let mut offer = Offer::new(asn.try_into()?, u32::from(addr).try_into()?, HOLD_SECS);
        offer.families = Families::BOTH;
        let at = SocketAddr::from((addr, 179));
        let listener = host
            .enter(|| TcpListener::bind(at))
            .with_context(|| format!("listening at {at}"))?;
        let (sender, heard) = sync_channel(WAITING);
        host.spawn_thread(move || {
            if let Err(error) = serve(&listener, &offer, &sender) {
                // Nobody waits for it any more: the measurement is over.
                let _ = sender.send(Err(error));
            }
        });
        Ok(Self { heard })
    }

    /// Waits until `prefix` comes or goes, and returns when it did.
    pub(super) fn wait(
        &self,
        prefix: Prefix,
        is_there: bool,
        patience: Duration,
    ) -> Result<Instant> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let heard = self
                .heard
                .recv_timeout(left)
                .map_err(|_| anyhow!("no UPDATE about {prefix} within {patience:?}"))??;
            if heard.prefix == prefix && heard.is_there == is_there {
                return Ok(heard.at);
            }
        }
    }
}

fn serve(listener: &TcpListener, offer: &Offer, heard: &SyncSender<Result<Heard>>) -> Result<()> {
    let (mut stream, _) = listener.accept().context("accepting the session")?;
    let mut greeting = Vec::new();
    offer.write(&mut greeting);
    write_keepalive(&mut greeting);
    stream.write_all(&greeting).context("greeting")?;
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let length = stream.read(&mut part).context("reading")?;
        let at = Instant::now();
        if length == 0 {
            bail!("the agent ended the session");
        }
        bytes.extend(part.iter().take(length));
        let used = messages(&bytes, at, &mut stream, heard)?;
        bytes.drain(..used);
    }
}

/// Reads whole messages; how many octets they were.
fn messages(
    bytes: &[u8],
    at: Instant,
    stream: &mut TcpStream,
    heard: &SyncSender<Result<Heard>>,
) -> Result<usize> {
    let mut rest = bytes;
    while let Some((frame, after)) = split(rest, MessageLimit::Standard)? {
        rest = after;
        match Message::parse(frame)? {
            Message::Update(update) => report(&update, at, heard)?,
            // One for one: both sides live as long as the agent says so.
            Message::Keepalive => {
                let mut answer = Vec::new();
                write_keepalive(&mut answer);
                stream.write_all(&answer).context("keeping alive")?;
            }
            Message::Notification(notification) => {
                bail!("the agent ended the session: {notification}");
            }
            Message::Open(_) | Message::RouteRefresh(_) => {}
        }
    }
    Ok(bytes.len() - rest.len())
}

fn report(update: &Update<'_>, at: Instant, heard: &SyncSender<Result<Heard>>) -> Result<()> {
    let gone = update.withdrawn()?.iter().map(|prefix| (prefix, false));
    let there = update.nlri()?.iter().map(|prefix| (prefix, true));
    for (prefix, is_there) in gone.chain(there) {
        let news = Heard {
            prefix,
            is_there,
            at,
        };
        heard.send(Ok(news)).context("nobody listens any more")?;
    }
    Ok(())
}
