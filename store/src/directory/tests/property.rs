//! Random edits, status writes and restarts, against a model of what must come of them.

use std::collections::BTreeSet;

use api::Version;
use proptest::prelude::*;

use super::*;
use crate::directory::ledger::StatusWrite;
use crate::manifest::{FileRead, Listing, ManifestSet};

#[derive(Clone, Debug)]
enum Step {
    /// A file is written: objects by name with a port, and none if they are not valid.
    Write(usize, Vec<(usize, Option<u16>)>),
    /// A file is cut off.
    Cut(usize),
    Remove(usize),
    Status(usize, u8),
    BreakDisk,
    Restart,
}

const FILES: [&str; 3] = ["a.yaml", "b/b.yaml", "c.yaml"];
const NAMES: [&str; 4] = ["s0", "s1", "s2", "s3"];

/// What a file has, if it can be told.
type Files = BTreeMap<&'static str, Option<Vec<(usize, Option<u16>)>>>;

/// The port and file of each object that must run, as far as the files say.
type Model = BTreeMap<usize, (u16, &'static str)>;

fn step() -> impl Strategy<Value = Step> {
    let file = 0..FILES.len();
    let object = (0..NAMES.len(), prop::option::weighted(0.8, 1..100u16));
    prop_oneof![
        8 => (file.clone(), prop::collection::vec(object, 0..4)).prop_map(|(f, o)| Step::Write(f, o)),
        2 => file.clone().prop_map(Step::Cut),
        2 => file.prop_map(Step::Remove),
        4 => (0..NAMES.len(), any::<u8>()).prop_map(|(n, addr)| Step::Status(n, addr)),
        1 => Just(Step::BreakDisk),
        1 => Just(Step::Restart),
    ]
}

fn text(objects: &[(usize, Option<u16>)]) -> String {
    let objects = objects.iter();
    let objects = objects.map(|(name, port)| service(NAMES[*name], port.unwrap_or(0)));
    format!("# manifests\n{}", objects.collect::<String>())
}

fn read(files: &Files) -> ManifestSet {
    let mut set = ManifestSet::new(&Listing::default());
    for (name, objects) in files {
        let text = objects.as_deref().map_or("cut: [".to_owned(), text);
        set.add(name, &FileRead::parse(name, text.as_bytes()));
    }
    set.finish()
}

/// What must run once these files were read.
fn after(model: &Model, files: &Files) -> Model {
    let mut seen: BTreeMap<usize, Vec<(Option<u16>, &'static str)>> = BTreeMap::new();
    for (file, objects) in files {
        for (name, port) in objects.iter().flatten() {
            seen.entry(*name).or_default().push((*port, file));
        }
    }
    let mut next = Model::new();
    for name in 0..NAMES.len() {
        let was = model.get(&name).copied();
        let is = match seen.get(&name).map(Vec::as_slice) {
            Some([(Some(port), file)]) => Some((*port, *file)),
            Some([(_, file), ..]) => was.map(|(port, _)| (port, *file)),
            Some([]) | None => was.filter(|(_, file)| files.get(file) == Some(&None)),
        };
        next.extend(is.map(|is| (name, is)));
    }
    next
}

/// Follows a ledger's changes as the hub would.
fn follow(copy: &mut BTreeMap<Key, Object>, changes: Vec<Change>) {
    for change in changes {
        match change {
            Change::Put(key, object, version) => {
                assert_eq!(
                    Some(version.as_str()),
                    object.meta().resource_version.as_deref()
                );
                copy.insert(key, object);
            }
            Change::Gone(key) => drop(copy.remove(&key)),
            Change::Refused(..) | Change::Restart(_) | Change::Synced(_) => {}
        }
    }
}

fn open(dir: &TempDir) -> Ledger {
    let (database, content) = Database::open(dir.path()).unwrap();
    Ledger::new(database, content)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_runs_is_what_was_last_good_and_a_restart_changes_nothing(
        steps in prop::collection::vec(step(), 1..25),
    ) {
        let dir = TempDir::new().unwrap();
        let mut ledger = open(&dir);
        let mut files = Files::new();
        let mut model = Model::new();
        let mut copy = BTreeMap::new();
        let now = Timestamp::UNIX_EPOCH;
        follow(&mut copy, ledger.reload(&read(&files), None, now).unwrap());
        for step in steps {
            match step {
                Step::Write(file, objects) => drop(files.insert(FILES[file], Some(objects))),
                Step::Cut(file) => drop(files.insert(FILES[file], None)),
                Step::Remove(file) => drop(files.remove(FILES[file])),
                Step::Status(name, addr) => {
                    let key = key(NAMES[name]);
                    let seen = copy.get(&key).map_or_else(|| Version::new("0"), version_of);
                    let status = given(&format!("10.0.0.{addr}"));
                    let write = StatusWrite { key: key.clone(), seen, status };
                    let is_there = copy.contains_key(&key);
                    let result = ledger.write_statuses(&[write], now).remove(0);
                    match result {
                        Ok(()) | Err(WriteError::Unavailable(_)) => prop_assert!(is_there),
                        Err(error) => prop_assert!(!is_there && error == WriteError::Gone),
                    }
                    follow(&mut copy, ledger.take_pending());
                    continue;
                }
                Step::BreakDisk => {
                    ledger.break_disk();
                    continue;
                }
                Step::Restart => {
                    drop(ledger);
                    ledger = open(&dir);
                    let mut fresh = BTreeMap::new();
                    follow(&mut fresh, ledger.reload(&read(&files), None, now).unwrap());
                    prop_assert_eq!(&fresh, &copy);
                    continue;
                }
            }
            let set = read(&files);
            let changes = ledger.reload(&set, None, now);
            let changes = changes.or_else(|_| ledger.reload(&set, None, now)).unwrap();
            model = after(&model, &files);
            let told: BTreeSet<&Key> = changes.iter().filter_map(named).collect();
            prop_assert_eq!(told.len(), changes.iter().filter_map(named).count());
            follow(&mut copy, changes);
            let ports = model.iter().map(|(name, (port, _))| (key(NAMES[*name]), Some(*port)));
            let held = copy.keys().map(|key| (key.clone(), port(&copy, &key.name.name)));
            prop_assert_eq!(held.collect::<Vec<_>>(), ports.collect::<Vec<_>>());
        }
    }
}

/// The object whose state a change sets.
fn named(change: &Change) -> Option<&Key> {
    match change {
        Change::Put(key, ..) | Change::Gone(key) => Some(key),
        Change::Refused(..) | Change::Restart(_) | Change::Synced(_) => None,
    }
}
