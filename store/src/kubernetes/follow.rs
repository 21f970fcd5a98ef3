//! Carries out the course of one watch: asks, reads, reports.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{Change, Kind};
use http_body_util::BodyExt;
use kube::client::Body;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::backoff::{random, within};
use super::connect::{Cluster, lock};
use super::course::{Bookmark, Course, End, Step};
use super::failure::Failure;
use super::lines::Lines;
use super::reading::{Event, Page, Read};
use super::resource::{Address, Resource};
use super::scope::Scope;
use super::source::Watch;
use super::troubles::Desk;

/// A server says something once a minute, be it that nothing happened. One that says nothing for
/// longer is asked anew.
const SILENCE: Duration = Duration::from_secs(90);

/// For how long a server may think before it begins a watch.
const BEGINS: Duration = Duration::from_secs(30);

/// How long a watch is asked to last at least; up to twice that, so that watches that began
/// together do not end together.
const SHORTEST: Duration = Duration::from_secs(240);

/// How many objects are in a page of a list.
const PAGE: &str = "250";

/// One watch, and to whom it reports.
pub(super) struct Follower {
    pub(super) cluster: Cluster,
    pub(super) watch: Watch,
    /// Which one of its kind.
    pub(super) part: usize,
    pub(super) kindred: Arc<Mutex<Kindred>>,
    pub(super) scope: Scope,
    pub(super) desk: Desk,
    pub(super) to: mpsc::Sender<Vec<Change>>,
}

/// The watches of a kind: it is known in whole once each of them has listed its part.
#[derive(Debug)]
pub(super) struct Kindred {
    unlisted: BTreeSet<usize>,
}

/// Nobody wants to know any more.
struct Unwanted;

/// What was read of a piece of a watch.
#[derive(Default)]
struct Piece {
    changes: Vec<Change>,
    /// Whether the whole list was seen.
    is_listed: bool,
    end: Option<End>,
}

impl Kindred {
    pub(super) fn new(parts: usize) -> Self {
        Self {
            unlisted: (0..parts).collect(),
        }
    }

    /// A part was listed. Whether it was the last of several.
    fn listed(&mut self, part: usize) -> bool {
        self.unlisted.remove(&part) && self.unlisted.is_empty()
    }
}

impl Follower {
    /// Until nobody wants to know any more.
    pub(super) async fn run(mut self) {
        let mut course = Course::new(self.watch.kind.api_versions().len());
        loop {
            let Ok(end) = self.follow(&mut course).await else {
                return;
            };
            if let End::Failed(failure) = &end
                && course.is_trouble(failure)
            {
                self.desk.wrong(failure);
            }
            sleep(course.on_end(end, random())).await;
        }
    }

    async fn follow(&mut self, course: &mut Course) -> Result<End, Unwanted> {
        match course.next() {
            Step::Stream => {
                let address = self.address(course);
                let address = address
                    .with("sendInitialEvents", "true")
                    .with("resourceVersionMatch", "NotOlderThan");
                self.watch(course, address, true).await
            }
            Step::Watch { from } => {
                let address = self.address(course).with("resourceVersion", &from);
                self.watch(course, address, false).await
            }
            Step::List { whole } => self.list(course, whole).await,
        }
    }

    /// Reads a watch until it ends.
    async fn watch(
        &mut self,
        course: &mut Course,
        address: Address,
        is_list: bool,
    ) -> Result<End, Unwanted> {
        let lasts = SHORTEST + within(SHORTEST, random());
        let address = address
            .with("watch", "true")
            .with("allowWatchBookmarks", "true")
            .with("timeoutSeconds", &lasts.as_secs().to_string());
        let begun = Instant::now();
        let mut body = match self.cluster.open(address, BEGINS).await {
            Ok(body) => body,
            Err(failure) => return Ok(End::Failed(failure)),
        };
        self.begun(course, is_list).await?;
        let mut lines = Lines::default();
        loop {
            let data = match timeout(SILENCE, next_piece(&mut body)).await {
                Ok(Some(Ok(data))) => data,
                Ok(None) if begun.elapsed() + Duration::from_secs(1) >= lasts => {
                    return Ok(End::Complete);
                }
                // What is wrong, if anything is, the next attempt will tell.
                Ok(Some(Err(_)) | None) | Err(_) => return Ok(End::Early),
            };
            if let Some(end) = self.take(course, &mut lines, &data).await? {
                return Ok(end);
            }
        }
    }

    /// Reads and reports a piece of a watch. How the watch ended, if it did.
    async fn take(
        &mut self,
        course: &mut Course,
        lines: &mut Lines,
        data: &[u8],
    ) -> Result<Option<End>, Unwanted> {
        let mut piece = Piece::default();
        let fed = lines.feed(data, |line| self.read(course, line, &mut piece));
        self.report(piece.changes).await?;
        if piece.is_listed {
            self.listed().await?;
        }
        let endless = || End::Failed(Failure::Server("it sent an event without end".to_owned()));
        Ok(piece.end.or_else(|| fed.is_err().then(endless)))
    }

