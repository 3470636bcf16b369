//! The command line, one file per subcommand.

#[cfg(feature = "sandbox")]
pub mod sandbox;
