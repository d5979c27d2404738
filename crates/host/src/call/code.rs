//! The assembly code of the trampolines: onto the module's stack, into the module, and back with the registers that a
//! function must preserve.
//!
//! The trampolines differ in how they read the clock right before and after the call, and in how they treat registers,
//! flags and MXCSR control bits that a module may have changed but that nothing here relies on. Checking these takes
//! longer than everything else together. A checking trampoline does so, and ends the call if any was changed; the
//! others silently restore what our own code needs: the direction flag and MXCSR. A restoring trampoline writes both
//! after every call, a testing one only if they differ. That is faster on Intel's processors (an untimed call takes 10.8
//! ticks instead of 13.7), and slower on an AMD EPYC (22.4 instead of 13.3). AC and NT are equally slow to check; the
//! signal handler clears them when they cause a fault. A checking trampoline clears all flags first, so that a fault is
//! attributed to the right module.

use std::arch::global_asm;

use bareflow_loader::Timing;

use crate::cpu;

unsafe extern "C" {
    // Each takes the entry in r8, the module's arguments in rdi and rsi, its stack in r9, and the activation in rcx. It
    // returns the result in r8, the clock's second reading in r9, and the exit reason in rdx. It preserves only rbx and
    // rbp.
    fn bareflow_host_fast_restoring();
    fn bareflow_host_fast_testing();
    fn bareflow_host_fast_checking();
    fn bareflow_host_precise_restoring();
    fn bareflow_host_precise_testing();
    fn bareflow_host_precise_checking();
    fn bareflow_host_untimed_restoring();
    fn bareflow_host_untimed_testing();
}

/// Trampolines, indexed by timing.
pub(crate) type Trampolines = [unsafe extern "C" fn(); 3];

/// The trampolines that restore registers after every call.
pub(crate) static RESTORING: Trampolines =
    [bareflow_host_fast_restoring, bareflow_host_precise_restoring, bareflow_host_untimed_restoring];

/// The trampolines that restore registers only if they differ.
pub(crate) static TESTING: Trampolines =
    [bareflow_host_fast_testing, bareflow_host_precise_testing, bareflow_host_untimed_testing];

/// Returns the fastest trampolines on this make of processor.
pub(crate) fn fastest() -> Trampolines {
    if cpu::is_intel() { TESTING } else { RESTORING }
}

/// The checking trampolines. Untimed calls are not checked either.
pub(crate) static CHECKING: Trampolines =
    [bareflow_host_fast_checking, bareflow_host_precise_checking, bareflow_host_untimed_restoring];

const _: () = assert!(Timing::Fast as usize == 0 && Timing::Precise as usize == 1 && Timing::Untimed as usize == 2);

/// The clock readings, as in `bareflow_runtime::clock`, and the treatment of everything else.
macro_rules! code {
    // The halves of the first reading are stored separately, since a fence would have to wait for their combination.
    (fast before) => {
        "rdtsc\n mov [rcx + 24], eax\n mov [rcx + 28], edx"
    };
    (fast behind) => {
        "rdtsc\n shl rdx, 32\n lea r9, [rax + rdx]"
    };
    (precise before) => {
        "lfence\n rdtsc\n mov [rcx + 24], eax\n mov [rcx + 28], edx"
    };
    (precise behind) => {
        "lfence\n rdtsc\n shl rdx, 32\n lea r9, [rax + rdx]"
    };
    (untimed before) => {
        ""
    };
    // Equal readings: no time has passed.
    (untimed behind) => {
        "xor r9d, r9d"
    };
    (restore before) => {
        ""
    };
    (restore behind) => {
        "cld\n ldmxcsr [rip + bareflow_host_mxcsr]"
    };
    (test before) => {
        ""
    };
    // `lodsq` reads our own saved rbx, to which rbp was just found to point, and moves rsi up unless DF is set. It takes
    // a third of `pushfq`. MXCSR's sticky exception flags stay as they are.
    (test behind) => {
        "mov rsi, rbp\n lodsq\n lea rcx, [rbp + 8]\n cmp rsi, rcx\n jne 8f\n \
         stmxcsr [rsp - 8]\n mov ecx, [rsp - 8]\n and ecx, 0xffc0\n cmp ecx, 0x1f80\n jne 8f\n 9:\n \
         .pushsection .text.unlikely, \"ax\", @progbits\n \
         8: cld\n ldmxcsr [rip + bareflow_host_mxcsr]\n jmp 9b\n .popsection"
    };
    (check before) => {
        "push 0x202\n popfq\n mov dword ptr [rcx + 36], 1\n \
         xor ebx, ebx\n xor r12d, r12d\n xor r13d, r13d\n xor r14d, r14d\n xor r15d, r15d"
    };
    // The registers that a function must preserve; DF, NT and AC; MXCSR.
    (check behind) => {
        "mov dword ptr [r11 + 36], 0\n or rbx, r12\n or r13, r14\n or rbx, r15\n or rbx, r13\n jne bareflow_host_clobbered\n \
         pushfq\n pop rcx\n test ecx, 0x44400\n jnz bareflow_host_clobbered\n \
         stmxcsr [rsp - 8]\n mov ecx, [rsp - 8]\n and ecx, 0xffc0\n cmp ecx, 0x1f80\n jne bareflow_host_clobbered"
    };
}

