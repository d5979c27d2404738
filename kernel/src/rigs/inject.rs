//! The fault campaign: flips single bits of modules while they run, and records the outcomes.
//! `inject=SEED:FIRST:COUNT` on the command line starts it; the modules come in the boot archive. Each injection
//! depends only on the seed and its own number, so a campaign can be split into parts and resumed.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bareflow_containment::{Activation, Contained, Image, TrapFrame, current, page_tables, timer};
use bareflow_loader::{Budget, ExecuteError, LoadOptions, ModuleId, ModuleManager, Timing, line};
use bareflow_protocol::Message;
use bareflow_protocol::campaign::{Injection, InjectionOutcome, Target};
use bareflow_suite::archive::Archive;
use spin::Mutex;

use crate::console::KernelConsole;
use crate::containment::{Rig, install_rig};
use crate::memory::{BootFacts, image_range, physical};
use crate::options::{Campaign, Options, kernel_domain};
use crate::serial::{COM2, Serial};

/// The bytes of stack a module gets: mapping more takes longer than most calls.
const STACK: u32 = 16 << 10;

/// The instruction `int3`.
const BREAKPOINT: u8 = 0xcc;

/// The most bytes of output a module may write.
const OUTPUT: usize = 4096;

/// The factor by which a call may exceed its usual time, and the counts of the timer it may take besides.
const PERIOD_FACTOR: u64 = 4;
const PERIOD_EXTRA_COUNTS: u64 = 20_000;

/// The number of instructions below which a module is single-stepped to the point of the flip; longer ones run until
/// a timer fires. Both depend only on the plan where the clock counts instructions.
const STEPPED: u64 = 2_000;

/// The flags that a module may change: status, trap, direction, alignment check.
const MODULES_FLAGS: u64 = 0x4_0dd5;

/// The flag that raises a debug exception after each instruction.
const TRAP_FLAG: u64 = 1 << 8;

/// The plan for the handlers. The lock is free while a module runs, since the run takes it only before and after
/// calls.
static PLAN: Mutex<Option<Plan>> = Mutex::new(None);

/// The bit to flip, and the time. Its numbers are taken modulo the number of choices.
#[derive(Clone, Copy)]
struct Plan {
    when: When,
    /// The address of the module's first instruction, the byte that the breakpoint replaced, and whether it was
    /// reached.
    entry: u64,
    replaced: u8,
    entered: bool,
    target: Target,
    place: u64,
    bit: u64,
    /// The timer's period after the flip, in counts.
    period: u64,
    done: bool,
}

/// The time of the flip, counted from the module's first instruction.
#[derive(Clone, Copy)]
enum When {
    /// After this number of instructions.
    Steps(u64),
    /// After this number of counts of the timer.
    Counts(u64),
    /// Never: the instructions are only counted, up to a limit.
    Never(u64),
    /// Never: the timer only counts.
    Timed,
}

/// A module, and what it does when nothing is disturbed.
struct Golden<'blob> {
    blob: &'blob [u8],
    result: i32,
    output: Vec<u8>,
    /// The timer's counts during a call.
    counts: u64,
    /// The number of instructions of a call; 0 for [`STEPPED`] or more.
    steps: u64,
}

/// Runs a part of a campaign and returns whether the modules are right afterwards.
pub fn run(platform: Contained, boot: &'static BootFacts, options: &Options, campaign: Campaign) -> bool {
    match inject(platform, boot, options, campaign) {
        Ok(right) => right,
        Err(error) => {
            line!(&mut KernelConsole, Error, "[ERROR] {error}");
            false
        }
    }
}

fn inject(
    platform: Contained,
    boot: &'static BootFacts,
    options: &Options,
    campaign: Campaign,
) -> Result<bool, String> {
    install_rig(Rig { tick: on_tick, debug: on_debug });
    let archive = Archive::read(boot.archive)?;
    let manager = ModuleManager::with_kernel_domain(platform, Timing::Fast, kernel_domain());
    // The shortest time budget, since the timer ticks faster than usual here.
    let limits = Budget { time_us: 1, stack: options.load.limits.stack.min(STACK), ..options.load.limits };
    let load = LoadOptions { limits, ..options.load };
    let mut golden = Vec::new();
    for blob in &archive.blobs {
        golden.push(measure(&manager, blob.bytes, &load)?);
    }
    let mut host = Serial::open(COM2);
    for index in campaign.first..campaign.first + campaign.count {
        let injection = inject_one(&manager, &golden, &load, campaign.seed, index)?;
        host.send(&Message::Injection(injection).to_frame());
    }
    host.flush();
    let right = golden.iter().all(|module| run_clean(&manager, module, &load) == Ok(true));
    line!(&mut KernelConsole, Plain, "{} injections, modules right behind them: {right}", campaign.count);
    Ok(right)
}

