//! The configuration: what the files say, loaded, checked and explained.
//!
//! Three steps. [`load`] judges a file's shape against its model, with line and key; [`check`] judges the values,
//! alone and against the guard's file; the rooms then take their own section as it is. The models
//! ([`model`], [`guard`]) are the only place where a key, its unit, default and range are written:
//! [`reference`] makes the annotated file, the reference page and the JSON schema from them.

pub mod check;
pub mod error;
pub mod guard;
pub mod keys;
pub mod load;
pub mod model;
pub mod reference;

pub use error::{ConfigError, ConfigErrors, Place, Problem, Warning, Warnings};
pub use guard::GuardConfig;
pub use load::Source;
pub use model::Config;

use std::path::Path;

impl Config {
    /// Reads the file at `path`: syntax, keys, types and words. The values are [`check::check`]'s.
    ///
    /// # Errors
    /// Every defect of these kinds that the file has.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        Self::load_with_source(path).map(|(config, _)| config)
    }

    /// As [`Config::load`], with the lines of its keys for later errors.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_with_source(path: &Path) -> Result<(Self, Source), ConfigErrors> {
        load::read(path)
    }

    /// The effective configuration as TOML, defaults included. It holds no secret: credentials are paths.
    pub fn show(&self) -> String {
        // INVARIANT: every field has a TOML form; only a path that is not UTF-8, which no file can name, has none.
        toml::to_string(self).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
    }
}
