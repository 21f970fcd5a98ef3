use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex};

use api::Kind;
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;
use types::ObjectName;

use super::*;

/// Where the other process of some tests keeps its state; it does nothing without.
const CHILD_DIR: &str = "STORE_TEST_CHILD_DIR";

fn key(name: &str) -> Key {
    Key::new(Kind::Service, ObjectName::new("shop", name))
}

fn record(revision: u64) -> Record {
    Record {
        file: "web.yaml".into(),
        manifest: Arc::new(json!({"kind": "Service", "spec": {"ports": [{"port": 80}]}})),
        generation: 1,
        revision,
        created: "2026-01-02T03:04:05.000006Z".parse().unwrap(),
        status: Some(Arc::new(json!({"ip": format!("10.0.0.{revision}")}))),
    }
}

/// The content after that many commits: an object more each, the first one changing with it.
fn content(revision: u64) -> Content {
    let mut content = Content {
        revision,
        directory: Some(7),
        ..Content::default()
    };
    for n in 1..=revision {
        content.records.insert(key(&format!("web-{n}")), record(n));
        content.records.insert(key("first"), record(n));
        let backend = format!("10.0.0.1:{n}").parse().unwrap();
        content.orders.drained = BTreeSet::from([backend]);
        content.orders.withdrawn = n % 2 == 1;
    }
    content
}

/// The commit that leads to [`content`] of that revision from the one before.
fn step(content: &Content) -> Write<'_> {
    let newest = key(&format!("web-{}", content.revision));
    let records = content.records.iter();
    Write {
        revision: content.revision,
        directory: content.directory,
        records: records
            .filter(|(key, _)| **key == newest || *key.name.name == *"first")
            .map(|(key, record)| (key, Some(record)))
            .collect(),
        orders: Some(&content.orders),
        whole: false,
    }
}

fn with_commits(dir: &Path, commits: u64) {
    let (mut database, _) = Database::open(dir).unwrap();
    for revision in 1..=commits {
        database.commit(&step(&content(revision))).unwrap();
    }
}

fn damage(dir: &Path) -> Damage {
    match Database::open(dir) {
        Err(OpenError::Broken { source, .. }) => source,
        other => panic!("not broken: {other:?}"),
    }
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let state = dir.path().join("a/b");
    with_commits(&state, 3);

    let (mut database, after) = Database::open(&state).unwrap();

    assert_eq!(after, content(3));
    let gone = key("first");
    let mut write = step(&after);
    write.records = vec![(&gone, None)];
    database.commit(&write).unwrap();
    drop(database);
    assert!(
        !Database::open(&state)
            .unwrap()
            .1
            .records
            .contains_key(&gone)
    );
}

#[test]
fn a_whole_write_leaves_nothing_else() {
    let dir = TempDir::new().unwrap();
    with_commits(dir.path(), 3);
    let (mut database, _) = Database::open(dir.path()).unwrap();

    database.commit(&Write::whole(&content(1))).unwrap();
    drop(database);

    assert_eq!(Database::open(dir.path()).unwrap().1, content(1));
}

#[test]
fn the_state_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let dir = TempDir::new().unwrap();
    let state = dir.path().join("state");
    with_commits(&state, 1);

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&state.join(FILE)), 0o600);
}

#[test]
fn an_interrupted_first_start_is_no_damage() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(NEW_FILE), "half").unwrap();

    assert_eq!(Database::open(dir.path()).unwrap().1, Content::default());
}