/// Runs a module undisturbed: twice with the timer, since the very first call is slower, and once step by step.
fn measure<'blob>(
    manager: &ModuleManager<Contained>,
    blob: &'blob [u8],
    load: &LoadOptions,
) -> Result<Golden<'blob>, String> {
    let mut golden = Golden { blob, result: 0, output: Vec::new(), counts: 0, steps: 0 };
    for when in [When::Timed, When::Timed, When::Never(0)] {
        let id = manager.load_with(blob, load).map_err(|error| error.to_string())?;
        let mut output = alloc::vec![0; OUTPUT];
        timer::stop();
        let (outcome, plan) = call(manager, id, Plan { when, ..Plan::NOTHING }, &mut output);
        match plan.map(|plan| plan.when) {
            Some(When::Timed) => golden.counts = timer::counted(),
            Some(When::Never(steps)) => golden.steps = Some(steps).filter(|&steps| steps < STEPPED).unwrap_or(0),
            _ => {}
        }
        let outcome = outcome.map_err(|error| error.to_string())?;
        output.truncate(outcome.output_length);
        (golden.result, golden.output) = (outcome.result, output);
        manager.unload(id).map_err(|error| error.to_string())?;
    }
    Ok(golden)
}

/// Calls a module with a breakpoint at its first instruction, from which on the handlers carry out `plan`. Returns
/// the plan as they left it.
fn call(
    manager: &ModuleManager<Contained>,
    id: ModuleId,
    plan: Plan,
    output: &mut [u8],
) -> (Result<bareflow_loader::CallOutcome, ExecuteError>, Option<Plan>) {
    let entry = manager.stats(id).map_or(0, |profile| profile.entry_address);
    let replaced = manager.with_image(id, |image| exchange(image, entry, BREAKPOINT)).flatten();
    *PLAN.lock() = replaced.map(|replaced| Plan { entry, replaced, ..plan });
    let result = manager.execute_with(id, b"", output);
    (result, PLAN.lock().take())
}

/// Writes a byte of a module, whatever its permissions, and returns the old one.
fn exchange(image: &Image, address: u64, byte: u8) -> Option<u8> {
    let alias = image.alias_of(address, 1)?;
    let place = physical(page_tables::translate(alias)?);
    // SAFETY: the byte is the module's, which is not running, and the physical map covers all memory.
    Some(unsafe { core::ptr::replace(place, byte) })
}

