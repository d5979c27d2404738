//! From the WebAssembly's bytes to full speed: calls per second against time.

use std::fmt;
use std::time::{Duration, Instant};

use bareflow_builder::Workspace;
use bareflow_loader::{Domain, LoadOptions};
use bareflow_protocol::tier::Tier;
use bareflow_suite::console::{Console, Style};
use bareflow_suite::load_defaults::LoadDefaults;
use bareflow_suite::module_file::ModuleFile;
use bareflow_suite::tiers::Rates;

use super::bound::{Bound, Verdicts};
use super::engines::{Blobs, Engines, OUTPUT};
use super::host;
use super::rivals::Compiler;
use super::subjects::{LARGE, Subject, all};
use crate::measure::titled;
use crate::ours::Manager;
use crate::peers::BoxError;
use crate::plot::Series;

/// The modules that are shown, each with the time for which it is called.
const SHOWN: [(&str, Duration); 2] = [(LARGE, Duration::from_secs(8)), ("serde_json", Duration::from_secs(3))];

/// The module of about 100 KB, and the bound for its first result, in milliseconds.
const FIRST: (&str, f64) = ("ed25519-compact", 5.0);

/// The first results of which the median counts.
const TIMES: usize = 21;

/// The ratio of the bounds of a point's time: what returns within is one point.
const STEP: f64 = 1.15;

/// The shortest time of a point, in seconds.
const SHORTEST: f64 = 0.0005;

/// A function that makes a call.
type Call<'a> = Box<dyn FnMut() -> Result<(), BoxError> + 'a>;

/// A plot: its name, and its lines.
pub type Plot = (String, Vec<Series>);

/// Measures all, and returns the text and the plots.
pub fn show(workspace: &Workspace) -> Result<(String, Vec<Plot>), BoxError> {
    let (subjects, engines) = (all(workspace)?, Engines::load(&Blobs::build(workspace)?, Domain::User)?);
    let of = |name: &str| subjects.iter().find(|subject| subject.name == name).ok_or("no such module");
    let mut rows = titled(&["module", "who", "first result, ms", "full speed from, ms", "calls a second then"]);
    let mut plots = Vec::new();
    for (name, duration) in SHOWN {
        let (subject, mut lines) = (of(name)?, Vec::new());
        for (who, start) in CONTENDERS {
            let points =
                run(duration, |began, ends| start(&engines, subject, &mut |call| calls(began, duration, ends, call)))?;
            let best = points.iter().map(|point| point.1).fold(0.0, f64::max);
            let full = points.iter().find(|point| point.1 >= 0.8 * best).map_or(0.0, |point| point.0);
            let first = points.first().map_or(0.0, |point| point.0);
            let figures = [format!("{first:.2}"), format!("{full:.0}"), format!("{best:.0}")];
            rows.add_row([name.to_owned(), who.to_owned()].into_iter().chain(figures));
            lines.push(Series { name: who.to_owned(), points });
        }
        plots.push((name.to_owned(), lines));
    }
    let (subject, mut verdicts) = (of(FIRST.0)?, Verdicts::new());
    let mut firsts = (0..TIMES).map(|_| first_result(&engines, subject)).collect::<Result<Vec<_>, _>>()?;
    firsts.sort_by(f64::total_cmp);
    let what = format!("first result of {} bytes ({}) in tier 0, ms", subject.wasm.len(), subject.name);
    verdicts.add(&what, firsts[TIMES / 2], 2, Bound::AtMost(FIRST.1));
    let text = format!(
        "## Portable modules: from the bytes to full speed\n\n{rows}\n\n\
         BareFlow starts each module interpreted, and compiles it when its calls have cost what that is expected to take; its \
         engines are processes of their own. Here the calls wait while it compiles; in a kernel that `serve` keeps up, they \
         go on. The full speed is from the first point that has 0.8 of the fastest one's.\n\n{verdicts}\n"
    );
    Ok((text, plots))
}