#[test]
fn a_broken_database_is_refused_by_name_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(FILE);
    with_commits(dir.path(), 5);
    let good = fs::read(&path).unwrap();
    let garbage: Vec<u8> = (0..good.len())
        .map(|i| u8::try_from(i * 31 % 251).unwrap())
        .collect();
    let half = &good[..good.len() / 2];

    for bytes in [
        &b""[..],
        b"x",
        &garbage,
        half,
        &good[..100],
        &vec![0; good.len()],
    ] {
        fs::write(&path, bytes).unwrap();

        let error = Database::open(dir.path()).unwrap_err();

        let text = error.to_string();
        assert!(text.contains(path.to_str().unwrap()), "{text}");
        assert!(text.contains("--reset-state"), "{text}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    fs::write(&path, b"").unwrap();
    assert!(matches!(damage(dir.path()), Damage::Empty));
    fs::write(&path, &good).unwrap();
    assert_eq!(Database::open(dir.path()).unwrap().1, content(5));
}

#[test]
fn a_broken_database_can_be_set_aside() {
    let dir = TempDir::new().unwrap();
    assert!(reset_state(dir.path()).unwrap().is_none());

    for n in 1..=2 {
        fs::write(dir.path().join(FILE), "garbage").unwrap();
        let aside = reset_state(dir.path()).unwrap().unwrap();

        assert_eq!(aside, dir.path().join(format!("state.redb.broken-{n}")));
        assert_eq!(fs::read(aside).unwrap(), b"garbage");
        assert_eq!(Database::open(dir.path()).unwrap().1, Content::default());
    }
}

#[test]
fn a_database_of_a_newer_agent_is_refused() {
    let dir = TempDir::new().unwrap();
    with_commits(dir.path(), 1);
    let database = builder().open(dir.path().join(FILE)).unwrap();
    rows::set_format(&database, 9);
    drop(database);

    assert!(matches!(
        damage(dir.path()),
        Damage::Rows(BadRows::Newer(9))
    ));
}

#[test]
fn a_second_agent_is_told_who_has_the_state() {
    let dir = TempDir::new().unwrap();
    let (_first, _) = Database::open(dir.path()).unwrap();

    let error = Database::open(dir.path()).unwrap_err();

    let holder = format!("process {}", std::process::id());
    assert!(
        matches!(&error, OpenError::InUse { holder: h, .. } if *h == holder),
        "{error:?}"
    );
    assert!(error.to_string().contains(&holder));
    assert!(matches!(
        reset_state(dir.path()),
        Err(OpenError::InUse { .. })
    ));
}

#[test]
fn a_killed_agent_leaves_every_commit_and_no_lock() {
    let dir = TempDir::new().unwrap();
    for round in 0..4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "database::tests::child_that_commits_until_killed",
                "--nocapture",
            ])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let commits = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("committed ")?.parse::<u64>().ok());
        let acknowledged = commits.take(5 + round).last().unwrap();
        let in_use = Database::open(dir.path()).unwrap_err();
        child.kill().unwrap();
        child.wait().unwrap();

        let (_, after) = Database::open(dir.path()).unwrap();

        assert!(after.revision >= acknowledged);
        assert_eq!(after, content(after.revision));
        assert!(
            in_use
                .to_string()
                .contains(&format!("process {}", child.id()))
        );
    }
}

/// The other process of the test above; by itself it does nothing.
#[test]
fn child_that_commits_until_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else {
        return;
    };
    let (mut database, before) = Database::open(Path::new(&dir)).unwrap();
    for revision in before.revision + 1.. {
        database.commit(&step(&content(revision))).unwrap();
        println!("\ncommitted {revision}");
    }
}

/// A disk that is full as soon as it has a database.
#[derive(Debug, Default)]
struct FullDisk {
    disk: InMemoryBackend,
    is_full: Arc<std::sync::atomic::AtomicBool>,
}

