//! Every class of faults, in both domains.
//!
//! In one boot per domain, a module causes one fault after the other, and another module is called in between. The
//! outcomes are recorded in `docs/faults.md`, which these tests compare with what they find; `BAREFLOW_BLESS=1 cargo
//! test --test faults` rewrites it.

mod common;

use std::fmt::Write;

use bareflow::embedded::KERNEL;
use bareflow::input_files::InputFiles;
use bareflow::qemu::{ExitReason, Machine};
use bareflow_abi::CallError;
use bareflow_abi::traps::TrapKind;
use bareflow_loader::{Domain, FaultKind, LoadOptions};
use bareflow_protocol::control::Refusal;
use bareflow_protocol::options::{Rig, Task};
use bareflow_protocol::self_check::{FaultRow, FaultTable};
use bareflow_protocol::{Message, Request, Response};
use common::fault_classes::{CLASSES, Class, Expect};
use common::frame_classes::FRAMES;
use common::server::Local;
use common::{options, root, test_blob};

/// Enough for every class that ends by itself, and a short wait for the others.
const BUDGET: &str = "time=20ms";

/// The limit of a recovery, in instructions: from the fault to the end of the next call of another module.
const RECOVERY: u64 = 10_000;

const DOMAINS: [&str; 2] = ["kernel", "user"];

fn expected(class: &Class, domain: &str) -> Expect {
    if domain == "kernel" { class.kernel } else { class.user }
}

fn is_tried(class: &&Class, domain: &str) -> bool {
    !matches!(expected(class, domain), Expect::NotHere(_) | Expect::NeedsNmi)
}

/// Classes of faults, the test module that commits them, and those that it uses.
struct Subject {
    classes: &'static [Class],
    modules: &'static [&'static str],
}

const FAULTS: Subject = Subject { classes: CLASSES, modules: &["faults"] };
const BAD_FRAMES: Subject = Subject { classes: FRAMES, modules: &["bad-frames", "kinds", "kinds-user"] };

/// Boots, and makes the module cause all classes that can be tried. The clock counts instructions.
fn table(subject: &Subject, domain: &str, cpu: &str) -> (FaultTable, String) {
    assert!(!KERNEL.is_empty(), "this build has no kernel; run `make setup`");
    let tried = subject.classes.iter().filter(|class| is_tried(class, domain));
    let names: String = tried.map(|class| format!("{}\n", class.name)).collect();
    let blob = |name: &&str| (format!("{name}.mod"), std::fs::read(test_blob(name)).unwrap());
    let blobs = subject.modules.iter().map(blob).collect();
    let files = InputFiles { blobs, input: names.into(), ..InputFiles::default() };
    let machine = Machine {
        icount: true,
        cpu: cpu.into(),
        options: options(Task::Rig(Rig::SelfCheck), domain, BUDGET),
        files,
        ..Machine::new(KERNEL)
    };
    let outcome = machine.run(|_| ()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.exit_reason, ExitReason::Passed, "\n{}\n{}", outcome.console, outcome.complaints);
    let found = outcome.messages.into_iter().find_map(|message| match message {
        Message::Faults(table) => Some(table),
        _ => None,
    });
    (found.unwrap_or_else(|| panic!("no table\n{}", outcome.console)), outcome.console)
}

/// Fails unless a row has the expected outcome of its class.
#[track_caller]
fn check(row: &FaultRow, class: &Class, domain: &str, console: &str) {
    let fits = match (expected(class, domain), &row.outcome) {
        (Expect::Fault(kind), Err(found)) => kind == found,
        (Expect::FaultAny(kinds) | Expect::FaultOr(kinds, _), Err(found)) => kinds.contains(&found.as_str()),
        (Expect::Result(result) | Expect::FaultOr(_, result), Ok(found)) => result == *found,
        _ => false,
    };
    assert!(fits, "{domain} {}: {:?}, expected {:?}\n{console}", row.name, row.outcome, expected(class, domain));
    assert!(row.next_is_good, "{domain} {}: the next call of another module went wrong\n{console}", row.name);
    assert_eq!(row.frames_missing, 0, "{domain} {}: frames are missing\n{console}", row.name);
}

/// Returns the table of a boot whose rows all have the expected outcomes.
fn checked_table(subject: &Subject, domain: &str, cpu: &str) -> FaultTable {
    let (table, console) = table(subject, domain, cpu);
    let classes: Vec<_> = subject.classes.iter().filter(|class| is_tried(class, domain)).collect();
    assert_eq!(table.rows.len(), classes.len(), "{console}");
    for (row, class) in table.rows.iter().zip(&classes) {
        assert_eq!(row.name, class.name);
        check(row, class, domain, &console);
    }
    assert_eq!(table.writable_and_executable, 0, "{console}");
    table
}