/// Defines a trampoline with the given name.
macro_rules! trampoline {
    ($name:literal, $clock:ident, $registers:ident) => {
        global_asm!(
            concat!(".global ", $name),
            ".balign 64",
            concat!($name, ":"),
            "push rbp",
            "push rbx",
            "mov [rcx], rsp",
            // A register that a function must preserve.
            "mov rbp, rsp",
            "mov rsp, r9",
            code!($registers before),
            code!($clock before),
            "call r8",
            "mov r8d, eax",
            code!($clock behind),
            // Checks the stack and frame pointers (System V ABI 3.2.1).
            "mov r11, [rip + bareflow_host_record@GOTTPOFF]",
            "mov r11, fs:[r11]",
            "cmp rsp, [r11 + 8]",
            "jne bareflow_host_clobbered",
            "cmp rbp, [r11]",
            "jne bareflow_host_clobbered",
            code!($registers behind),
            // From here on, the call can't be ended from outside any more.
            "mov qword ptr [r11], 0",
            // Reading it from memory would cost time; both were just found to be equal.
            "mov rsp, rbp",
            "pop rbx",
            "pop rbp",
            // Whether anything else remains to be done.
            "mov edx, [r11 + 32]",
            "ret",
        );
    };
}

trampoline!("bareflow_host_fast_restoring", fast, restore);
trampoline!("bareflow_host_fast_testing", fast, test);
trampoline!("bareflow_host_fast_checking", fast, check);
trampoline!("bareflow_host_precise_restoring", precise, restore);
trampoline!("bareflow_host_precise_testing", precise, test);
trampoline!("bareflow_host_precise_checking", precise, check);
trampoline!("bareflow_host_untimed_restoring", untimed, restore);
trampoline!("bareflow_host_untimed_testing", untimed, test);

global_asm!(
    // After a fault, the signal handler resumes here, with the stack as the trampoline left it.
    ".global bareflow_host_recover",
    "bareflow_host_recover:",
    "mov edx, 2",
    "jmp 4f",
    // A service that ends the call returns to an instruction that faults, so that the signal handler does the rest.
    ".global bareflow_host_service_end",
    "bareflow_host_service_end:",
    "ud2",
    ".global bareflow_host_clobbered",
    ".hidden bareflow_host_clobbered",
    "bareflow_host_clobbered:",
    "mov edx, 1",
    "4: mov r11, [rip + bareflow_host_record@GOTTPOFF]",
    "mov rcx, fs:[r11]",
    "mov rsp, [rcx]",
    "mov qword ptr [rcx], 0",
    "mov dword ptr [rcx + 36], 0",
    "push 0x202",
    "popfq",
    "fninit",
    "ldmxcsr [rip + bareflow_host_mxcsr]",
    "pop rbx",
    "pop rbp",
    "ret",
    ".balign 4",
    ".global bareflow_host_mxcsr",
    ".hidden bareflow_host_mxcsr",
    "bareflow_host_mxcsr: .long 0x1f80",
    // Each thread's innermost call. The trampolines read it, since a module may have destroyed every register.
    ".section .tbss.bareflow_host_record, \"awT\", @nobits",
    ".balign 8",
    ".global bareflow_host_record",
    ".hidden bareflow_host_record",
    "bareflow_host_record: .zero 8",
    ".text",
    ".global bareflow_host_thread",
    "bareflow_host_thread:",
    "mov rax, fs:[0]",
    "add rax, [rip + bareflow_host_record@GOTTPOFF]",
    "ret",
);
