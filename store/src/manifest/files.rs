//! Writes objects into a directory of manifests: a file each, or the document where one already is.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use api::{Fault, Key, Kind, Object, Strictness};
use serde_json::Value;

use super::file::FileRead;
use super::scan::scan;
use super::text::{removed, rendered, replaced};
use crate::source::{Applied, Objects, WriteError};

/// Held while a file is changed. Its name begins with a dot: nobody reads it as a manifest.
const LOCK: &str = ".sluice.lock";

/// What a manifest may state and that is given by whoever has the object.
const GIVEN: [&str; 6] = [
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// A directory of manifests as a place for objects. Cheap to clone.
///
/// A new object gets the file `PLURAL/NAMESPACE/NAME.yaml`, without the namespace where its kind has
/// none. One that is there is changed where it is; the other documents of its file stay to the letter.
#[derive(Clone, Debug)]
pub struct ManifestFiles {
    root: PathBuf,
    /// The files that objects are in, from the root, as last seen by this handle.
    places: Arc<Mutex<Option<Places>>>,
}

type Places = BTreeMap<Key, Vec<String>>;

/// What becomes of a file.
enum Edit {
    Write(String, String),
    Remove(String),
    Nothing,
}

impl ManifestFiles {
    /// The directory need not be there until something is written.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            places: Arc::default(),
        }
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What applying would come to.
    ///
    /// # Errors
    /// Those of [`Objects::apply`] that can be told without writing.
    pub fn rehearse(&self, manifest: &Value) -> Result<Applied, WriteError> {
        let manifest = Wanted::new(manifest)?;
        self.plan(&manifest).map(|(_, applied)| applied)
    }

    fn apply_now(&self, manifest: &Value) -> Result<Applied, WriteError> {
        let manifest = Wanted::new(manifest)?;
        let _lock = self.lock()?;
        let (edit, applied) = self.plan(&manifest)?;
        let file = edit.file().map(str::to_owned);
        self.carry_out(&manifest.key, edit)?;
        if let Some(file) = file {
            self.note(&manifest.key, Some(file));
        }
        Ok(applied)
    }

    fn delete_now(&self, key: &Key) -> Result<bool, WriteError> {
        if !self.root.exists() {
            return Ok(false);
        }
        let _lock = self.lock()?;
        let Some(file) = self.file_of(key)? else {
            return Ok(false);
        };
        let text = self.text(&file)?;
        let edit = match removed(&file, &text, key) {
            Ok(Some(text)) => Edit::Write(file, text),
            Ok(None) => Edit::Remove(file),
            Err(error) => return Err(WriteError::Forbidden(format!("{file}: {error}"))),
        };
        self.carry_out(key, edit)?;
        self.note(key, None);
        Ok(true)
    }

    fn plan(&self, wanted: &Wanted) -> Result<(Edit, Applied), WriteError> {
        let Some(file) = self.file_of(&wanted.key)? else {
            let file = new_file(&wanted.key);
            if self.root.join(&file).exists() {
                let reason = format!("{file} is there and has something else in it");
                return Err(WriteError::Forbidden(reason));
            }
            let text = rendered(&file, &wanted.manifest);
            return Ok((Edit::Write(file, text), Applied::Created));
        };
        let text = self.text(&file)?;
        let read = FileRead::parse(&file, text.as_bytes());
        let held = read.objects.into_iter().find(|held| held.key == wanted.key);
        let held = held.and_then(|held| held.manifest.ok());
        let manifest = wanted.beside(held.as_deref());
        if held.is_some_and(|held| *held == manifest) {
            return Ok((Edit::Nothing, Applied::Unchanged));
        }
        let text = replaced(&file, &text, &wanted.key, &manifest);
        let text = text.map_err(|error| WriteError::Forbidden(format!("{file}: {error}")))?;
        Ok((Edit::Write(file, text), Applied::Changed))
    }

    /// The file that has the object. Where others have moved it is looked for, and only then: reading
    /// all files for each of many new objects would take for ever.
    fn file_of(&self, key: &Key) -> Result<Option<String>, WriteError> {
        let mut held = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let has = |file: &String| {
            let read = FileRead::read(file, &self.root.join(file));
            read.objects.iter().any(|object| object.key == *key)
        };
        let known = held.take().unwrap_or_else(|| self.look());
        let is_current = known.get(key).is_none_or(|files| files.iter().all(has));
        let places = held.insert(if is_current { known } else { self.look() });
        match places.get(key).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([file]) => Ok(Some(file.clone())),
            Some(files) => Err(WriteError::Forbidden(format!(
                "{key} is there more than once: remove it from all but one of {}",
                files.join(", ")
            ))),
        }
    }

    fn look(&self) -> Places {
        let mut places = Places::new();
        if !self.root.exists() {
            return places;
        }
        for (name, file) in &scan(&self.root).files {
            for object in FileRead::read(name, &file.path).objects {
                places.entry(object.key).or_default().push(name.clone());
            }
        }
        places
    }

    fn text(&self, file: &str) -> Result<String, WriteError> {
        let path = self.root.join(file);
        fs::read_to_string(&path).map_err(|error| unwritten(&path, &error))
    }

    fn carry_out(&self, key: &Key, edit: Edit) -> Result<(), WriteError> {
        match edit {
            Edit::Nothing => Ok(()),
            Edit::Write(file, text) => {
                let path = self.root.join(&file);
                let mode = if key.kind == Kind::Secret {
                    0o600
                } else {
                    0o644
                };
                write(&path, &text, mode).map_err(|error| unwritten(&path, &error))
            }
            Edit::Remove(file) => {
                let path = self.root.join(&file);
                let gone = fs::remove_file(&path).and_then(|()| sync(&path));
                gone.map_err(|error| unwritten(&path, &error))
            }
        }
    }

    fn note(&self, key: &Key, file: Option<String>) {
        let mut held = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = held.as_mut() {
            places.insert(key.clone(), file.into_iter().collect());
        }
    }

    /// Makes the directory if it is not there, and keeps others from changing it meanwhile.
    fn lock(&self) -> Result<File, WriteError> {
        let lock = || {
            fs::create_dir_all(&self.root)?;
            let path = self.root.join(LOCK);
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .open(path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|error| unwritten(&self.root, &error))
    }
}