#[test]
fn contains_them_without_the_latest_protection() {
    // This processor has no SMEP, SMAP, UMIP and XSAVE.
    for domain in DOMAINS {
        checked_table(&FAULTS, domain, "qemu64");
        checked_table(&BAD_FRAMES, domain, "qemu64");
    }
}

#[test]
fn contains_every_class_and_says_so_in_the_docs() {
    let found = DOMAINS.map(|domain| checked_table(&FAULTS, domain, "max"));
    let frames = DOMAINS.map(|domain| checked_table(&BAD_FRAMES, domain, "max"));
    let path = root().join("docs/faults.md");
    let text = document(&found, &frames);
    if std::env::var_os("BAREFLOW_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let remedy = "`BAREFLOW_BLESS=1 cargo test --test faults` writes docs/faults.md anew";
    for table in found.iter().chain(&frames) {
        let slow = table.rows.iter().filter(|row| row.recovery_cycles.is_some_and(|cycles| cycles > RECOVERY));
        let slow: Vec<_> = slow.map(|row| (&row.name, row.recovery_cycles)).collect();
        assert!(slow.is_empty(), "{}: more than {RECOVERY} instructions to recover: {slow:?}", table.domain);
    }
    // A kernel by another compiler takes a few instructions more or less.
    assert!(without_figures(&written) == without_figures(&text), "docs/faults.md is not what was found; {remedy}");
}

#[test]
fn gives_the_same_three_times() {
    for domain in DOMAINS {
        let [first, others @ ..] = [(); 3].map(|()| table(&FAULTS, domain, "max"));
        assert!(others.iter().all(|other| *other == first), "{domain}");
    }
}

/// Returns the text without the numbers of instructions.
fn without_figures(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("Most instructions")).map(cells_without_figures).collect()
}

fn cells_without_figures(line: &str) -> String {
    let is_figure = |cell: &&str| cell.trim().bytes().all(|byte| byte.is_ascii_digit());
    line.split('|').filter(|cell| !is_figure(cell)).map(|cell| format!("{}|", cell.trim())).collect::<String>() + "\n"
}