    /// One line of a watch. After its end nothing more is read.
    fn read(&mut self, course: &mut Course, line: &[u8], piece: &mut Piece) {
        if piece.end.is_some() || line.is_empty() {
            return;
        }
        match Event::parse(line, self.watch.kind) {
            Ok(Event::There(read)) => {
                if course.on_object(&read.version) {
                    piece.changes.push(self.there(read));
                }
            }
            Ok(Event::Gone(read)) => {
                if course.on_object(&read.version) {
                    self.scope.gone(&read.key);
                    piece.changes.push(Change::Gone(read.key));
                }
            }
            Ok(Event::Bookmark { version, ends_list }) => {
                match course.on_bookmark(&version, ends_list) {
                    Bookmark::Synced => {
                        piece.changes.extend(self.scope.listed());
                        piece.is_listed = true;
                    }
                    Bookmark::Reached => {}
                    Bookmark::Elsewhere => piece.end = Some(End::Early),
                }
            }
            Ok(Event::Failed(failure)) => piece.end = Some(End::Failed(failure)),
            Err(error) => {
                piece.end = Some(End::Failed(Failure::Server(error.to_string())));
            }
        }
    }

    /// Reads a list, a page at a time.
    async fn list(&mut self, course: &mut Course, whole: bool) -> Result<End, Unwanted> {
        let mut next: Option<String> = None;
        let mut is_first = true;
        loop {
            let limit = (!whole).then_some(PAGE);
            let address = self.address(course).maybe("limit", limit);
            let address = address.maybe("continue", next.as_deref());
            let page = match self.page(address).await {
                Ok(body) => Page::parse(&body, self.kind()),
                Err(failure) => return Ok(End::Failed(failure)),
            };
            let page = match page {
                Ok(page) => page,
                Err(error) => return Ok(End::Failed(Failure::Server(error.to_string()))),
            };
            self.begun(course, is_first).await?;
            is_first = false;
            let objects = page.objects.into_iter();
            let mut changes: Vec<Change> = objects.map(|read| self.there(read)).collect();
            next = page.next;
            if next.is_none() {
                course.on_listed(&page.version);
                changes.extend(self.scope.listed());
            }
            self.report(changes).await?;
            if next.is_none() {
                self.listed().await?;
                return Ok(End::Listed);
            }
        }
    }

    /// Reads a page, however long the server takes as long as it says something.
    async fn page(&self, address: Address) -> Result<Vec<u8>, Failure> {
        let mut body = self.cluster.open(address, BEGINS).await?;
        let mut page = Vec::new();
        loop {
            match timeout(SILENCE, next_piece(&mut body)).await {
                Ok(Some(piece)) => page.extend(piece?),
                Ok(None) => return Ok(page),
                Err(_) => return Err(Failure::Unreachable("a list broke off".to_owned())),
            }
        }
    }

    /// The server answers.
    async fn begun(&mut self, course: &Course, is_list: bool) -> Result<(), Unwanted> {
        self.desk.well();
        let discovered = &self.cluster.inner.discovered;
        discovered.note(self.watch.kind, course.version());
        if is_list {
            let restart = self.scope.restart();
            return self.report(restart.into_iter().collect()).await;
        }
        Ok(())
    }

    fn there(&mut self, read: Read) -> Change {
        self.scope.there(&read.key);
        read.into_change()
    }

    /// The whole list was seen and reported. The last part of a kind to say so speaks for all.
    async fn listed(&mut self) -> Result<(), Unwanted> {
        let is_last = lock(&self.kindred).listed(self.part);
        if is_last && matches!(self.scope, Scope::Part { .. }) {
            return self.report(vec![Change::Synced(self.kind())]).await;
        }
        Ok(())
    }

    async fn report(&self, changes: Vec<Change>) -> Result<(), Unwanted> {
        if changes.is_empty() {
            return Ok(());
        }
        self.to.send(changes).await.map_err(|_| Unwanted)
    }

    fn address(&self, course: &Course) -> Address {
        let resource = Resource::of_kind(self.kind(), course.version());
        let address = resource.list(self.desk.watched.namespace.as_deref());
        address
            .maybe("labelSelector", self.watch.labels.as_deref())
            .maybe("fieldSelector", self.watch.fields.as_deref())
    }

    fn kind(&self) -> Kind {
        self.watch.kind
    }
}

/// The next data of a body; none at its end.
async fn next_piece(body: &mut Body) -> Option<Result<Vec<u8>, Failure>> {
    loop {
        match body.frame().await? {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data.to_vec()));
                }
                // Trailers say nothing here.
            }
            Err(error) => return Some(Err(Failure::of_error(&error))),
        }
    }
}
