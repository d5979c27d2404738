//! The plan of one injection, and the handlers of traps that carry it out.

use bareflow_containment::{Activation, Image, TrapFrame, page_tables, timer, with_current};
use bareflow_loader::ModuleId;
use bareflow_protocol::campaign::Target;
use spin::Mutex;

use crate::containment::{Manager, Rig, install_rig};
use crate::memory::{image_range, physical};

/// The instruction `int3`.
const BREAKPOINT: u8 = 0xcc;

/// The number of instructions below which a module is single-stepped to the point of the flip; longer ones run until
/// a timer fires. Both depend only on the plan where the clock counts instructions.
pub const STEPPED: u64 = 2_000;

/// The counts of the timer after which a flip is tried again, if it met another module or the kernel.
const RETRY_COUNTS: u64 = 100;

/// The flags that a module may change: status, trap, direction, alignment check.
const MODULES_FLAGS: u64 = 0x4_0dd5;

/// The flag that raises a debug exception after each instruction.
const TRAP_FLAG: u64 = 1 << 8;

/// The plan for the handlers. The lock is free while a module runs, since the run takes it only before and after
/// calls.
static PLAN: Mutex<Option<Plan>> = Mutex::new(None);

/// The bit to flip, and the time. Its numbers are taken modulo the number of choices.
#[derive(Clone, Copy)]
pub struct Plan {
    pub when: When,
    /// The address of the module's first instruction, the byte that the breakpoint replaced, and whether it was
    /// reached.
    pub entry: u64,
    /// The kernel's address of that instruction, by which the module's calls are known among those of others.
    pub alias: u64,
    pub replaced: u8,
    pub entered: bool,
    pub target: Target,
    pub place: u64,
    pub bit: u64,
    /// The timer's period after the flip, in counts.
    pub period: u64,
    pub done: bool,
}

/// The time of the flip, counted from the module's first instruction.
#[derive(Clone, Copy)]
pub enum When {
    /// After this number of instructions.
    Steps(u64),
    /// After this number of counts of the timer.
    Counts(u64),
    /// Never: the instructions are only counted, up to a limit.
    Never(u64),
    /// Never: the timer only counts.
    Timed,
}

impl Plan {
    /// The plan of a call that is only measured.
    pub const NOTHING: Plan = Plan {
        when: When::Never(0),
        entry: 0,
        alias: 0,
        replaced: 0,
        entered: false,
        target: Target::Register,
        place: 0,
        bit: 0,
        period: 0,
        done: false,
    };
}

/// Lets the handlers take the traps of a campaign from now on.
pub fn install() {
    install_rig(Rig { tick: on_tick, debug: on_debug });
}

/// Lets the handlers carry out `plan` while `call` runs, from the module's first instruction on, where a breakpoint is.
/// Returns the plan as they left it.
pub fn carry_out<T>(manager: &Manager, id: ModuleId, plan: Plan, call: impl FnOnce() -> T) -> (T, Option<Plan>) {
    let entry = manager.stats(id).map_or(0, |profile| profile.entry_address);
    let placed = manager.with_image(id, |image| Some((image.alias_of(entry, 1)?, exchange(image, entry, BREAKPOINT)?)));
    *PLAN.lock() = placed.flatten().map(|(alias, replaced)| Plan { entry, alias, replaced, ..plan });
    let result = call();
    (result, PLAN.lock().take())
}

/// Writes a byte of a module, whatever its permissions, and returns the old one.
fn exchange(image: &Image, address: u64, byte: u8) -> Option<u8> {
    let alias = image.alias_of(address, 1)?;
    let place = physical(page_tables::translate(alias)?);
    // SAFETY: the byte is the module's, which is not running, and the physical map covers all memory.
    Some(unsafe { core::ptr::replace(place, byte) })
}

/// Handles a breakpoint or a debug exception in a module. Returns whether it was one of the campaign's.
fn on_debug(frame: &mut TrapFrame) -> bool {
    with_current(|activation| go_on(frame, activation)) == Some(true)
}

/// Goes on with the plan at a breakpoint or after a step, unless it was the module's own.
fn go_on(frame: &mut TrapFrame, activation: &Activation) -> bool {
    let Some(mut guard) = PLAN.try_lock() else { return false };
    let Some(plan) = guard.as_mut().filter(|plan| !plan.done) else { return false };
    if !plan.entered {
        let is_own = activation.image().alias_of(plan.entry, 1) == Some(plan.alias);
        plan.entered = is_own && frame.rip == plan.entry + 1;
        if !plan.entered {
            return false;
        }
        exchange(activation.image(), plan.entry, plan.replaced);
        frame.rip = plan.entry;
    }
    let in_text = activation.image().segments().is_text(frame.rip, 1);
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
    let is_own = |activation: &Activation| activation.image().alias_of(plan.entry, 1) == Some(plan.alias);
    if in_module && !(start..end).contains(&frame.rip) && with_current(is_own) == Some(true) {
        with_current(|activation| flip(frame, activation, plan));
    } else if plan.entered {
        timer::tick_once_after(RETRY_COUNTS);
    }
    true
}

/// Flips the bit, or one of a register where the segment has no bytes.
fn flip(frame: &mut TrapFrame, activation: &Activation, plan: &mut Plan) {
    let image = activation.image();
    let [text, rodata, data] = image.segments().all();
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
