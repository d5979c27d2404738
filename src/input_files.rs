//! The files that a run is given.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use bareflow_loader::RawModule;
use bareflow_loader::portable::engine::WASM_MARK;
use bareflow_protocol::report::Refusal;

use bareflow_protocol::control::MAX_BLOB;
use bareflow_suite::portable::{is_engine, is_wasm};

use crate::input::{read_at_most, read_input};
use crate::options::{LoadingOptions, Network, RunOptions};
use crate::output::{report_refused, write_out};

/// The files of a run: blobs, unreadable files, the input, and the parameters that go with them.
#[derive(Clone, Debug, Default)]
pub struct InputFiles {
    /// The name to show and the bytes of each blob.
    pub blobs: Vec<(String, Vec<u8>)>,
    /// The number of those blobs, the first ones, that are engines which the sandbox trusts.
    pub engines: usize,
    /// Files that can't be read.
    pub unreadable: Vec<Refusal>,
    /// The input of the run.
    pub input: Vec<u8>,
    /// The parameters to set and the imports to bind, one [`Assignment`](bareflow_loader::Assignment) on each line.
    pub parameters: String,
    /// The limits of single modules, as [`ModuleLimits`](bareflow_suite::module_limits::ModuleLimits) takes them.
    pub limits: String,
}

impl InputFiles {
    /// Reads the files that `options` name. A blob that can't be read is reported at once, and the others are still
    /// read.
    ///
    /// # Errors
    /// When the input can't be read.
    pub fn read(options: &RunOptions) -> Result<InputFiles> {
        let input = read_input(options.input.as_deref())?;
        Ok(InputFiles { input, ..InputFiles::to_load(&options.files, &options.loading) })
    }

    /// Reads the files that are loaded as `loading` says.
    #[must_use]
    pub fn to_load(paths: &[PathBuf], loading: &LoadingOptions) -> InputFiles {
        let (parameters, limits) = (loading.assignments.lines(), loading.module_limits().to_owned());
        InputFiles { parameters, limits, ..InputFiles::blobs(paths) }
    }

    /// Returns whether there is a portable module among the files.
    #[must_use]
    pub fn has_portable(&self) -> bool {
        self.blobs.iter().any(|(_, bytes)| is_wasm(bytes))
    }

    /// Returns whether there is an engine among the files.
    #[must_use]
    pub fn has_engine(&self) -> bool {
        self.blobs.iter().any(|(_, bytes)| RawModule::parse(bytes).is_ok_and(|raw| is_engine(&raw)))
    }

    /// Reads blobs. A file that can't be read is reported at once, and the others are still read.
    #[must_use]
    pub fn blobs(paths: &[PathBuf]) -> InputFiles {
        let mut files = InputFiles::default();
        for path in paths {
            let label = label(path);
            match read_blob(path) {
                Ok(bytes) => files.blobs.push((label, bytes)),
                Err(error) => {
                    report_refused(&label, &error);
                    files.unreadable.push(Refusal::new(label, error));
                }
            }
        }
        files
    }
}

/// Reads a file that could be a blob; at most as many bytes as a blob may have.
///
/// # Errors
/// A text that says why it can't be a blob, and what to do.
pub fn read_blob(path: &Path) -> Result<Vec<u8>, String> {
    let limit = MAX_BLOB as usize;
    match read_at_most(path, limit) {
        Ok(bytes) if bytes.len() > limit => {
            Err(format!("more than {limit} bytes, expected a module of at most so many; name another file"))
        }
        Ok(bytes) if path.extension().is_some_and(|ending| ending == "wasm") && !is_wasm(&bytes) => Err(format!(
            "no WebAssembly in its binary format, which begins with {WASM_MARK:02x?}, expected that of a file .wasm; see \
             docs/portable.md for how one is made"
        )),
        Ok(bytes) => Ok(bytes),
        Err(_) if path.to_str().and_then(Network::parse).is_some() => {
            Err("no file, expected a .mod file here; what `--net` takes follows it with `=`, as in `--net=udp:5007:7`"
                .to_owned())
        }
        Err(error) => Err(format!("can't read: {error}; name a .mod file: `bareflow build` makes it and says where")),
    }
}

/// Reads a file for a command that takes only native modules.
///
/// # Errors
/// As for [`read_blob`]; also if it is WebAssembly.
pub fn read_native_blob(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = read_blob(path)?;
    if is_wasm(&bytes) {
        return Err("WebAssembly, expected a native module here; see docs/portable.md for what takes both".to_owned());
    }
    Ok(bytes)
}

/// Returns the path as text, with control characters replaced, so that it stays on one line.
#[must_use]
pub fn label(path: &Path) -> String {
    path.to_string_lossy().replace(|character: char| character.is_control(), "?")
}

/// Writes `value` as JSON to `path`; `-` is standard output.
///
/// # Errors
/// When the file can't be written.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    if path == Path::new("-") {
        write_out(text.as_bytes());
        return Ok(());
    }
    fs::write(path, text).map_err(|error| anyhow!("can't write {}: {error}", path.display()))
}

/// Checks that a JSON file can be written, before the work that produces its contents.
///
/// # Errors
/// When it can't.
pub fn check_json(path: &Path) -> Result<()> {
    let there = fs::metadata(path);
    // Opening a pipe or a device may have side effects.
    if path == Path::new("-") || there.as_ref().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return Ok(());
    }
    let failed =
        |error| anyhow!("--json: can't write {}: {error}; nothing was done: name another file", path.display());
    fs::OpenOptions::new().append(true).create(true).open(path).map_err(failed)?;
    if there.is_err() {
        // The file was created only for this check.
        let _ = fs::remove_file(path);
    }
    Ok(())
}
