//! The expected outcomes of all classes of faults, in ring 0 and in ring 3.
//!
//! The module `tests/modules/faults` causes the faults; its own test checks that both lists agree.

use Expect::{Fault, FaultAny, FaultOr, NeedsNmi, NotHere, Result};

/// A class of faults.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// The module's input that causes the fault.
    pub name: &'static str,
    /// The description of the code.
    pub what: &'static str,
    /// The lists that contain the class: "BareFlow", "Hubris" (`test_fault_*`), "LKDTM", joined by ", ".
    pub source: &'static str,
    /// The expected outcome in the kernel domain.
    pub kernel: Expect,
    /// The expected outcome in the user domain.
    pub user: Expect,
}

/// The expected outcome of a class.
#[derive(Clone, Copy, Debug)]
pub enum Expect {
    /// A fault of this kind.
    Fault(&'static str),
    /// A fault of one of these kinds, depending on the processor.
    FaultAny(&'static [&'static str]),
    /// A fault of one of these kinds, or this result, depending on the processor.
    FaultOr(&'static [&'static str], i32),
    /// No fault, and this result.
    Result(i32),
    /// No end except by a non-maskable interrupt, since interrupts are off.
    NeedsNmi,
    /// Not tried in this domain, for this reason.
    NotHere(&'static str),
}

const B: &str = "BareFlow";
const H: &str = "Hubris";
const L: &str = "LKDTM";
const BH: &str = "BareFlow, Hubris";
const BL: &str = "BareFlow, LKDTM";
const HL: &str = "Hubris, LKDTM";
const BHL: &str = "BareFlow, Hubris, LKDTM";

const LEGAL: Expect = Result(0);
const DIVIDE: Expect = Fault("divide");
const BREAKPOINT: Expect = Fault("breakpoint");
const OPCODE: Expect = Fault("invalid_opcode");
const PROTECTION: Expect = Fault("general_protection");
const READ: Expect = Fault("page_read");
const WRITE: Expect = Fault("page_write");
const EXECUTE: Expect = Fault("page_execute");
const OVERFLOW: Expect = Fault("stack_overflow");
const X87: Expect = Fault("x87");
const TIME: Expect = Fault("time_budget");
const HEAP: Expect = Fault("heap_budget");
const PANIC: Expect = Fault("panic");
const CLOBBERED: Expect = Fault("clobbered_register");
const ARGUMENT: Expect = Fault("bad_service_argument");

/// Outcomes that depend on whether the processor has a feature, or the emulator supports it.
const OPCODE_OR_PROTECTION: Expect = FaultAny(&["invalid_opcode", "general_protection"]);
const OPCODE_OR_LEGAL: Expect = FaultOr(&["invalid_opcode"], 0);
const PROTECTION_OR_LEGAL: Expect = FaultOr(&["general_protection"], 0);
/// The outcome with a table of selectors at address 0, as after a reset; or, in ring 3, with a stack that QEMU's
/// emulator before 9.1 reads with the kernel's rights, which SMAP forbids.
const PROTECTION_OR_READ: Expect = FaultAny(&["general_protection", "page_read"]);

// Things that ring 0 can do to the machine, and that no kernel could contain.
const CODE: Expect = NotHere("it would run the kernel's own code, which does what it does");
const DATA: Expect = NotHere("it would overwrite memory of the kernel's, which ring 0 may");
const DEVICES: Expect = NotHere("the device does what it is told, and the machine with it");
const TABLES: Expect = NotHere("the next trap would find no descriptors, and reset the processor");
const PAGING: Expect = NotHere("the next instruction would not be there any more");
const SWITCHES: Expect = NotHere("ring 0 may; nothing switches it on again");

macro_rules! classes {
    ($($name:ident $source:ident $what:literal: $kernel:expr, $user:expr;)+) => {
        &[$(Class { name: stringify!($name), what: $what, source: $source, kernel: $kernel, user: $user }),+]
    };
}

