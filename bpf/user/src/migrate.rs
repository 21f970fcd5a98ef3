//! Moves what is pinned from one version to the next without losing a flow.
//!
//! ```text
//! v1 pinned   copy       switch each link       catch up       rename v1, remove it
//! ----------+----------+---------------------+--------------+----------------------
//! old program runs     | one, then the other | new program runs
//! ```
//!
//! Until the rename every step can be repeated, so an interrupted migration starts again. The
//! desired state must not be applied to the new version before it is over.

use std::error::Error;

use crate::link::XdpLink;
use crate::pins::{PinDir, PinError};
use crate::program::Program;

/// Turns the tables of one version into those of another. Both methods may run more than once.
pub trait Conversion {
    /// The version it reads.
    fn from(&self) -> u32;

    /// Writes everything into the new version's tables, while the old program still runs.
    ///
    /// # Errors
    /// If a table cannot be read or written; nothing is switched then.
    fn copy(&self, old: &PinDir, new: &PinDir) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// Adds what the old program still wrote after it was copied. The new program runs: what that
    /// wrote must stay.
    ///
    /// # Errors
    /// If a table cannot be read or written; the old version stays then.
    fn catch_up(&self, old: &PinDir, new: &PinDir) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// Why a migration stopped. What ran before still runs.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// There is no way from the version that is pinned.
    #[error("version {from} is pinned, and there is no conversion from it to version {to}")]
    NoWay {
        /// What is pinned.
        from: u32,
        /// What was wanted.
        to: u32,
    },
    /// A table could not be converted.
    #[error("converting the tables of version {from} to version {to}")]
    Convert {
        /// What is pinned.
        from: u32,
        /// What was wanted.
        to: u32,
        /// Why it failed.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A link could not be switched to the new program.
    #[error("switching interface {interface} to version {to}")]
    Switch {
        /// The interface.
        interface: String,
        /// What was wanted.
        to: u32,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A pin cannot be made or removed.
    #[error(transparent)]
    Pin(#[from] PinError),
}

/// Moves from whatever other version is pinned to `new`; says whether there was one. The new
/// version's program is loaded and its tables are there.
///
/// # Errors
/// If a step fails, and it can be tried again, or if no conversion leads here.
pub fn migrate(
    new: &PinDir,
    program: &Program,
    conversions: &[&dyn Conversion],
) -> Result<bool, MigrateError> {
    for conversion in conversions {
        new.sibling(conversion.from()).sweep()?;
    }
    let mut migrated = false;
    for from in new.versions()? {
        if from != new.version() {
            let conversion = find(conversions, from, new.version())?;
            migrate_one(&new.sibling(from), new, program, conversion)?;
            migrated = true;
        }
    }
    Ok(migrated)
}

fn find<'c>(
    conversions: &[&'c dyn Conversion],
    from: u32,
    to: u32,
) -> Result<&'c dyn Conversion, MigrateError> {
    conversions
        .iter()
        .copied()
        .find(|conversion| conversion.from() == from)
        .ok_or(MigrateError::NoWay { from, to })
}

fn migrate_one(
    old: &PinDir,
    new: &PinDir,
    program: &Program,
    conversion: &dyn Conversion,
) -> Result<(), MigrateError> {
    let (from, to) = (old.version(), new.version());
    let convert = |source| MigrateError::Convert { from, to, source };
    conversion.copy(old, new).map_err(convert)?;
    for interface in old.linked_interfaces()? {
        switch(old, new, program, &interface)?;
    }
    conversion.catch_up(old, new).map_err(convert)?;
    old.retire()?;
    tracing::info!(from, to, "pinned tables migrated");
    Ok(())
}

fn switch(
    old: &PinDir,
    new: &PinDir,
    program: &Program,
    interface: &str,
) -> Result<(), MigrateError> {
    let Some(link) = XdpLink::open(old, interface)? else {
        return Ok(());
    };
    if link.ifindex().is_some() {
        link.replace(program)
            .map_err(|source| MigrateError::Switch {
                interface: interface.to_owned(),
                to: new.version(),
                source,
            })?;
        link.pin(&new.link(interface))?;
    }
    Ok(())
}