/// Makes one injection and returns its outcome.
fn inject_one(
    manager: &ModuleManager<Contained>,
    golden: &[Golden<'_>],
    load: &LoadOptions,
    seed: u64,
    index: u64,
) -> Result<Injection, String> {
    let mut random = SplitMix(seed ^ index.wrapping_mul(0xd134_2543_de82_ef95));
    let number = random.below(golden.len() as u64) as usize;
    let module = golden.get(number).ok_or("no blobs in the boot archive, expected those to disturb")?;
    let mut plan = Plan {
        when: if module.steps > 0 {
            When::Steps(random.below(module.steps))
        } else {
            When::Counts(random.below(module.counts))
        },
        target: Target::ALL[random.below(Target::ALL.len() as u64) as usize],
        place: random.next(),
        bit: random.next(),
        entry: 0,
        replaced: 0,
        entered: false,
        period: module.counts * PERIOD_FACTOR + PERIOD_EXTRA_COUNTS,
        done: false,
    };
    loop {
        let (outcome, target) = disturb(manager, module, load, plan)?;
        if let Some(target) = target {
            let manifested = !matches!(outcome, InjectionOutcome::Masked);
            let recovered = manifested && run_clean(manager, module, load)?;
            return Ok(Injection { index, module: number as u8, target, outcome, recovered });
        }
        // The call ended before the time of the flip: try an earlier one.
        match &mut plan.when {
            When::Steps(number) | When::Counts(number) => *number /= 2,
            When::Never(_) | When::Timed => return Err("the plan has no time".to_string()),
        }
    }
}

/// Loads `module` afresh, calls it and disturbs it as planned. Returns what was actually hit, if anything was.
fn disturb(
    manager: &ModuleManager<Contained>,
    module: &Golden<'_>,
    load: &LoadOptions,
    plan: Plan,
) -> Result<(InjectionOutcome, Option<Target>), String> {
    let id = manager.load_with(module.blob, load).map_err(|error| error.to_string())?;
    let mut output = alloc::vec![0; OUTPUT];
    let (result, plan) = call(manager, id, plan, &mut output);
    timer::stop();
    let target = plan.filter(|plan| plan.done).map(|plan| plan.target);
    let outcome = match result {
        Ok(outcome) => {
            let written = output.get(..outcome.output_length).unwrap_or_default();
            let right = outcome.result == module.result && written == module.output;
            if right { InjectionOutcome::Masked } else { InjectionOutcome::Wrong }
        }
        Err(ExecuteError::Faulted(fault)) => InjectionOutcome::Fault(fault.kind.name().to_string()),
        Err(error) => return Err(error.to_string()),
    };
    manager.unload(id).map_err(|error| error.to_string())?;
    Ok((outcome, target))
}

/// Returns whether a fresh load of `module` gives the usual result and output.
fn run_clean(manager: &ModuleManager<Contained>, module: &Golden<'_>, load: &LoadOptions) -> Result<bool, String> {
    let id = manager.load_with(module.blob, load).map_err(|error| error.to_string())?;
    let mut output = alloc::vec![0; OUTPUT];
    let outcome = manager.execute_with(id, b"", &mut output);
    manager.unload(id).map_err(|error| error.to_string())?;
    Ok(outcome.is_ok_and(|outcome| {
        outcome.result == module.result && output.get(..outcome.output_length) == Some(&module.output)
    }))
}

/// Handles a breakpoint or a debug exception in a module. Returns whether it was one of the campaign's.
fn on_debug(frame: &mut TrapFrame) -> bool {
    let Some(activation) = current() else { return false };
    let Some(mut guard) = PLAN.try_lock() else { return false };
    let Some(plan) = guard.as_mut().filter(|plan| !plan.done) else { return false };
    if !plan.entered {
        plan.entered = frame.rip == plan.entry + 1;
        if !plan.entered {
            return false;
        }
        exchange(activation.image(), plan.entry, plan.replaced);
        frame.rip = plan.entry;
    }
    let in_text = activation.image().segments.is_text(frame.rip, 1);
    match &mut plan.when {
        When::Counts(counts) => timer::tick_once_after(*counts),
        When::Timed => timer::start_counting(),
        // Outside the text, the module has returned or calls a service: no more steps.
        _ if !in_text => step(frame, false),
        When::Steps(0) => {
            step(frame, false);
            flip(frame, activation, plan);
        }
        When::Steps(left) => {
            *left -= 1;
            step(frame, true);
        }
        When::Never(steps) => {
            *steps += 1;
            step(frame, *steps < STEPPED);
        }
    }
    true
}

/// Handles a tick of a campaign. Returns whether it was one of the campaign's.
fn on_tick(frame: &mut TrapFrame, in_module: bool) -> bool {
    let Some(mut guard) = PLAN.try_lock() else { return false };
    let Some(plan) = guard.as_mut().filter(|plan| !plan.done) else { return false };
    // No flip in the trampoline, which runs on the module's stack for some instructions.
    let (start, end) = image_range();
    if let Some(activation) = current().filter(|_| in_module && !(start..end).contains(&frame.rip)) {
        flip(frame, activation, plan);
    }
    true
}

/// Flips the bit, or one of a register where the segment has no bytes.
fn flip(frame: &mut TrapFrame, activation: &Activation, plan: &mut Plan) {
    let image = activation.image();
    let [text, rodata, data] = image.segments.all();
    let range = match plan.target {
        Target::Text => Some((text.0, text.1 as u64)),
        Target::Rodata => Some((rodata.0, rodata.1 as u64)),
        Target::Data => Some((data.0, data.1 as u64)),
        Target::Stack => image.stack_top().checked_sub(frame.rsp).map(|size| (frame.rsp, size)),
        Target::Register => None,
    };
    let flipped = range.filter(|&(_, size)| size > 0).and_then(|(start, size)| {
        let address = start + plan.place % size;
        let old = exchange(image, address, 0)?;
        exchange(image, address, old ^ (1 << (plan.bit % 8)))
    });
    if flipped.is_none() {
        plan.target = Target::Register;
        flip_register(frame, plan.place, plan.bit);
    }
    plan.done = true;
    // From here on the call has a limit.
    timer::tick_each(plan.period);
}

/// Flips a bit of one of the interrupted code's own registers. `register` selects the register, and `bit` the
/// bit; among the flags only one that the code may change is flipped.
fn flip_register(frame: &mut TrapFrame, register: u64, bit: u64) {
    let mask = 1_u64 << (bit % 64);
    match register % 18 {
        0 => frame.rip ^= mask,
        1 => frame.rsp ^= mask,
        2 => {
            let bits = (0..19).filter(|&bit| MODULES_FLAGS >> bit & 1 != 0);
            let count = bits.clone().count() as u64;
            frame.rflags ^= bits.clone().nth((bit % count) as usize).map_or(0, |bit| 1 << bit);
        }
        3 => frame.rax ^= mask,
        4 => frame.rbx ^= mask,
        5 => frame.rcx ^= mask,
        6 => frame.rdx ^= mask,
        7 => frame.rsi ^= mask,
        8 => frame.rdi ^= mask,
        9 => frame.rbp ^= mask,
        10 => frame.r8 ^= mask,
        11 => frame.r9 ^= mask,
        12 => frame.r10 ^= mask,
        13 => frame.r11 ^= mask,
        14 => frame.r12 ^= mask,
        15 => frame.r13 ^= mask,
        16 => frame.r14 ^= mask,
        _ => frame.r15 ^= mask,
    }
}

/// Sets whether the interrupted code goes on in single steps.
fn step(frame: &mut TrapFrame, on: bool) {
    frame.rflags = if on { frame.rflags | TRAP_FLAG } else { frame.rflags & !TRAP_FLAG };
}

impl Plan {
    const NOTHING: Plan = Plan {
        when: When::Never(0),
        entry: 0,
        replaced: 0,
        entered: false,
        target: Target::Register,
        place: 0,
        bit: 0,
        period: 0,
        done: false,
    };
}

/// Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, or 0.
    fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }
}