/// All classes, in the order of the module's list.
pub const CLASSES: &[Class] = classes! {
    // Computing.
    divide_by_zero BH "divides by zero": DIVIDE, DIVIDE;
    divide_overflow B "divides to more than fits": DIVIDE, DIVIDE;
    idiv_overflow B "divides the least number by -1": DIVIDE, DIVIDE;
    x87_exception B "divides by zero with x87 exceptions unmasked": X87, X87;
    sse_exception B "divides by zero with SSE exceptions unmasked; QEMU's emulator raises none":
        FaultOr(&["simd"], 0), FaultOr(&["simd"], 0);
    alignment_check BL "reads a misaligned word with alignment checked":
        LEGAL, FaultOr(&["alignment"], 0);
    misaligned_vector B "reads a misaligned vector by movaps": PROTECTION_OR_LEGAL, PROTECTION_OR_LEGAL;
    unaligned_access L "reads and writes a misaligned word": LEGAL, LEGAL;
    vectors_then_ud2 H "faults with vector registers in use": OPCODE, OPCODE;

    // Instructions that do not exist.
    ud0 B "ud0": OPCODE, OPCODE;
    ud1 B "ud1 that is no panic's": OPCODE, OPCODE;
    ud2 BHL "ud2": OPCODE, OPCODE;
    undefined_opcode BH "an opcode that means nothing": OPCODE, OPCODE;
    into B "into, gone in 64-bit mode": OPCODE, OPCODE;
    bound B "bound, gone in 64-bit mode": OPCODE, OPCODE;
    daa B "daa, gone in 64-bit mode": OPCODE, OPCODE;
    pusha B "pusha, gone in 64-bit mode": OPCODE, OPCODE;
    push_es B "push es, gone in 64-bit mode": OPCODE, OPCODE;
    far_jump_direct B "a direct far jump, gone in 64-bit mode": OPCODE, OPCODE;
    mov_cs B "writes cs": OPCODE, OPCODE;
    mov_cr1 B "reads a control register there is not": OPCODE_OR_PROTECTION, OPCODE_OR_PROTECTION;
    bad_vex B "a VEX prefix of no map": OPCODE, OPCODE;
    lock_nop B "lock before what can't be locked": OPCODE, OPCODE;
    lock_register B "lock before an addition to a register": OPCODE, OPCODE;
    f00f B "lock cmpxchg8b of a register": OPCODE, OPCODE;
    too_long B "an instruction of 16 bytes": PROTECTION, PROTECTION;
    hidden_ud2 B "jumps into an instruction": OPCODE, OPCODE;
    vmcall B "vmcall; a hypervisor may take it":
        FaultOr(&["invalid_opcode", "general_protection"], 0), FaultOr(&["invalid_opcode", "general_protection"], 0);
    vmmcall B "vmmcall; a hypervisor may take it":
        FaultOr(&["invalid_opcode", "general_protection"], 0), FaultOr(&["invalid_opcode", "general_protection"], 0);
    clgi B "switches AMD's global interrupt flag off": OPCODE_OR_PROTECTION, OPCODE_OR_PROTECTION;
    getsec B "getsec": OPCODE_OR_PROTECTION, OPCODE_OR_PROTECTION;
    rsm B "returns from system management": OPCODE, OPCODE;
    rdfsbase B "reads the base of fs": OPCODE, OPCODE;
    wrpkru B "writes protection keys": OPCODE, OPCODE;

    // Interrupts by instruction, and single steps.
    int3 B "a breakpoint": BREAKPOINT, BREAKPOINT;
    int_3 B "a breakpoint in two bytes": PROTECTION, PROTECTION;
    icebp B "raises the debug exception; QEMU's emulator of 7.2 does not know it":
        OPCODE_OR_PROTECTION, OPCODE_OR_PROTECTION;
    int_0 B "int 0, a forged division": PROTECTION, PROTECTION;
    int_1 B "int 1, a forged single step": PROTECTION, PROTECTION;
    int_2 B "int 2, a forged non-maskable interrupt": PROTECTION, PROTECTION;
    int_4 B "int 4": PROTECTION, PROTECTION;
    int_5 B "int 5": PROTECTION, PROTECTION;
    int_6 B "int 6, a forged invalid opcode": PROTECTION, PROTECTION;
    int_7 B "int 7, a forged missing unit": PROTECTION, PROTECTION;
    int_8 B "int 8, a forged double fault": PROTECTION, PROTECTION;
    int_10 B "int 10": PROTECTION, PROTECTION;
    int_11 B "int 11": PROTECTION, PROTECTION;
    int_12 B "int 12, a forged stack fault": PROTECTION, PROTECTION;
    int_13 B "int 13, a forged protection fault": PROTECTION, PROTECTION;
    int_14 B "int 14, a forged page fault": PROTECTION, PROTECTION;
    int_16 B "int 16, a forged x87 exception": PROTECTION, PROTECTION;
    int_17 B "int 17, a forged alignment check": PROTECTION, PROTECTION;
    int_18 B "int 18, a forged machine check": PROTECTION, PROTECTION;
    int_19 B "int 19, a forged SIMD exception": PROTECTION, PROTECTION;
    int_32 B "int 32, a forged tick": PROTECTION, PROTECTION;
    int_47 B "int 47, a forged interrupt that was taken back": LEGAL, PROTECTION;
    int_128 B "int 0x80, another system's call": PROTECTION, PROTECTION;
    int_255 B "int 255": PROTECTION, PROTECTION;
    send_all_vectors B "sends itself interrupts of all vectors from 33 on, which nothing uses": LEGAL, WRITE;
    trap_flag B "single steps": PROTECTION, PROTECTION;
    trap_flag_syscall B "single steps into the kernel": PROTECTION, PROTECTION;
    shadowed_syscall B "single steps into the kernel behind a write to ss": PROTECTION, PROTECTION;
    shadowed_int3 B "single steps into a breakpoint behind a write to ss":
        FaultAny(&["breakpoint", "general_protection"]), FaultAny(&["breakpoint", "general_protection"]);
    raise_iopl B "claims the right to use ports, and uses one": LEGAL, PROTECTION;
    ticks_behind_cd20 B "runs for some ticks behind a number that ends in the bytes of int 32": LEGAL, LEGAL;
    divide_behind_cd00 B "divides by zero behind a number that ends in the bytes of int 0": DIVIDE, DIVIDE;
    wide_divide_behind_cd00 B "the same by 64 bits in memory": DIVIDE, DIVIDE;
    opcode_behind_cd06 B "ud2 behind a number that ends in the bytes of int 6": OPCODE, OPCODE;
    read_behind_cd0e B "reads address 0 behind a number that ends in the bytes of int 14": READ, READ;
    push_behind_cd0e B "pushes for ever behind a number that ends in the bytes of int 14": OVERFLOW, OVERFLOW;
    x87_behind_cd10 B "an x87 exception behind a number that ends in the bytes of int 16": X87, X87;
    meet_debug_register B "arms a debug register, and meets it": LEGAL, PROTECTION;
    watch_context B "arms a debug register for the kernel to meet": CLOBBERED, PROTECTION;
    guard_debug_registers B "guards the debug registers": CLOBBERED, PROTECTION;

    // Endless loops.
    spin_on_own_lock L "takes a lock twice": TIME, TIME;
    wait_for_event L "waits for what never comes": TIME, TIME;
    clock_loop B "calls a service for ever": TIME, TIME;
    log_loop B "logs for ever": TIME, TIME;
    loop_forever BL "loops for ever": TIME, TIME;
    pause_loop L "loops for ever, at rest": TIME, TIME;
    cli_loop BL "loops for ever with interrupts off": NeedsNmi, PROTECTION;
    cli_hlt B "halts with interrupts off": NeedsNmi, PROTECTION;
    popf_cli_loop B "loops for ever with interrupts off by popf, which ring 3 does not feel": NeedsNmi, TIME;
    raise_priority_loop B "loops for ever with interrupts off by the processor's priority":
        SWITCHES, PROTECTION;

    // Panics.
    panic_words BHL "panics": PANIC, PANIC;
    panic_formatted B "panics with a formatted message": PANIC, PANIC;
    array_bounds BL "indexes beyond an array": PANIC, PANIC;
    slice_range L "takes a range that ends before it starts": PANIC, PANIC;
    copy_length L "copies to a slice that is shorter": PANIC, PANIC;
    char_boundary L "cuts a character in two": PANIC, PANIC;
    unwrap_none B "unwraps nothing": PANIC, PANIC;
    borrow_twice B "borrows a cell twice": PANIC, PANIC;
    divide_checked B "divides by zero in Rust": PANIC, PANIC;
    overflow_checked BL "adds too much, and checks": PANIC, PANIC;
    overflow_wraps L "adds too much; module builds wrap": LEGAL, LEGAL;
    warning L "warns, and goes on": LEGAL, LEGAL;
    cli_panic L "panics with interrupts off": PANIC, PROTECTION;
    forged_panic B "a panic's instruction with the kernel's addresses": PANIC, PANIC;
    forged_heap_end B "the instruction of a used-up heap, without one": HEAP, HEAP;

    // Reads and writes.
    read_null BL "reads address 0": READ, READ;
    write_null BL "writes address 0": WRITE, WRITE;
    read_bad_address H "reads address 5": READ, READ;
    read_non_canonical B "reads a non-canonical address": PROTECTION, PROTECTION;
    write_non_canonical B "writes a non-canonical address": PROTECTION, PROTECTION;
    write_text B "writes its own text": WRITE, WRITE;
    write_rodata BL "writes its own constants": WRITE, WRITE;
    write_relocated L "writes constants that were written once": WRITE, WRITE;
    read_far_from_text B "reads 64 MiB behind its text": READ, READ;
    read_far_from_rodata B "reads 64 MiB behind its constants": READ, READ;
    read_far_from_data B "reads 64 MiB behind its data": READ, READ;
    write_far_from_data B "writes 64 MiB behind its data": WRITE, WRITE;
    read_off_text H "reads on behind its text": READ, READ;
    read_off_data B "reads on behind its data": READ, READ;
    read_kernel_text B "reads the kernel's text": LEGAL, READ;
    write_kernel_text BL "writes the kernel's text": WRITE, WRITE;
    read_kernel_data B "reads the kernel's stack": LEGAL, READ;
    write_kernel_data B "writes the kernel's stack": DATA, WRITE;
    read_physical_map B "reads the kernel's view of all memory": LEGAL, READ;
    write_physical_map B "writes the kernel's view of all memory": DATA, WRITE;
    read_device H "reads a device's registers": LEGAL, READ;
    write_device B "writes a device's registers": DEVICES, WRITE;
    read_other_space BL "reads where programs lie elsewhere": READ, READ;
    write_other_space BL "writes where programs lie elsewhere": WRITE, WRITE;
    read_user_base B "reads where modules of the user domain lie": READ, LEGAL;
    write_user_base B "writes where modules of the user domain lie": WRITE, WRITE;
    write_service_code B "writes a service's code": WRITE, WRITE;
    write_service_table B "writes the table of services": WRITE, WRITE;
    write_input B "writes its input": FaultOr(&["page_write"], 0), WRITE;
    write_past_heap L "writes on behind its heap": DATA, WRITE;
    write_past_output B "writes on behind its output": DATA, WRITE;
    read_past_input B "reads on behind its input": FaultAny(&["page_read", "time_budget"]), READ;

    // Execution.
    execute_null BHL "executes address 0": EXECUTE, EXECUTE;
    execute_data BHL "executes its own data": EXECUTE, EXECUTE;
    execute_rodata BL "executes its own constants": EXECUTE, EXECUTE;
    execute_stack BHL "executes its own stack": EXECUTE, EXECUTE;
    execute_heap L "executes its own heap": EXECUTE, EXECUTE;
    execute_input B "executes its input": EXECUTE, EXECUTE;
    execute_output B "executes its output": EXECUTE, EXECUTE;
    execute_context B "executes its context": EXECUTE, EXECUTE;
    execute_far_from_text B "executes 64 MiB behind its text": EXECUTE, EXECUTE;
    execute_kernel_text B "executes the kernel's text": CODE, EXECUTE;
    execute_kernel_data B "executes the kernel's stack": EXECUTE, EXECUTE;
    execute_physical_map B "executes the kernel's view of all memory": EXECUTE, EXECUTE;
    execute_other_space L "executes where programs lie elsewhere": EXECUTE, EXECUTE;
    jump_non_canonical B "jumps to a non-canonical address": PROTECTION, PROTECTION;
    call_wrong_type L "calls a function of another type": LEGAL, LEGAL;

    // Stacks.
    recursion BHL "calls itself for ever": OVERFLOW, OVERFLOW;
    huge_frame BH "takes a frame of 1 MiB": OVERFLOW, OVERFLOW;
    unprobed_frame B "takes a frame of 512 KiB that reaches beyond the guard page": WRITE, WRITE;
    push_loop B "pushes for ever": OVERFLOW, OVERFLOW;
    read_below_stack L "reads on below its stack": OVERFLOW, OVERFLOW;
    read_above_stack HL "reads on above its stack": READ, READ;
    null_stack BL "pushes with a stack pointer of 0": WRITE, WRITE;
    null_stack_call B "calls with a stack pointer of 0": WRITE, WRITE;
    non_canonical_stack B "pushes with a non-canonical stack pointer": PROTECTION, PROTECTION;
    text_stack B "pushes with the stack pointer in its text": WRITE, WRITE;
    kernel_stack B "pushes with the stack pointer in the kernel's text": WRITE, WRITE;
    corrupt_return L "returns to an address of ones": EXECUTE, EXECUTE;
    return_to_null B "returns to address 0": EXECUTE, EXECUTE;
    return_to_data B "returns to its own data": EXECUTE, EXECUTE;
    return_elsewhere L "returns to its own code, but not to its caller": LEGAL, LEGAL;
    corrupt_list L "unlinks a list's element that points to the kernel": WRITE, WRITE;

    // Returns with changed state. In ring 3, all of that is the module's own.
    clobber_rbx B "returns with rbx changed": CLOBBERED, LEGAL;
    clobber_rbp B "returns with rbp changed": CLOBBERED, LEGAL;
    clobber_r12 B "returns with r12 changed": CLOBBERED, LEGAL;
    clobber_r13 B "returns with r13 changed": CLOBBERED, LEGAL;
    clobber_r14 B "returns with r14 changed": CLOBBERED, LEGAL;
    clobber_r15 B "returns with r15 changed": CLOBBERED, LEGAL;
    shift_stack B "returns with the stack pointer 16 too low": CLOBBERED, LEGAL;
    return_without_stack B "returns with a stack pointer of 0": CLOBBERED, LEGAL;
    direction_flag B "returns with the direction flag set": CLOBBERED, LEGAL;
    alignment_flag B "returns with the alignment flag set": CLOBBERED, LEGAL;
    nested_task_flag B "returns with the nested task flag set": CLOBBERED, LEGAL;
    trap_flag_on_return B "single steps out of itself": PROTECTION, PROTECTION;
    clobber_mxcsr B "returns with SSE exceptions unmasked": CLOBBERED, LEGAL;
    clobber_rounding B "returns with another rounding": CLOBBERED, LEGAL;
    clobber_x87 B "returns with x87 exceptions unmasked": LEGAL, LEGAL;
    full_x87 B "returns with the x87 stack full": LEGAL, LEGAL;
    pending_x87 B "returns with an x87 exception pending": LEGAL, LEGAL;
    wide_result B "returns 64 bits": LEGAL, LEGAL;
    cli_on_return B "returns with interrupts off": CLOBBERED, PROTECTION;
    stac_on_return B "returns with user pages open to the kernel":
        FaultAny(&["clobbered_register", "invalid_opcode"]), OPCODE;
    iopl_on_return B "returns with the right to use ports claimed": LEGAL, LEGAL;
    raise_priority_on_return B "returns with interrupts kept away by the processor's priority": CLOBBERED, PROTECTION;
    arm_debug_register B "returns with a debug register armed": CLOBBERED, PROTECTION;
    units_off_on_return B "returns with the vector units switched off": OPCODE, PROTECTION;
    all_flags_on_return B "returns with all flags set, that for single steps too": PROTECTION, PROTECTION;
    clobber_denormals B "returns with tiny numbers taken for zero": CLOBBERED, LEGAL;
    turn_x87 B "returns with the x87 stack turned": LEGAL, LEGAL;
    return_16 B "returns with the stack pointer 16 too high": CLOBBERED, LEGAL;
    return_from_data B "returns from a stack of its own": CLOBBERED, LEGAL;

    // Privileged instructions.
    cli B "switches interrupts off": CLOBBERED, PROTECTION;
    sti B "switches interrupts on": LEGAL, PROTECTION;
    hlt B "halts until the next interrupt": LEGAL, PROTECTION;
    read_cr0 B "reads cr0": LEGAL, PROTECTION;
    read_cr3 B "reads cr3": LEGAL, PROTECTION;
    read_cr4 B "reads cr4": LEGAL, PROTECTION;
    rewrite_cr0 B "reads cr0, and writes it back": LEGAL, PROTECTION;
    rewrite_cr3 B "reads cr3, and writes it back": LEGAL, PROTECTION;
    rewrite_cr4 B "reads cr4, and writes it back": LEGAL, PROTECTION;
    clear_cr0 B "switches paging off": PAGING, PROTECTION;
    clear_cr3 B "takes other page tables": PAGING, PROTECTION;
    clear_cr4 B "clears cr4": SWITCHES, PROTECTION;
    unset_smep L "switches SMEP and SMAP off": SWITCHES, PROTECTION;
    unset_write_protect B "switches write protection off": SWITCHES, PROTECTION;
    read_cr8 B "reads the processor's priority": LEGAL, PROTECTION;
    read_dr7 B "reads dr7": LEGAL, PROTECTION;
    write_dr7 B "writes dr7": LEGAL, PROTECTION;
    clts B "clears the task-switched flag": LEGAL, PROTECTION;
    lmsw B "writes the machine status word": LEGAL, PROTECTION;
    set_task_switched B "sets the task-switched flag": SWITCHES, PROTECTION;
    rdmsr_efer B "reads EFER": LEGAL, PROTECTION;
    wrmsr_efer B "clears EFER": PAGING, PROTECTION;
    wrmsr_lstar B "writes the address of system calls": SWITCHES, PROTECTION;
    rdmsr_unknown B "reads a register of no processor's; QEMU's emulator has them all":
        PROTECTION_OR_LEGAL, PROTECTION;
    rdpmc B "reads a performance counter": FaultOr(&["general_protection", "invalid_opcode"], 0), PROTECTION;
    xsetbv B "switches the x87 state off": OPCODE_OR_PROTECTION, OPCODE_OR_PROTECTION;
    invd B "forgets the caches": NotHere("what others wrote last would be lost"), PROTECTION;
    wbinvd B "empties the caches": LEGAL, PROTECTION;
    invlpg B "forgets a page's translation": LEGAL, PROTECTION;
    swapgs B "exchanges the bases of gs, twice": LEGAL, PROTECTION;
    stac_clac B "opens user pages to the kernel, and closes them": OPCODE_OR_LEGAL, OPCODE;
    monitor B "watches a word": OPCODE_OR_LEGAL, OPCODE_OR_PROTECTION;
    mwait B "waits for the word": OPCODE_OR_LEGAL, OPCODE_OR_PROTECTION;
    in_serial B "reads a port of the serial line": LEGAL, PROTECTION;
    out_serial B "writes a port of the serial line": LEGAL, PROTECTION;
    out_post B "writes port 0x80, which does nothing": LEGAL, PROTECTION;
    out_reset B "writes port 0x64, which resets the machine": DEVICES, PROTECTION;
    out_exit B "writes port 0xf4, which ends QEMU": DEVICES, PROTECTION;
    insb B "reads a port into memory": LEGAL, PROTECTION;

    // The descriptor tables.
    lgdt B "takes another table of segments": TABLES, PROTECTION;
    lidt B "takes another table of interrupts": TABLES, PROTECTION;
    lldt B "takes no local table": LEGAL, PROTECTION;
    ltr_code B "takes code for a task": PROTECTION, PROTECTION;
    ltr_null B "takes nothing for a task; QEMU's emulator does": TABLES, PROTECTION;
    sgdt B "asks where the segments' table is": LEGAL, PROTECTION_OR_LEGAL;
    sidt B "asks where the interrupts' table is": LEGAL, PROTECTION_OR_LEGAL;
    sldt B "asks for the local table": LEGAL, PROTECTION_OR_LEGAL;
    str B "asks for the task": LEGAL, PROTECTION_OR_LEGAL;
    smsw B "asks for the machine status word": LEGAL, PROTECTION_OR_LEGAL;
    verify_segments B "asks about the kernel's segments": LEGAL, LEGAL;
    syscall B "a system call from its own text": PROTECTION, PROTECTION;
    syscall_garbage B "a system call with nonsense in all registers": PROTECTION, PROTECTION;
    syscall_kernel_stack B "a system call with the stack pointer in the kernel": PROTECTION, PROTECTION;
    syscall_null_stack B "a system call with a stack pointer of 0": PROTECTION, PROTECTION;
    sysenter B "the other system call": OPCODE_OR_PROTECTION, OPCODE_OR_PROTECTION;
    sysexit B "returns from the other system call": OPCODE_OR_PROTECTION, OPCODE_OR_PROTECTION;
    sysretq B "returns to its own code in ring 3": EXECUTE, PROTECTION;

    // Segments.
    mov_ss_bad B "takes a selector of nothing for its stack": PROTECTION, PROTECTION;
    mov_ss_null B "takes no selector for its stack": LEGAL, PROTECTION;
    mov_ds_bad B "takes a selector of nothing for its data": PROTECTION, PROTECTION;
    mov_gs_bad B "takes a selector of nothing for gs": PROTECTION, PROTECTION;
    mov_es_local B "takes a selector of the local table, which there is none of":
        PROTECTION_OR_READ, PROTECTION_OR_READ;
    mov_ds_kernel B "takes the kernel's selector for its data": LEGAL, PROTECTION;
    pop_fs_bad B "pops a selector of nothing": PROTECTION, PROTECTION;
    far_jump_bad BH "a far jump to a selector of nothing": PROTECTION, PROTECTION;
    far_call_bad B "a far call to a selector of nothing": PROTECTION, PROTECTION;
    far_jump_task B "a far jump to the kernel's task": PROTECTION, PROTECTION;
    far_return_to_ring_0 B "a far return to its own code in ring 0": LEGAL, PROTECTION_OR_READ;
    iretq_garbage B "iretq to nowhere, by a selector of the local table": PROTECTION_OR_READ, PROTECTION_OR_READ;
    iretq_to_ring_0 B "iretq to its own code in ring 0": LEGAL, PROTECTION_OR_READ;
    iretq_nested B "iretq inside of another task": PROTECTION, PROTECTION;

    // The context, overwritten.
    output_in_kernel B "writes output to the kernel's text": WRITE, WRITE;
    output_non_canonical B "writes output to a non-canonical address": PROTECTION, PROTECTION;
    output_elsewhere B "writes output to its own data": LEGAL, LEGAL;
    output_length_max B "claims more output than there is memory": LEGAL, LEGAL;
    output_unclaimed B "fills its output, and claims none": LEGAL, LEGAL;
    input_in_kernel B "reads input from the kernel's text": LEGAL, READ;
    services_null B "calls a service of a table at 0": READ, READ;
    services_non_canonical B "calls a service of a table at a non-canonical address": PROTECTION, PROTECTION;
    services_own B "calls services of its own": LEGAL, LEGAL;
    wiped_context B "overwrites its whole context": LEGAL, LEGAL;

    // Services, called as no compiled module would.
    log_null B "logs a byte at 0": ARGUMENT, ARGUMENT;
    log_null_empty B "logs nothing, at 0": LEGAL, LEGAL;
    log_empty B "logs the empty line, as safe code may": LEGAL, LEGAL;
    log_kernel_text BL "logs the kernel's text": ARGUMENT, ARGUMENT;
    log_kernel_data H "logs the kernel's stack": ARGUMENT, ARGUMENT;
    log_non_canonical B "logs a non-canonical address": ARGUMENT, ARGUMENT;
    log_other_space B "logs where programs lie elsewhere": ARGUMENT, ARGUMENT;
    log_user_base B "logs where modules of the user domain lie": ARGUMENT, LEGAL;
    log_length_max BH "logs all memory there could be": ARGUMENT, ARGUMENT;
    log_wraps_around B "logs from the last byte to its own text": ARGUMENT, ARGUMENT;
    log_off_data BL "logs beyond its data": ARGUMENT, ARGUMENT;
    log_off_stack L "logs beyond its stack": ARGUMENT, ARGUMENT;
    log_off_text_start B "logs from below its text on": ARGUMENT, ARGUMENT;
    log_past_input H "logs one byte more than its input": ARGUMENT, ARGUMENT;
    log_context H "logs its context": ARGUMENT, ARGUMENT;
    log_too_long B "logs 8 KiB of its own": ARGUMENT, ARGUMENT;
    log_dead_frame L "logs its stack below what is in use": LEGAL, LEGAL;
    log_no_text B "logs what is no text, and would fool a terminal": LEGAL, LEGAL;
    log_null_context B "logs without a context": LEGAL, LEGAL;
    log_wild_context B "logs with a context at a non-canonical address": LEGAL, LEGAL;
    log_at_last_words B "logs with two words of stack left": LEGAL, LEGAL;
    log_at_guard B "logs with one word of stack left": OVERFLOW, LEGAL;
    log_below_guard B "logs with no stack left": OVERFLOW, OVERFLOW;
    log_without_stack B "jumps to a service with a stack pointer of 0": WRITE, READ;
    log_kernel_stack B "jumps to a service with the stack pointer in the kernel's text":
        NotHere("a trap of the kernel's code with a stack in the kernel's image is taken for its own"), READ;
    log_with_direction B "logs with the direction flag set": LEGAL, LEGAL;
    log_with_alignment B "logs with the alignment flag set": LEGAL, LEGAL;
    log_with_trap B "single steps into a service": PROTECTION, PROTECTION;
    log_past_first_byte B "calls a service's second byte":
        FaultAny(&["page_execute", "page_read", "page_write", "general_protection", "invalid_opcode"]), BREAKPOINT;
    clock_null_context B "asks for the time without a context": LEGAL, LEGAL;

    // Calls of other modules.
    call_undeclared B "calls a module it does not declare": LEGAL, LEGAL;
    call_null B "calls a module with no arguments": ARGUMENT, ARGUMENT;
    call_arguments_in_kernel B "calls a module with arguments on the kernel's stack": ARGUMENT, ARGUMENT;
    call_arguments_in_rodata B "calls a module with arguments in its constants": ARGUMENT, ARGUMENT;
    call_arguments_off_stack B "calls a module with arguments across its stack's top": ARGUMENT, ARGUMENT;
    call_name_in_kernel B "calls a module whose name is the kernel's text": ARGUMENT, ARGUMENT;
    call_name_length_max B "calls a module with a name as long as memory": ARGUMENT, ARGUMENT;
    call_input_in_kernel B "passes the kernel's text on": ARGUMENT, ARGUMENT;
    call_output_in_kernel B "has output written to the kernel's stack": ARGUMENT, ARGUMENT;
    call_output_in_text B "has output written to its text": ARGUMENT, ARGUMENT;
    call_output_in_rodata B "has output written to its constants": ARGUMENT, ARGUMENT;
    call_output_in_input B "has output written to its input": ARGUMENT, ARGUMENT;
    call_output_on_arguments B "has output written over the arguments": ARGUMENT, ARGUMENT;
    call_output_off_data B "has more output written than it has data": ARGUMENT, ARGUMENT;
    call_without_room B "calls a module without room for output": LEGAL, LEGAL;
    call_loop B "asks for calls for ever": TIME, TIME;
    invoke_undeclared B "calls a method without any import": PROTECTION, PROTECTION;

    // The same damage by other instructions.
    copy_up B "copies upwards beyond its stack": WRITE, WRITE;
    fill_up B "fills memory upwards beyond its stack": WRITE, WRITE;
    fill_down B "fills memory downwards beyond its stack": OVERFLOW, OVERFLOW;
    fill_text B "fills its own text": WRITE, WRITE;
    read_up B "reads a string upwards beyond its stack": READ, READ;
    pop_loop B "pops for ever": READ, READ;
    save_units_null B "saves the x87 and vector units at address 0": WRITE, WRITE;
    save_units_odd B "saves them at an odd address": PROTECTION_OR_LEGAL, PROTECTION_OR_LEGAL;
    restore_units_garbage B "restores them from ones": OPCODE_OR_PROTECTION, OPCODE_OR_PROTECTION;
    exchange_16_odd B "exchanges 16 bytes at an odd address": PROTECTION, PROTECTION;
    idiv_overflow_wide B "divides 128 bits to more than 64": DIVIDE, DIVIDE;
    call_low B "calls address 8": EXECUTE, EXECUTE;
    jump_by_far_table B "jumps by a table that is far away": READ, READ;
    mutual_recursion B "calls itself by way of another function, for ever": OVERFLOW, OVERFLOW;
    skip_guard B "writes 16 KiB below its stack": WRITE, WRITE;
    leave_bad_frame B "leaves a frame at address 16": READ, READ;
    return_loop B "returns to itself for ever": TIME, TIME;
    hlt_loop B "halts for ever": TIME, PROTECTION;
    use_x87 B "uses the x87 unit": LEGAL, LEGAL;
    use_units_off B "switches the vector units off, and uses them": OPCODE, PROTECTION;
    store_gs B "writes by gs": WRITE, WRITE;
    write_low B "writes address 16": WRITE, WRITE;
    read_beyond_memory B "reads behind the kernel's view of all memory": READ, READ;
    odd_flags B "sets flags of 16-bit tasks": LEGAL, LEGAL;
    set_selectors B "leaves selectors of its own": LEGAL, LEGAL;
    see_selectors B "looks at the selectors that another call left": NotHere("ring 0 reads all there is"), LEGAL;
};