impl FullDisk {
    fn check(&self) -> io::Result<()> {
        match self.is_full.load(std::sync::atomic::Ordering::Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl StorageBackend for FullDisk {
    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check().and_then(|()| self.disk.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check().and_then(|()| self.disk.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check().and_then(|()| self.disk.write(offset, data))
    }
}

impl Database {
    /// Makes the next commit fail; the one after that opens the file again.
    pub(crate) fn break_disk(&mut self) {
        let disk = FullDisk::default();
        let is_full = Arc::clone(&disk.is_full);
        self.open = Some(builder().create_with_backend(disk).unwrap());
        is_full.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// A disk that remembers in which order it was written.
#[derive(Debug, Default)]
struct Recorder {
    disk: InMemoryBackend,
    log: Arc<Mutex<Vec<Op>>>,
}

#[derive(Clone, Debug)]
enum Op {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

impl StorageBackend for Recorder {
    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.log.lock().unwrap().push(Op::SetLen(len));
        self.disk.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.log.lock().unwrap().push(Op::Sync);
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let op = Op::Write(offset, data.to_vec());
        self.log.lock().unwrap().push(op);
        self.disk.write(offset, data)
    }
}

/// What the disk has if the power fails before `log[at]` and `survives` says what of the writes
/// since the last sync is on it: whole, or only their first part.
fn after_power_cut(log: &[Op], at: usize, mut survives: impl FnMut() -> u8) -> Vec<u8> {
    let synced = log[..at]
        .iter()
        .rposition(|op| matches!(op, Op::Sync))
        .unwrap_or(0);
    let mut bytes = Vec::new();
    for (n, op) in log[..at].iter().enumerate() {
        let keep = if n < synced { 2 } else { survives() % 3 };
        match op {
            Op::Write(offset, data) if keep > 0 => {
                let len = if keep == 1 {
                    data.len() / 2
                } else {
                    data.len()
                };
                let from = usize::try_from(*offset).unwrap();
                bytes.resize(bytes.len().max(from + len), 0);
                bytes[from..from + len].copy_from_slice(&data[..len]);
            }
            Op::SetLen(len) if keep > 0 => bytes.resize(usize::try_from(*len).unwrap(), 0),
            Op::Write(..) | Op::SetLen(_) | Op::Sync => {}
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_power_cut_loses_no_commit(cut in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let recorder = Recorder::default();
        let log = Arc::clone(&recorder.log);
        let database = builder().create_with_backend(recorder).unwrap();
        rows::commit(&database, &Write::whole(&Content::default())).unwrap();
        let mut committed = vec![log.lock().unwrap().len()];
        for revision in 1..=6 {
            rows::commit(&database, &step(&content(revision))).unwrap();
            committed.push(log.lock().unwrap().len());
        }
        let log = log.lock().unwrap().clone();
        let at = committed[0] + cut.index(log.len() + 1 - committed[0]);
        let mut state = seed | 1;
        let random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[0]
        };

        let after = check(&after_power_cut(&log, at, random)).unwrap();

        let acknowledged = committed.iter().filter(|&&end| end <= at).count() as u64 - 1;
        prop_assert!(after.revision >= acknowledged, "{} < {acknowledged}", after.revision);
        prop_assert_eq!(&after, &content_or_empty(after.revision));
    }

    #[test]
    fn a_damaged_file_is_refused_or_harmless(
        at in any::<prop::sample::Index>(),
        bit in 0..8u8,
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join(FILE);
        let mut bytes = FOUR_COMMITS.clone();
        match cut {
            Some(cut) => bytes.truncate(cut.index(bytes.len())),
            None => {
                // Most of the file is free space: hit where something is.
                let used: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i] != 0).collect();
                bytes[used[at.index(used.len())]] ^= 1 << bit;
            }
        }
        fs::write(&path, &bytes).unwrap();

        match Database::open(dir.path()) {
            Ok((_, after)) => prop_assert_eq!(after, content(4)),
            Err(OpenError::Broken { .. }) => prop_assert_eq!(fs::read(&path).unwrap(), bytes),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

/// A database's bytes after four commits.
static FOUR_COMMITS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let dir = TempDir::new().unwrap();
    with_commits(dir.path(), 4);
    fs::read(dir.path().join(FILE)).unwrap()
});

fn content_or_empty(revision: u64) -> Content {
    match revision {
        0 => Content::default(),
        _ => content(revision),
    }
}
