//! `config check|defaults|show`.

use std::env;
use std::path::Path;

use super::arguments::ConfigVerb;
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::config::{Config, ConfigError, DEFAULTS};

pub(super) fn run(verb: ConfigVerb, output: &mut Output) -> Result<(), Failure> {
    match verb {
        ConfigVerb::Check { file } => {
            load(&file)?;
            output.line(&format!("{}: valid", file.display()))
        }
        ConfigVerb::Defaults => output.bytes(DEFAULTS.as_bytes()),
        ConfigVerb::Show { file } => show(&load(&file)?, output),
    }
}

/// Reads a configuration with the environment of this process laid over it.
pub(super) fn load(file: &Path) -> Result<Config, ConfigError> {
    // A name or value that is not UTF-8 cannot be meant for the configuration.
    let text = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Config::load(file, text)
}

fn show(config: &Config, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(config);
    }
    let text = toml::to_string(config)
        .map_err(|error| Failure::new(Exit::Other, format!("cannot be printed: {error}")))?;
    output.bytes(text.as_bytes())
}
