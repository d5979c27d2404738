//! Running a command with a connected client.

use std::path::Path;

use anyhow::Result;
use bareflow_protocol::control::Refusal;
use serde::Serialize;
use serde_json::json;

use super::Client;

use crate::Exit;
use crate::input_files::write_json;
use crate::options::ConnectOptions;

/// The version of the JSON form of answers.
const SCHEMA: u32 = 1;

/// A response as JSON.
#[derive(Serialize)]
struct Document<'answer, T> {
    schema: u32,
    #[serde(flatten)]
    answer: &'answer T,
}

/// Writes a response as JSON to `path`, if there is one.
pub(super) fn keep(path: Option<&Path>, answer: &impl Serialize) -> Result<()> {
    path.map_or(Ok(()), |path| write_json(path, &Document { schema: SCHEMA, answer }))
}

/// Runs `act` with a connected client. A refusal by the kernel is shown, and gives exit code 1.
pub(super) fn run_command(connect: &ConnectOptions, act: impl FnOnce(&mut Client) -> Result<Exit>) -> Result<Exit> {
    match Client::connect(connect).and_then(|mut client| act(&mut client)) {
        Err(problem) => match problem.downcast::<Refusal>() {
            Ok(Refusal { error, code, .. }) => {
                crate::complain!("error: {error}");
                keep(connect.json.as_deref(), &json!({ "error": error, "code": code }))?;
                Ok(Exit::Failed)
            }
            Err(problem) => Err(problem),
        },
        ended => ended,
    }
}