impl Edit {
    fn file(&self) -> Option<&str> {
        match self {
            Self::Write(file, _) | Self::Remove(file) => Some(file),
            Self::Nothing => None,
        }
    }
}

impl Objects for ManifestFiles {
    async fn apply(&self, manifest: &Value) -> Result<Applied, WriteError> {
        let (this, manifest) = (self.clone(), manifest.clone());
        let work = tokio::task::spawn_blocking(move || this.apply_now(&manifest));
        work.await.unwrap_or_else(|error| Err(ended(&error)))
    }

    async fn delete(&self, key: &Key) -> Result<bool, WriteError> {
        let (this, key) = (self.clone(), key.clone());
        let work = tokio::task::spawn_blocking(move || this.delete_now(&key));
        work.await.unwrap_or_else(|error| Err(ended(&error)))
    }
}

/// A manifest that is to be in a file.
struct Wanted {
    key: Key,
    manifest: Value,
}

impl Wanted {
    fn new(manifest: &Value) -> Result<Self, WriteError> {
        let mut manifest = manifest.clone();
        if let Some(Value::Object(metadata)) = manifest.get_mut("metadata") {
            metadata.retain(|name, _| !GIVEN.contains(&name.as_str()));
        }
        match Object::from_value(manifest.clone(), Strictness::Strict) {
            Ok(object) => Ok(Self {
                key: object.key(),
                manifest,
            }),
            Err(refusal) => {
                let faults: Vec<String> = refusal.faults.iter().map(Fault::to_string).collect();
                Err(WriteError::Forbidden(faults.join("; ")))
            }
        }
    }

    /// The manifest in place of the one that is held: a time that a file states stays.
    fn beside(&self, held: Option<&Value>) -> Value {
        let mut manifest = self.manifest.clone();
        let created = held.and_then(|held| held.pointer("/metadata/creationTimestamp"));
        if let (Some(created), Some(Value::Object(metadata))) =
            (created, manifest.get_mut("metadata"))
        {
            metadata.insert("creationTimestamp".to_owned(), created.clone());
        }
        manifest
    }
}

fn new_file(key: &Key) -> String {
    let (plural, name) = (key.kind.plural(), &key.name.name);
    match key.name.namespace.as_ref() {
        "" => format!("{plural}/{name}.yaml"),
        namespace => format!("{plural}/{namespace}/{name}.yaml"),
    }
}

/// Puts a file there as a whole or not at all; on the disk when it returns.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    // A link stays one: what it leads to is replaced.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other("it has no name"));
    };
    DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    let mode = fs::metadata(&path).map_or(mode, |metadata| metadata.permissions().mode());
    let new = dir.join(format!(".{}.new", name.to_string_lossy()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(Permissions::from_mode(mode & 0o7777))?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    sync(&path)
}

fn sync(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn unwritten(path: &Path, error: &io::Error) -> WriteError {
    let reason = format!("{}: {error}", path.display());
    if matches!(error.kind(), io::ErrorKind::StorageFull) {
        WriteError::Unavailable(reason)
    } else {
        WriteError::Forbidden(reason)
    }
}

fn ended(error: &tokio::task::JoinError) -> WriteError {
    WriteError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests;