/// A function that gets a module ready and hands over how to call it.
type Start = fn(&Engines, &Subject, &mut dyn FnMut(Call<'_>) -> Result<(), BoxError>) -> Result<(), BoxError>;

const CONTENDERS: [(&str, Start); 3] = [
    ("BareFlow, tiers", |engines, subject, calls| by_tiers(engines, subject, calls)),
    ("wasmtime", |_, subject, calls| {
        let engine = Compiler::Window.engine()?;
        let module = wasmtime::Module::new(&engine, &subject.wasm)?;
        let mut instance = host::wasmtime::Instance::new(&engine, &module, &subject.input)?;
        calls(Box::new(move || instance.run().map(drop)))
    }),
    ("wasmi", |_, subject, calls| {
        let engine = wasmi::Engine::default();
        let module = wasmi::Module::new(&engine, &subject.wasm)?;
        let mut instance = host::wasmi::Instance::new(&engine, &module, &subject.input)?;
        calls(Box::new(move || instance.run().map(drop)))
    }),
];

/// Returns the times of the calls that `start` makes, as points: milliseconds since the beginning, and calls per second.
fn run(
    duration: Duration,
    start: impl FnOnce(Instant, &mut Vec<f64>) -> Result<(), BoxError>,
) -> Result<Vec<(f64, f64)>, BoxError> {
    let (began, mut ends) = (Instant::now(), Vec::new());
    start(began, &mut ends)?;
    let (mut points, mut from, mut count) = (Vec::new(), 0.0, 0);
    for end in ends {
        count += 1;
        // The first result is a point of its own; all others are the rate since the last point.
        if points.is_empty() || end >= (from * STEP).max(from + SHORTEST) || end >= duration.as_secs_f64() {
            points.push((end * 1e3, f64::from(count) / (end - from)));
            (from, count) = (end, 0);
        }
    }
    Ok(points)
}

/// Makes calls until the time is over, and notes when each ended, in seconds.
fn calls(began: Instant, duration: Duration, ends: &mut Vec<f64>, mut call: Call<'_>) -> Result<(), BoxError> {
    while began.elapsed() < duration {
        call()?;
        ends.push(began.elapsed().as_secs_f64());
    }
    Ok(())
}

struct Silent;

impl Console for Silent {
    fn show(&self, _: Style, _: fmt::Arguments<'_>) {}
}

/// Loads a module in a tier, or in the first one with [`Tier::Auto`].
fn load<'a>(
    manager: &Manager,
    subject: &'a Subject,
    tier: Tier,
) -> Result<(ModuleFile<'a, bareflow_host::HostPlatform>, bareflow_loader::ModuleId), BoxError> {
    let mut file = ModuleFile::new((&subject.wasm).into());
    let defaults = LoadDefaults::default();
    file.compile(manager, &subject.name, &defaults, Some(tier), None).map_err(|refusal| format!("{refusal:?}"))?;
    let id = file.load(manager, &LoadOptions::DEFAULT)?;
    Ok((file, id))
}

fn by_tiers(
    engines: &Engines,
    subject: &Subject,
    calls: &mut dyn FnMut(Call<'_>) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    let manager = engines.manager();
    let (mut file, mut id) = load(manager, subject, Tier::Auto)?;
    let (mut rates, mut room) = (Rates::MEASURED_ELSEWHERE, vec![0; OUTPUT]);
    let now = &mut id;
    calls(Box::new(move || {
        manager.execute_with(*now, &subject.input, &mut room)?;
        if let Some(tier) = file.next_tier(manager, *now, &rates) {
            let ascended = file.ascend(manager, &Silent, (*now, tier), &subject.input, &mut rates, |compile| compile());
            *now = ascended.map_or(*now, |reloaded| reloaded.id);
        }
        Ok(())
    }))?;
    manager.unload(id)?;
    Ok(())
}

/// Returns the milliseconds from the bytes to the first result in tier 0.
fn first_result(engines: &Engines, subject: &Subject) -> Result<f64, BoxError> {
    let (manager, mut room) = (engines.manager(), vec![0; OUTPUT]);
    let start = Instant::now();
    let (_, id) = load(manager, subject, Tier::Interpreted)?;
    manager.execute_with(id, &subject.input, &mut room)?;
    let taken = start.elapsed().as_secs_f64() * 1e3;
    manager.unload(id)?;
    Ok(taken)
}