/// Formats the tables as a document: those of faults, and those of bad frames.
fn document(tables: &[FaultTable; 2], frames: &[FaultTable; 2]) -> String {
    let mut text = String::from(
        "# Classes of faults\n\n\
        Written by `BAREFLOW_BLESS=1 cargo test --test faults`, and held to what that test finds in every run.\n\n\
        A test module (`tests/modules/faults`) commits one class after the other. A class is contained when its call\n\
        ends in a typed fault, or in a result where the class is legal in that domain, another module's next call gives\n\
        the right result, and every frame is back when the module is unloaded. \"Instructions\" are those from the fault\n\
        to the end of that next call, with `--icount`. The lists: BareFlow's own, Hubris' `test_fault_*`, and Linux' LKDTM,\n\
        with those that LKDTM's own test leaves out because they end the kernel.\n\n",
    );
    for table in tables {
        let worst = table.rows.iter().filter_map(|row| row.recovery_cycles).max().unwrap_or(0);
        let _ = writeln!(text, "Most instructions to recover in the {} domain: {worst}.", table.domain);
    }
    text.push_str("\n| class | what it does | list | kernel domain | instructions | user domain | instructions |\n");
    text.push_str("|---|---|---|---|---|---|---|\n");
    for class in CLASSES {
        let _ = write!(text, "| {} | {} | {} |", class.name, class.what, class.source);
        for (table, domain) in tables.iter().zip(DOMAINS) {
            let row = table.rows.iter().find(|row| row.name == class.name);
            let (outcome, figure) = match (row, expected(class, domain)) {
                (Some(row), _) => (shown(row), row.recovery_cycles.map_or(String::new(), |count| count.to_string())),
                (None, Expect::NeedsNmi) => ("contained by a non-maskable interrupt".to_owned(), String::new()),
                (None, Expect::NotHere(why)) => (format!("not contained: {why}"), String::new()),
                (None, _) => ("not tried".to_owned(), String::new()),
            };
            let _ = write!(text, " {outcome} | {figure} |");
        }
        text.push('\n');
    }
    text.push_str(
        "\n\
        ## Traps of WebAssembly\n\
        \n\
        Compilers of WebAssembly end a trap by `ud2`, whichever it is, or by the fault of a division. The blob lists where, and which\n\
        ([format.md](format.md#records)); a fault there has the kind of the list, whatever was called: `run`, `init`, a function, a\n\
        handler, and once more after a restart. The names are the words of the specification's tests, with underscores. Their prefix\n\
        tells a trap of the language (`wasm_integer_divide_by_zero`) from a fault of the processor (`divide`). An exhausted call\n\
        stack is `stack_overflow`, as in other modules.\n\
        \n\
        The list comes with the module, so it is believed as little as the module is: it names a fault that ended the call anyway.\n\
        It makes no fault, averts none, and renames only what such a trap raises: `invalid_opcode`, and `divide` where a trap of a\n\
        division is listed. `trace` and recordings for `--replay` have the processor's kind.\n\
        \n\
        An access beyond a linear memory ([format.md](format.md#linear-memory)) is `wasm_out_of_bounds_memory_access` without a list: the\n\
        platform knows the addresses that are kept for the memory. `tests/memory.rs` holds that in both domains, in the kernel and in a\n\
        process.\n\
        \n\
        What ends a trap, in each of the three ways in which a portable module runs ([domains.md](domains.md#the-sandbox)). The kind is the\n\
        same in all of them, in ring 3, in ring 0 and in the sandbox: `tests/portable_engines.rs` holds that for each row, and for\n\
        the exhausted stack.\n\
        \n\
        | number in the list | kind | interpreted | compiled, in a window | compiled, checked |\n\
        |---|---|---|---|---|\n",
    );
    for kind in TrapKind::ALL {
        let [window, checked] = match kind {
            TrapKind::OutOfBoundsMemoryAccess => ["a page fault in the window", "`ud2`"],
            TrapKind::IntegerDivideByZero | TrapKind::IntegerOverflow => ["the division, or `ud2`"; 2],
            _ => ["`ud2`"; 2],
        };
        let kind_name = FaultKind::from(*kind);
        let _ = writeln!(text, "| {} | `{kind_name}` | `ud2` | {window} | {checked} |", *kind as u8);
    }
    text.push_str(
        "\n## Frames\n\n\
        The module `tests/modules/bad-frames` calls methods of another one by frames that no compiled module would pass. It\n\
        faults, or is told an error, or the frame is legal. Both that other module and a further user of it are well after\n\
        each. From ring 3, and in a process of the host, the outcome is the same unless the table says so.\n\n\
        | frame | what it has | outcome |\n|---|---|---|\n",
    );
    let [kernel, user] = frames;
    for (class, (row, other)) in FRAMES.iter().zip(kernel.rows.iter().zip(&user.rows)) {
        let _ = write!(text, "| {} | {} | {}", class.name, class.what, told(row));
        let _ = if told(row) == told(other) { writeln!(text, " |") } else { writeln!(text, "; {} |", told(other)) };
    }
    text
}

/// Returns the outcome of a bad frame.
fn told(row: &FaultRow) -> String {
    match &row.outcome {
        Ok(0) => "legal".to_owned(),
        Ok(status) => format!("`{:?}`", CallError::from_number(*status as u32 & 0xffff).unwrap()),
        Err(kind) => format!("fault: `{kind}`"),
    }
}

#[test]
fn processes_of_the_host_withstand_the_same_frames() {
    for domain in Domain::ALL {
        let local = Local::new(LoadOptions { domain, ..LoadOptions::default() });
        for module in ["kinds", "kinds-user"] {
            local.load(&std::fs::read(test_blob(module)).unwrap());
        }
        for class in FRAMES {
            local.load(&std::fs::read(test_blob("bad-frames")).unwrap());
            let call = Request::Call { module: "bad-frames", input: class.name.as_bytes(), repeat: 1 };
            match (expected(class, domain.name()), local.ask(call)) {
                (Expect::Result(result), Response::Called(called)) => assert_eq!(called.result, result, "{class:?}"),
                (Expect::Fault(kind), Response::Refused(Refusal { error, .. })) => {
                    assert!(error.contains(&format!("faulted: {kind} ")), "{domain:?} {class:?}: {error}");
                }
                (_, answer) => panic!("{domain:?} {class:?}: {answer:?}"),
            }
            assert_eq!(local.call("kinds-user", b"").result, 0, "{domain:?} {class:?}");
        }
    }
}

fn shown(row: &FaultRow) -> String {
    match &row.outcome {
        Ok(_) => "contained: legal here".to_owned(),
        Err(kind) => format!("contained: `{kind}`"),
    }
}
