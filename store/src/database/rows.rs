//! The tables, and how a change of content becomes one transaction.

use api::{Key, Kind};
use redb::{ReadableTable, TableDefinition};
use types::ObjectName;

use super::{Content, Orders, Record};

/// The version of the tables' form.
const FORMAT: u64 = 1;

/// `format`, `revision`, `directory`; `withdrawn` while the node is.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// A [`Record`] as JSON by `KIND/NAMESPACE/NAME`.
const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");

/// What an operator ordered for a backend, by `ADDRESS:PORT`.
const OVERRIDES: TableDefinition<'_, &str, &str> = TableDefinition::new("overrides");

/// Whether the node is withdrawn, as 0 or 1; nothing is 0.
const WITHDRAWN: &str = "withdrawn";

/// The order to drain.
const DRAIN: &str = "drain";

/// One transaction.
#[derive(Debug)]
pub(crate) struct Write<'a> {
    pub(crate) revision: u64,
    pub(crate) directory: Option<u64>,
    /// What becomes of each object; nothing removes it.
    pub(crate) records: Vec<(&'a Key, Option<&'a Record>)>,
    /// The orders, if they changed.
    pub(crate) orders: Option<&'a Orders>,
    /// Whether what is not in `records` goes.
    pub(crate) whole: bool,
}

/// Why the tables cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BadRows {
    /// The file cannot be opened again after an error.
    #[error("opening the state database")]
    Open(#[from] redb::DatabaseError),
    /// No transaction can begin.
    #[error("beginning a transaction")]
    Begin(#[from] redb::TransactionError),
    /// A table is missing or of another type.
    #[error("opening a table")]
    Table(#[from] redb::TableError),
    /// A page cannot be read or written.
    #[error("reading or writing a table")]
    Storage(#[from] redb::StorageError),
    /// The commit failed.
    #[error("committing")]
    Commit(#[from] redb::CommitError),
    /// A row is not what was written.
    #[error("the row {0} is not readable")]
    Row(String),
    /// Written by a newer version.
    #[error("its format is {0}, newer than this agent's {FORMAT}")]
    Newer(u64),
}

impl BadRows {
    /// The system's own error, if there is one.
    pub(crate) fn io(&self) -> Option<&std::io::Error> {
        let storage = match self {
            Self::Open(redb::DatabaseError::Storage(error))
            | Self::Begin(redb::TransactionError::Storage(error))
            | Self::Table(redb::TableError::Storage(error))
            | Self::Storage(error)
            | Self::Commit(redb::CommitError::Storage(error)) => error,
            Self::Open(_)
            | Self::Begin(_)
            | Self::Table(_)
            | Self::Commit(_)
            | Self::Row(_)
            | Self::Newer(_) => return None,
        };
        if let redb::StorageError::Io(error) = storage {
            Some(error)
        } else {
            None
        }
    }
}

impl<'a> Write<'a> {
    /// Everything, whatever the file has.
    pub(crate) fn whole(content: &'a Content) -> Self {
        Self {
            revision: content.revision,
            directory: content.directory,
            records: content
                .records
                .iter()
                .map(|(key, record)| (key, Some(record)))
                .collect(),
            orders: Some(&content.orders),
            whole: true,
        }
    }
}

pub(crate) fn commit(database: &redb::Database, write: &Write<'_>) -> Result<(), BadRows> {
    let transaction = database.begin_write()?;
    if write.whole {
        transaction.delete_table(OBJECTS)?;
    }
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert("format", FORMAT)?;
        meta.insert("revision", write.revision)?;
        if let Some(directory) = write.directory {
            meta.insert("directory", directory)?;
        }
        let mut objects = transaction.open_table(OBJECTS)?;
        for (key, record) in &write.records {
            let id = row_id(key);
            match record {
                Some(record) => {
                    let row = serde_json::to_vec(record).map_err(|_| BadRows::Row(id.clone()))?;
                    objects.insert(id.as_str(), row.as_slice())?;
                }
                None => {
                    objects.remove(id.as_str())?;
                }
            }
        }
        if let Some(orders) = write.orders {
            meta.insert(WITHDRAWN, u64::from(orders.withdrawn))?;
            let mut overrides = transaction.open_table(OVERRIDES)?;
            overrides.retain(|_, _| false)?;
            for backend in &orders.drained {
                overrides.insert(backend.to_string().as_str(), DRAIN)?;
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

pub(crate) fn load(database: &redb::Database) -> Result<Content, BadRows> {
    use redb::ReadableDatabase;

    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let number = |name: &str| -> Result<Option<u64>, BadRows> {
        Ok(meta.get(name)?.map(|number| number.value()))
    };
    match number("format")? {
        Some(FORMAT) => {}
        Some(newer) => return Err(BadRows::Newer(newer)),
        None => return Err(BadRows::Row("meta/format".to_owned())),
    }
    let mut content = Content {
        revision: number("revision")?.unwrap_or_default(),
        directory: number("directory")?,
        orders: Orders {
            withdrawn: number(WITHDRAWN)?.is_some_and(|withdrawn| withdrawn != 0),
            ..Orders::default()
        },
        ..Content::default()
    };
    for row in transaction.open_table(OBJECTS)?.iter()? {
        let (id, row) = row?;
        let bad = || BadRows::Row(format!("objects/{}", id.value()));
        let key = key_of(id.value()).ok_or_else(bad)?;
        let record = serde_json::from_slice(row.value()).map_err(|_| bad())?;
        content.records.insert(key, record);
    }
    for row in transaction.open_table(OVERRIDES)?.iter()? {
        let (backend, order) = row?;
        let bad = || BadRows::Row(format!("overrides/{}", backend.value()));
        if order.value() != DRAIN {
            return Err(bad());
        }
        let backend = backend.value().parse().map_err(|_| bad())?;
        content.orders.drained.insert(backend);
    }
    Ok(content)
}

/// `KIND/NAMESPACE/NAME`, the namespace empty where there is none.
fn row_id(key: &Key) -> String {
    let ObjectName { namespace, name } = &key.name;
    format!("{}/{namespace}/{name}", key.kind)
}

fn key_of(id: &str) -> Option<Key> {
    let (kind, name) = id.split_once('/')?;
    let (namespace, name) = name.split_once('/')?;
    Some(Key::new(
        Kind::from_name(kind)?,
        ObjectName::new(namespace, name),
    ))
}

/// What a newer agent would have written.
#[cfg(test)]
pub(super) fn set_format(database: &redb::Database, format: u64) {
    let transaction = database.begin_write().unwrap();
    let mut meta = transaction.open_table(META).unwrap();
    meta.insert("format", format).unwrap();
    drop(meta);
    transaction.commit().unwrap();
}
