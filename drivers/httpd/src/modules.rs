//! The modules as JSON, some at a time. The names are those of `bareflow ps --json`.

use bareflow_abi::Out;
use bareflow_report::{Domain, ModuleRow, Overview, Report, State};
use serde::Serialize;
use serde_json_core::to_slice;

/// The rows that are written at a time.
const ROWS: usize = 2;

/// A cursor in the list: the next row to be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    position: u32,
    is_begun: bool,
}

/// The figures of all modules together.
#[derive(Serialize)]
struct Head {
    schema: u32,
    now_us: u64,
    now_cycles: u64,
    memory_bytes: u64,
    total_modules: u32,
}

/// A module.
#[derive(Serialize)]
struct Module<'row> {
    name: &'row str,
    version: Version,
    generation: u32,
    domain: Option<&'static str>,
    state: Option<&'static str>,
    starts_in_ms: Option<u64>,
    active: bool,
    tier: Option<u8>,
    memory_bytes: u64,
    call_count: u64,
    function_calls: u64,
    timed_calls: u64,
    p50_cycles: Option<u64>,
    p99_cycles: Option<u64>,
    faults: u32,
    restarts: u32,
}

/// A version, written with dots.
struct Version([u32; 3]);

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [major, minor, patch] = self.0;
        serializer.collect_str(&format_args!("{major}.{minor}.{patch}"))
    }
}

impl<'row> From<&'row ModuleRow> for Module<'row> {
    fn from(row: &'row ModuleRow) -> Module<'row> {
        let (state, is_timed) = (State::of(row.state), row.timed_calls > 0);
        Module {
            name: row.name(),
            version: Version(row.version),
            generation: row.generation,
            domain: Domain::of(row.domain).map(Domain::name),
            state: state.map(State::name),
            // Rounded up, so that it starts by then.
            starts_in_ms: (state == Some(State::Waiting)).then_some(row.starts_in_us.div_ceil(1000)),
            active: row.is_active != 0,
            tier: (row.tier != ModuleRow::NATIVE).then_some(row.tier),
            memory_bytes: row.memory_bytes,
            call_count: row.call_count,
            function_calls: row.function_calls,
            timed_calls: row.timed_calls,
            p50_cycles: is_timed.then_some(row.p50_cycles),
            p99_cycles: is_timed.then_some(row.p99_cycles),
            faults: row.faults,
            restarts: row.restarts,
        }
    }
}

/// Writes the next piece. Returns its length, and the cursor behind it, or `None` if it was the last.
///
/// `None` if the report gave no answer, or there is too little room.
pub fn write(report: &impl Report, cursor: Cursor, room: &mut [u8]) -> Option<(usize, Option<Cursor>)> {
    let mut text = Text { room, length: 0 };
    if !cursor.is_begun {
        text.add_head(report)?;
    }
    let mut rows = [ModuleRow::default(); ROWS];
    let mut rows = Out::new(&mut rows);
    let next = report.modules(cursor.position, &mut rows).ok()?;
    for (index, row) in rows.written().iter().enumerate() {
        // The list begins with the first row there is.
        if cursor.is_begun || index > 0 {
            text.add(b",")?;
        }
        text.add_json(&Module::from(row))?;
    }
    let is_begun = cursor.is_begun || !rows.written().is_empty();
    // A position that leads nowhere is the end.
    let next = (next > cursor.position && is_begun).then_some(Cursor { position: next, is_begun });
    if next.is_none() {
        text.add(b"]}\n")?;
    }
    Some((text.length, next))
}

/// Text in the room for it.
struct Text<'room> {
    room: &'room mut [u8],
    length: usize,
}

impl Text<'_> {
    fn add(&mut self, bytes: &[u8]) -> Option<()> {
        self.room.get_mut(self.length..)?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        self.length += bytes.len();
        Some(())
    }

    fn add_json(&mut self, value: &impl Serialize) -> Option<()> {
        self.length += to_slice(value, self.room.get_mut(self.length..)?).ok()?;
        Some(())
    }

    fn add_head(&mut self, report: &impl Report) -> Option<()> {
        let mut overview = Overview::default();
        report.overview(&mut overview).ok()?;
        let Overview { now_us, now_cycles, memory_bytes, modules, .. } = overview;
        self.add_json(&Head { schema: 1, now_us, now_cycles, memory_bytes, total_modules: modules })?;
        // The list is the last member of the same object.
        self.length = self.length.checked_sub(1)?;
        self.add(b",\"modules\":[")
    }
}
