//! The files a run is given.

use std::fs;
use std::path::{Path, PathBuf};

use bareflow_protocol::Report;
use bareflow_protocol::report::Refusal;

use crate::Problem;
use crate::diagnosis::disassemble_faults;
use crate::options::RunOptions;

/// The blobs that could be read, those that could not, and the input.
#[derive(Debug, Default)]
pub struct Files {
    /// The name to show and the bytes of each blob.
    pub blobs: Vec<(String, Vec<u8>)>,
    /// Files that can't be read.
    pub unreadable: Vec<Refusal>,
    /// The input of the run.
    pub input: Vec<u8>,
}

impl Files {
    /// Reads what `options` name. A file that can't be read is reported at once; the rest goes on.
    ///
    /// # Errors
    /// When the run can't be what was asked for.
    pub fn read(options: &RunOptions) -> Result<Files, Problem> {
        Ok(Files { input: read_input(options.input.as_deref())?, ..Files::blobs(&options.files) })
    }

    /// Reads blobs. A file that can't be read is reported at once; the rest goes on.
    #[must_use]
    pub fn blobs(paths: &[PathBuf]) -> Files {
        let mut files = Files::default();
        for path in paths {
            let label = label(path);
            match fs::read(path) {
                Ok(bytes) => files.blobs.push((label, bytes)),
                Err(error) => {
                    let error = format!("can't read: {error}; name a .mod file, such as target/modules/sum.mod");
                    anstream::eprintln!("[ERROR] {label}: {error}");
                    files.unreadable.push(Refusal { source: label, error });
                }
            }
        }
        files
    }
}

/// The path on one line.
#[must_use]
pub fn label(path: &Path) -> String {
    path.to_string_lossy().replace(|character: char| character.is_control(), "?")
}

/// The bytes of the file of that name, or else the text itself; nothing when nothing is said.
///
/// # Errors
/// When there is such a file, but it can't be read.
pub fn read_input(input: Option<&str>) -> Result<Vec<u8>, Problem> {
    let Some(input) = input else { return Ok(Vec::new()) };
    let path = Path::new(input);
    // A pipe counts as well; a folder has no bytes, so its name is a text.
    if fs::metadata(path).is_ok_and(|found| !found.is_dir()) {
        return fs::read(path).map_err(|error| format!("can't read the input {input}: {error}").into());
    }
    Ok(input.as_bytes().to_vec())
}

/// Adds what could not be read to the report, and writes it where `options` say.
///
/// # Errors
/// When the file can't be written.
pub fn finish(report: &mut Report, files: Files, options: &RunOptions) -> Result<crate::Ended, Problem> {
    disassemble_faults(report);
    report.passed &= files.unreadable.is_empty();
    report.refused.extend(files.unreadable);
    if let Some(path) = &options.json {
        write_json(path, report)?;
    }
    Ok(if report.passed { crate::Ended::Passed } else { crate::Ended::Failed })
}

/// Writes `value` as JSON to `path`.
///
/// # Errors
/// When the file can't be written.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), Problem> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    fs::write(path, text).map_err(|error| format!("can't write {}: {error}", path.display()).into())
}
